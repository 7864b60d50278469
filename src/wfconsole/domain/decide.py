"""`decide`: what a fact means for a run. Pure and deterministic: state, fact and the evaluator in, a ruling out.

Time is in the fact, chance is nowhere, ids are derived. A fact that was decided before, or that reports what is already
known, gives an empty ruling. A command that the state does not allow gives a refusal, whose only record is `command_refused`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from wfconsole.domain.advance import advance, end_run, fail_unstarted
from wfconsole.domain.closing import conclude
from wfconsole.domain.draft import Draft, Refusal, Ruling
from wfconsole.domain.events import (
    ArtifactRecorded,
    AttemptAdopted,
    CommandRefused,
    EventChannelFailed,
    NotificationSent,
    OwnerChanged,
    Record,
    RunCreated,
    RunDeleted,
    RunPausing,
    RunQuarantined,
    RunReadmitted,
    RunResumed,
    RunStarted,
    StepReused,
    StepSkipped,
    WorkspaceKept,
    wire_name,
)
from wfconsole.domain.evolve import evolve
from wfconsole.domain.facts import (
    AnyFact,
    AttemptEnded,
    AttemptFound,
    CancelRun,
    ChannelFailed,
    DecideGate,
    DeleteRun,
    GateReady,
    OperatorTold,
    PauseRun,
    ResumeRun,
    RunClosed,
    SetAside,
    SnapshotTaken,
    StartRun,
    TakeRun,
    Wakeup,
)
from wfconsole.domain.failures import cause
from wfconsole.domain.gates import (
    ends_run,
    expire,
    lacks_context,
    open_gate,
    refuse_decision,
    retries_from,
    take_decision,
)
from wfconsole.domain.outcome import end_attempt
from wfconsole.domain.records import TIMER
from wfconsole.domain.run import GateState, RunState
from wfconsole.domain.scope import Evaluate
from wfconsole.domain.start import span_id


def decide(state: RunState | None, fact: AnyFact, evaluate: Evaluate) -> Ruling:
    """The events that `fact` leads to, with their envelopes; `state` itself is not changed."""
    if state is None:
        return _create(fact)
    if fact.fact_id in state.seen:
        return Ruling()
    draft = Draft(state.fork(), fact)
    if isinstance(fact, SetAside):
        return _set_aside(draft, fact)
    _expire_due(draft)  # first: no decision overtakes a deadline that was over before it
    refusal = can(draft.state, fact)
    if refusal is not None:
        return _refused(state, fact, refusal)
    if state.aside is not None and isinstance(fact, ResumeRun | CancelRun):
        draft.emit(RunReadmitted())
        if isinstance(fact, ResumeRun) and not state.pause_requested and not incomplete(state):
            return Ruling(records=tuple(draft.records))
    if state.is_terminal:
        if isinstance(fact, DeleteRun):
            draft.emit(_deleted(state, fact))
        return Ruling(records=tuple(draft.records))
    _apply(draft, fact, evaluate)
    _expire_due(draft)
    _limits(draft)
    advance(draft, evaluate)
    return Ruling(records=tuple(draft.records))


def _set_aside(draft: Draft, fact: SetAside) -> Ruling:
    """Nothing else follows from it: whatever does, an owner would have to carry out."""
    if not draft.state.is_terminal and draft.state.aside is None:
        draft.emit(RunQuarantined(attempts=fact.attempts, code=fact.code, message=fact.message, hint=fact.hint))
    return Ruling(records=tuple(draft.records))


def _refused(state: RunState, fact: AnyFact, refusal: Refusal) -> Ruling:
    """A refusal is all that happens: what is due besides is found by the wake-up that follows at once."""
    draft = Draft(state.fork(), fact)
    draft.emit(
        CommandRefused(command=wire_name(type(fact)), code=refusal.code, reason=refusal.reason, hint=refusal.hint)
    )
    return Ruling(records=tuple(draft.records), refusal=refusal)


def _deleted(state: RunState, fact: DeleteRun) -> RunDeleted:
    return RunDeleted(workflow_id=state.created.workflow_id, counts=fact.counts, bytes=fact.bytes, reason=fact.reason)


def _create(fact: AnyFact) -> Ruling:
    if not isinstance(fact, StartRun):
        raise TypeError(f"a run begins with StartRun, not {type(fact).__name__}")
    created = RunCreated(
        run_id=fact.run_id,
        workflow_id=fact.workflow_id,
        trace_id=fact.trace_id,
        plan=fact.plan,
        inputs=fact.inputs,
        project=fact.project,
        trigger=fact.trigger,
        intent_hash=fact.intent_hash,
        trace_url=fact.trace_url,
        workspace=fact.workspace,
        warnings=fact.warnings,
        author=fact.author,
        start=fact.start,
        lineage=fact.lineage,
        span_id=span_id(fact.trace_id, "", 0),
    )
    record = Record(seq=1, at=fact.at, correlation_id=fact.fact_id, actor=fact.actor, event=created)
    if not fact.taken:
        return Ruling(records=(record,))
    draft = Draft(evolve(None, record), fact)
    for step in fact.taken:
        for artifact in step.artifacts:
            draft.emit(ArtifactRecorded(artifact=artifact))
        if step.status == "skipped":
            draft.emit(StepSkipped(step_id=step.step_id, cause=step.cause, reason=step.reason))
        else:
            draft.emit(StepReused(step_id=step.step_id, reused_from=step.reused_from, outputs=step.outputs))
    return Ruling(records=(record, *draft.records))


def can(state: RunState, fact: AnyFact) -> Refusal | None:
    """Why the command is not allowed now, or None. The greyed key, the CLI's error and the journal all say this."""
    match fact:
        case DecideGate() | DeleteRun():
            return refuse_decision(state, fact) if isinstance(fact, DecideGate) else _refuse_deletion(state)
        case StartRun():
            return _refuse(f"run {state.run_id} exists already", "give another --id")
        case PauseRun() | ResumeRun() | CancelRun() if state.is_terminal:
            return _refuse(f"run {state.run_id} is over: {state.status}", f"wfconsole show {state.run_id}")
        case PauseRun() if state.cancel_requested:
            return _refuse(f"run {state.run_id} is being cancelled", "")
        case PauseRun() if state.closing:
            return _refuse(f"every step of run {state.run_id} is over", "")
        case PauseRun() if state.pause_requested:
            return _refuse(f"run {state.run_id} is paused or pausing already", f"wfconsole resume {state.run_id}")
        case PauseRun() if not state.started:
            return _refuse(f"run {state.run_id} has not started", f"wfconsole cancel {state.run_id}")
        case ResumeRun() if not state.pause_requested and not incomplete(state) and state.aside is None:
            return _refuse(f"run {state.run_id} is not paused: {state.status}", "")
        case CancelRun() if state.cancel_requested and not state.waiting and (not fact.force or state.cancel_force):
            return _refuse(f"run {state.run_id} is being cancelled already", "")
        case _:
            return None


