"""What follows from the end of an attempt: success, automatic retry, failure, cancellation, and the artifacts it leaves.

Refuses to know how the outcome was found out. Every executed step leaves artifacts or the explicit statement that it left none.
"""

from __future__ import annotations

import zlib
from typing import Any

from wfconsole.domain.draft import Draft
from wfconsole.domain.events import (
    ArtifactRecorded,
    AttemptAbandoned,
    EnvDrift,
    StepBackingOff,
    StepBlocked,
    StepCancelled,
    StepFailed,
    StepSucceeded,
    TemplateFallback,
)
from wfconsole.domain.facts import AttemptEnded
from wfconsole.domain.failures import cause
from wfconsole.domain.gates import withdraw
from wfconsole.domain.plan import EFFECT_KINDS, GATE_KINDS, PURE_KINDS, Json, RetryPolicy, StepPlan
from wfconsole.domain.policy.drift import Drift, verdict
from wfconsole.domain.records import ArtifactRecord, FailureCause
from wfconsole.domain.run import RunState
from wfconsole.domain.scope import Evaluate, Reach, members_scope
from wfconsole.domain.values import ExpressionError, resolve

MAX_ABANDONED = 3
"""How many attempts of a step may be abandoned; a step that takes its sandbox with it each time fails then."""
_FOR_GOOD = frozenset({"ENV_DRIFT", "POLICY_BLOCKED"})
"""What the next attempt would meet again: no automatic retry."""


def end_attempt(draft: Draft, fact: AttemptEnded, evaluate: Evaluate) -> None:
    """Record how the attempt ended. A report about an attempt that is not under way is a no-op.

    An abandoned attempt is followed by the next one at once, whatever the retry policy says: its owner died or its sandbox was
    taken away, and the command itself has said nothing; the third is a failure. A cancelled attempt that nobody had asked to
    cancel is a failure too, or the run would succeed without the step.
    """
    state = draft.state
    plan = state.index.steps.get(fact.step_id)
    if plan is None or plan.kind in PURE_KINDS:
        return
    step = state.step(fact.step_id)
    if step.status != "running" or step.attempt != fact.attempt:
        return
    for artifact in fact.artifacts or (nothing_left(plan, fact.attempt),):
        draft.emit(ArtifactRecorded(artifact=artifact))
    falls_back = fact.drift is not None and _drifted(draft, fact, fact.drift)
    shared = _shared(fact)
    outputs, problem = _outputs(state, plan, fact, evaluate)
    if fact.outcome == "succeeded" and problem is None and plan.kind not in GATE_KINDS:
        draft.emit(StepSucceeded(outputs=outputs, **shared))
        return
    why = fact.cause or problem or cause("STEP_FAILED", f"the attempt ended as {fact.outcome}")
    if why.code == "TEMPLATE_MISSING" and step.template is not None:
        why = cause("ENV_DRIFT", f"the sandbox had drifted, and its fallback is not there: {why.message}", why.hint)
    outcome = "failed" if fact.outcome == "succeeded" else fact.outcome
    gives_up = state.gives_up(plan.phase)
    if plan.kind in GATE_KINDS and outcome != "abandoned" and not gives_up:
        draft.emit(StepBlocked(step_id=fact.step_id, cause=_no_context(why, state.run_id)))
        return
    if outcome == "abandoned":
        draft.emit(AttemptAbandoned(step_id=fact.step_id, attempt=fact.attempt, cause=why))
        step = state.step(fact.step_id)
    if gives_up and outcome in {"cancelled", "abandoned"}:
        draft.emit(StepCancelled(reason=state.end_reason or why.message, **shared))
    elif not gives_up and (falls_back or (outcome == "abandoned" and step.abandoned < MAX_ABANDONED)):
        draft.emit(StepBackingOff(outcome=outcome, cause=why, until=draft.at, **shared))
    elif (
        not gives_up
        and why.code not in _FOR_GOOD
        and outcome in plan.retry.outcomes
        and fact.attempt < plan.retry.attempts
    ):
        until = draft.at + backoff_ms(plan.retry, fact.attempt, f"{state.run_id}/{plan.step_id}")
        draft.emit(StepBackingOff(outcome=outcome, cause=why, until=until, **shared))
    else:
        draft.emit(StepFailed(outcome=outcome, cause=why, allowed=plan.allow_failure, outputs=outputs, **shared))


