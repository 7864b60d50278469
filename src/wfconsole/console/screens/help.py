"""Every key of the screen one comes from, made from the table of actions: what can be pressed is what is listed here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from wfconsole.console.actions import SCOPES, Action, bindings, key_name, of_scope
from wfconsole.console.lines import Cell, Column, LineList, Row
from wfconsole.console.screens.board import Board

_COLUMNS = (Column("KEYS", 18), Column("WHAT IT DOES"), Column("NAME FOR [console.keys]", 24))
_ROOMY = 64
"""Narrower than this the names go: what a key does is asked for oftener."""


def help_rows(scopes: Sequence[str], *, read_only: bool, keys: dict[str, tuple[str, ...]]) -> list[Row]:
    """The rows of the help screen: scopes as headings, one action a row. `keys`: the user's own, by action id."""
    rows: list[Row] = []
    for scope in scopes:
        actions = [action for action in of_scope(scope) if not (read_only and action.changes)]
        if not actions:
            continue
        rows.append(Row(f"#{scope}", (Cell(SCOPES[scope], "header"), Cell(""), Cell(""))))
        rows += [_row(action, keys.get(action.id, action.keys)) for action in actions]
    return rows


def _row(action: Action, keys: tuple[str, ...]) -> Row:
    shown = "  ".join(key_name(key) for key in keys) or "-"
    return Row(action.id, (Cell(f"  {shown}", "note"), Cell(action.description), Cell(action.id, "muted")))


class HelpScreen(Board):
    """The keys of `source`, then those of lists and of everywhere; without one, of every screen."""

    scope = "help"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("help")]

    def __init__(self, source: Board | None) -> None:
        super().__init__()
        self._scopes = (
            [source.scope, "list", "everywhere"] if source is not None and source.scope in SCOPES else list(SCOPES)
        )

    @property
    def heading(self) -> str:
        return f"HELP  {SCOPES[self._scopes[0]]}"

    def body(self) -> ComposeResult:
        yield LineList(_COLUMNS, id="help")

    def on_resize(self) -> None:
        super().on_resize()
        found = self.query_one(LineList)
        found.set_rows(found.rows, columns=_COLUMNS if self.size.width >= _ROOMY else _COLUMNS[:2])

    def on_mount(self) -> None:
        settings = self.console_app.settings
        keys = {name: tuple(value) for name, value in settings.keys.items()}
        self.query_one(LineList).set_rows(help_rows(self._scopes, read_only=settings.read_only, keys=keys))
