"""The time axis of a run: which moment stands in which column, with long idle time squeezed.

Owns the scale and the labels. All times are milliseconds since the epoch. The decision that would surprise: the width of a column
is always a round time, so the picture of a live run grows by whole columns and is drawn anew only when it no longer fits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

SCALES = (
    1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 1500, 2000, 3000, 5000, 7500, 10_000, 15_000, 20_000, 30_000,
    45_000, 60_000, 90_000, 120_000, 180_000, 300_000, 450_000, 600_000, 900_000, 1_800_000, 2_700_000, 3_600_000,
    7_200_000, 14_400_000, 28_800_000, 43_200_000, 86_400_000,
)  # fmt: skip
"""Milliseconds a column."""
SQUEEZED = 6
"""Columns that a squeezed gap takes, however long it is."""
IDLE_MS = 5000
"""Gaps up to this long are never squeezed."""
_TICK = 10


class Span(NamedTuple):
    """A piece of the axis from `column` on."""

    start: int
    end: int
    squeezed: bool
    column: int
    width: int


@dataclass(frozen=True, slots=True)
class Axis:
    """`scale` milliseconds a column; `spans` follow each other without holes, in time and in columns; `starts` are theirs."""

    spans: tuple[Span, ...]
    scale: int
    starts: tuple[int, ...]

    @property
    def start(self) -> int:
        return self.spans[0].start

    @property
    def columns(self) -> int:
        return self.spans[-1].column + self.spans[-1].width

    def column(self, at: int) -> int:
        """The column in which this moment stands; moments outside stand at the ends."""
        start, end, squeezed, column, width = self.spans[max(0, bisect_right(self.starts, at) - 1)]
        inside = max(0, at - start)
        inside = inside * width // max(1, end - start) if squeezed else inside // self.scale
        return column + min(inside, width - 1)

    def header(self, left: int, width: int, *, ascii_only: bool = False) -> str:
        """The labels over the columns from `left` on, in exactly `width` characters."""
        line = [" "] * width
        shown = [span for span in self.spans if span.column + span.width > left and span.column < left + width]
        for span in sorted(shown, key=lambda one: not one.squeezed):  # what was squeezed is always said
            for column, text in self._labels(span, ascii_only=ascii_only):
                first, last = column - left, column - left + len(text)
                around = line[max(0, first) : last] if span.squeezed else line[max(0, first - 1) : last + 1]
                if first >= 0 and last <= width and not "".join(around).strip():
                    line[first:last] = text
        return "".join(line)

    def _labels(self, span: Span, *, ascii_only: bool) -> list[tuple[int, str]]:
        if span.squeezed:
            return [(span.column, gap(span.end - span.start, span.width, ascii_only=ascii_only))]
        return [
            (column, coarse(span.start + (column - span.column) * self.scale - self.start))
            for column in range(span.column, span.column + span.width, _TICK)
        ]


def axis(start: int, end: int, busy: Sequence[tuple[int, int]], width: int, *, zoom: int = 0) -> Axis:
    """The axis from `start` to `end` for `width` columns; `busy` are the times in which something happened, in order.

    `zoom` makes columns that many scales narrower than what fits; then the axis is longer than `width`.
    """
    end = max(end, start + 1)
    pieces = _pieces(start, end, busy, max(1, width // (SQUEEZED * 2)))
    fitting = next((place for place, scale in enumerate(SCALES) if _columns(pieces, scale) <= width), len(SCALES) - 1)
    scale = SCALES[max(0, min(fitting - zoom, len(SCALES) - 1))]
    while fitting == len(SCALES) - 1 and zoom <= 0 and _columns(pieces, scale) > width and scale < end - start:
        scale *= 2
    spans, column = [], 0
    for begin, stop, squeezed in pieces:
        size = SQUEEZED if squeezed else -(-(stop - begin) // scale)
        spans.append(Span(begin, stop, squeezed, column, size))
        column += size
    return Axis(tuple(spans), scale, tuple(span.start for span in spans))


def _pieces(start: int, end: int, busy: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int, bool]]:
    """The axis cut where long idle time begins and ends; at most `most` gaps are squeezed, the longest ones."""
    gaps, active, free = [], 0, start
    for begin, stop in busy:
        if begin > free:
            gaps.append((free, min(begin, end)))
        active += max(0, min(stop, end) - max(begin, free))
        free = max(free, stop, begin + 1)  # what took no time at all still parts two gaps
    if free < end:
        gaps.append((free, end))
    long = max(IDLE_MS, active // 4)
    squeezed = sorted(sorted((gap for gap in gaps if gap[1] - gap[0] > long), key=lambda one: one[0] - one[1])[:most])
    pieces, free = [], start
    for begin, stop in squeezed:
        if begin > free:
            pieces.append((free, begin, False))
        pieces.append((begin, stop, True))
        free = stop
    if free < end:
        pieces.append((free, end, False))
    return pieces


def _columns(pieces: Sequence[tuple[int, int, bool]], scale: int) -> int:
    return sum(SQUEEZED if squeezed else -(-(stop - begin) // scale) for begin, stop, squeezed in pieces)


def gap(millis: int, width: int, *, ascii_only: bool = False) -> str:
    """How a squeezed gap is marked: ``≈45m≈``. Coarse, because the mark of a gap that goes on is drawn anew when it changes."""
    seconds = millis // 1000
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            text = f"{seconds // size}{unit}"
            break
    else:
        text = f"{seconds // 10 * 10}s"
    return text[:width].center(width, "/" if ascii_only else "≈")


def coarse(millis: int) -> str:
    """A time in as few characters as it takes: ``0s 250ms 1.5s 45s 2m 2m30 1h 3h15 2d``."""
    if millis < 10_000:
        if millis % 1000 == 0:
            return f"{millis // 1000}s"
        return f"{millis / 1000:.1f}s" if millis % 100 == 0 else f"{millis}ms"
    seconds = millis // 1000
    for unit, size, below, inner in (("s", 1, 60, 1), ("m", 60, 3600, 1), ("h", 3600, 86_400, 60)):
        if seconds < below:
            rest = seconds % size // inner
            return f"{seconds // size}{unit}" + (f"{rest:02d}" if rest else "")
    return f"{seconds // 86_400}d"
