"""The palette: everything that can be done from here, found by typing. `:` and ctrl+p open the same list.

Owns the matching. An action that is refused now is listed with its reason, and choosing it says so. The decision that would
surprise: it is a list of ours inside the frame, because Textual's own palette repaints the whole screen (70 KB) at each key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from wfconsole.console.actions import Action, key_name
from wfconsole.console.lines import Cell, Column, LineList, Row
from wfconsole.console.screens.board import Board


def ranked(actions: Iterable[Action], typed: str) -> list[Action]:
    """The actions that `typed` may mean, best first: every letter in order, early and adjacent ones counting more."""
    scored = [
        (score, place, action) for place, action in enumerate(actions) if (score := _score(action, typed)) is not None
    ]
    return [action for _, _, action in sorted(scored, key=lambda entry: entry[:2])]


def _score(action: Action, typed: str) -> int | None:
    wanted, text = typed.lower().replace(" ", ""), f"{action.name} {action.description}".lower()
    at, cost = -1, 0
    for letter in wanted:
        found = text.find(letter, at + 1)
        if found < 0:
            return None
        cost += found - at - 1
        at = found
    return cost


class PaletteScreen(ModalScreen[Action | None]):
    """Over `source`; enter runs the chosen action there."""

    DEFAULT_CSS = """
    PaletteScreen {
        align: center bottom; background: $background 0%;
        & > Vertical { width: 100%; height: 13; background: $panel; border-top: solid $primary; padding: 0 1; }
        & Input { border: none; height: 1; padding: 0; background: $surface; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", show=False),
        Binding("down", "move(1)", "Down", show=False, priority=True),
        Binding("up", "move(-1)", "Up", show=False, priority=True),
    ]

    def __init__(self, source: Board | None) -> None:
        super().__init__()
        self._source = source
        self._actions = [action for action in source.offered() if action.palette] if source is not None else []

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Input(placeholder="what do you want to do?", compact=True)
            yield LineList((Column("", 12), Column("", None)), header=False, empty="nothing like that here", id="found")

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self._list(self._actions)

    def _list(self, actions: Sequence[Action]) -> None:
        self.query_one(LineList).set_rows([self._row(action) for action in actions])

    def _row(self, action: Action) -> Row:
        reason = self._source.refusal(action) if self._source is not None else ""
        key = key_name(action.keys[0]) if action.keys else ""
        text = f"{action.description}  ({reason})" if reason else action.description
        return Row(action.id, (Cell(key, "note"), Cell(text, "muted" if reason else "text")))

    def on_input_changed(self, event: Input.Changed) -> None:
        found = ranked(self._actions, event.value)
        self._list(found)
        if found:
            self.query_one(LineList).move_to(found[0].id)

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        await self._choose(self.query_one(LineList).key)

    async def on_line_list_selected(self, message: LineList.Selected) -> None:
        message.stop()
        await self._choose(message.key)

    async def _choose(self, key: str | None) -> None:
        action = next((one for one in self._actions if one.id == key), None)
        self.dismiss(action)
        if action is not None and self._source is not None:
            await self.app.run_action(action.method, self.app if action.scope == "everywhere" else self._source)

    def action_move(self, by: int) -> None:
        self.query_one(LineList).action_move(by)

    def action_leave(self) -> None:
        self.dismiss(None)
