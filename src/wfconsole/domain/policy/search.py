"""``find``: the commands and the removals in its expression.

Refuses to know the policy: it hands back the commands that would run, with ``{}`` replaced by a path beneath each
starting point. The decision that would surprise: a removal below ``.`` with no test at all counts as removing all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wfconsole.domain.policy.paths import UNSEEN, resolve

_RUNS = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_WRITES = frozenset({"-fprint", "-fprint0", "-fls", "-fprintf"})
_NO_TEST = frozenset(
    {"-delete", "-print", "-print0", "-ls", "-depth", "-d", "-maxdepth", "-mindepth", "-xdev", "-mount", "-follow",
     "-noleaf", "-a", "-and", "-o", "-or", "-true", "-warn", "-nowarn", "-quit", *_RUNS, *_WRITES}
)  # fmt: skip
_GLOBAL_FLAGS = frozenset({"-H", "-L", "-P"})

FOUND = "\x01"
"""Stands for a name that find comes upon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a find does besides finding. `commands` are (folder, argv); `removed` and `written` are paths.

    `obstacle` is set when the expression cannot be read.
    """

    commands: tuple[tuple[str, tuple[str, ...]], ...] = ()
    removed: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    obstacle: str | None = None


def read_find(words: Sequence[str], workdir: str) -> Search:
    """Read the words after ``find``, run in the absolute folder `workdir`."""
    starts, expression = _starts(words)
    tested = any(word.startswith("-") and word not in _NO_TEST for word in _own_words(expression))
    names = [_found(start, workdir, tested=tested) for start in starts]
    commands: list[tuple[str, tuple[str, ...]]] = []
    removed: list[str] = []
    written: list[str] = []
    index = 0
    while index < len(expression):
        word = expression[index]
        if word in _RUNS:
            argv = _until_end(expression[index + 1 :])
            if argv is None:
                return Search(obstacle=word)
            index += len(argv) + 1
            for start, name in zip(starts, names, strict=True):
                inside = word.endswith("dir")
                folder = resolve(workdir, start) if inside else workdir
                found = f"./{FOUND}" if inside and tested else ("." if inside else name)
                commands.append((folder, tuple(part.replace("{}", found) for part in argv)))
        elif word == "-delete":
            removed.extend(names)
        elif word in _WRITES:
            written.extend(expression[index + 1 : index + 2])
            index += 1
        elif word.startswith("-files0-from"):
            return Search(obstacle=word)
        index += 1
    return Search(commands=tuple(commands), removed=tuple(removed), written=tuple(written))


def _own_words(expression: Sequence[str]) -> Iterator[str]:
    """The words of the expression without those of the commands that it runs: ``rm -rf`` is no test."""
    index = 0
    while index < len(expression):
        yield expression[index]
        if expression[index] in _RUNS:
            index += len(_until_end(expression[index + 1 :]) or ())
        index += 1


def _starts(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The starting points (``.`` when there is none) and the expression."""
    index = 0
    while index < len(words) and (words[index] in _GLOBAL_FLAGS or words[index].startswith(("-O", "-D"))):
        index += 2 if words[index] == "-D" else 1
    if index < len(words) and words[index] == "--":
        index += 1
    begin = index
    while index < len(words) and not (words[index].startswith("-") or words[index] in {"(", ")", "!", ","}):
        index += 1
    rest = list(words[index:])
    # xargs appends its words to the end of the line, where find reads starting points as well
    more = [word for word in rest if word == UNSEEN]
    return [*words[begin:index], *more] or ["."], rest


def _found(start: str, workdir: str, *, tested: bool) -> str:
    """A path that find may come upon below `start`."""
    everything = resolve(workdir, start) == workdir and not tested
    return start if everything or UNSEEN in start else f"{start.rstrip('/')}/{FOUND}"


def _until_end(words: Sequence[str]) -> list[str] | None:
    """The words of an -exec up to its ``;`` or ``{} +``; None when it never ends or is empty."""
    for index, word in enumerate(words):
        if word == ";" or (word == "+" and index and words[index - 1] == "{}"):
            return list(words[:index]) or None
    return None
