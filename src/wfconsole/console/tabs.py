"""A line of tabs: which parts a screen has, which one is shown, and a remark on the right.

Owns drawing and clicking; which part is shown belongs to the screen. The chosen tab stands in brackets, not in a colour
alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.events import Click
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from wfconsole.console.root import console_of
from wfconsole.console.text import fitted, segment


class TabLine(Widget):
    """``[timeline]  steps  artifacts        1 col = 5s``. Posts `Chosen` when a tab is clicked."""

    DEFAULT_CSS = "TabLine { height: 1; width: 1fr; }"
    can_focus = False

    class Chosen(Message):
        """The operator wants this tab."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, names: Sequence[str], *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.names = tuple(names)
        self.chosen = self.names[0]
        self._remark = ""

    def show(self, chosen: str, remark: str) -> None:
        """Mark this tab; `remark` stands on the right where there is room."""
        if (chosen, remark) != (self.chosen, self._remark):
            self.chosen, self._remark = chosen, remark
            self.refresh()

    def next(self, by: int) -> str:
        """The tab that many places further, around the end."""
        return self.names[(self.names.index(self.chosen) + by) % len(self.names)]

    def _spans(self) -> list[tuple[int, str]]:
        """The left edge and the text of each tab: the chosen one in brackets."""
        spans, left = [], 0
        for name in self.names:
            text = f"[{name}]" if name == self.chosen else f" {name} "
            spans.append((left, text))
            left += len(text)
        return spans

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - it has one line
        palette = console_of(self).palette
        width = self.size.width
        pieces: list[Segment] = []
        for (_, text), name in zip(self._spans(), self.names, strict=True):
            pieces.append(segment(text, palette.style("key" if name == self.chosen else "muted")))
        used = sum(len(piece.text) for piece in pieces)
        if used + len(self._remark) + 2 <= width:
            pieces.append(Segment(fitted(self._remark + " ", width - used, right=True), palette.style("muted")))
        return Strip(pieces).adjust_cell_length(width, palette.style("text"))

    def on_click(self, event: Click) -> None:
        for (left, text), name in zip(self._spans(), self.names, strict=True):
            if left <= event.x < left + len(text):
                self.post_message(self.Chosen(name))
