"""The inbox: everything that waits for a person, over all runs, most urgent first.

Owns the columns and the few lines about the row under the cursor. Refuses to judge what waits: `views.inbox` does.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from wfconsole.console import feed
from wfconsole.console.actions import act, bindings, register
from wfconsole.console.evidence import EvidencePane
from wfconsole.console.lines import Cell, Column, LineList, Row
from wfconsole.console.model import Inbox
from wfconsole.console.screens.board import Board
from wfconsole.domain.codec import from_iso
from wfconsole.domain.plan import Json
from wfconsole.views.approval_card import expiry
from wfconsole.views.evidence import risk_word
from wfconsole.views.inbox import entry_lines
from wfconsole.views.words import duration

register(
    act("approvals.open", "", "open", "Open the card under the cursor", "open", shown=False),
    act("approvals.review", "a", "review", "Open the card under the cursor to decide", "review"),
    act("approvals.run", "o", "run", "Open the run that asks", "open_run"),
    act("approvals.log", "l", "log", "Open the log of the step that asks", "open_log", shown=False),
)  # fmt: skip

_ONE_SECOND = 1.0
_COLUMNS = (
    Column("AGE", 6, right=True), Column("EXPIRES", 8, right=True), Column("RISK", 8), Column("KIND", 12),
    Column("GATE", 14), Column("TITLE"),
)  # fmt: skip


class ApprovalsScreen(Board):
    scope = "approvals"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("approvals")]
    DEFAULT_CSS = """
    ApprovalsScreen {
        & #split { height: 1fr; layout: vertical; }
        & #about { height: 8; border-top: solid $panel; }
    }
    ApprovalsScreen.-small #about { display: none; }
    ApprovalsScreen.-wide {
        & #split { layout: horizontal; }
        & LineList { width: 3fr; }
        & #about { width: 2fr; height: 1fr; border-top: none; border-left: solid $panel; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._inbox: Inbox | None = None

    def body(self) -> ComposeResult:
        with Container(id="split"):
            yield LineList(_COLUMNS, empty="nothing waits for a person", id="inbox")
            yield EvidencePane(id="about")

    def on_mount(self) -> None:
        self.query_one("#about", EvidencePane).can_focus = False
        self.every(_ONE_SECOND, self._tick)

    @property
    def headline(self) -> str:
        if self._inbox is None:
            return "opening ..."
        found = self._inbox.entries
        stuck = sum(entry["gate_id"] is None for entry in found)
        return f"{len(found) - stuck} to decide" + (f"  {stuck} incomplete" if stuck else "")

    def watch_engine(self) -> None:
        self.stream(feed.waiting, self._show)

    def _show(self, found: Inbox) -> None:
        self._inbox = found
        self._tick()
        self._about()
        self.refresh_chrome()

    def _tick(self) -> None:
        """Ages and deadlines as they are now; only cells that read differently are drawn."""
        if self._inbox is not None and self._inbox.entries:
            now = self.console_app.now_ms()
            self.query_one(LineList).set_rows([_row(entry, now) for entry in self._inbox.entries])
        elif self._inbox is not None:
            self.query_one(LineList).set_rows(())

    def _entry(self) -> Mapping[str, Json] | None:
        key = self.query_one(LineList).key
        entries = () if self._inbox is None else self._inbox.entries
        return next((entry for entry in entries if _key(entry) == key), None)

    def copies(self) -> list[tuple[str, str]]:
        entry = self._entry()
        if entry is None:
            return []
        gate = entry["gate_id"] or entry["step_id"]
        command = shlex.join(["wfconsole", "approvals", entry["run_id"], gate])
        return [("command line", command), ("run id", str(entry["run_id"])), ("gate id", str(gate))]

    def _about(self) -> None:
        entry = self._entry()
        self.query_one("#about", EvidencePane).set_lines(() if entry is None else tuple(entry_lines(entry)))

    def on_line_list_moved(self) -> None:
        self._about()

    def on_line_list_selected(self) -> None:
        self.action_review()

    def action_open(self) -> None:
        self.action_review()

    def action_review(self) -> None:
        entry = self._entry()
        if entry is None:
            self.say("nothing waits for a person", passing=True)
        else:
            self.console_app.open_card(entry["run_id"], entry["gate_id"] or entry["step_id"])

    def action_open_run(self) -> None:
        entry = self._entry()
        if entry is not None:
            self.console_app.open_run(entry["run_id"], entry["step_id"])

    def action_open_log(self) -> None:
        entry = self._entry()
        if entry is not None:
            self.console_app.open_log(entry["run_id"], entry["step_id"])


def _key(entry: Mapping[str, Json]) -> str:
    return f"{entry['run_id']} {entry['gate_id'] or entry['step_id']}"


def _row(entry: Mapping[str, Json], now: int) -> Row:
    risk = entry["risk"]
    left = "-" if entry["expires_at"] is None else expiry(entry, now).removeprefix("in ")
    is_stuck = entry["gate_id"] is None
    cells = (
        Cell(duration(now - from_iso(entry["opened_at"])), "muted"),
        Cell("over" if left.startswith("the time") else left, "muted"),
        Cell(risk_word(risk), f"risk-{risk}" if risk else "muted"),
        Cell("! incomplete" if is_stuck else entry["kind"], "failed" if is_stuck else "waiting"),
        Cell(entry["gate_id"] or entry["step_id"]),
        Cell(f"{entry['code']}: {entry['title']}" if is_stuck else entry["title"]),
    )
    return Row(_key(entry), cells)
