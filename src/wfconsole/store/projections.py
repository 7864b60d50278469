"""What one event changes in the projections: a pure function from a record to statements with their parameters.

Refuses to read the database and to decide: a row is what the last event said, and a rebuild from the journal gives the same
rows. The decision that would surprise: the JSON `view` is changed by events of the run alone, never by events of steps, so
that a step costs the same however large the run's inputs are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias, assert_never

from wfconsole.domain import events as ev
from wfconsole.domain.codec import canonical, iso
from wfconsole.domain.events import Record, RunCreated, RunFailure
from wfconsole.domain.plan import Json
from wfconsole.domain.records import FailureCause
from wfconsole.store import statements as sql

Value: TypeAlias = str | int | float | bytes | None
Change: TypeAlias = tuple[str, tuple[Value, ...]]

_Ending: TypeAlias = ev.StepSucceeded | ev.StepFailed | ev.StepCancelled
_Ended: TypeAlias = _Ending | ev.StepBackingOff | ev.AttemptAbandoned


_COUNTED: tuple[type, ...] = (ev.StepSucceeded, ev.StepFailed, ev.StepSkipped, ev.StepCancelled)


def advance(run_id: str, seq: int, records: Iterable[Record]) -> Change:
    """The statement that brings the run's row to `seq`, `records` having been projected; one a commit."""
    found = [type(record.event) for record in records]
    types = [ev.StepSucceeded if each is ev.StepReused else each for each in found]
    return sql.RUN_ADVANCED, (seq, *(types.count(counted) for counted in _COUNTED), run_id)


def project(run_id: str, record: Record) -> Iterator[Change]:
    """The statements that bring the projections of `run_id` from before `record` to after it, in order."""
    event = record.event
    match event:
        case RunCreated():
            yield from _created(run_id, record, event)
        case (
            ev.RunStarted() | ev.RunPaused() | ev.RunResumed() | ev.RunAwaitingApproval() | ev.RunSucceeded()
            | ev.RunFailed() | ev.RunCancelled() | ev.RunDeleted() | ev.RunQuarantined() | ev.RunReadmitted()
        ):  # fmt: skip
            yield from _run(run_id, record, event)
        case ev.StepStarted():
            yield sql.STEP_STARTED, (event.attempt, record.at, run_id, event.step_id)
            yield sql.CLAIM, (run_id, event.step_id, event.attempt, record.at)
        case ev.StepBackingOff():
            cause = event.cause
            yield sql.STEP_WAITS, ("backing_off", cause.code, cause.message, run_id, event.step_id)
            yield _attempt(run_id, record.at, event, event.outcome)
        case ev.StepBlocked():
            yield sql.STEP_WAITS, ("needs_human", event.cause.code, event.cause.message, run_id, event.step_id)
        case ev.ApprovalRequested():
            if event.kind != "blocked":  # the `step_blocked` before it has the reason
                yield sql.STEP_WAITS, ("needs_human", None, event.title, run_id, event.step_id)
        case ev.StepSucceeded() | ev.StepFailed() | ev.StepCancelled():
            yield from _ended(run_id, record.at, event)
        case ev.StepReused():
            yield sql.STEP_ENDED, ("succeeded", record.at, None, None, run_id, event.step_id)
        case ev.StepSkipped():
            yield sql.STEP_ENDED, ("skipped", record.at, event.cause, event.reason, run_id, event.step_id)
        case ev.AttemptAbandoned():
            yield _attempt(run_id, record.at, event, "abandoned")
        case ev.ArtifactRecorded():
            item = event.artifact
            yield (
                sql.ARTIFACT,
                (
                    run_id, item.artifact_id, item.step_id, item.attempt, item.name, item.kind, item.sha256, item.bytes,
                    item.media_type, item.reason,
                ),
            )  # fmt: skip
        case (
            ev.RunPausing() | ev.RunCancelling() | ev.RunClosing() | ev.CommandWarned() | ev.CommandRefused()
            | ev.OwnerChanged() | ev.AttemptAdopted() | ev.EventChannelFailed() | ev.DecisionRecorded() | ev.ApprovalGranted()
            | ev.ApprovalRejected() | ev.ApprovalExpired() | ev.ApprovalWithdrawn() | ev.InputRequested()
            | ev.RunRetried() | ev.WorkspaceKeeping() | ev.WorkspaceKept()
            | ev.InputReceived() | ev.NotificationSent() | ev.EnvDrift() | ev.TemplateFallback()
        ):  # fmt: skip
            return
        case _:
            assert_never(event)


def _created(run_id: str, record: Record, event: RunCreated) -> Iterator[Change]:
    plan = event.plan
    yield (
        sql.RUN_CREATED,
        (
            run_id, event.workflow_id, event.trace_id, plan.recipe.name, plan.recipe.version, event.project,
            event.intent_hash, record.at, record.seq, len(plan.steps), _text(_view(run_id, record, event)),
        ),
    )  # fmt: skip
    for ordinal, step in enumerate(plan.steps):
        yield sql.STEP_PLANNED, (run_id, step.step_id, ordinal, step.kind, step.parent)


