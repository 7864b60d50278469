"""A pane of text: lines of (text, role), scrolled as a whole. For what is read, not chosen from.

Owns that only what is on the screen is made into segments, so a pane may have a hundred thousand lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from wfconsole.console.root import console_of, room_of
from wfconsole.console.text import segment


class TextPane(ScrollView, can_focus=True):
    """Lines of (text, role); `text` may be untrusted. Arrow keys scroll it when it has the focus."""

    DEFAULT_CSS = "TextPane { scrollbar-size-vertical: 1; overflow-x: hidden; }"

    def __init__(self, *, id: str | None = None, gutter: str = " ") -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._lines: tuple[tuple[str, str], ...] = ()
        self._gutter = gutter

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        return self._lines

    def set_lines(self, lines: Sequence[tuple[str, str]], *, keep_place: bool = True) -> None:
        """Show these lines; the place is kept, else the first line comes to the top."""
        fresh = tuple(lines)
        if fresh == self._lines:
            return
        self._lines = fresh
        self.virtual_size = Size(self.size.width, len(fresh))
        if not keep_place:
            self.scroll_to(y=0, animate=False, immediate=True)
        self.refresh()

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._lines))

    def render_line(self, y: int) -> Strip:
        palette = console_of(self).palette
        place, width = int(self.scroll_offset.y) + y, self.size.width
        if place >= len(self._lines):
            return Strip.blank(width, palette.style("text"))
        text, role = self._lines[place]
        drawn = Strip([segment(self._gutter + text, palette.style(role), room_of(self))])
        return drawn.adjust_cell_length(width, palette.style("text"))
