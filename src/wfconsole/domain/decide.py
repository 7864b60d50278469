"""`decide`: what a fact means for a run. Pure and deterministic: state, fact and the evaluator in, a ruling out.

Time is in the fact, chance is nowhere, ids are derived. A fact that was decided before, or that reports what is already
known, gives an empty ruling. A command that the state does not allow gives a refusal, whose only record is `command_refused`.
"""

from __future__ import annotations

from typing import assert_never

from wfconsole.domain.advance import advance, end_run
from wfconsole.domain.closing import conclude
from wfconsole.domain.draft import Draft, Refusal, Ruling
from wfconsole.domain.events import (
    ArtifactRecorded,
    CommandRefused,
    EventChannelFailed,
    OwnerChanged,
    Record,
    RunCreated,
    RunPausing,
    RunResumed,
    RunStarted,
    wire_name,
)
from wfconsole.domain.facts import (
    AnyFact,
    AttemptEnded,
    CancelRun,
    ChannelFailed,
    PauseRun,
    ResumeRun,
    RunClosed,
    StartRun,
    TakeRun,
    Wakeup,
)
from wfconsole.domain.failures import cause
from wfconsole.domain.outcome import end_attempt
from wfconsole.domain.run import RunState
from wfconsole.domain.scope import Evaluate


def decide(state: RunState | None, fact: AnyFact, evaluate: Evaluate) -> Ruling:
    """The events that `fact` leads to, with their envelopes; `state` itself is not changed."""
    if state is None:
        return _create(fact)
    if fact.fact_id in state.seen:
        return Ruling()
    refusal = can(state, fact)
    draft = Draft(state.fork(), fact)
    if refusal is not None:
        draft.emit(
            CommandRefused(command=wire_name(type(fact)), code=refusal.code, reason=refusal.reason, hint=refusal.hint)
        )
        return Ruling(records=tuple(draft.records), refusal=refusal)
    if state.is_terminal:
        return Ruling()
    _apply(draft, fact, evaluate)
    _limits(draft)
    advance(draft, evaluate)
    return Ruling(records=tuple(draft.records))


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
    )
    record = Record(seq=1, at=fact.at, correlation_id=fact.fact_id, actor=fact.actor, event=created)
    return Ruling(records=(record,))


def can(state: RunState, fact: AnyFact) -> Refusal | None:
    """Why the command is not allowed now, or None. The greyed key, the CLI's error and the journal all say this."""
    match fact:
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
        case ResumeRun() if not state.pause_requested:
            return _refuse(f"run {state.run_id} is not paused: {state.status}", "")
        case CancelRun() if state.cancel_requested and not state.waiting and (not fact.force or state.cancel_force):
            return _refuse(f"run {state.run_id} is being cancelled already", "")
        case _:
            return None


def _refuse(reason: str, hint: str) -> Refusal:
    return Refusal(code="TRANSITION_REFUSED", reason=reason, hint=hint)


def _apply(draft: Draft, fact: AnyFact, evaluate: Evaluate) -> None:
    state = draft.state
    match fact:
        case TakeRun():
            draft.emit(OwnerChanged(owner=fact.owner) if state.started else RunStarted(owner=fact.owner))
        case PauseRun():
            draft.emit(RunPausing(draining=state.live, reason=fact.reason))
        case ResumeRun():
            draft.emit(RunResumed())
        case CancelRun():
            end_run(draft, reason=fact.reason, force=fact.force)
        case AttemptEnded():
            end_attempt(draft, fact, evaluate)
        case RunClosed():
            if state.closing:
                for artifact in fact.artifacts:
                    draft.emit(ArtifactRecorded(artifact=artifact))
                conclude(draft, evaluate)
        case Wakeup():
            pass  # what is due is looked at after every fact
        case ChannelFailed():
            draft.emit(EventChannelFailed(subscriber=fact.subscriber, error=fact.error, failed_seq=fact.failed_seq))
        case StartRun():
            raise AssertionError("refused by can()")
        case _:
            assert_never(fact)


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
    due: list[int] = []
    if state.timers and not state.pause_requested:
        free = state.live < state.plan.limits.max_concurrency
        due += [min(state.timers.values())] if free else []
    deadline = None if state.cancel_requested or state.open_main == 0 else run_deadline(state)
    if deadline is not None:
        due.append(deadline)
    return min(due) if due else None
