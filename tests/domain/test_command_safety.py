"""The command policy as tables: what is refused, what passes, what passes with a remark, and by which rule."""

from __future__ import annotations

import shlex

import pytest

from wfconsole.domain.plan import CommandPolicy
from wfconsole.domain.policy.command_safety import judge, judge_workdir

OPEN = CommandPolicy()
SHELLS = CommandPolicy(shell="allow")


def told(command: str, policy: CommandPolicy = OPEN, workdir: str = ".") -> tuple[str, str]:
    verdict = judge(shlex.split(command), policy, workdir=workdir)
    return verdict.decision, verdict.rule


@pytest.mark.parametrize(
    "command",
    [
        "sh -c 'echo x'", "bash x.sh", "/bin/bash -lc ls", "./sh", "dash", "zsh -c x", "ksh93 x", "ash", "fish -c x",
        "bash-5.1 x",
        "busybox sh -c x", "env sh -c x", "env -i A=1 bash x", "xargs sh -c x", "find . -exec sh -c x ;", "sudo -s",
        "sudo -i ls",
        "nice -n 5 bash", "timeout 5 bash -c x", "nohup sh x", "watch ls", "su -c x", "script -c x",
        "parallel echo ::: a", "at now", "batch", "crontab jobs", "find . -exec env -i sh x ;",
        "flock lock -c 'rm x'", "chroot d", "unshare -r", "strace -o '|cat' ls", "time bash x",
        "/usr/bin/env -S bash x",
    ],
)  # fmt: skip
def test_exec_block_9_shells_are_refused_unless_allowed(command: str) -> None:
    decision, rule = told(command)
    assert decision == "block"
    assert rule == ("wrapper-unknown" if "-S" in command else "shell")


@pytest.mark.parametrize("command", ["sh -c 'echo x'", "env bash x", "busybox sh x", "watch ls", "sudo -s", "su -c x"])
def test_exec_block_9_shells_run_where_the_recipe_allows_them(command: str) -> None:
    assert told(command, SHELLS) == ("allow", "allowed")


@pytest.mark.parametrize(
    "command",
    ["rm /etc/passwd", "rm -rf /", "rm -rf -- /workspace/x", "/bin/rm -f /tmp/x", "rm a /b", "env rm /x",
     "sudo -u root rm -rf /x",
     "busybox rm /x", "find . -name x -exec rm /x ;", "find /etc -delete", "xargs rm /x", "nice -5 rm /x",
     "timeout -k 1 5 rm /x",
     "env -u A B=1 nice -n 3 timeout 5 rm /x", "rm -- -x /y", "find /etc -name x -exec rm {} +",
     "env -i nice -n 5 timeout 3 rm -rf /x", "env -iu A rm /x", "timeout -s KILL -k 1 5 timeout 4 rm /x", "rm -- /abs",
     "busybox env rm /x", "busybox find . -exec rm /x ;", "sudo -nu root A=1 rm /x", "find . -exec timeout 3 rm /x ;"],
)  # fmt: skip
def test_exec_block_10_rm_absolute_is_blocked(command: str) -> None:
    assert told(command) == ("block", "rm-absolute")


@pytest.mark.parametrize(
    "command",
    ["rm x", "rm -rf build dist/x", "rm ./x", "env rm x", "find . -name '*.pyc' -delete", "find build -delete",
     "rm -- -x",
     "find . -name x -exec rm -f {} +", "find src -type f -execdir rm {} ;", "rm '*.pyc'", "nohup nice rm x",
     "rm x..y"],
)  # fmt: skip
def test_exec_block_11_rm_relative_passes_with_a_warning(command: str) -> None:
    assert told(command) == ("warn", "rm-relative")
    assert told(command, workdir="sub/folder") == ("warn", "rm-relative")


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        ("rm ../x", "path-escape"), ("rm a/../../x", "path-escape"), ("rm -rf a/..", "path-escape"),
        ("find .. -delete", "path-escape"),
        ("rm -rf .", "rm-everything"), ("rm -rf ./", "rm-everything"), ("rm -rf '*'", "rm-everything"),
        ("rm -rf './*'", "rm-everything"),
        ("find . -delete", "rm-everything"), ("find -delete", "rm-everything"),
        ("find . -exec rm -rf {} ;", "rm-everything"), ("find -maxdepth 1 -exec rm -rf {} +", "rm-everything"),
        ("rm -rf ./../x", "path-escape"), ("env -C .. rm x", "path-escape"), ("busybox xargs rm", "operands-unseen"),
        ("find . -type f -exec rm ../{} ;", "path-escape"),
        ("xargs rm", "operands-unseen"), ("xargs -0 rm -f", "operands-unseen"),
        ("xargs -I X rm ./X", "operands-unseen"),
        ("xargs -I{} mv {} done", "operands-unseen"), ("find . -exec xargs rm ;", "operands-unseen"),
        ("xargs chmod 777", "operands-unseen"),
        ("xargs", "ok"), ("rm", "ok"), ("rm -f", "ok"),
    ],
)  # fmt: skip
def test_exec_block_11_rm_that_could_reach_too_far_is_blocked(command: str, rule: str) -> None:
    assert told(command) == (("allow", "allowed") if rule == "ok" else ("block", rule))


