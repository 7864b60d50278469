"""Dialogs: choose one of a few things, confirm with a reason, confirm by typing a name.

Owns that nothing destructive hangs on one key: a confirmation needs a second, different key, or the typed name. Each dialog ends
with its answer, None when it was left by esc. Text in a dialog is drawn inside a frame of its own, every line made safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from wfconsole.console.lines import Cell, Column, LineList, Row
from wfconsole.console.text import safe, safe_lines

_FRAME = """
    align: center bottom;
    background: $background 0%;
    & > Vertical {
        width: 100%; height: auto; max-height: 80%; background: $panel; border-top: solid $primary; padding: 0 1;
    }
    & LineList { height: auto; max-height: 12; }
    & Input { border: none; height: 1; padding: 0; background: $surface; }
    & Static { width: 1fr; height: auto; }
"""


class ChoiceDialog(ModalScreen[str | None]):
    """One of `choices`, (answer, text) each; the first is under the cursor."""

    DEFAULT_CSS = "ChoiceDialog {" + _FRAME + "}"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "Back", show=False)]

    def __init__(self, title: str, choices: Sequence[tuple[str, str]], lines: Sequence[str] = ()) -> None:
        super().__init__()
        self._title = title
        self._choices = tuple(choices)
        self._lines = tuple(lines)

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(safe(self._title, "bold"), markup=False)
            if self._lines:
                yield Static(safe_lines(self._lines), markup=False)
            found = LineList((Column("", None),), header=False)
            found.styles.height = min(12, len(self._choices))
            yield found
            yield Static(safe("enter choose  esc back", "dim"), markup=False)

    def on_mount(self) -> None:
        found = self.query_one(LineList)
        found.set_rows([Row(answer, (Cell(text),)) for answer, text in self._choices])
        found.focus()

    def on_line_list_selected(self, message: LineList.Selected) -> None:
        message.stop()
        self.dismiss(message.key)

    def action_leave(self) -> None:
        self.dismiss(None)


class ConfirmDialog(ModalScreen[str | None]):
    """Confirm by enter after something was typed: a reason (may be empty unless `required`), or exactly the word `typed`.

    The answer is what was typed.
    """

    DEFAULT_CSS = "ConfirmDialog {" + _FRAME + "}"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back", show=False)]

    def __init__(
        self,
        title: str,
        lines: Sequence[str] = (),
        *,
        ask: str = "reason",
        required: bool = False,
        typed: str | None = None,
    ) -> None:
        super().__init__()
        self._title = title
        self._lines = tuple(lines)
        self._ask = ask
        self._required = required
        self._typed = typed

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(safe(self._title, "bold"), markup=False)
            if self._lines:
                yield Static(safe_lines(self._lines), markup=False)
            yield Input(placeholder=self._ask, compact=True)
            yield Static(safe("enter confirms  esc leaves everything as it is", "dim"), markup=False, id="hint")

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        wrong = self._wrong(event.value.strip())
        if wrong:
            self.query_one("#hint", Static).update(safe(wrong, "bold"))
        else:
            self.dismiss(event.value.strip())

    def _wrong(self, value: str) -> str:
        if self._typed is not None and value != self._typed:
            return f"type {self._typed} to confirm; esc leaves everything as it is"
        return f"a {self._ask} is wanted" if self._required and not value else ""

    def action_leave(self) -> None:
        self.dismiss(None)
