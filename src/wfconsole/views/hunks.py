"""The text hunks of one changed file, searched without being taken apart.

Owns where lines of a sign are and what number they have. Refuses to know headers and meanings. The decision that would
surprise: hunks are offsets into the whole patch, so that a diff of 50 MB exists once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunks:
    """The text hunks of one change: ``patch[start:end]``, from its first ``@@`` on. Renames have none."""

    path: str
    patch: bytes = field(repr=False)
    start: int
    end: int

    def hits(self, words: Sequence[bytes], sign: bytes = b"+") -> Iterator[tuple[int, bytes]]:
        """(offset, text) of each line with that sign which has one of the lower-case `words`, in any case; ordered."""
        low = self.patch[self.start : self.end].lower()
        starts: set[int] = set()
        for word in words:
            at = low.find(word)
            while at >= 0:
                begin, stop = low.rfind(b"\n", 0, at) + 1, low.find(b"\n", at)
                if low.startswith(sign, begin):
                    starts.add(begin)
                at = low.find(word, stop) if stop >= 0 else -1
        for begin in sorted(starts):
            yield self._line(self.start + begin)

    def lines(self, sign: bytes = b"+") -> Iterator[tuple[int, bytes]]:
        """(offset, text) of each line with that sign."""
        at = self.patch.find(b"\n" + sign, self.start, self.end)
        while at >= 0:
            yield self._line(at + 1)
            at = self.patch.find(b"\n" + sign, at + 1, self.end)

    def _line(self, offset: int) -> tuple[int, bytes]:
        stop = self.patch.find(b"\n", offset, self.end)
        return offset, self.patch[offset + 1 : stop if stop >= 0 else self.end]

    def number(self, offset: int) -> int:
        """The line number, in the new file, of the added or kept line at `offset`; 0 when the hunk does not tell."""
        head = self.patch.rfind(b"\n@@ ", self.start - 1, offset) + 1
        words = self.patch[head : head + 80].split(b" ")
        if len(words) < 3 or not words[2][1:].split(b",")[0].isdigit():
            return 0
        between = [self.patch.count(mark, head, offset) for mark in (b"\n", b"\n-", b"\n\\")]
        # The line at `offset` is counted by the line feed before it, but its own sign is outside of the range.
        return int(words[2][1:].split(b",")[0]) + between[0] - 1 - between[1] - between[2]