def _view(run_id: str, record: Record, event: RunCreated) -> Json:
    recipe = event.plan.recipe
    return {
        "run_id": run_id,
        "workflow_id": event.workflow_id,
        "trace_id": event.trace_id,
        "status": "pending",
        "recipe": {"name": recipe.name, "version": recipe.version, "digest": recipe.digest, "origin": recipe.origin},
        "project": event.project,
        "trigger": {
            "kind": event.trigger,
            "surface": record.actor.surface,
            "actor": record.actor.user,
            "host": record.actor.host,
        },
        "inputs": event.inputs,
        "intent_hash": event.intent_hash,
        "created_at": iso(record.at),
        "started_at": None,
        "finished_at": None,
        "duration_ms": None,
        "failure": None,
        "waiting_for": [],
        "outputs": {},
    }


_RunEvent: TypeAlias = (
    ev.RunStarted
    | ev.RunPaused
    | ev.RunResumed
    | ev.RunAwaitingApproval
    | ev.RunSucceeded
    | ev.RunFailed
    | ev.RunCancelled
    | ev.RunDeleted
    | ev.RunQuarantined
    | ev.RunReadmitted
)


def _run(run_id: str, record: Record, event: _RunEvent) -> Iterator[Change]:
    at = record.at
    match event:
        case ev.RunDeleted():
            yield sql.TOMBSTONE, (run_id, record.seq, event.workflow_id)
            for statement in (*sql.FORGET, sql.LEASE_ENDS):
                yield statement, (run_id,)
        case ev.RunStarted():
            yield sql.RUN_STARTED, (at, iso(at), run_id)
            yield _status(run_id, "running")
        case ev.RunResumed():
            yield _status(run_id, "running")
        case ev.RunPaused():
            yield _status(run_id, "paused")
        case ev.RunQuarantined():
            aside = {"at": iso(at), "attempts": event.attempts, "code": event.code}
            yield sql.RUN_ASIDE, (_text({**aside, "message": event.message, "hint": event.hint}), run_id)
        case ev.RunReadmitted():
            yield sql.RUN_ASIDE, ("null", run_id)
        case ev.RunAwaitingApproval():
            yield _status(run_id, "awaiting_approval", event.waiting_for)
        case ev.RunSucceeded():
            yield _status(run_id, "succeeded")
            yield _finished(run_id, at, None, event.outputs)
        case ev.RunFailed():
            yield _status(run_id, "failed")
            yield _finished(run_id, at, event.failure, event.outputs)
        case ev.RunCancelled():
            yield _status(run_id, "cancelled")
            yield _finished(run_id, at, None, event.outputs)
        case _:
            assert_never(event)


def _status(run_id: str, status: str, waiting_for: tuple[str, ...] = ()) -> Change:
    return sql.RUN_STATUS, (status, _text(list(waiting_for)), run_id)


def _failure(failure: RunFailure) -> dict[str, Json]:
    """As a RunView has it, so that `runs --query` finds what `show` shows."""
    from wfconsole.views.run_view import failure_document  # not before there is a failure to tell of

    return failure_document(failure)


def _finished(run_id: str, at: int, failure: RunFailure | None, outputs: dict[str, Json]) -> Change:
    shown = failure and _failure(failure)
    code = failure.code if failure else None
    return sql.RUN_ENDED, (at, code, iso(at), _text(shown), _text(outputs), run_id)


def _ended(run_id: str, at: int, event: _Ending) -> Iterator[Change]:
    cause: FailureCause | None = None
    match event:
        case ev.StepSucceeded():
            status, outcome, reason = "succeeded", "succeeded", None
        case ev.StepFailed():
            cause = event.cause
            status, outcome, reason = "failed", event.outcome, cause.message
        case ev.StepCancelled():
            status, outcome, reason = "cancelled", "cancelled", event.reason
        case _:
            assert_never(event)
    yield sql.STEP_ENDED, (status, at, cause.code if cause else None, reason, run_id, event.step_id)
    if event.attempt is not None:
        yield _attempt(run_id, at, event, outcome)


def _attempt(run_id: str, at: int, event: _Ended, outcome: str) -> Change:
    cause = None if isinstance(event, ev.StepSucceeded | ev.StepCancelled) else event.cause
    exit_code = None if isinstance(event, ev.AttemptAbandoned) else event.exit_code
    code = cause.code if cause else None
    return sql.ATTEMPT_ENDED, (at, outcome, code, exit_code, run_id, event.step_id, event.attempt)


def _text(value: Json) -> str:
    return canonical(value).decode()
