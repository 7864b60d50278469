"""The command policy on any argv: it always answers, and no wrapper makes a refused command pass."""

from __future__ import annotations

from hypothesis import given, strategies as st

from wfconsole.domain.plan import CommandPolicy
from wfconsole.domain.policy.command_safety import Verdict, judge
from wfconsole.domain.policy.files import TOOLS
from wfconsole.domain.policy.wrappers import WRAPPERS

PREFIXES: tuple[tuple[str, ...], ...] = (
    ("env",), ("env", "-i", "A=1"), ("env", "-u", "B", "--"), ("xargs",), ("xargs", "-0", "-n", "1"),
    ("sudo", "-u", "x"), ("doas",),
    ("nice", "-n", "5"), ("nice", "-3"), ("ionice", "-c", "2", "-n0"), ("timeout", "-k", "1", "5"), ("nohup",),
    ("setsid", "-f"),
    ("stdbuf", "-oL"), ("time", "-p"), ("watch", "-x"), ("watch",), ("strace", "-f"), ("parallel", "-j", "2"),
    ("busybox",), ("chroot", "d"),
    ("taskset", "-c", "1"), ("flock", "-n", "lock"), ("gosu", "x"), ("unshare", "-r"),
    ("find", ".", "-name", "x", "-exec"),
)  # fmt: skip
REFUSED: tuple[tuple[str, ...], ...] = (
    ("rm", "/x"), ("rm", "-rf", "."), ("mv", "../x", "y"), ("sh", "-c", "x"), ("curl", "x"), ("cp", "x", "/etc/y"),
    ("tee", "../x"),
    ("env", "-S", "x"), ("runuser", "x"), ("chmod", "777", "/etc"),
)  # fmt: skip

words = st.one_of(
    st.sampled_from([*WRAPPERS, *TOOLS, "find", "sh", "dd"]),
    st.sampled_from(["-exec", "-delete", ";", "+", "{}", "--", "-", "-n", "-t", "-I", "--x=y", ""]),
    st.sampled_from(["..", "../x", "/x", ".", "*", "A=1", "of=/x"]),
    st.text(max_size=12),
)
policies = st.builds(
    CommandPolicy,
    default=st.sampled_from(["allow", "deny"]),
    allow=st.lists(words, max_size=4).map(tuple),
    deny=st.lists(words, max_size=4).map(tuple),
    shell=st.sampled_from(["allow", "deny"]),
)


@given(argv=st.lists(words, max_size=12), policy=policies, workdir=words)
def test_any_argv_gets_an_answer(argv: list[str], policy: CommandPolicy, workdir: str) -> None:
    verdict = judge(argv, policy, workdir=workdir)
    assert isinstance(verdict, Verdict)
    assert verdict == judge(tuple(argv), policy, workdir=workdir)
    assert (verdict.decision == "allow") == (verdict.rule == "allowed")


@given(prefixes=st.lists(st.sampled_from(PREFIXES), max_size=5), command=st.sampled_from(REFUSED))
def test_no_wrapper_makes_a_refused_command_pass(prefixes: list[tuple[str, ...]], command: tuple[str, ...]) -> None:
    policy = CommandPolicy(deny=("curl",))
    argv = command
    for prefix in reversed(prefixes):
        argv = (*prefix, *argv, ";") if prefix[0] == "find" else (*prefix, *argv)
    assert judge(argv, policy).decision == "block"


@given(command=st.lists(words, min_size=1, max_size=6), prefix=st.sampled_from(PREFIXES))
def test_wrapping_never_makes_an_answer_milder(command: list[str], prefix: tuple[str, ...]) -> None:
    policy = CommandPolicy(shell="allow")
    argv = [word for word in command if word not in {";", "+"}]
    if (
        not argv
        or judge(argv, policy).decision != "block"
        or argv[0] == ""
        or "=" in argv[0]
        or argv[0].startswith("-")
    ):
        return
    wrapped = [*prefix, *argv, ";"] if prefix[0] == "find" else [*prefix, *argv]
    assert judge(wrapped, policy).decision == "block"