@pytest.mark.parametrize(
    "command",
    ["mv ../x y", "mv x ../y", "mv a/../b c", "mv -t ../d x", "mv -t../d x", "mv -vt ../d x",
     "mv --target-directory=../d x",
     "mv --target=../d x", "mv --t=../d x", "mv --target-directory ../d x", "env mv ../x y", "mv x /etc/y", "mv /etc/passwd x",
     "/usr/bin/mv ../x ."],
)  # fmt: skip
def test_exec_block_12_mv_out_of_the_workspace_is_blocked(command: str) -> None:
    assert told(command) == ("block", "path-escape")


@pytest.mark.parametrize(
    "command",
    [
        "cp x ../y", "cp ../x y", "cp x /etc/y", "cp -t /etc x", "ln -s /etc/passwd x", "ln -s ../x y",
        "ln x /etc/y", "ln -sf ../../x a/b",
        "tee ../x", "tee -a ok /etc/x", "dd if=/dev/zero of=../x", "dd of=/dev/sda", "install -m 755 x /usr/bin/x",
        "install -d ../x",
        "rsync -a x ../y", "rsync --remove-source-files /etc/x y", "truncate -s 0 ../x", "shred -u /etc/x",
        "chmod -x ../x",
        "chmod 777 /etc", "chown 0:0 /etc/x", "chmod -R 777 ok ../no", "mkdir -p /etc/x", "touch ../x", "unlink /etc/x",
        "find . -fprint ../x", "time -o ../x ls", "strace -o /etc/x ls", "chroot d rm x", "env -C /etc touch x",
        "env --chdir=.. mv x y",
        "sudo -D /etc touch x", "cp x /tmp/../etc/y", "rmdir ../x", "ln -s -t ../x y",
    ],
)  # fmt: skip
def test_writing_outside_is_blocked(command: str) -> None:
    assert told(command) == ("block", "path-escape")


@pytest.mark.parametrize(
    "command",
    [
        "mv a b", "mv a /tmp/b", "mv /workspace/a b", "cp /inputs/x y", "cp /usr/share/x y", "cp -r a b /out",
        "cp a/../b c", "cp -t d a b",
        "ln -s ../lib/x bin/x", "ln -s /inputs/x y", "ln -s x", "tee /dev/null", "dd if=/dev/zero of=x bs=1",
        "install -Dm755 x bin/x",
        "rsync -a --delete a/ b/", "truncate -s 0 x", "chmod -x a", "chmod u+x a", "chmod -R 755 /workspace",
        "mkdir -p a/b", "touch x",
        "pytest -q", "./run.py ../x", "git clean -fd", "python -c 'import os'", "echo rm /", "printf '../x'",
        "rmx /x", "env", "env A=1",
        "env A=1 pytest", "xargs grep x", "xargs -r -n 1 cat", "find . -name x", "find / -name x",
        "find . -exec grep x {} +", "sudo pytest",
        "timeout 5m pytest", "nice pytest", "nice -10 pytest", "stdbuf -oL pytest", "setsid -w pytest", "busybox ls",
        "watch -x ls",
        "xargs cp -t dest", "coverage run -m pytest", "find . -exec cp {} /tmp ;", "time -p pytest",
        "strace -f -o log pytest",
        "tee /dev/stderr", "cat /etc/passwd",
    ],
)  # fmt: skip
def test_honest_commands_pass(command: str) -> None:
    assert told(command) == ("allow", "allowed")


