"""Programs that change files: which of their words are paths that they write, and where those may lead.

Owns the path rules of ``rm``, ``mv``, ``cp`` and their like. Refuses to know who called them. The decision that would
surprise: ``rm`` and ``mv`` refuse every ``..``, the others only one that really leads out of the workspace, because
the first two destroy and an inner ``..`` may pass through a link.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from wfconsole.domain.policy.paths import READABLE, UNSEEN, WORKSPACE, climbs, escapes, resolve, within
from wfconsole.domain.policy.verdict import ALLOWED, Verdict, block, strictest, warn


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTool:
    """How a program reads its words. `last`: only the last operand is written; `all`: every one is.

    `valued` options take a value that is no path of interest, `writes` name a path that is written, `runs` name another
    program. `target` is the option that names the folder written to, which makes all operands sources.
    """

    written: Literal["all", "last"] = "all"
    valued: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    no_climbing: bool = False


_TARGET = ("-t", "--target-directory")
_BACKUP = ("-S", "--suffix")
_REFERENCE = ("--reference",)

TOOLS: dict[str, FileTool] = {
    "rm": FileTool(no_climbing=True),
    "mv": FileTool(valued=_BACKUP, target=_TARGET, no_climbing=True),
    "cp": FileTool(written="last", valued=_BACKUP, target=_TARGET),
    "ln": FileTool(written="last", valued=_BACKUP, target=_TARGET),
    "install": FileTool(
        written="last", valued=(*_BACKUP, "-m", "--mode", "-o", "--owner", "-g", "--group"), target=_TARGET
    ),
    "rsync": FileTool(
        written="last",
        valued=("-f", "--filter", "--exclude", "--include", "--exclude-from", "--include-from", "--files-from", "-B",
                "--bwlimit", "--timeout", "--max-size", "--min-size", "--chmod", "--chown", "--suffix", "--compare-dest"),
        writes=("--backup-dir", "-T", "--temp-dir", "--partial-dir", "--log-file", "--write-batch"),
        runs=("-e", "--rsh", "--rsync-path"),
    ),
    "tee": FileTool(),
    "truncate": FileTool(valued=("-s", "--size", "-r", *_REFERENCE)),
    "shred": FileTool(valued=("-n", "--iterations", "-s", "--size", "--random-source")),
    "chmod": FileTool(valued=_REFERENCE),
    "chown": FileTool(valued=(*_REFERENCE, "--from")),
    "chgrp": FileTool(valued=_REFERENCE),
    "mkdir": FileTool(valued=("-m", "--mode")),
    "touch": FileTool(valued=("-t", "-d", "--date", "-r", *_REFERENCE, "--time")),
    "rmdir": FileTool(no_climbing=True),
    "unlink": FileTool(no_climbing=True),
}  # fmt: skip

_INSIDE = "Use a path inside the workspace, or /tmp, /scratch or the step's output folder."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """The words of a command by role; `options` are (table entry, value)."""

    operands: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    flags: frozenset[str]


def judge_files(program: str, words: Sequence[str], workdir: str) -> Verdict:
    """The path rules for `program` called with `words` in the absolute folder `workdir`; allowed when it has none."""
    if program == "dd":
        outputs = [word[3:] for word in words if word.startswith("of=")]
        return strictest(judge_write("dd", path, workdir) for path in outputs)
    tool = TOOLS.get(program)
    if tool is None:
        return ALLOWED
    parts = _split(tool, words)
    if any(name in tool.runs for name, _ in parts.options):
        return block(
            "wrapper-unknown",
            f"{program} is told to run another program, which cannot be looked through.",
            "Leave that option out.",
        )
    if program == "rm":
        return strictest(judge_removal(path, workdir) for path in parts.operands)
    return strictest(_judge_words(program, tool, parts, workdir))


def judge_removal(path: str, workdir: str) -> Verdict:
    """Whether `path` may be removed: never an absolute one, never upwards, never everything; else with a warning."""
    if path.startswith("/"):
        return block(
            "rm-absolute", f"rm of the absolute path {path} is not allowed.", "Name a path relative to workdir."
        )
    if UNSEEN in path:
        return block(
            "operands-unseen", "What rm would remove is read elsewhere and cannot be checked.", "Name the paths."
        )
    if climbs(path) or escapes(workdir, path):
        return block("path-escape", f"rm of {path} may leave the workspace.", "Name a path without '..'.")
    if resolve(workdir, path) == workdir or path.rstrip("/").rsplit("/", 1)[-1] == "*":
        return block("rm-everything", f"rm of {path} would remove everything here.", "Name what is to be removed.")
    return warn("rm-relative", f"rm removes {path} from the workspace copy.")


def judge_write(program: str, path: str, workdir: str, *, no_climbing: bool = False) -> Verdict:
    """Whether `program` may write to `path`."""
    if UNSEEN in path:
        return block(
            "operands-unseen", f"What {program} would change is read elsewhere and cannot be checked.", _INSIDE
        )
    if no_climbing and climbs(path):
        return block(
            "path-escape", f"{program} with '..' in {path} may leave the workspace.", "Name a path without '..'."
        )
    if escapes(workdir, path):
        return block("path-escape", f"{program} would change {path}, which is outside the workspace.", _INSIDE)
    return ALLOWED


def _judge_words(program: str, tool: FileTool, parts: _Words, workdir: str) -> Iterator[Verdict]:
    targets = [value for name, value in parts.options if name in tool.target]
    for name, value in parts.options:
        if name in tool.writes or name in tool.target:
            yield judge_write(program, value, workdir, no_climbing=tool.no_climbing)
    written, sources = parts.operands, tuple[str, ...]()
    if tool.written == "last" and not (program == "install" and parts.flags & {"d", "--directory"}):
        written, sources = (parts.operands[-1:], parts.operands[:-1]) if not targets else ((), parts.operands)
    if program == "rsync" and "--remove-source-files" in parts.flags:
        written, sources = parts.operands, ()
    if program == "ln" and len(parts.operands) == 1 and not targets:
        written, sources = (), parts.operands
    for path in written:
        yield judge_write(program, path, workdir, no_climbing=tool.no_climbing)
    for path in sources:
        yield _judge_source(program, path, workdir, link_folder=_link_folder(parts, targets, workdir))


def _judge_source(program: str, path: str, workdir: str, *, link_folder: str) -> Verdict:
    """Sources are only read: an absolute one is fine, except for a link, which later writes would follow."""
    if program == "ln":
        if UNSEEN in path or escapes(link_folder, path, READABLE):
            return block("path-escape", f"ln would make a link to {path}, which is outside the workspace.", _INSIDE)
    elif not path.startswith("/") and UNSEEN not in path and escapes(workdir, path):
        return block("path-escape", f"{program} would read {path}, which is outside the workspace.", _INSIDE)
    return ALLOWED


def _link_folder(parts: _Words, targets: list[str], workdir: str) -> str:
    """The folder from which a symbolic link's own path is read; the shallowest that it can be."""
    if not parts.flags & {"s", "--symbolic"}:
        return workdir
    name = targets[-1] if targets else (parts.operands[-1] if len(parts.operands) > 1 else ".")
    into = bool(targets) or name.endswith("/") or len(parts.operands) != 2
    folder = resolve(workdir, name)
    return folder if into or not within(folder, WORKSPACE) else (folder.rsplit("/", 1)[0] or "/")


