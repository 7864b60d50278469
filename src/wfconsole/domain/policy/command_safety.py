"""The command policy: may this argv run? Rules 9 to 12 of the exec-block scenarios, deny-by-default, wrappers.

Judges the parsed, resolved argv and never a piece of text. It is a guard-rail for honest recipes; the container is the
wall, so nothing here looks into scripts or interpreters. The decision that would surprise: under ``default: deny`` a
wrapper must be listed as well as the command inside it, since "only what allow lists" is meant literally; only
``shell: allow`` counts as listing the shells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from wfconsole.domain.plan import CommandPolicy
from wfconsole.domain.policy.files import judge_files, judge_removal, judge_write
from wfconsole.domain.policy.paths import UNSEEN, WORKSPACE, leaves, resolve, within
from wfconsole.domain.policy.search import FOUND, read_find
from wfconsole.domain.policy.verdict import ALLOWED, Decision, Verdict, block, strictest
from wfconsole.domain.policy.wrappers import Inside, is_opaque, is_shell, look_through

__all__ = ["Decision", "Verdict", "judge", "judge_workdir"]

DEPTH_LIMIT = 8
"""Wrappers inside wrappers; nobody means more than this."""


def judge(argv: Sequence[str], policy: CommandPolicy, *, workdir: str = ".") -> Verdict:
    """Whether `argv` may run in `workdir` (relative to the workspace, or absolute inside the container).

    Never raises; an argv that no system could run is refused with rule ``empty-command`` or ``malformed``.
    """
    if not argv or not argv[0]:
        return block("empty-command", "The command is empty.", "Name a program.")
    if any("\0" in word for word in argv):
        return block("malformed", "The command holds a NUL character, which no program can be given.")
    place = judge_workdir(workdir)
    if place.decision == "block":
        return place
    verdict = _judge(tuple(argv), policy, resolve(WORKSPACE, workdir), 0)
    return replace(verdict, message=verdict.message.replace(FOUND, "(what find finds)").replace(UNSEEN, "(unseen)"))


def judge_workdir(workdir: str) -> Verdict:
    """Whether `workdir` (relative to the workspace, or absolute inside the container) stays in the workspace."""
    out = not within(resolve(WORKSPACE, workdir), WORKSPACE) or (not workdir.startswith("/") and leaves(workdir))
    if "\0" in workdir or out:
        return block(
            "workdir-escape", f"workdir {workdir} is outside the workspace.", "Name a folder inside the workspace."
        )
    return ALLOWED


def _judge(argv: tuple[str, ...], policy: CommandPolicy, workdir: str, depth: int) -> Verdict:
    if depth > DEPTH_LIMIT:
        return block("wrapper-depth", f"More than {DEPTH_LIMIT} wrappers lie around the command.", "Call it directly.")
    refusal = _judge_name(argv[0], policy, workdir, inside=depth > 0)
    if refusal is not None:
        return refusal
    program = _basename(argv[0])
    if is_shell(program):
        return _judge_shell(program, policy)
    if is_opaque(program):
        return _not_looked_through(program, program)
    if program == "find":
        return strictest(_judge_find(argv, policy, workdir, depth))
    inside = look_through(program, argv[1:], workdir)
    if inside is not None:
        return strictest(_judge_inside(program, inside, policy, depth))
    return judge_files(program, argv[1:], workdir)


def _judge_name(word: str, policy: CommandPolicy, workdir: str, *, inside: bool) -> Verdict | None:
    """The allow and deny lists; None when the name passes."""
    program = _basename(word)
    if UNSEEN in word or FOUND in word:
        return block("program-unseen", "Which program would run is read elsewhere and cannot be checked.", "Name it.")
    if not program or program in {".", ".."}:
        return block("empty-command", f"{word!r} names no program.", "Name a program.")
    if inside and word.startswith("-"):
        return _not_looked_through("The wrapper", word)
    if any(_denies(entry, word) for entry in policy.deny):
        return block("deny-list", f"{program} is on the recipe's deny list.", "Take it off commands.deny.")
    listed = any(_allows(entry, word, workdir) for entry in policy.allow)
    if policy.default == "deny" and not listed and not (is_shell(program) and policy.shell == "allow"):
        return block("not-allowed", f"{program} is not on the recipe's allow list.", "Add it to commands.allow.")
    return None


def _judge_shell(program: str, policy: CommandPolicy) -> Verdict:
    if policy.shell == "allow":
        return ALLOWED
    return block(
        "shell",
        f"{program} runs shell text, and this recipe does not allow shells.",
        "Call the program directly, or set commands.shell to allow.",
    )


def _judge_find(argv: tuple[str, ...], policy: CommandPolicy, workdir: str, depth: int) -> Iterator[Verdict]:
    search = read_find(argv[1:], workdir)
    if search.obstacle is not None:
        yield _not_looked_through("find", search.obstacle)
    for folder, command in search.commands:
        yield _judge(command, policy, folder, depth + 1)
    for path in search.removed:
        yield judge_removal(path, workdir)
    for path in search.written:
        yield judge_write("find", path, workdir)


def _judge_inside(program: str, inside: Inside, policy: CommandPolicy, depth: int) -> Iterator[Verdict]:
    if inside.obstacle is not None:
        yield _not_looked_through(program, inside.obstacle)
    if inside.shell:
        yield _judge_shell(program, policy)
    for path in inside.written:
        yield judge_write(program, path, inside.workdir)
    if inside.argv:
        yield _judge(inside.argv, policy, inside.workdir, depth + 1)


def _not_looked_through(program: str, word: str) -> Verdict:
    told = program if program == word else f"{program} with {word!r}"
    return block("wrapper-unknown", f"{told} cannot be looked through.", "Call the program inside it directly.")


def _basename(word: str) -> str:
    return word.rsplit("/", 1)[-1]


def _denies(entry: str, word: str) -> bool:
    """A path on the deny list denies the bare name as well: PATH most likely leads there."""
    return _basename(entry) == _basename(word)


def _allows(entry: str, word: str, workdir: str) -> bool:
    """A name allows the program wherever it lies; a path allows only what lies there."""
    if "/" not in entry:
        return entry == _basename(word)
    return "/" in word and resolve(WORKSPACE, entry) == resolve(workdir, word)
