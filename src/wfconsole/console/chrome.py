"""The frame around every screen: the title line above, the key line below, and the line that says what just happened.

Owns that untrusted text cannot imitate them: they stand outside of every body, and what they show is cut to one line.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from wfconsole.console.actions import Action, key_name
from wfconsole.console.root import console_of
from wfconsole.console.text import fitted, segment, wrapped
from wfconsole.console.theme import Palette
from wfconsole.views.safe_text import safe_text

_MOST = 3
"""Lines of a note."""
_ROOMY = 20
"""A screen of so many lines has room for them."""


class _Line(Widget):
    DEFAULT_CSS = "_Line { height: 1; width: 1fr; }"
    can_focus = False

    @property
    def palette(self) -> Palette:
        return console_of(self).palette


class TitleBar(_Line):
    """``wfconsole  RUNS            3 active  1 needs you``: where one is on the left, what matters on the right."""

    DEFAULT_CSS = "TitleBar { dock: top; }"

    def __init__(self) -> None:
        super().__init__(id="title")
        self._left, self._right = "", ""

    def show(self, left: str, right: str) -> None:
        if (left, right) != (self._left, self._right):
            self._left, self._right = left, right
            self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - it has one line
        width, style = self.size.width, self.palette.style("title")
        right = safe_text(self._right)[: max(0, width - 2)]
        left = fitted(safe_text(f" {self._left}"), max(0, width - len(right) - 1))
        return Strip([Segment(left, style), Segment(right + " ", style)]).adjust_cell_length(width, style)


class StatusLine(_Line):
    """One line of ours: what can be done now, or why not. `text` may hold names: it is made safe."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.text, self._role = "", "muted"

    def show(self, text: str, role: str = "muted") -> None:
        if (text, role) != (self.text, self._role):
            self.text, self._role = text, role
            self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - it has one line
        style = self.palette.style(self._role)
        return Strip([segment(f" {self.text}", style, self.size.width)])


class Note(StatusLine):
    """Above the keys: what just happened, why a key did nothing, what is being waited for; on several lines if it must be."""

    DEFAULT_CSS = "Note { dock: bottom; margin-bottom: 1; }"

    def __init__(self) -> None:
        super().__init__(id="note")

    @property
    def _lines(self) -> list[str]:
        return wrapped(safe_text(self.text), max(1, self.size.width - 2))

    def show(self, text: str, role: str = "muted") -> None:
        super().show(text, role)
        self._fit()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        most = _MOST if self.app.size.height >= _ROOMY else 1
        self.styles.height = min(most, len(self._lines)) if self.size.width else 1

    def render_line(self, y: int) -> Strip:
        lines, style = self._lines, self.palette.style(self._role)
        last = y == self.size.height - 1
        text = " ".join(lines[y:]) if last else lines[y] if y < len(lines) else ""
        return Strip([segment(f" {text}", style, self.size.width)])


class KeyLine(_Line):
    """The keys of this screen, most useful first; those that are refused now are greyed, what does not fit is left to `?`."""

    DEFAULT_CSS = "KeyLine { dock: bottom; }"

    def __init__(self) -> None:
        super().__init__(id="keys")
        self._entries: tuple[tuple[str, str, bool], ...] = ()

    def show(self, actions: Sequence[tuple[Action, bool]]) -> None:
        """Actions, each with whether it is allowed now."""
        entries = tuple((key_name(action.keys[0]), action.name, allowed) for action, allowed in actions if action.keys)
        if entries != self._entries:
            self._entries = entries
            self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - it has one line
        width, ground = self.size.width, self.palette.style("title")
        pieces, used = [Segment(" ", ground)], 1
        for key, name, allowed in self._entries:
            length = len(key) + len(name) + 3
            if used + length > width:
                break
            pieces += [
                Segment(key, self.palette.style("key" if allowed else "key-off")),
                Segment(f" {name}  ", ground if allowed else self.palette.style("key-off")),
            ]
            used += length
        return Strip(pieces).adjust_cell_length(width, ground)
