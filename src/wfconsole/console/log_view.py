"""The log on the screen: sections of lines read from disk as they come into sight.

Owns the place, the wrapping and the marks. A section is one stream of one command, under a line of ours that says which.
Refuses to keep text: what is drawn was read for this drawing. The decision that would surprise: it is no scroll view, because
with wrapping on nobody knows how high a hundred million bytes are; the place is a line and a row within it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.cells import chop_cells
from rich.segment import Segment
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from wfconsole.console.root import console_of
from wfconsole.console.text import fitted, segment
from wfconsole.console.theme import Palette
from wfconsole.control.log_lines import LogFile
from wfconsole.control.log_times import LogTimes
from wfconsole.domain.codec import iso
from wfconsole.views.log_text import shown

_GUTTER = 2
_CLOCK = 14
_ERROR = re.compile(rb"error|fail|fatal|panic|traceback|exception|killed", re.IGNORECASE)
_MARKED = 2000


@dataclass(slots=True)
class Section:
    """One stream of one command: `title` is ours, `file` its bytes. `kept` are the lines that a filter keeps; None: all."""

    key: str
    title: str
    file: LogFile
    is_error: bool = False
    kept: Sequence[int] | None = None
    failed: str = ""
    times: LogTimes = field(default_factory=LogTimes)

    @property
    def count(self) -> int:
        return self.file.shown_lines if self.kept is None else len(self.kept)


class LogLine(NamedTuple):
    """A line of a section, which begins at the byte `offset`; `number` None: the section's title."""

    section: Section
    number: int | None = None
    data: bytes = b""
    offset: int = 0


@dataclass(slots=True)
class LogBook:
    """Sections one after another: row 0 of each is its title, then its lines."""

    sections: list[Section] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(section.count + 1 for section in self.sections)

    def find(self, row: int) -> tuple[Section, int] | None:
        """The section that `row` is in, and the place in it; 0 is the title."""
        for section in self.sections:
            if row <= section.count:
                return section, row
            row -= section.count + 1
        return None

    def row_of(self, wanted: Section, line: int) -> int:
        """Where the line of a section stands."""
        row = 0
        for section in self.sections:
            if section is wanted:
                place = line if section.kept is None else _place(section.kept, line)
                return row + 1 + place
            row += section.count + 1
        return 0

    def read(self, row: int, count: int) -> list[LogLine]:
        """What stands from `row` on."""
        found: list[LogLine] = []
        for section in self.sections:
            if row > section.count:
                row -= section.count + 1
                continue
            if row == 0:
                found.append(LogLine(section))
                row = 1
            found += _lines(section, row - 1, count - len(found))
            row = 0
            if len(found) >= count:
                break
        return found[:count]

    def lines(self, row: int, count: int) -> list[bytes]:
        """Those of the next `count` rows that are no titles."""
        return [line.data for line in self.read(row, count) if line.number is not None]


def _place(kept: Sequence[int], line: int) -> int:
    from bisect import bisect_left

    return min(bisect_left(kept, line), max(0, len(kept) - 1))


def _lines(section: Section, first: int, count: int) -> list[LogLine]:
    if section.kept is None:
        numbers: Sequence[int] = range(first, first + count)
        placed = section.file.placed(first, count)
    else:
        numbers = section.kept[first : first + count]
        placed = section.file.picked(numbers)
    return [LogLine(section, at, line, offset) for at, (offset, line) in zip(numbers, placed, strict=False)]


def error_pattern() -> re.Pattern[bytes]:
    """What the jump to the next error looks for."""
    return _ERROR


def clock_text(line: LogLine) -> str:
    """About when a line was written, in `_CLOCK` cells: ``~10:31:02.114`` UTC; nothing where nobody looked on."""
    moment = line.section.times.at(line.offset)
    return " " * _CLOCK if moment is None else f"~{iso(moment)[11:23]} "


