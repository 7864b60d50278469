"""The end of a run: its outputs, its failure context (ST-WF-010) and the event that closes it.

A failure context is always recorded. What cannot be assembled is named in `missing_fields`; code and message never are.
"""

from __future__ import annotations

import json
import shlex

from wfconsole.domain.draft import Draft
from wfconsole.domain.events import RunCancelled, RunFailed, RunFailure, RunRetried, RunSucceeded
from wfconsole.domain.failures import CATALOGUE, cause
from wfconsole.domain.lineage import successor_id, successor_key
from wfconsole.domain.plan import PURE_KINDS, Json
from wfconsole.domain.records import FailureCause
from wfconsole.domain.run import RunState
from wfconsole.domain.scope import Evaluate, Reach
from wfconsole.domain.values import ExpressionError


def wants_collection(state: RunState) -> bool:
    """Is there a workspace that a step may have changed, so that the run's diff has to be taken first?"""
    return state.created.workspace is not None and any(
        step.attempt and state.index.steps[step.step_id].kind not in PURE_KINDS for step in state.all_steps()
    )


def conclude(draft: Draft, evaluate: Evaluate) -> None:
    """Record the run's terminal event."""
    state = draft.state
    outputs, problem = _outputs(state, evaluate)
    why = _cause(state)
    if state.cancel_requested and state.ended_by is None:
        draft.emit(RunCancelled(reason=state.cancel_reason, outputs=outputs))
        _go_on_elsewhere(draft)
    elif why is not None:
        draft.emit(RunFailed(failure=failure_context(state, why), outputs=outputs))
    elif problem is not None:
        draft.emit(RunFailed(failure=failure_context(state, problem), outputs=outputs))
    else:
        draft.emit(RunSucceeded(outputs=outputs))


def _go_on_elsewhere(draft: Draft) -> None:
    """A rejection wants another try: name the successor, which is created with this very commit (see `succession`)."""
    state = draft.state
    if state.retry is None:
        return
    step_id, gate_id = state.retry
    gate = state.gates[gate_id]
    successor = successor_id(state.run_id, gate_id, gate.opened_at)
    key = successor_key(state.run_id, state.created.workflow_id, successor)
    draft.emit(
        RunRetried(
            successor=successor,
            workflow_id=key,
            retried_from=step_id,
            gate_id=gate_id,
            reason=gate.reason,
            by=gate.closed_by,
        )
    )


def _cause(state: RunState) -> FailureCause | None:
    if state.ended_by is not None:
        return state.ended_by
    if state.harmed_by is None:
        return None
    return state.step(state.harmed_by).cause or cause("INTERNAL", "the failed step recorded no cause")


def _outputs(state: RunState, evaluate: Evaluate) -> tuple[dict[str, Json], FailureCause | None]:
    """The run's result, however it ends: null for what could not be computed, and the first such problem."""
    reach = Reach(state, None, evaluate)
    outputs: dict[str, Json] = {}
    problem: FailureCause | None = None
    for name, template in state.plan.outputs.items():
        try:
            outputs[name] = reach.value(template)
        except ExpressionError as error:
            outputs[name] = None
            problem = problem or cause("OUTPUT_INVALID", f"output {name} of the recipe: {error}", output=name)
    return outputs, problem


def failure_context(state: RunState, why: FailureCause) -> RunFailure:
    """Everything an operator needs next, as far as it is known."""
    hint = why.hint or (CATALOGUE[why.code].hint if why.code in CATALOGUE else "")
    step_id = failing_step(state)
    known = {"hint": hint, "step_id": step_id, "last_successful_step": state.last_succeeded}
    rule = state.plan.manual_retry or {}
    allowed = rule.get("run", "allow") == "allow"
    return RunFailure(
        code=why.code,
        message=why.message,
        hint=hint,
        step_id=step_id,
        last_successful_step=state.last_succeeded,
        missing_fields=tuple(name for name, value in known.items() if not value),
        retry_allowed=allowed,
        retry_command=run_again(state) if allowed else None,
        retry_reason=rule.get("reason"),
    )


def failing_step(state: RunState) -> str | None:
    """The innermost step that made the run fail; None when a limit of the run did."""
    step_id = state.harmed_by if state.ended_by is None else None
    while step_id is not None and step_id in state.index.members:
        members = (state.step(member) for member in state.index.members[step_id])
        inner = next((member.step_id for member in members if member.status == "failed" and not member.allowed), None)
        if inner is None:
            return step_id
        step_id = inner
    return step_id


def run_again(state: RunState) -> str:
    """The command line that starts the same recipe on the same inputs; what is a default is left out."""
    origin = state.plan.recipe.origin
    parts = ["wfconsole", "run", origin.removeprefix("path:") if origin.startswith("path:") else state.plan.recipe.name]
    defaults = {spec.name: spec.default for spec in state.plan.inputs if spec.has_default}
    for name, value in sorted(state.created.inputs.items()):
        if name in defaults and defaults[name] == value:
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if value is not None:
            parts += ["-i", f"{name}={text}"]
    return shlex.join(parts)
