"""One step inside a RunView: its status, attempts, outputs and artifacts as its events tell them.

Refuses to know the run around it. The decision that would surprise: groups, `set` and `check` have attempts, too (they begin once
and end once), so a reader needs no special case for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wfconsole.domain import events as ev
from wfconsole.domain.moments import elapsed as elapsed, iso, moment as moment  # noqa: PLC0414 - asked for here, too
from wfconsole.domain.plan import Json, StepPlan
from wfconsole.domain.records import CommandRecord, FailureCause, StreamRef

Ending = ev.StepSucceeded | ev.StepFailed | ev.StepBackingOff | ev.StepCancelled
StepEvent = (
    ev.StepStarted
    | ev.StepSucceeded
    | ev.StepFailed
    | ev.StepBackingOff
    | ev.StepCancelled
    | ev.StepSkipped
    | ev.StepReused
    | ev.StepBlocked
    | ev.ApprovalRequested
)


@dataclass(slots=True)
class AttemptPart:
    """One attempt. `warned` holds the policy's remarks by argv, to be shown with the command they are about."""

    n: int
    started_at: int
    span_id: str | None
    finished_at: int | None = None
    outcome: str | None = None
    cause: FailureCause | None = None
    exit_code: int | None = None
    template: str | None = None
    fingerprint: str | None = None
    commands: tuple[CommandRecord, ...] = ()
    warned: list[tuple[tuple[str, ...], str]] = field(default_factory=list)


@dataclass(slots=True)
class StepPart:
    """One step; `document` gives its entry in ``steps[]``."""

    plan: StepPlan
    status: str = "pending"
    reason: str | None = None
    cause: FailureCause | None = None
    started_at: int | None = None
    finished_at: int | None = None
    retry_at: int | None = None
    outputs: dict[str, Json] = field(default_factory=dict)
    attempts: list[AttemptPart] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)
    reused_from: str | None = None

    def add(self, event: StepEvent, at: int) -> None:
        """Apply one event of this step."""
        self.retry_at = None
        match event:
            case ev.StepStarted():
                self.status, self.reason, self.cause = "running", None, None
                self.started_at = at if self.started_at is None else self.started_at
                self.attempts.append(AttemptPart(event.attempt, at, event.span_id))
            case ev.StepSucceeded():
                self._end("succeeded", at, event, "succeeded", None)
                self.outputs = event.outputs
            case ev.StepFailed():
                self._end("failed", at, event, event.outcome, event.cause)
                self.outputs = event.outputs
            case ev.StepBackingOff():
                self._end("backing_off", at, event, event.outcome, event.cause)
                self.retry_at = event.until
            case ev.StepCancelled():
                self._end("cancelled", at, event, "cancelled", None)
                self.reason = event.reason
            case ev.StepReused():
                self.status, self.finished_at = "succeeded", at
                self.outputs, self.reused_from = event.outputs, event.reused_from
            case ev.StepSkipped():
                self.status, self.reason, self.finished_at = "skipped", event.reason, at
            case ev.StepBlocked():
                self.status, self.reason, self.cause = "needs_human", event.cause.message, event.cause
                self._interrupt(event.cause, at)
            case ev.ApprovalRequested(kind="blocked"):
                self.status = "needs_human"  # for the reason that the policy gave right before
            case ev.ApprovalRequested():
                self.status, self.reason, self.cause = "needs_human", event.title, None

    def _interrupt(self, cause: FailureCause, at: int) -> None:
        """A gate whose context could not be gathered: its attempt is over, the step is not."""
        attempt = self.attempts[-1] if self.attempts else None
        if attempt is not None and attempt.finished_at is None:
            attempt.finished_at, attempt.outcome, attempt.cause = at, "errored", cause

    def abandon(self, event: ev.AttemptAbandoned, at: int) -> None:
        """The attempt's owner died and nothing of it is left; the step itself changes by its next event."""
        attempt = self._attempt(event.attempt)
        if attempt is not None:
            attempt.outcome, attempt.cause, attempt.finished_at = "abandoned", event.cause, at

    def warn(self, event: ev.CommandWarned) -> None:
        attempt = self._attempt(event.attempt)
        if attempt is not None:
            attempt.warned.append((event.argv, event.message))

    def _attempt(self, n: int | None) -> AttemptPart | None:
        return next((attempt for attempt in reversed(self.attempts) if attempt.n == n), None)

    def _end(self, status: str, at: int, event: Ending, outcome: str, cause: FailureCause | None) -> None:
        self.status, self.cause = status, cause
        self.reason = cause.message if cause else None
        if status != "backing_off":
            self.finished_at = at
        attempt = self._attempt(event.attempt)
        if attempt is None or attempt.finished_at is not None:
            return
        attempt.finished_at, attempt.outcome, attempt.cause = at, outcome, cause
        attempt.exit_code, attempt.commands = event.exit_code, event.commands
        attempt.template, attempt.fingerprint = event.template, event.fingerprint

    def document(self, trace_url: str | None, trace_id: str) -> dict[str, Json]:
        """The step as JSON; `trace_url` is the template with ``{trace_id}`` and ``{span_id}``."""
        span = self.attempts[-1].span_id if self.attempts else None
        return {
            "step_id": self.plan.step_id,
            "kind": self.plan.kind,
            "status": self.status,
            "reason": self.reason,
            "failure": cause_document(self.cause) if self.status in {"failed", "needs_human"} else None,
            "started_at": moment(self.started_at),
            "finished_at": moment(self.finished_at),
            "duration_ms": elapsed(self.started_at, self.finished_at),
            "retry_at": moment(self.retry_at),
            "retries": max(0, len(self.attempts) - 1),
            "attempts": [_attempt_document(attempt) for attempt in self.attempts],
            "outputs": self.outputs,
            "artifacts": list(self.artifacts),
            "reused_from": self.reused_from,
            "trace_url": fill_trace(trace_url, trace_id, span),
            "children": None,
        }


