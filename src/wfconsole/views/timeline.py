"""The run as it goes on: one line for each event that matters, and one line for each step as it stands.

Owns the wording of the live view and of plain lines. Refuses to know terminals: lines are plain, safe text, and colours are for
whoever prints them. Time that has passed is computed from the `now` that the caller gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wfconsole.domain import events as ev
from wfconsole.domain.codec import from_iso, iso
from wfconsole.domain.events import Record
from wfconsole.domain.lifecycle import STEP_TERMINAL
from wfconsole.domain.plan import Json, Plan
from wfconsole.views.safe_text import safe_text
from wfconsole.views.words import duration, glyph, offset, plural, value_text, word

_MESSAGE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a timeline. `status` chooses glyph and colour; `subject` is the step, empty for the run itself."""

    status: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """One step as it stands. `depth` counts the groups around it; `took` is empty for a step that has not begun."""

    step_id: str
    status: str
    depth: int
    took: str
    detail: str


def event_line(record: Record, began: Mapping[str, int]) -> Line | None:
    """What an event means in words; None for one that a person need not see. `began`: when each step began (ms)."""
    event = record.event
    match event:
        case ev.StepStarted():
            again = "" if event.attempt == 1 else f" (attempt {event.attempt})"
            return _step("running", event.step_id, f"started{again}")
        case ev.StepSucceeded():
            return _step("succeeded", event.step_id, f"succeeded{_took(record, event.step_id, began)}")
        case ev.StepFailed():
            allowed = " (allowed to fail)" if event.allowed else ""
            took = _took(record, event.step_id, began)
            return _step(
                "failed", event.step_id, f"{event.outcome}{took}{allowed}: {event.cause.code}: {event.cause.message}"
            )
        case ev.StepBackingOff():
            wait = duration(event.until - record.at)
            text = f"attempt {event.attempt} {event.outcome}: {event.cause.code}: {event.cause.message}; next in {wait}"
            return _step("backing_off", event.step_id, text)
        case ev.StepCancelled():
            return _step("cancelled", event.step_id, "cancelled" + (f": {event.reason}" if event.reason else ""))
        case ev.StepSkipped():
            return _step("skipped", event.step_id, f"skipped: {event.reason}")
        case ev.StepBlocked():
            return _step("needs_human", event.step_id, f"blocked: {event.cause.code}: {event.cause.message}")
        case ev.AttemptAbandoned():
            return _step("backing_off", event.step_id, f"attempt {event.attempt} abandoned: {event.cause.message}")
        case _:
            return _rare_line(event) or _gate_line(event) or _run_line(event)


def _rare_line(event: ev.Event) -> Line | None:
    """What happens to few steps."""
    match event:
        case ev.AttemptAdopted():
            return _step("running", event.step_id, f"attempt {event.attempt} goes on under {event.owner}")
        case ev.StepReused():
            return _step("succeeded", event.step_id, f"taken over from run {event.reused_from}")
        case ev.CommandWarned():
            return _step("needs_human", event.step_id, f"warning: {event.message}")
        case ev.EnvDrift():
            names = ", ".join(each.field for each in event.differences)
            return _step("failed", event.step_id, f"the sandbox of template {event.template} has drifted: {names}")
        case ev.TemplateFallback():
            return _step("backing_off", event.step_id, f"falls back to template {event.to_template}")
        case _:
            return None


def _gate_line(event: ev.Event) -> Line | None:
    """What happened at a gate; the question behind `input_requested` was told by the event before it."""
    match event:
        case ev.ApprovalRequested():
            asks = {"question": "asks", "blocked": "asks for leave"}.get(event.kind, "asks for approval")
            return _step("needs_human", event.step_id, f"{asks}: {event.title} (until {iso(event.expires_at)})")
        case ev.DecisionRecorded():
            said = event.choice or "answered"
            return _step("needs_human", event.step_id, f"{event.principal}: {said}{_because(event.reason)}")
        case ev.ApprovalGranted():
            return _step("granted", event.step_id, f"granted by {', '.join(event.by)}")
        case ev.ApprovalRejected():
            by = ", ".join(event.by) or "the deadline"
            return _step("rejected", event.step_id, f"rejected by {by}{_because(event.reason)}; {event.action}")
        case ev.ApprovalExpired():
            return _step("expired", event.step_id, f"expired: nobody decided in time; {event.action}")
        case ev.ApprovalWithdrawn():
            return _step("withdrawn", event.step_id, f"withdrawn{_because(event.reason)}")
        case ev.InputReceived():
            by = f"answered by {', '.join(event.by)}" if event.by else "nobody answered in time; the default is taken"
            return _step("granted", event.step_id, f"{by}: {value_text(event.choice or event.answer)}")
        case _:
            return None


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""


def _step(status: str, step_id: str, text: str) -> Line:
    return Line(status=status, subject=safe_text(step_id), text=safe_text(text, limit=_MESSAGE))


def _took(record: Record, step_id: str, began: Mapping[str, int]) -> str:
    return f" in {duration(record.at - began[step_id])}" if step_id in began else ""


