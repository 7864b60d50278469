"""The parts of a card on the screen: labelled lines behind a border, and the line of tabs above them.

Owns the border: left of it stand words of ours, right of it what comes from the run, wrapped and never wider than its place.
Refuses to know what the lines mean (`views.evidence`). The decision that would surprise: a wrapped line goes on behind the
border, too, so that no text of a run ever begins at the left edge of the screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.actions import SkipAction
from textual.binding import BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from wfconsole.console.actions import bindings
from wfconsole.console.root import console_of, room_of
from wfconsole.console.text import fitted, wrapped
from wfconsole.views.evidence import Part, Told
from wfconsole.views.safe_text import safe_text

_LABEL = 10
_BORDER = 4
"""Cells of the border between label and text, with its blanks."""


def gutter(*, ascii_only: bool) -> str:
    """The border between our words and a run's."""
    return "|" if ascii_only else "│"


class EvidencePane(ScrollView, can_focus=True):
    """Labelled lines, scrolled by the keys of lists. `labels` False leaves no room for labels."""

    DEFAULT_CSS = "EvidencePane { height: 1fr; width: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list")]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.lines: tuple[Told, ...] = ()
        self._drawn: list[Told] = []
        self._label = 0

    def set_lines(self, lines: Sequence[Told]) -> None:
        """Show these lines from the first one; the same lines again change nothing."""
        if tuple(lines) == self.lines:
            return
        self.lines = tuple(lines)
        self._lay_out()
        self.scroll_to(y=0, animate=False, immediate=True)

    def height_of(self, width: int) -> int:
        """How many lines these take in so many cells."""
        label = _LABEL if any(line.label for line in self.lines) else 0
        return sum(len(wrapped(safe_text(line.text), max(1, width - label - _BORDER))) for line in self.lines)

    def _lay_out(self) -> None:
        self._label = _LABEL if any(line.label for line in self.lines) else 0
        room = max(1, room_of(self) - self._label - _BORDER)
        self._drawn = [
            Told(line.label if at == 0 else "", piece, line.role)
            for line in self.lines
            for at, piece in enumerate(wrapped(safe_text(line.text), room))
        ]
        self.virtual_size = Size(self.size.width, len(self._drawn))
        self.refresh()

    def on_resize(self) -> None:
        self._lay_out()

    def watch_show_vertical_scrollbar(self) -> None:
        """It takes a cell: without this the last character of a full line would stand behind it."""
        self._lay_out()

    def render_line(self, y: int) -> Strip:
        palette = console_of(self).palette
        edge = gutter(ascii_only=console_of(self).settings.ascii_only)
        width, at = self.size.width, int(self.scroll_offset.y) + y
        if at >= len(self._drawn):
            return Strip.blank(width, palette.style("text"))
        line = self._drawn[at]
        label = f" {line.label.ljust(self._label)}" if self._label else ""
        pieces = [
            Segment(f"{label} {edge} ", palette.style("muted")),
            Segment(fitted(line.text, max(0, room_of(self) - self._label - _BORDER)), palette.style(line.role)),
        ]
        return Strip(pieces).adjust_cell_length(width, palette.style("text"))

    def action_move(self, by: int) -> None:
        self.scroll_relative(y=by, animate=False, immediate=True)

    def action_page(self, by: int) -> None:
        self.scroll_relative(y=by * max(1, self.size.height - 1), animate=False, immediate=True)

    def action_half(self, by: int) -> None:
        self.scroll_relative(y=by * max(1, self.size.height // 2), animate=False, immediate=True)

    def action_edge(self, to: int) -> None:
        self.scroll_to(y=0 if to < 0 else len(self._drawn), animate=False, immediate=True)

    def action_select(self) -> None:
        """Nothing here opens; on some screens the key means something else."""
        raise SkipAction


class EvidenceTabs(Widget):
    """``[summary*]  diff 2  tests*  risk      2 of 4 shown``: the parts, the one on the screen in brackets, a star for shown."""

    DEFAULT_CSS = "EvidenceTabs { height: 1; width: 1fr; }"
    can_focus = False

    def __init__(self) -> None:
        super().__init__(id="tabs")
        self._parts: tuple[tuple[str, bool, bool], ...] = ()
        self.text = ""

    def show(self, parts: Sequence[Part], current: str, unseen: Sequence[str]) -> None:
        told = tuple(
            (
                part.key if part.count is None else f"{part.key} {part.count}",
                part.key == current,
                part.key not in unseen,
            )
            for part in parts
        )
        if told != self._parts:
            self._parts = told
            self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - it has one line
        palette = console_of(self).palette
        width, base = self.size.width, palette.style("text")
        pieces = [Segment(" ", base)]
        for name, is_current, was_shown in self._parts:
            star = "*" if was_shown else ""
            text = f"[{name}{star}]" if is_current else f" {name}{star} "
            pieces += [Segment(text, palette.style("key" if is_current else "text" if was_shown else "note"))]
        seen = sum(was_shown for _, _, was_shown in self._parts)
        right = f"{seen}/{len(self._parts)} shown  * = shown " if self._parts else ""
        used = sum(piece.cell_length for piece in pieces)
        if used + len(right) < width:
            pieces.append(Segment(right.rjust(width - used), palette.style("muted")))
        self.text = "".join(piece.text for piece in pieces)
        return Strip(pieces).adjust_cell_length(width, base)
