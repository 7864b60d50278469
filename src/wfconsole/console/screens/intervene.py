"""The intervention panel: a preview of what would change in a run, drawn from the view model.

Owns nothing yet but the picture: there is no action that applies one, so its key says that in the command line's own sentence.
"""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from wfconsole.console.actions import act, bindings, register
from wfconsole.console.chrome import StatusLine
from wfconsole.console.evidence import EvidencePane
from wfconsole.console.screens.board import Board
from wfconsole.views.intervention import UNAVAILABLE, Proposal, proposal_lines

register(
    act("intervene.apply", "ctrl+s", "apply", "Apply what is proposed and record it", "apply", changes=True,
        refused_by="apply"),
)  # fmt: skip


class InterveneScreen(Board):
    """Shows a proposal."""

    scope = "intervene"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("intervene")]
    AUTO_FOCUS = "EvidencePane"

    def __init__(self, proposal: Proposal) -> None:
        super().__init__()
        self.proposal = proposal

    @property
    def heading(self) -> str:
        return f"INTERVENE {self.proposal.run_id}"

    @property
    def headline(self) -> str:
        return "preview, nothing applied"

    def body(self) -> ComposeResult:
        yield EvidencePane(id="proposal")
        yield StatusLine(id="status")

    def on_mount(self) -> None:
        self.query_one("#proposal", EvidencePane).set_lines(tuple(proposal_lines(self.proposal)))
        self.query_one("#status", StatusLine).show(f"apply is off: {self.refusals()['apply']}", "note")

    def refusals(self) -> dict[str, str]:
        return {"apply": self.proposal.problem or UNAVAILABLE}

    def action_apply(self) -> None:
        self.allowed("apply")