def _drifted(draft: Draft, fact: AttemptEnded, drift: Drift) -> bool:
    """Record the drift, and the fallback when there is one: does the step go on in another template?"""
    state = draft.state
    fell_back = state.step(fact.step_id).template is not None
    decision = verdict(drift, fell_back=fell_back)
    goes_on = decision == "fallback" and not state.gives_up(state.index.steps[fact.step_id].phase)
    draft.emit(
        EnvDrift(
            step_id=fact.step_id,
            attempt=fact.attempt,
            template=drift.template,
            phase=drift.phase,
            differences=drift.differences,
            decision=decision,
            command_started=drift.command_started,
            fallback_template=drift.fallback_template if decision == "fallback" else None,
            artifact_id=next((each.artifact_id for each in fact.artifacts if each.kind == "env_drift"), None),
        )
    )
    if goes_on and drift.fallback_template is not None:
        names = {"from_template": drift.template, "to_template": drift.fallback_template}
        draft.emit(TemplateFallback(step_id=fact.step_id, attempt=fact.attempt, **names))
    return goes_on


def _no_context(why: FailureCause, run_id: str) -> FailureCause:
    """Whatever kept a gate's attempt from showing its context: the gate stays shut, and `resume` gathers it again."""
    if why.code == "CONTEXT_INCOMPLETE":
        return why
    hint = f"{why.hint or 'mend what is named'}; then `wfconsole resume {run_id}`"
    return cause("CONTEXT_INCOMPLETE", why.message, hint, problem=why.code)


def _shared(fact: AttemptEnded) -> dict[str, Any]:
    names = (
        "step_id", "attempt", "exit_code", "commands", "template", "fingerprint", "cost_usd", "sandbox_ms",
        "output_bytes", "warnings",
    )  # fmt: skip
    return {name: getattr(fact, name) for name in names}


def outputs_problem(state: RunState, plan: StepPlan, fact: AttemptEnded, evaluate: Evaluate) -> FailureCause | None:
    """Why an attempt that succeeded will be a failure nevertheless: an output that its expression cannot give."""
    return _outputs(state, plan, fact, evaluate)[1]


def _outputs(
    state: RunState, plan: StepPlan, fact: AttemptEnded, evaluate: Evaluate
) -> tuple[dict[str, Json], FailureCause | None]:
    """Declared outputs, null where there is none; and the problem of one that an expression should have given."""
    outputs: dict[str, Json] = dict(fact.outputs) if plan.kind in EFFECT_KINDS else {}
    outputs |= {spec.name: fact.outputs.get(spec.name) for spec in plan.outputs}
    reach = Reach(state, plan.step_id, evaluate)
    for spec in plan.outputs:
        if spec.source != "expression":
            continue
        try:
            outputs[spec.name] = reach.value(spec.value)
        except ExpressionError as error:
            return outputs, cause("OUTPUT_INVALID", f"output {spec.name}: {error}", output=spec.name)
    return outputs, None


def group_outputs(state: RunState, plan: StepPlan, evaluate: Evaluate) -> tuple[dict[str, Json], FailureCause | None]:
    """A group's outputs, null where an expression fails (members may have been skipped), and the first such problem."""
    outputs: dict[str, Json] = {}
    problem: FailureCause | None = None
    scope: dict[str, Json] | None = None
    for spec in plan.outputs:
        scope = members_scope(state, plan.step_id) if scope is None else scope
        try:
            outputs[spec.name] = _in_scope(spec.value, evaluate, scope)
        except ExpressionError as error:
            outputs[spec.name] = None
            problem = problem or cause("OUTPUT_INVALID", f"output {spec.name}: {error}", output=spec.name)
    return outputs, problem


def _in_scope(value: Json, evaluate: Evaluate, scope: dict[str, Json]) -> Json:
    return resolve(value, lambda source: evaluate(source, scope))


def backoff_ms(policy: RetryPolicy, attempt: int, key: str) -> int:
    """How long to wait after attempt `attempt`: doubling, capped, with a jitter derived from the attempt's own name."""
    base: int = min(policy.backoff_ms << (attempt - 1), policy.max_backoff_ms)
    share = zlib.crc32(f"{key}#{attempt}".encode()) / 0xFFFFFFFF
    return max(0, round(base * (1 + policy.jitter * (2 * share - 1))))


def cancel_step(draft: Draft, step_id: str, reason: str | None) -> None:
    """Cancel a step that no attempt of is under way."""
    withdraw(draft, step_id, reason)
    step = draft.state.step(step_id)
    draft.emit(StepCancelled(step_id=step_id, attempt=step.attempt or None, reason=reason))


def nothing_left(plan: StepPlan, attempt: int) -> ArtifactRecord:
    """The explicit statement that an executed step left no artifact."""
    declared = bool(plan.artifacts or plan.reports)
    reason = "no file matched what the step declares" if declared else f"the {plan.kind} step declares no artifacts"
    return ArtifactRecord(
        artifact_id=f"{plan.step_id}#{attempt}/none",
        step_id=plan.step_id,
        attempt=attempt,
        name="none",
        kind="none",
        reason=reason,
    )
