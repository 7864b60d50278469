"""The grid of a fan-out: one cell a child, however many there are, with a cursor that jumps from failure to failure.

Owns the cursor and the drawing of the lines on the screen. Which child a cell stands for is its place, counted from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.binding import BindingType
from textual.events import Click
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from wfconsole.console.actions import bindings
from wfconsole.console.root import console_of
from wfconsole.views.fan_out import mark, next_failure

_GROUP = 10
_LABEL = 7


class CellGrid(ScrollView, can_focus=True):
    """Lines of cells in groups of ten, each line behind the number of its first child."""

    DEFAULT_CSS = "CellGrid { scrollbar-size-vertical: 1; overflow-x: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list")]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.statuses: tuple[str, ...] = ()
        self.cursor = 0

    def show(self, statuses: Sequence[str]) -> None:
        """Show these children; lines that look the same are not drawn again."""
        fresh, old = tuple(statuses), self.statuses
        if fresh == old:
            return
        self.statuses = fresh
        self.cursor = min(self.cursor, max(0, len(fresh) - 1))
        self.virtual_size = Size(self.size.width, self._height)
        if len(fresh) != len(old):
            self.refresh()
            return
        size = self._per_line
        for line in range(self._height):
            if fresh[line * size : (line + 1) * size] != old[line * size : (line + 1) * size]:
                self.refresh_line(line)

    @property
    def _per_line(self) -> int:
        groups = max(1, (self.size.width - _LABEL) // (_GROUP + 1))
        return groups * _GROUP

    @property
    def _height(self) -> int:
        return -(-len(self.statuses) // self._per_line)

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, self._height)

    def render_line(self, y: int) -> Strip:
        palette = console_of(self).palette
        ascii_only = console_of(self).settings.ascii_only
        line = int(self.scroll_offset.y) + y
        first = line * self._per_line
        if first >= len(self.statuses):
            return Strip.blank(self.size.width, palette.style("text"))
        pieces = [Segment(f"{first:>{_LABEL - 1}} ", palette.style("muted"))]
        for place in range(first, min(first + self._per_line, len(self.statuses))):
            if place > first and (place - first) % _GROUP == 0:
                pieces.append(Segment(" ", palette.style("text")))
            status = self.statuses[place]
            chosen = place == self.cursor
            style = palette.chosen(status, focused=self.has_focus) if chosen else palette.style(status)
            pieces.append(Segment(mark(status, ascii_only=ascii_only), style))
        return Strip(pieces).adjust_cell_length(self.size.width, palette.style("text"))

    def put_cursor(self, place: int) -> None:
        """Move the cursor; places outside are the nearest inside."""
        place = max(0, min(place, len(self.statuses) - 1))
        before, self.cursor = self.cursor, place
        for each in {before // self._per_line, place // self._per_line}:
            self.refresh_line(each)
        line, top = place // self._per_line, int(self.scroll_offset.y)
        if not top <= line < top + max(1, self.size.height):
            self.scroll_to(y=max(0, line - self.size.height // 2), animate=False, immediate=True)

    def jump(self) -> bool:
        """To the next failed child; False when none failed."""
        place = next_failure(self.statuses, self.cursor)
        if place is not None:
            self.put_cursor(place)
        return place is not None

    def on_click(self, event: Click) -> None:
        inside = event.x - _LABEL
        if inside >= 0 and inside % (_GROUP + 1) != _GROUP:
            column = inside - inside // (_GROUP + 1)
            self.put_cursor((int(self.scroll_offset.y) + event.y) * self._per_line + column)

    def action_move(self, by: int) -> None:
        self.put_cursor(self.cursor + by * self._per_line)

    def action_page(self, by: int) -> None:
        self.put_cursor(self.cursor + by * self._per_line * max(1, self.size.height - 1))

    def action_half(self, by: int) -> None:
        self.put_cursor(self.cursor + by * self._per_line * max(1, self.size.height // 2))

    def action_edge(self, to: int) -> None:
        self.put_cursor(0 if to < 0 else len(self.statuses) - 1)

    def action_select(self) -> None:
        """A child is opened by the screen, when there is something to open."""
