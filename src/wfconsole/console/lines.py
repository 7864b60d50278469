"""The one list of the console: rows of cells drawn by the line, however many there are.

Owns the cursor, the scrolling and the drawing of only what changed. Refuses to know what the rows mean. The decision that
would surprise: it is no DataTable, because one of those sends 30 KB for any change at all; here a changed cell costs its own
width, so columns that tick stand leftmost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, overload

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from wfconsole.console.actions import bindings
from wfconsole.console.root import console_of, room_of
from wfconsole.console.text import segment
from wfconsole.console.theme import Palette


class Cell(NamedTuple):
    """One cell: untrusted text and the role (`theme.ROLES`) that colours it."""

    text: str
    role: str = "text"


class Row(NamedTuple):
    """`key` identifies the row when the list changes; the cursor stays on its key."""

    key: str
    cells: tuple[Cell, ...]


class LazyRows(Sequence[Row]):
    """Rows that are made when they are looked at, once each: a list of them costs what is on the screen.

    `make` gives the row at a place; it must go on giving the same row. `place` finds the row that has a key, if there is one.
    """

    def __init__(self, count: int, make: Callable[[int], Row], place: Callable[[str], int | None]) -> None:
        self._count = count
        self._make = make
        self._made: dict[int, Row] = {}
        self.place = place

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Row: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Row]: ...

    def __getitem__(self, at: int | slice) -> Row | Sequence[Row]:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(self._count))]
        at = at + self._count if at < 0 else at
        if not 0 <= at < self._count:
            raise IndexError(at)
        if at not in self._made:
            self._made[at] = self._make(at)
        return self._made[at]


@dataclass(frozen=True, slots=True)
class Column:
    """`width` in cells; None takes what is left (one such column a list). `right`: aligned to the right."""

    title: str
    width: int | None = None
    right: bool = False


def columns(titles: Sequence[str], widths: Sequence[int | None], *, right: Sequence[int] = ()) -> tuple[Column, ...]:
    """A column for each title; `right` are the places of those that are aligned to the right."""
    named = zip(titles, widths, strict=True)
    return tuple(Column(title, width, right=at in right) for at, (title, width) in enumerate(named))


def _blank_look(style: Style | None) -> object:
    """What can be seen of a style where there is no character."""
    return None if style is None else (style.bgcolor, style.reverse and style.color, style.underline, style.strike)


def _joined(pieces: list[Segment]) -> list[Segment]:
    """The same picture in fewer pieces: blanks take the look of what they stand beside. Each look costs 40 bytes on the wire."""
    found: list[Segment] = []
    for text, style, _ in pieces:
        before = found[-1] if found else None
        if before is not None and (before.style == style or _blank_look(before.style) == _blank_look(style)):
            if before.style == style or not text.strip(" "):
                found[-1] = Segment(before.text + text, before.style)
                continue
            if not before.text.strip(" "):
                found[-1] = Segment(before.text + text, style)
                continue
        found.append(Segment(text, style))
    return found


class LineList(ScrollView, can_focus=True):
    """Rows under a header line. Posts `Selected` on enter and `Moved` when the cursor comes to another row."""

    DEFAULT_CSS = "LineList { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list")]
    cursor: reactive[int] = reactive(0, repaint=False)

    class Selected(Message):
        """Enter, or a click on the row under the cursor."""

        def __init__(self, source: LineList, key: str) -> None:
            super().__init__()
            self.source = source
            self.key = key

        @property
        def control(self) -> LineList:
            return self.source

    class Moved(Selected):
        """The cursor is on another row, or the row under it changed its place."""

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        header: bool = True,
        empty: str = "",
        follows: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        """`empty` is said when there are no rows; with `follows` the cursor stays on the last row when rows are added."""
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.rows: Sequence[Row] = ()
        self._header = header
        self._empty = empty
        self._follows = follows
        self._places: dict[str, int] = {}

    @property
    def _top(self) -> int:
        return 1 if self._header else 0

    @property
    def key(self) -> str | None:
        """Key of the row under the cursor."""
        return self.rows[self.cursor].key if self.rows else None

    def say_empty(self, text: str) -> None:
        """What is said when there are no rows."""
        if text != self._empty:
            self._empty = text
            if not self.rows:
                self.refresh()

    def set_rows(self, rows: Sequence[Row], *, columns: Sequence[Column] | None = None) -> None:
        """Show these rows; only cells that differ are drawn again. The cursor stays on its key, else on its place."""
        old, key, at_end = self.rows, self.key, self.cursor >= len(self.rows) - 1
        fresh = columns is not None and tuple(columns) != self.columns
        if columns is not None:
            self.columns = tuple(columns)
        lazy = isinstance(rows, LazyRows)
        self.rows = rows if lazy else tuple(rows)
        self._places = {} if lazy else {row.key: place for place, row in enumerate(self.rows)}
        found = None if key is None else self.place_of(key)
        place = min(self.cursor, max(0, len(self.rows) - 1)) if found is None else found
        if self._follows and at_end:
            place = max(0, len(self.rows) - 1)
        if len(old) != len(self.rows):
            self.virtual_size = Size(self.size.width, len(self.rows) + self._top)
            self.call_after_refresh(self._show_cursor)  # how far one can scroll is known after the layout
        before = self.cursor
        self.set_reactive(LineList.cursor, place)
        self._repaint(old, fresh=fresh)
        if before != place:
            self._repaint_rows(before, place)
            self._show_cursor()
        if self.key is not None and self.key != key:
            self.post_message(self.Moved(self, self.key))

    def _repaint(self, old: Sequence[Row], *, fresh: bool) -> None:
        """Refresh what differs between `old` and the rows now."""
        if fresh or not old or not self.rows or self.size.width == 0:
            self.refresh()
            return
        first = int(self.scroll_offset.y)
        spans = self._spans()
        for place in range(first, min(max(len(old), len(self.rows)), first + self.size.height)):
            before = old[place] if place < len(old) else None
            now = self.rows[place] if place < len(self.rows) else None
            if before == now:
                continue
            line = place - first + self._top
            if before is None or now is None or len(before.cells) != len(now.cells):
                self.refresh(Region(0, line, self.size.width, 1))
                continue
            changed = [
                spans[at] for at in range(len(now.cells)) if before.cells[at] != now.cells[at] and at < len(spans)
            ]
            if changed:
                left, right = min(span[0] for span in changed), max(span[0] + span[1] for span in changed)
                self.refresh(Region(left, line, right - left, 1))

    def _spans(self) -> list[tuple[int, int]]:
        """Left edge and width of each column in the width there is now."""
        fixed = sum(column.width for column in self.columns if column.width is not None)
        rest = max(0, room_of(self) - fixed - len(self.columns))
        spans, left = [], 1
        for column in self.columns:
            width = rest if column.width is None else column.width
            spans.append((left, width))
            left += width + 1
        return spans

    def move_to(self, key: str) -> bool:
        """Put the cursor on the row with this key; False when there is none."""
        place = self.place_of(key)
        if place is not None:
            self.cursor = place
        return place is not None

    def place_of(self, key: str) -> int | None:
        """Where the row with this key stands."""
        return self.rows.place(key) if isinstance(self.rows, LazyRows) else self._places.get(key)

    def watch_cursor(self, before: int, now: int) -> None:
        self._repaint_rows(before, now)
        self._show_cursor()
        if before != now and self.key is not None:
            self.post_message(self.Moved(self, self.key))

    def _repaint_rows(self, *places: int) -> None:
        first = int(self.scroll_offset.y)
        for place in places:
            self.refresh(Region(0, place - first + self._top, self.size.width, 1))

    def validate_cursor(self, place: int) -> int:
        return max(0, min(place, len(self.rows) - 1))

    def _show_cursor(self) -> None:
        height = max(1, self.size.height - self._top)
        first = int(self.scroll_offset.y)
        if not first <= self.cursor < first + height:
            y = self.cursor if self.cursor < first else self.cursor - height + 1
            # Forced: else nothing moves as long as the scroll bar, which comes with the next layout, is not there.
            self.scroll_to(y=y, animate=False, immediate=True, force=True)

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.rows) + self._top)
        self._show_cursor()

    def render_line(self, y: int) -> Strip:
        palette = console_of(self).palette
        width = self.size.width
        if self._header and y == 0:
            return self._strip(
                [Cell(column.title, "header") for column in self.columns], palette, palette.style("header")
            )
        place = int(self.scroll_offset.y) + y - self._top
        if not self.rows:
            line = segment(f" {self._empty}" if y == self._top else "", palette.style("muted"), width)
            return Strip([line], width)
        if place >= len(self.rows):
            return Strip.blank(width, palette.style("text"))
        return self._strip(self.rows[place].cells, palette, palette.style("text"), chosen=place == self.cursor)

    def _strip(self, cells: Sequence[Cell], palette: Palette, base: Style, *, chosen: bool = False) -> Strip:
        def look(role: str) -> Style:
            return palette.chosen(role, focused=self.has_focus) if chosen else palette.style(role)

        ground = look("text") if chosen else base
        pieces: list[Segment] = [Segment(">" if chosen else " ", ground)]
        for at, (_, width) in enumerate(self._spans()):
            cell = cells[at] if at < len(cells) else Cell("")
            right = self.columns[at].right
            pieces += [segment(cell.text, look(cell.role), width, right=right), Segment(" ", ground)]
        return Strip(_joined(pieces)).adjust_cell_length(self.size.width, ground)

    def on_focus(self) -> None:
        self.watch_cursor(self.cursor, self.cursor)

    def on_blur(self) -> None:
        self.watch_cursor(self.cursor, self.cursor)

    def on_click(self, event: Click) -> None:
        place = int(self.scroll_offset.y) + event.y - self._top
        if 0 <= place < len(self.rows):
            if place == self.cursor:
                self.action_select()
            self.cursor = place

    def action_move(self, by: int) -> None:
        self.cursor += by

    def action_page(self, by: int) -> None:
        self.cursor += by * max(1, self.size.height - self._top - 1)

    def action_half(self, by: int) -> None:
        self.cursor += by * max(1, (self.size.height - self._top) // 2)

    def action_edge(self, to: int) -> None:
        self.cursor = 0 if to < 0 else len(self.rows) - 1

    def action_select(self) -> None:
        if self.key is not None:
            self.post_message(self.Selected(self, self.key))