def fill_trace(template: str | None, trace_id: str, span_id: str | None) -> str | None:
    """The operator's link to a trace; None without a template, or before the step has a span."""
    if template is None or span_id is None:
        return None
    return template.replace("{trace_id}", trace_id).replace("{span_id}", span_id)


def cause_document(cause: FailureCause | None) -> dict[str, Json] | None:
    if cause is None:
        return None
    return {"code": cause.code, "message": cause.message, "hint": cause.hint, "details": cause.details}


def _attempt_document(attempt: AttemptPart) -> dict[str, Json]:
    return {
        "n": attempt.n,
        "outcome": attempt.outcome,
        "cause": cause_document(attempt.cause),
        "exit_code": attempt.exit_code,
        "template": attempt.template,
        "fingerprint": attempt.fingerprint,
        "started_at": iso(attempt.started_at),
        "finished_at": moment(attempt.finished_at),
        "span_id": attempt.span_id,
        "commands": [_command_document(command, attempt.warned) for command in attempt.commands],
    }


def _command_document(command: CommandRecord, warned: list[tuple[tuple[str, ...], str]]) -> dict[str, Json]:
    extra = [message for argv, message in warned if argv == command.argv and message not in command.warnings]
    return {
        "index": command.index,
        "argv": list(command.argv),
        "cwd": command.cwd,
        "exit_code": command.exit_code,
        "signal": command.signal,
        "error": command.error,
        "warnings": [*command.warnings, *dict.fromkeys(extra)],
        "started_at": moment(command.started_at),
        "finished_at": moment(command.finished_at),
        "stdout": _stream(command.stdout),
        "stderr": _stream(command.stderr),
    }


def _stream(ref: StreamRef | None) -> dict[str, Json] | None:
    return None if ref is None else {"path": ref.path, "bytes": ref.bytes}
