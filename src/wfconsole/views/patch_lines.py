"""The lines of one changed file inside a patch, one under another or side by side, found without being taken apart.

Owns where each line lies, what number it has in the old and the new file, and which old line stands beside which new one.
Refuses to hold the text: whoever draws a line reads its bytes. The decision that would surprise: only every 64th line's place
and the runs of lines of one sign are kept, so that a file of 50 MB costs a few megabytes here and a page of it a few reads.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal["hunk", "note", "same", "del", "add"]

_EVERY = 64
CHUNK = 16 * 1024
"""No read for one line is longer than this; a longer line is cut."""
_HEADER = re.compile(rb"@@ -(\d{1,9})(?:,\d{1,9})? \+(\d{1,9})(?:,\d{1,9})? @@")
_HUNK, _NOTE, _SAME, _CHANGE = range(4)


class Place(NamedTuple):
    """What one line is. `old` and `new` are its numbers, None on a side where it does not exist."""

    kind: Kind
    old: int | None
    new: int | None


class Pair(NamedTuple):
    """A row side by side: line numbers of the index; both the same for a line that both sides have, or that is no code."""

    left: int | None
    right: int | None


def _numbers() -> array[int]:
    return array("I")


@dataclass(slots=True)
class PatchLines:
    """`lines` one under another, `rows` side by side; `hunks` are the lines where hunks begin.

    `mark_*`: every 64th line and its offset. `run_*`: each run of lines of one sign: its first line and row, its kind, how many
    lines of each sign it has, and the numbers of its first ones.
    """

    lines: int = 0
    rows: int = 0
    hunks: array[int] = field(default_factory=_numbers)
    mark_lines: array[int] = field(default_factory=_numbers)
    mark_offsets: array[int] = field(default_factory=lambda: array("Q"))
    end: int = 0
    run_lines: array[int] = field(default_factory=_numbers)
    run_rows: array[int] = field(default_factory=_numbers)
    run_kinds: array[int] = field(default_factory=lambda: array("B"))
    run_dels: array[int] = field(default_factory=_numbers)
    run_adds: array[int] = field(default_factory=_numbers)
    run_olds: array[int] = field(default_factory=_numbers)
    run_news: array[int] = field(default_factory=_numbers)

    def chunk(self, line: int) -> tuple[int, int, int]:
        """Where to read for a line: the first line of its chunk, the chunk's offset, and its length."""
        at = bisect_right(self.mark_lines, line) - 1
        end = self.mark_offsets[at + 1] if at + 1 < len(self.mark_offsets) else self.end
        return self.mark_lines[at], self.mark_offsets[at], end - self.mark_offsets[at]

    def place(self, line: int) -> Place:
        """What the line is."""
        at = bisect_right(self.run_lines, line) - 1
        step = line - self.run_lines[at]
        kind = self.run_kinds[at]
        if kind in (_HUNK, _NOTE):
            return Place("hunk" if kind == _HUNK else "note", None, None)
        if kind == _SAME:
            return Place("same", self.run_olds[at] + step, self.run_news[at] + step)
        if step < self.run_dels[at]:
            return Place("del", self.run_olds[at] + step, None)
        return Place("add", None, self.run_news[at] + step - self.run_dels[at])

    def pair(self, row: int) -> Pair:
        """What stands side by side in that row."""
        at = bisect_right(self.run_rows, row) - 1
        step = row - self.run_rows[at]
        first = self.run_lines[at]
        if self.run_kinds[at] != _CHANGE:
            return Pair(first + step, first + step)
        dels, adds = self.run_dels[at], self.run_adds[at]
        return Pair(first + step if step < dels else None, first + dels + step if step < adds else None)

    def row_of(self, line: int) -> int:
        """The row in which a line stands side by side."""
        at = bisect_right(self.run_lines, line) - 1
        step = line - self.run_lines[at]
        if self.run_kinds[at] == _CHANGE and step >= self.run_dels[at]:
            step -= self.run_dels[at]
        return self.run_rows[at] + step

    def line_of(self, row: int) -> int:
        """The first line that stands in a row."""
        left, right = self.pair(row)
        return left if left is not None else (right or 0)


class _Builder:
    """Grows an index line by line; the run of lines under way is kept beside it."""

    def __init__(self) -> None:
        self.found = PatchLines()
        self.kind, self.start, self.dels, self.adds = -1, 0, 0, 0
        self.old, self.new = 0, 0

    def flush(self) -> None:
        """Close the run under way."""
        found, kind = self.found, self.kind
        if kind < 0:
            return
        found.run_lines.append(self.start)
        found.run_rows.append(found.rows)
        found.run_kinds.append(kind)
        found.run_dels.append(self.dels)
        found.run_adds.append(self.adds)
        found.run_olds.append(self.old)
        found.run_news.append(self.new)
        found.rows += max(self.dels, self.adds)
        if kind in (_SAME, _CHANGE):
            self.old, self.new = self.old + self.dels, self.new + self.adds
        self.kind = -1

    def add(self, sign: int, header: bytes) -> None:
        """One more line; `header` is its text when it begins a hunk."""
        line = self.found.lines
        kind = _KINDS.get(sign, _SAME)
        # Old lines come before new ones; a patch of another order gets a run of its own, so that no line is lost.
        if kind != self.kind or kind <= _NOTE or (sign == _MINUS and self.adds):
            self.flush()
            self.kind, self.start, self.dels, self.adds = kind, line, 0, 0
        if kind == _HUNK:
            self.found.hunks.append(line)
            told = _HEADER.match(header)
            if told:
                self.flush_at(int(told[1]), int(told[2]))
                return
        self.dels += kind != _CHANGE or sign == _MINUS
        self.adds += kind != _CHANGE or sign != _MINUS

    def flush_at(self, old: int, new: int) -> None:
        """End a hunk's header: what follows is counted from these numbers."""
        self.dels = self.adds = 1
        self.flush()
        self.old, self.new = old, new


_MINUS, _AT = ord("-"), ord("@")
_KINDS = {_AT: _HUNK, ord("\\"): _NOTE, _MINUS: _CHANGE, ord("+"): _CHANGE}


def index_lines(patch: bytes, spans: Sequence[tuple[int, int]]) -> PatchLines:
    """Index the hunks of one file, ``patch[start:end]`` for each span; places are offsets into `patch`."""
    build = _Builder()
    found = build.found
    for start, end in spans:
        _scan(build, patch, start, end)
    build.flush()
    found.end = spans[-1][1] if spans else 0
    return found


def _scan(build: _Builder, patch: bytes, start: int, end: int) -> None:
    found, at, mark = build.found, start, start
    held = _EVERY
    while at < end:
        stop = patch.find(b"\n", at, end) + 1 or end
        if held >= _EVERY or (stop - mark > CHUNK and held):
            found.mark_lines.append(found.lines)
            found.mark_offsets.append(at)
            held, mark = 0, at
        sign = patch[at]
        build.add(sign, patch[at : min(stop, at + 80)] if sign == _AT else b"")
        found.lines += 1
        held += 1
        at = stop