def _refuse_deletion(state: RunState) -> Refusal | None:
    if state.is_terminal:
        return None
    return _refuse(
        f"run {state.run_id} is not over: {state.status}", f"wfconsole cancel {state.run_id}, then delete it"
    )


def _refuse(reason: str, hint: str) -> Refusal:
    return Refusal(code="TRANSITION_REFUSED", reason=reason, hint=hint)


def _hear_of(draft: Draft, fact: AttemptFound | AttemptEnded, evaluate: Evaluate) -> None:
    if isinstance(fact, AttemptEnded):
        end_attempt(draft, fact, evaluate)
        return
    step = draft.state.step(fact.step_id) if fact.step_id in draft.state.steps else None
    if step is not None and step.status == "running" and step.attempt == fact.attempt:
        draft.emit(AttemptAdopted(step_id=fact.step_id, attempt=fact.attempt, owner=fact.owner))


def _apply(draft: Draft, fact: AnyFact, evaluate: Evaluate) -> None:
    state = draft.state
    match fact:
        case TakeRun():
            draft.emit(OwnerChanged(owner=fact.owner) if state.started else RunStarted(owner=fact.owner))
        case PauseRun():
            draft.emit(RunPausing(draining=state.live, reason=fact.reason))
        case ResumeRun():
            draft.emit(RunResumed(gathers=tuple(incomplete(state))))
        case CancelRun():
            end_run(draft, reason=fact.reason, force=fact.force)
        case AttemptFound() | AttemptEnded():
            _hear_of(draft, fact, evaluate)
        case GateReady():
            open_gate(draft, fact)
        case DecideGate():
            _follow_up(draft, take_decision(draft, fact))
        case SnapshotTaken():
            _keep(draft, fact)
        case RunClosed():
            _conclude(draft, fact, evaluate)
        case Wakeup():
            pass  # what is due is looked at after every fact
        case OperatorTold():
            _told(draft, fact)
        case ChannelFailed():
            draft.emit(EventChannelFailed(subscriber=fact.subscriber, error=fact.error, failed_seq=fact.failed_seq))
        case StartRun() | DeleteRun() | SetAside():
            raise AssertionError("refused by can(), or decided before")
        case _:
            assert_never(fact)