class LogView(Widget, can_focus=True):
    """Draws a `LogBook` from `top` on. Posts `Moved` when the place changes."""

    DEFAULT_CSS = "LogView { height: 1fr; }"
    top: reactive[int] = reactive(0)
    wrap: reactive[bool] = reactive(False)
    with_times: reactive[bool] = reactive(False)
    left: reactive[int] = reactive(0)

    class Moved(Message):
        """The place is another; `by_hand` when a key or the wheel did it."""

    def __init__(self) -> None:
        super().__init__(id="log")
        self.book = LogBook()
        self.pattern: re.Pattern[bytes] | None = None
        self.current: int | None = None
        """The row that a search or a jump went to."""
        self._rows: list[Strip] = []

    def validate_top(self, top: int) -> int:
        return max(0, min(top, max(0, self.book.count - 1)))

    @property
    def bottom(self) -> int:
        """The `top` that shows the end."""
        height = max(1, self.size.height)
        if not self.wrap:
            return max(0, self.book.count - height)
        top, left = self.book.count, height
        for line in reversed(self.book.read(max(0, top - height), height)):
            left -= len(self._pieces(shown(line.data))) if line.number is not None else 1
            if left < 0:
                break
            top -= 1
        return max(0, min(top, self.book.count - 1))

    @property
    def at_end(self) -> bool:
        return self.top >= self.bottom

    def changed(self) -> None:
        """The book has other content: read it again."""
        self._rows = self._drawn()
        self.refresh()

    def watch_top(self) -> None:
        self.changed()
        self.post_message(self.Moved())

    def watch_wrap(self) -> None:
        self.changed()

    def watch_with_times(self) -> None:
        self.changed()

    def watch_left(self) -> None:
        self.changed()

    def on_resize(self) -> None:
        self.changed()

    def render_line(self, y: int) -> Strip:
        if y < len(self._rows):
            return self._rows[y]
        return Strip.blank(self.size.width, self._palette.style("text"))

    @property
    def _palette(self) -> Palette:
        return console_of(self).palette

    def _drawn(self) -> list[Strip]:
        height, width = self.size.height, self.size.width
        if not height or not width:
            return []
        rows: list[Strip] = []
        for at, line in enumerate(self.book.read(self.top, height)):
            rows += self._strips(line, width, current=self.top + at == self.current)
            if len(rows) >= height:
                break
        return rows[:height]

    def _strips(self, line: LogLine, width: int, *, current: bool) -> list[Strip]:
        palette, section, data = self._palette, line.section, line.data
        if line.number is None:
            style = palette.style("title")
            told = section.failed or (
                "" if section.count else "nothing that fits" if section.kept is not None else "nothing"
            )
            return [Strip([segment(f" {section.title}  {told}".rstrip(), style, width)])]
        role = "failed" if section.is_error else "text"
        mark = Segment(">" if current else "!" if _ERROR.search(data[:_MARKED]) else " ", palette.style("note"))
        clock = [Segment(clock_text(line), palette.style("muted"))] if self.with_times else []
        pieces, room = self._pieces(shown(data)), self._room
        matched = self.pattern is not None and self.pattern.search(data) is not None
        look = palette.style("match" if matched else role if section.is_error else "text")
        gap = Segment(" ", palette.style("text"))
        blank = [Segment(" " * _CLOCK, palette.style("text"))] if clock else []
        return [
            Strip([mark if at == 0 else gap, gap, *(blank if at else clock), Segment(fitted(piece, room), look)])
            for at, piece in enumerate(pieces)
        ]

    @property
    def _room(self) -> int:
        """Cells for a line's text."""
        return max(1, self.size.width - _GUTTER - (_CLOCK if self.with_times else 0))

    def _pieces(self, text: str) -> list[str]:
        """A line's text as it stands, one row each."""
        return chop_cells(text, self._room) or [""] if self.wrap else [text[self.left :]]

    # moving ------------------------------------------------------------------------------------------------------------

    def move(self, by: int) -> None:
        self.top = max(0, min(self.top + by, self.bottom))

    def go_to(self, row: int) -> None:
        """Bring this row to the upper third, and mark it."""
        self.current = row
        before = self.top
        self.top = max(0, min(row - self.size.height // 3, self.bottom))
        if self.top == before:
            self.changed()

    def go_end(self) -> None:
        self.top = self.bottom

    def on_mouse_scroll_down(self) -> None:
        self.move(3)

    def on_mouse_scroll_up(self) -> None:
        self.move(-3)
