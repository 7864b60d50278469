"""One gate inside a RunView: what is asked, what was decided, how it was closed, as its events tell it.

Refuses to know the run around it, and clocks: whether a deadline is over is for whoever looks. The one decision that would
surprise: an answered question reads `granted`, by nobody when its default was taken at the timeout.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wfconsole.domain import events as ev
from wfconsole.domain.codec import iso, to_json
from wfconsole.domain.plan import Json
from wfconsole.views.step_part import moment

GateEvent = (
    ev.DecisionRecorded
    | ev.ApprovalGranted
    | ev.ApprovalRejected
    | ev.ApprovalExpired
    | ev.ApprovalWithdrawn
    | ev.InputReceived
)


@dataclass(slots=True)
class GatePart:
    """One gate; `document` gives its entry in ``approvals[]``."""

    asked: ev.ApprovalRequested
    opened_at: int
    status: str = "open"
    closed_at: int | None = None
    closed_by: tuple[str, ...] = ()
    reason: str | None = None
    choice: str | None = None
    answer: dict[str, Json] = field(default_factory=dict)
    decisions: list[dict[str, Json]] = field(default_factory=list)

    def add(self, event: GateEvent, at: int) -> None:
        """Apply one event of this gate."""
        match event:
            case ev.DecisionRecorded():
                self.decisions.append(_decision(event, at))
            case ev.ApprovalGranted():
                self._close("granted", at, event.by, event.reason, "approve")
            case ev.ApprovalRejected():
                self._close("rejected", at, event.by, event.reason, "reject")
            case ev.ApprovalExpired():
                self._close("expired", at, (), None, None)
            case ev.ApprovalWithdrawn():
                self._close("withdrawn", at, (), event.reason, None)
            case ev.InputReceived():
                self._close("granted", at, event.by, None, event.choice)
                self.answer = event.answer

    def _close(self, status: str, at: int, by: tuple[str, ...], reason: str | None, choice: str | None) -> None:
        self.status, self.closed_at, self.closed_by, self.reason, self.choice = status, at, by, reason, choice

    def document(self) -> dict[str, Json]:
        """The gate as JSON. `choice` and `answer` are what closed it, `closed_by` the people whose decisions did."""
        asked = self.asked
        return {
            "gate_id": asked.gate_id,
            "step_id": asked.step_id,
            "attempt": asked.attempt,
            "kind": asked.kind,
            "title": asked.title,
            "status": self.status,
            "choices": list(asked.choices),
            "form": [to_json(spec) for spec in asked.form],
            "default": asked.default,
            "context": asked.context,
            "context_digest": asked.context_digest,
            "approvers": to_json(asked.approvers),
            "require_reason": asked.require_reason,
            "on_reject": asked.on_reject,
            "on_timeout": asked.on_timeout,
            "opened_at": iso(self.opened_at),
            "expires_at": iso(asked.expires_at),
            "closed_at": moment(self.closed_at),
            "closed_by": list(self.closed_by),
            "choice": self.choice,
            "reason": self.reason,
            "answer": self.answer,
            "decisions": list(self.decisions),
        }


def _decision(event: ev.DecisionRecorded, at: int) -> dict[str, Json]:
    return {
        "choice": event.choice or None,
        "actor": event.principal,
        "reason": event.reason,
        "answer": event.answer,
        "at": iso(at),
        "signature": event.signature,
        "key": event.key,
    }
