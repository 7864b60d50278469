"""`evolve`: the only thing that changes a run's state. One event in, the state it leaves out.

Refuses to decide anything: it applies what happened and keeps the counters that make `decide`, `derive_run_status` and
`next_wakeup` cost the same at ten steps and at a hundred thousand. A change of status that `lifecycle` does not know raises
TransitionError, which means a bug or a forged journal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeAlias, assert_never

from wfconsole.domain.events import (
    ApprovalExpired,
    ApprovalGranted,
    ApprovalRejected,
    ApprovalRequested,
    ApprovalWithdrawn,
    ArtifactRecorded,
    AttemptAbandoned,
    AttemptAdopted,
    AttemptLeft,
    CommandRefused,
    CommandWarned,
    DecisionRecorded,
    EnvDrift,
    Event,
    EventChannelFailed,
    InputReceived,
    InputRequested,
    NotificationSent,
    OwnerChanged,
    Record,
    RunAwaitingApproval,
    RunCancelled,
    RunCancelling,
    RunClosing,
    RunCreated,
    RunDeleted,
    RunFailed,
    RunFailure,
    RunPaused,
    RunPausing,
    RunQuarantined,
    RunReadmitted,
    RunResumed,
    RunRetried,
    RunStarted,
    RunSucceeded,
    StepBackingOff,
    StepBlocked,
    StepCancelled,
    StepFailed,
    StepReused,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    TemplateFallback,
    WorkspaceKeeping,
    WorkspaceKept,
)
from wfconsole.domain.lifecycle import STEP_TERMINAL, TransitionError, check_approval, check_run, check_step
from wfconsole.domain.plan import PURE_KINDS
from wfconsole.domain.records import FailureCause
from wfconsole.domain.run import GateState, RunState, StepState, meet, new_state, release_finally


def evolve(state: RunState | None, record: Record) -> RunState:
    """The state after `record`. The first record of a run must be `run_created`; no other may be."""
    event = record.event
    if isinstance(event, RunCreated):
        if state is not None:
            raise ValueError("run_created is not the first event")
        state = new_state(event)
    elif state is None:
        raise ValueError("the first event is not run_created")
    else:
        _apply(state, event, record.at)
    state.seq, state.at = record.seq, record.at
    state.seen.add(record.correlation_id)
    return state


def fold(records: Iterable[Record]) -> RunState | None:
    """The state after all records; None for an empty journal."""
    state: RunState | None = None
    for record in records:
        state = evolve(state, record)
    return state


def _apply(state: RunState, event: Event, at: int) -> None:
    match event:
        case (
            StepStarted()
            | StepSucceeded()
            | StepFailed()
            | StepBackingOff()
            | StepCancelled()
            | StepSkipped()
            | StepBlocked()
            | StepReused()
        ):
            _apply_step(state, event)
        case (
            RunStarted()
            | RunResumed()
            | RunPausing()
            | RunPaused()
            | RunAwaitingApproval()
            | RunCancelling()
            | RunClosing()
            | RunSucceeded()
            | RunFailed()
            | RunCancelled()
            | OwnerChanged()
        ):
            _apply_run(state, event, at)
        case RunQuarantined() | RunReadmitted():
            state.aside = event if isinstance(event, RunQuarantined) else None
        case WorkspaceKeeping():
            state.keeping = event.step_id
        case WorkspaceKept():
            state.keeping = None
            if event.tree is not None:
                state.kept[event.step_id] = event.tree
        case ApprovalRequested() | DecisionRecorded() | InputRequested() | InputReceived():
            _apply_gate(state, event, at)
        case EventChannelFailed() | NotificationSent():
            state.telling -= {event.gate_id}
        case ApprovalGranted() | ApprovalRejected() | ApprovalExpired() | ApprovalWithdrawn():
            _close_gate(state, event)
        case (
            RunCreated()
            | RunRetried()
            | RunDeleted()
            | CommandWarned()
            | ArtifactRecorded()
            | AttemptAdopted()
            | CommandRefused()
        ):
            pass
        case AttemptAbandoned():
            state.edit(event.step_id).abandoned += 1
        case EnvDrift() | TemplateFallback():
            _apply_drift(state, event)
        case _:
            assert_never(event)


def _apply_drift(state: RunState, event: EnvDrift | TemplateFallback) -> None:
    step = state.edit(event.step_id)
    if isinstance(event, EnvDrift):
        step.drift = (*step.drift, (event.template, tuple(each.field for each in event.differences)))
    elif step.template is not None:
        raise TransitionError(f"step {event.step_id}: a second fallback")
    else:
        step.template = event.to_template


RunEvent: TypeAlias = (
    RunStarted | RunResumed | RunPausing | RunPaused | RunAwaitingApproval | RunCancelling | RunClosing | RunSucceeded
    | RunFailed | RunCancelled | OwnerChanged
)  # fmt: skip


_LEADS_TO: dict[type[RunEvent], str] = {
    RunStarted: "running", RunResumed: "running", RunPaused: "paused", RunAwaitingApproval: "awaiting_approval",
    RunSucceeded: "succeeded", RunFailed: "failed", RunCancelled: "cancelled",
}  # fmt: skip
_CLOSES: dict[type[Event], str] = {
    ApprovalGranted: "granted", ApprovalRejected: "rejected", ApprovalExpired: "expired", ApprovalWithdrawn: "withdrawn",
}  # fmt: skip


def _apply_run(state: RunState, event: RunEvent, at: int) -> None:
    """What happened to the run as a whole. What the table refuses is refused before anything has changed."""
    following = _LEADS_TO.get(type(event))
    if following is not None and following != state.status:
        check_run(state.status, following)
    match event:
        case RunStarted():
            state.started, state.owner = True, event.owner
            _set_status(state, "running", at)
        case RunResumed():
            state.pause_requested = False
            state.unblocked += event.gathers
            _set_status(state, "running", at)
        case RunPausing():
            state.pause_requested = True
        case RunPaused():
            _set_status(state, "paused", at)
        case RunAwaitingApproval():
            _set_status(state, "awaiting_approval", at)
        case RunCancelling():
            state.cancel_requested, state.pause_requested = True, False
            state.cancel_force = state.cancel_force or event.force
            state.cancel_reason = state.cancel_reason or event.reason
            state.cancel_code = state.cancel_code or event.code
            state.ended_by = state.ended_by or event.cause
            state.retry = (event.retry_from, event.gate_id) if event.retry_from and event.gate_id else None
        case RunClosing():
            state.closing = True
        case RunSucceeded():
            _close(state, "succeeded", at)
        case RunFailed(failure=failure):
            _fail(state, failure, at)
        case RunCancelled():
            _close(state, "cancelled", at)
        case OwnerChanged():
            state.owner = event.owner


def _apply_gate(
    state: RunState, event: ApprovalRequested | DecisionRecorded | InputRequested | InputReceived, at: int
) -> None:
    match event:
        case ApprovalRequested():
            _open_gate(state, event, at)
        case DecisionRecorded():
            gate = state.gates[event.gate_id]
            if gate.status != "open":
                raise TransitionError(f"gate {event.gate_id}: a decision when {gate.status}")
            state.gates[event.gate_id] = replace(gate, decisions=(*gate.decisions, event))
        case InputReceived():
            gate = state.gates[event.gate_id]
            check_approval(event.gate_id, gate.status, "granted")
            state.gates[event.gate_id] = replace(gate, status="granted", choice=event.choice, closed_by=event.by)
        case InputRequested():
            pass  # the gate was opened by the event before it


def _open_gate(state: RunState, event: ApprovalRequested, at: int) -> None:
    step, newest = state.edit(event.step_id), state.gate_of(event.step_id)
    if event.gate_id in state.gates or (newest is not None and newest.status == "open"):
        raise TransitionError(f"gate {event.gate_id}: asked twice")
    if event.kind != "blocked":  # of a blocked command `step_blocked` has said so already
        _move(state, step, "needs_human")
        step.cause = None
    state.gates[event.gate_id] = GateState(asked=event, opened_at=at, opened_seq=state.seq + 1)


def _close_gate(
    state: RunState, event: ApprovalGranted | ApprovalRejected | ApprovalExpired | ApprovalWithdrawn
) -> None:
    gate = closed = state.gates[event.gate_id]
    check_approval(event.gate_id, gate.status, _CLOSES[type(event)])
    match event:
        case ApprovalGranted():
            closed = replace(gate, status="granted", closed_by=event.by, reason=event.reason, choice="approve")
            if gate.asked.kind == "blocked":
                step = state.edit(event.step_id)
                step.let_through = (*step.let_through, gate.asked.argv)
                state.unblocked.append(event.step_id)
        case ApprovalRejected():
            closed = replace(gate, status="rejected", closed_by=event.by, reason=event.reason, choice="reject")
        case ApprovalExpired():
            closed = replace(gate, status="expired")
            if event.action == "cancel_and_notify":
                state.telling |= {event.gate_id}
        case ApprovalWithdrawn():
            closed = replace(gate, status="withdrawn", reason=event.reason)
    state.gates[event.gate_id] = closed


def _set_status(state: RunState, status: str, at: int) -> None:
    if status == state.status:
        return
    check_run(state.status, status)
    if state.running_since is not None:
        state.running_ms += at - state.running_since
    state.running_since = at if status == "running" else None
    state.status = status


def _fail(state: RunState, failure: RunFailure, at: int) -> None:
    if (
        state.harmed_by is None and state.ended_by is None
    ):  # neither step nor limit: an output of the run was not computable
        state.ended_by = FailureCause(code=failure.code, message=failure.message, hint=failure.hint)
    _close(state, "failed", at)


def _close(state: RunState, status: str, at: int) -> None:
    state.closed = True
    _set_status(state, status, at)


def _apply_step(
    state: RunState,
    event: StepStarted
    | StepSucceeded
    | StepFailed
    | StepBackingOff
    | StepCancelled
    | StepSkipped
    | StepBlocked
    | StepReused,
) -> None:
    step = state.edit(event.step_id)
    match event:
        case StepStarted():
            _move(state, step, "running")
            _start(state, step, event)
        case StepSucceeded():
            _move(state, step, "succeeded")
            step.outputs, step.outcome, step.cause = event.outputs, "succeeded", None
            state.last_succeeded = step.step_id
            _account(state, step, event)
        case StepFailed():
            _move(state, step, "failed")
            step.outputs, step.cause, step.outcome, step.allowed = (
                event.outputs,
                event.cause,
                event.outcome,
                event.allowed,
            )
            if not event.allowed and state.index.steps[step.step_id].parent is None:
                state.harmed_by = state.harmed_by or step.step_id
            _account(state, step, event)
        case StepBackingOff():
            _move(state, step, "backing_off")
            step.cause, step.outcome, step.retry_at = event.cause, event.outcome, event.until
            state.timers[step.step_id] = event.until
            _account(state, step, event)
        case StepCancelled():
            _move(state, step, "cancelled")
            step.outcome = "cancelled"
            _account(state, step, event)
        case StepReused():
            if step.status != "pending":
                raise TransitionError(f"step {step.step_id}: reused when {step.status}")
            _move(state, step, "succeeded")
            step.outputs, step.outcome, step.reused_from = event.outputs, "succeeded", event.reused_from
            state.last_succeeded = step.step_id
        case StepSkipped():
            _move(state, step, "skipped")
            step.skip_cause = event.cause
        case StepBlocked():
            if step.step_id in state.unblocked:  # a second command of a step whose first one was let through
                state.unblocked.remove(step.step_id)
            else:
                _move(state, step, "needs_human")
            step.cause = event.cause
    if step.status in STEP_TERMINAL:
        _end(state, step)


def _move(state: RunState, step: StepState, following: str) -> None:
    """Change one step's status and the counters that follow it."""
    current = step.status
    check_step(step.step_id, current, following)
    attempts = state.index.steps[step.step_id].kind not in PURE_KINDS
    state.live += attempts * ((following == "running") - (current == "running"))
    state.waiting += (following == "needs_human") - (current == "needs_human")
    if current == "backing_off":
        state.timers.pop(step.step_id, None)
        step.retry_at = None
    if step.step_id in state.unblocked:
        state.unblocked.remove(step.step_id)
    if current == "pending" and step.unmet == 0 and step.step_id in state.ready:
        state.ready.remove(step.step_id)
    step.status = following


def _start(state: RunState, step: StepState, event: StepStarted) -> None:
    step.attempt, step.let_through = event.attempt, ()
    state.attempts_started += 1
    if event.kind == "steps":
        for member in state.index.members.get(step.step_id, ()):
            meet(state, member)


def _account(state: RunState, step: StepState, event: AttemptLeft) -> None:
    step.exit_code = event.exit_code
    state.sandbox_ms += event.sandbox_ms
    state.cost_usd += event.cost_usd or 0.0


def _end(state: RunState, step: StepState) -> None:
    """A step is over: tell those who wait for it."""
    plan = state.index.steps[step.step_id]
    for dependent in state.index.dependents[step.step_id]:
        meet(state, dependent)
    if plan.parent is not None:
        state.edit(plan.parent).open_members -= 1
    if plan.phase == "finally":
        state.open_finally -= 1
    else:
        state.open_main -= 1
        if state.open_main == 0:
            release_finally(state)