def _split(tool: FileTool, words: Sequence[str]) -> _Words:
    """Sort the words by role the way getopt does: options anywhere, values attached or next, ``--`` ends them."""
    operands: list[str] = []
    options: list[tuple[str, str]] = []
    flags: set[str] = set()
    taking = (*tool.valued, *tool.writes, *tool.target, *tool.runs)
    pending: str | None = None
    for index, word in enumerate(words):
        if pending is not None:
            options.append((pending, word))
            pending = None
        elif word == "--":
            operands.extend(words[index + 1 :])
            break
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            entry = _long_entry(name, taking)
            if entry is None:
                flags.add(name)
            elif equals:
                options.append((entry, value))
            else:
                pending = entry
        elif word.startswith("-") and word != "-":
            pending = _split_short(word, taking, options, flags)
        else:
            operands.append(word)
    return _Words(operands=tuple(operands), options=tuple(options), flags=frozenset(flags))


def _long_entry(name: str, taking: tuple[str, ...]) -> str | None:
    """The option that `name` spells or abbreviates."""
    if name in taking:
        return name
    return next((entry for entry in taking if entry.startswith(name)), None)


def _split_short(word: str, taking: tuple[str, ...], options: list[tuple[str, str]], flags: set[str]) -> str | None:
    """Read a cluster such as ``-rt``; the option that waits for the next word, when one does."""
    for index, letter in enumerate(word[1:], start=2):
        name = f"-{letter}"
        if name in taking:
            if word[index:]:
                options.append((name, word[index:]))
                return None
            return name
        flags.add(letter)
    return None
