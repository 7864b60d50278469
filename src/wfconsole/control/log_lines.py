"""A log file by its lines, however large: a sparse index over the bytes on disk, pages read when they are asked for.

Owns the index: the offset of each 64th line, eight bytes each. Refuses to keep text. The decision that would surprise:
nothing here is asynchronous and nothing locks; one thread grows and searches, any thread may read, and a reader sees the
lines that were whole when the last `grow` ended. A line over MAX_LINE is given out cut.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from wfconsole.views.log_text import MAX_LINE

EVERY = 64
CHUNK = 1 << 18
_OVERLAP = 4096
"""How much of a line without an end is looked at again with what follows."""
_NEWLINE = re.compile(b"\n")

Open = Callable[[], "BinaryIO | None"]
"""Opens the file anew, unbuffered; None while there is none."""


class LogFile:
    """`lines` that are whole so far, in the `size` bytes that were looked at."""

    def __init__(self, open_file: Open) -> None:
        self._open = open_file
        self._offsets = array("Q", [0])
        self.lines = 0
        self.size = 0
        self._last_end = 0

    @property
    def has_rest(self) -> bool:
        """Whether bytes follow the last whole line."""
        return self.size > self._last_end

    @property
    def shown_lines(self) -> int:
        """Whole lines, and the unfinished one."""
        return self.lines + self.has_rest

    def grow(self, limit: int = 1 << 62) -> bool:
        """Look at up to `limit` more bytes; whether there were any. Raises WORKSPACE_INVALID for what is no plain file."""
        found = self._open()
        if found is None:
            return False
        with found:
            found.seek(self.size)
            taken = 0
            while taken < limit and (chunk := found.read(min(CHUNK, limit - taken))):
                self._take(chunk)
                taken += len(chunk)
        return taken > 0

    def _take(self, chunk: bytes) -> None:
        count = chunk.count(b"\n")
        if count:
            # Only each 64th end is looked for by itself; the others are counted.
            lines, base = self.lines, self.size
            if lines // EVERY != (lines + count) // EVERY:
                for found in _NEWLINE.finditer(chunk):
                    lines += 1
                    if lines % EVERY == 0:
                        self._offsets.append(base + found.end())
            self.lines += count
            self._last_end = base + chunk.rindex(b"\n") + 1
        self.size += len(chunk)

    def read(self, first: int, count: int) -> list[bytes]:
        """`count` lines from `first` on, without their ends; fewer at the end."""
        return [line for _, line in self.placed(first, count)]

    def placed(self, first: int, count: int) -> list[tuple[int, bytes]]:
        """What `read` gives, each line behind the offset at which it begins."""
        first = max(0, first)
        wanted = min(count, self.shown_lines - first)
        found = self._open() if wanted > 0 else None
        if found is None:
            return []
        with found:
            return self._from(found, first, wanted)

    def picked(self, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
        """These lines, each behind its offset; one that is not there is left out."""
        there = [number for number in numbers if 0 <= number < self.shown_lines]
        found = self._open() if there else None
        if found is None:
            return []
        with found:
            return [line for number in there for line in self._from(found, number, 1)]

    def _from(self, file: BinaryIO, first: int, count: int) -> list[tuple[int, bytes]]:
        """Reads no further than to the next place of the index."""
        offset, beyond = self._offsets[first // EVERY], (first + count - 1) // EVERY + 1
        end = self._offsets[beyond] if beyond < len(self._offsets) else self.size
        file.seek(offset)
        return list(islice(_lines(file, offset, end - offset), first % EVERY, first % EVERY + count))

    def search(self, pattern: re.Pattern[bytes], first: int, *, backward: bool = False) -> int | None:
        """The next line from `first` on (or before it, the last one) that matches; None when there is none."""
        if backward:
            last: int | None = None
            for line in self.matching(pattern, until=first):
                last = line
            return last
        return next(self.matching(pattern, first=first), None)

    def matching(self, pattern: re.Pattern[bytes], *, first: int = 0, until: int | None = None) -> Iterator[int]:
        """The numbers of the lines that match, in order, from `first` to before `until`."""
        found = self._open()
        if found is None:
            return
        with found:
            place = max(0, first) // EVERY
            found.seek(self._offsets[min(place, len(self._offsets) - 1)])
            line = min(place, len(self._offsets) - 1) * EVERY
            stop = self.shown_lines if until is None else min(until, self.shown_lines)
            for at in _scan(found, pattern, line):
                if at >= stop:
                    return
                if at >= first:
                    yield at


def _scan(file: BinaryIO, pattern: re.Pattern[bytes], line: int) -> Iterator[int]:
    """The lines that match from here to the end, each once; `line` is the number of the first one."""
    rest, last = b"", -1
    while chunk := file.read(CHUNK):
        whole, sign, rest = (rest + chunk).rpartition(b"\n")
        if sign:
            for at in _matches(pattern, whole, line):
                if at != last:
                    yield at
                last = at
            line += whole.count(b"\n") + 1
        elif len(rest) > MAX_LINE:
            if last != line and pattern.search(rest):
                last = line
                yield line
            rest = rest[-_OVERLAP:]
    if rest and last != line and pattern.search(rest):
        yield line


def _matches(pattern: re.Pattern[bytes], block: bytes, line: int) -> Iterator[int]:
    """The lines of `block`, whose first one has the number `line`, that match; each once."""
    at, last = 0, -1
    for found in pattern.finditer(block):
        line += block.count(b"\n", at, found.start())
        at = found.start()
        if line != last:
            yield line
            last = line


def _lines(file: BinaryIO, offset: int, limit: int) -> Iterator[tuple[int, bytes]]:
    """Lines without their ends, the long ones cut at MAX_LINE, within the next `limit` bytes; the first begins at `offset`."""
    rest, left, cut = b"", limit, 0
    while left > 0 and (chunk := file.read(min(CHUNK, left))):
        left -= len(chunk)
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield offset, line[:MAX_LINE]
            offset += len(line) + cut + 1
            cut = 0
        cut += max(0, len(rest) - 2 * MAX_LINE)
        rest = rest[: 2 * MAX_LINE]  # the end of a line that is cut anyway
    if rest:
        yield offset, rest[:MAX_LINE]


def compiled(typed: str) -> re.Pattern[bytes]:
    """A search as it was typed: a regular expression where it is one, else the text itself; small letters find large ones, too.

    Lines are bytes, so the pattern is the UTF-8 of what was typed, and ``.`` stays within a line.
    """
    flags = 0 if any(char.isupper() for char in typed) else re.IGNORECASE
    data = typed.encode("utf-8", "surrogateescape")
    try:
        return re.compile(data, flags)
    except re.error:
        return re.compile(re.escape(data), flags)