def _keep(draft: Draft, fact: SnapshotTaken) -> None:
    """The step may start now; without a way back to before it, it must not."""
    state = draft.state
    if state.keeping != fact.step_id:
        return
    draft.emit(WorkspaceKept(step_id=fact.step_id, tree=fact.tree, cause=fact.cause))
    if fact.cause is not None and state.step(fact.step_id).status == "pending":
        fail_unstarted(draft, state.index.steps[fact.step_id], fact.cause)


def _told(draft: Draft, fact: OperatorTold) -> None:
    """Once for each expiry: that a hook was called again after a crash changes nothing."""
    if fact.gate_id not in draft.state.telling:
        return
    if fact.problem is None:
        draft.emit(NotificationSent(gate_id=fact.gate_id, step_id=fact.step_id))
    else:
        draft.emit(
            EventChannelFailed(subscriber="hooks", error=fact.problem, failed_seq=fact.seq, gate_id=fact.gate_id)
        )


def _conclude(draft: Draft, fact: RunClosed, evaluate: Evaluate) -> None:
    if draft.state.closing:
        for artifact in fact.artifacts:
            draft.emit(ArtifactRecorded(artifact=artifact))
        conclude(draft, evaluate)


def incomplete(state: RunState) -> list[str]:
    """Gates whose context could not be gathered: `resume` gathers it again."""
    return [step.step_id for step in state.all_steps() if lacks_context(step) and step.step_id not in state.unblocked]


def _follow_up(draft: Draft, gate: GateState) -> None:
    """What the closing of a gate means for the run as a whole."""
    reason = ends_run(gate)
    if reason is not None and not draft.state.cancel_requested:
        step = draft.state.step(gate.asked.step_id)
        code = None if step.cause is None else step.cause.code
        end_run(draft, reason=reason, code=code, retry_from=retries_from(draft.state, gate), gate_id=gate.asked.gate_id)


def _expire_due(draft: Draft) -> None:
    """Close every gate whose time is over, in the timer's name; deadlines count also while the run is paused."""
    timer = replace(draft, fact=replace(draft.fact, actor=TIMER))  # the same state and records
    for gate_id in [gate.asked.gate_id for gate in draft.state.open_gates() if gate.asked.expires_at <= draft.at]:
        if draft.state.gates[gate_id].status == "open":  # not withdrawn by what followed from the one before
            expire(timer, draft.state.gates[gate_id])
            _follow_up(timer, draft.state.gates[gate_id])


def _limits(draft: Draft) -> None:
    """End the run when it has reached a limit of the recipe; `finally` steps are bounded by their own timeouts."""
    state, limits = draft.state, draft.state.plan.limits
    if state.cancel_requested or state.open_main == 0:
        return
    deadline = run_deadline(state)
    if deadline is not None and draft.at >= deadline:
        end_run(draft, why=cause("RUN_TIMED_OUT", f"the run was running longer than {limits.timeout_ms} ms"))
    elif limits.sandbox_time_ms is not None and state.sandbox_ms > limits.sandbox_time_ms:
        end_run(draft, why=cause("BUDGET_EXCEEDED", f"sandbox time is over {limits.sandbox_time_ms} ms"))
    elif limits.cost_usd is not None and state.cost_usd > limits.cost_usd:
        end_run(draft, why=cause("BUDGET_EXCEEDED", f"cost {state.cost_usd:.4f} USD is over {limits.cost_usd} USD"))


def run_deadline(state: RunState) -> int | None:
    """When the run's own timeout falls due, if it keeps running; only time in `running` counts."""
    timeout = state.plan.limits.timeout_ms
    if timeout is None or state.running_since is None:
        return None
    return state.running_since + timeout - state.running_ms


def next_wakeup(state: RunState) -> int | None:
    """The next moment at which time alone changes something; None when nothing waits for time. Constant in the steps."""
    due: list[int] = [gate.asked.expires_at for gate in state.gates.values() if gate.status == "open"]
    if state.timers and not state.pause_requested and state.keeping is None:
        free = state.live < state.plan.limits.max_concurrency
        due += [min(state.timers.values())] if free else []
    deadline = None if state.cancel_requested or state.open_main == 0 else run_deadline(state)
    if deadline is not None:
        due.append(deadline)
    return min(due) if due else None