@pytest.mark.parametrize(
    "command",
    ["env -S 'rm /x'", "env --split-string=x", "env --uns A ls", "xargs --unknown rm", "nice --what ls",
     "timeout -z 5 ls", "gosu",
     "runuser -u x ls", "nsenter ls", "prlimit ls", "/lib64/ld-linux-x86-64.so.2 /bin/rm x", "env -u",
     "sudo -e /etc/x", "flock l --x",
     "env -C sub -C .. rm x", "choom -n 1 rm x", "systemd-inhibit rm x",
     "timeout 5 -- ls", "find . -exec ls", "find -files0-from x -delete", "rsync -e 'rm /x' a b", "env -- -x",
     "busybox --install d"],
)  # fmt: skip
def test_what_cannot_be_looked_through_is_refused(command: str) -> None:
    assert told(command) == (("allow", "allowed") if command == "gosu" else ("block", "wrapper-unknown"))


@pytest.mark.parametrize(
    "command", ["xargs env", "xargs nice", "xargs -I{} {}", "find . -type f -exec {} ;", "xargs -I X env A=1 X"]
)
def test_a_program_that_is_read_elsewhere_is_refused(command: str) -> None:
    assert told(command) == ("block", "program-unseen")


def test_wrappers_nest_only_so_deep() -> None:
    assert told("nice " * 8 + "ls") == ("allow", "allowed")
    assert told("nice " * 9 + "ls") == ("block", "wrapper-depth")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("pytest -q", ("allow", "allowed")), ("./pytest", ("allow", "allowed")),
        ("/usr/bin/pytest", ("allow", "allowed")),
        ("pytest-x", ("block", "not-allowed")), ("ls", ("block", "not-allowed")),
        ("env pytest", ("block", "not-allowed")),
        ("nice pytest", ("allow", "allowed")), ("nice ls", ("block", "not-allowed")),
        ("nice rm x", ("block", "deny-list")),
        ("./tool", ("allow", "allowed")), ("tool", ("block", "not-allowed")), ("other/tool", ("block", "not-allowed")),
        ("sh -c x", ("block", "not-allowed")), ("bash -c x", ("block", "shell")),
    ],
)  # fmt: skip
def test_deny_by_default_allows_only_what_is_listed(command: str, expected: tuple[str, str]) -> None:
    policy = CommandPolicy(default="deny", allow=("pytest", "nice", "rm", "./tool", "bash"), deny=("rm",))
    assert told(command, policy) == expected


def test_deny_wins_also_inside_wrappers_and_by_path() -> None:
    policy = CommandPolicy(allow=("curl",), deny=("curl", "/usr/bin/wget"))
    for command in ("curl x", "/usr/bin/curl x", "env curl x", "find . -exec curl {} ;", "wget x", "busybox wget x"):
        assert told(command, policy) == ("block", "deny-list")


def test_shell_allow_lists_the_shells_under_deny_by_default_and_deny_still_wins() -> None:
    assert told("sh -c x", CommandPolicy(default="deny", shell="allow")) == ("allow", "allowed")
    assert told("sh -c x", CommandPolicy(deny=("sh",), shell="allow")) == ("block", "deny-list")


def test_paths_are_read_from_the_workdir() -> None:
    assert told("cp ../x y", workdir="sub") == ("allow", "allowed")
    assert told("cp ../../x y", workdir="sub") == ("block", "path-escape")
    assert told("cp ../x y", workdir="/workspace/sub") == ("allow", "allowed")
    assert told("rm ../x", workdir="sub") == ("block", "path-escape")


@pytest.mark.parametrize(
    "workdir", ["..", "a/../..", "/etc", "/workspace2", "/", "../workspace", "a/../../workspace/b"]
)
def test_a_workdir_outside_the_workspace_is_refused(workdir: str) -> None:
    assert told("ls", workdir=workdir) == ("block", "workdir-escape")
    assert judge_workdir(workdir).decision == "block"


@pytest.mark.parametrize("workdir", ["", ".", "a/../b", "/workspace", "/workspace/sub/", "..a"])
def test_a_workdir_in_the_workspace_is_one_however_it_is_written(workdir: str) -> None:
    assert told("ls", workdir=workdir) == ("allow", "allowed")
    assert judge_workdir(workdir).decision == "allow"


def test_what_no_system_could_run_is_refused() -> None:
    assert judge([], OPEN).rule == "empty-command"
    assert judge([""], OPEN).rule == "empty-command"
    assert judge(["/usr/bin/"], OPEN).rule == "empty-command"
    assert judge(["ls", "a\0b"], OPEN).rule == "malformed"


def test_every_refusal_says_why_and_hides_its_own_marks() -> None:
    for command in ("rm /x", "xargs rm", "find .. -name x -exec rm {} ;", "sh x", "env -S x"):
        verdict = judge(shlex.split(command), OPEN)
        assert verdict.message.endswith(".")
        assert verdict.hint.endswith(".")
        assert "\0" not in verdict.message
        assert "\x01" not in verdict.message