def _run_line(event: ev.Event) -> Line | None:
    found: tuple[str, str] | None = None
    match event:
        case ev.RunPausing():
            found = "paused", f"pausing: {plural(event.draining, 'step')} draining"
        case ev.RunPaused():
            found = "paused", "paused"
        case ev.RunResumed():
            found = "running", "running again"
        case ev.RunAwaitingApproval():
            found = "awaiting_approval", f"waiting for a person: {', '.join(event.waiting_for)}"
        case ev.RunCancelling(cause=None):
            why = f": {event.reason}" if event.reason else ""
            found = "cancelled", f"{'cancelling at once' if event.force else 'cancelling'}{why}"
        case ev.RunCancelling(cause=cause) if cause is not None:
            found = "failed", f"stopping: {cause.code}: {cause.message}"
        case ev.CommandRefused():
            found = "failed", f"refused {event.command}: {event.reason}"
        case ev.NotificationSent():
            found = "succeeded", f"the operator was told that {event.gate_id} expired"
        case ev.EventChannelFailed():
            found = "failed", f"subscriber {event.subscriber} did not take event {event.failed_seq}: {event.error}"
        case ev.RunDeleted():
            found = "cancelled", f"deleted{_because(event.reason)}"
        case ev.RunRetried():
            found = "running", f"goes on as run {event.successor}, at {event.retried_from}{_because(event.reason)}"
        case ev.OwnerChanged() | ev.RunQuarantined() | ev.RunReadmitted():
            found = _owner_line(event)
        case _:
            pass
    return None if found is None else Line(status=found[0], subject="", text=safe_text(found[1], limit=_MESSAGE))


def _owner_line(event: ev.OwnerChanged | ev.RunQuarantined | ev.RunReadmitted) -> tuple[str, str]:
    """Who drives the run, or that nobody does."""
    match event:
        case ev.OwnerChanged():
            return "running", f"taken over by {event.owner}"
        case ev.RunQuarantined():
            return "failed", f"set aside: {event.attempts} times it could not be driven: {event.code}: {event.message}"
        case ev.RunReadmitted():
            return "running", "taken back: the next owner drives it"


def plain(line: Line, *, since: int, width: int, ascii_only: bool) -> str:
    """The line as it is printed on a pipe; `since` milliseconds after creation, `width` of the column of step ids."""
    mark = glyph(line.status, ascii_only=ascii_only)
    subject = f"{line.subject:<{width}}  " if line.subject else ""
    return f"{offset(since)}  {mark} {subject}{line.text}"


def step_lines(plan: Plan, steps: Sequence[Mapping[str, Json]], now: int) -> list[StepLine]:
    """Every step as it stands, in the plan's order; `steps` as in a RunView."""
    status = {step["step_id"]: step["status"] for step in steps}
    needs = {step.step_id: [need.step for need in step.needs] for step in plan.steps}
    return [
        StepLine(
            step_id=safe_text(step["step_id"]),
            status=step["status"],
            depth=step["step_id"].count("/"),
            took=_step_took(step, now),
            detail=safe_text(_detail(step, needs[step["step_id"]], status, now), limit=_MESSAGE),
        )
        for step in steps
    ]


def _step_took(step: Mapping[str, Json], now: int) -> str:
    if step["started_at"] is None:
        return ""
    if step["duration_ms"] is not None:
        return duration(step["duration_ms"])
    return duration(now - from_iso(step["started_at"]))


def _detail(step: Mapping[str, Json], needs: Sequence[str], status: Mapping[str, str], now: int) -> str:
    """What a person asks next about this step: what it waits for, or why it ended as it did."""
    match step["status"]:
        case "pending":
            waits = [need for need in needs if status[need] not in STEP_TERMINAL]
            return f"waits for {', '.join(waits)}" if waits else ""
        case "running":
            return f"attempt {step['attempts'][-1]['n']}" if step["retries"] else ""
        case "backing_off":
            left = duration(max(0, from_iso(step["retry_at"]) - now)) if step["retry_at"] else "?"
            return f"next attempt in {left}: {step['reason']}"
        case "failed":
            failure = step["failure"] or {}
            return f"{failure.get('code', '')}: {failure.get('message', '')}"
        case "succeeded":
            taken = f"taken over from run {step['reused_from']}" if step["reused_from"] else ""
            return f"{step['retries'] + 1} attempts" if step["retries"] else taken
        case _:
            return step["reason"] or ""


def summary(steps: Sequence[Mapping[str, Json]]) -> str:
    """``5/8 steps: 4 succeeded, 1 failed, 2 running, 1 pending``; groups are not counted."""
    leaves = [step for step in steps if step["kind"] != "steps"]
    over = sum(step["status"] in STEP_TERMINAL for step in leaves)
    counts: dict[str, int] = {}
    for step in leaves:
        counts[step["status"]] = counts.get(step["status"], 0) + 1
    parts = ", ".join(f"{count} {word(name)}" for name, count in counts.items())
    return f"{over}/{len(leaves)} steps: {parts}" if parts else "no steps"


_URGENCY = {
    "failed": 0, "needs_human": 1, "running": 2, "backing_off": 3, "cancelled": 4, "pending": 5, "skipped": 6, "succeeded": 7,
}  # fmt: skip


def fit(lines: Sequence[StepLine], height: int) -> tuple[list[StepLine], int]:
    """At most `height` lines, the urgent ones kept, order unchanged; and how many were left out."""
    if len(lines) <= height:
        return list(lines), 0
    ranked = sorted(range(len(lines)), key=lambda place: (_URGENCY.get(lines[place].status, 9), place))
    keep = set(ranked[: max(0, height)])
    return [line for place, line in enumerate(lines) if place in keep], len(lines) - len(keep)
