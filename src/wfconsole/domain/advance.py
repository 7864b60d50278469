"""What follows by itself: steps that became ready start or are skipped, groups end, the run's status settles.

Runs after every fact, inside the same ruling, until nothing more follows; so "one step ended, the next one starts" is one commit.
Refuses to know what the fact was.
"""

from __future__ import annotations

from wfconsole.domain.closing import conclude, wants_collection
from wfconsole.domain.draft import Draft
from wfconsole.domain.events import (
    RunAwaitingApproval,
    RunCancelling,
    RunClosing,
    RunPaused,
    RunResumed,
    StepSkipped,
    WorkspaceKeeping,
)
from wfconsole.domain.failures import cause
from wfconsole.domain.lifecycle import STEP_TERMINAL
from wfconsole.domain.outcome import cancel_step
from wfconsole.domain.plan import GATE_KINDS, PURE_KINDS, Need, StepPlan
from wfconsole.domain.records import FailureCause
from wfconsole.domain.run import RunState, StepState
from wfconsole.domain.scope import Evaluate, Reach, verdict
from wfconsole.domain.start import begin, end_group, fail_pure, start
from wfconsole.domain.values import ExpressionError


def advance(draft: Draft, evaluate: Evaluate) -> None:
    """Do all that can be done without a further fact."""
    state = draft.state
    if state.closed:
        return
    if state.started:
        while state.keeping is None and (
            _retry_due(draft, evaluate)
            or _go_on(draft, evaluate)
            or _release(draft, evaluate)
            or _end_groups(draft, evaluate)
        ):
            pass
        _keep(draft)
    _settle(draft, evaluate)


def _keep(draft: Draft) -> None:
    """Have the workspace kept before a step at which a rejection starts again, as soon as nothing runs.

    Such a step goes last of all that could start: so what the others leave is in what is kept, and need not be done anew.
    """
    state = draft.state
    if state.keeping is None and not state.live and not state.pause_requested:
        step_id = next((step_id for step_id in state.ready if _is_held(state, step_id)), None)
        if step_id is not None:
            draft.emit(WorkspaceKeeping(step_id=step_id))


def _is_held(state: RunState, step_id: str) -> bool:
    return step_id in state.index.targets and step_id not in state.kept


def _retry_due(draft: Draft, evaluate: Evaluate) -> bool:
    """Start the attempts whose back-off is over, the longest waiting first, while places are free; did anything change?

    Here and not on a wake-up alone, because a place may become free long after the moment has passed.
    """
    state = draft.state
    if state.pause_requested or not state.timers:
        return False
    before = len(draft.records)
    for step_id, due in sorted(state.timers.items(), key=lambda item: (item[1], state.index.order[item[0]])):
        if due > draft.at or state.live >= state.plan.limits.max_concurrency:
            break
        if step_id in state.timers:
            _start(draft, state.index.steps[step_id], evaluate)
    return len(draft.records) > before


def _go_on(draft: Draft, evaluate: Evaluate) -> bool:
    """Start the steps that waited for a person and were let go on, while places are free; did anything change?"""
    state = draft.state
    if state.pause_requested:
        return False
    before = len(draft.records)
    for step_id in list(state.unblocked):
        if state.live < state.plan.limits.max_concurrency and step_id in state.unblocked:
            _start(draft, state.index.steps[step_id], evaluate)
    return len(draft.records) > before


def _release(draft: Draft, evaluate: Evaluate) -> bool:
    """Look at what is ready, in order, attempts up to the cap on concurrency; did anything change?"""
    state = draft.state
    if state.pause_requested:
        return False
    before = len(draft.records)
    for step_id in list(state.ready):
        if state.step(step_id).status == "pending" and not _is_held(state, step_id):
            _release_one(draft, state.index.steps[step_id], evaluate)
    return len(draft.records) > before


def _release_one(draft: Draft, plan: StepPlan, evaluate: Evaluate) -> None:
    """Start or skip one ready step, or leave it when it has to wait for a free place."""
    state = draft.state
    unmet = next((need for need in plan.needs if not is_met(state, need)), None)
    if unmet is not None:
        status = state.step(unmet.step).status
        _skip_tree(
            draft, plan, "upstream", f"needs {unmet.step} to be {' or '.join(unmet.statuses)}, and it is {status}"
        )
        return
    if plan.kind not in PURE_KINDS and state.live >= state.plan.limits.max_concurrency:
        return
    if plan.when is not None:
        try:
            wanted = bool(Reach(state, plan.step_id, evaluate).expression(plan.when))
        except ExpressionError as error:
            fail_unstarted(
                draft, plan, cause("RECIPE_INVALID", f"when: {error}", "mend the expression, then run again")
            )
            return
        if not wanted:
            _skip_tree(draft, plan, "when", f"when: {plan.when}")
            return
    _start(draft, plan, evaluate)


def _start(draft: Draft, plan: StepPlan, evaluate: Evaluate) -> None:
    """Start the step, or end the run when that would be one start too many; `finally` steps are always let through."""
    state, most = draft.state, draft.state.plan.limits.max_steps
    if plan.phase == "main" and state.attempts_started >= most:
        end_run(draft, why=cause("BUDGET_EXCEEDED", f"the run would start more than {most} steps"))
    else:
        start(draft, plan, evaluate)


def is_met(state: RunState, need: Need) -> bool:
    """Does the end of `need.step` satisfy the need? A failure that the recipe allows counts as a success, too.

    Except for a gate: what nobody approved is not approved, whatever its failing harms.
    """
    step = state.step(need.step)
    if step.status not in STEP_TERMINAL:
        return False
    if "done" in need.statuses:
        return True
    if step.status == "skipped":
        return "skipped" in need.statuses and step.skip_cause == "when"
    if step.status == "failed" and step.allowed and "succeeded" in need.statuses:
        return state.index.steps[need.step].kind not in GATE_KINDS
    return step.status in need.statuses


def fail_unstarted(draft: Draft, plan: StepPlan, why: FailureCause) -> None:
    """Fail a step that is ready before anything of it was begun, and skip what is in it."""
    begin(draft, plan, 1)
    for member in draft.state.index.members.get(plan.step_id, ()):
        _skip_member(draft, member, f"its group {plan.step_id} failed")
    fail_pure(draft, plan, 1, why)


def _skip_tree(draft: Draft, plan: StepPlan, why: str, reason: str) -> None:
    """Skip a step and, when it is a group, everything in it."""
    draft.emit(StepSkipped(step_id=plan.step_id, cause="when" if why == "when" else "upstream", reason=reason))
    for member in draft.state.index.members.get(plan.step_id, ()):
        _skip_member(draft, member, f"its group {plan.step_id} was skipped")


def _skip_member(draft: Draft, step_id: str, reason: str) -> None:
    if draft.state.step(step_id).status in STEP_TERMINAL:  # a successor has taken it over
        return
    draft.emit(StepSkipped(step_id=step_id, cause="group", reason=reason))
    for member in draft.state.index.members.get(step_id, ()):
        _skip_member(draft, member, reason)


def _cancel_tree(draft: Draft, step: StepState) -> None:
    """Cancel a step that nothing of is under way and, when it is a group, everything in it that has not ended."""
    for member in draft.state.index.members.get(step.step_id, ()):
        inner = draft.state.step(member)
        if inner.status not in STEP_TERMINAL:
            _cancel_tree(draft, inner)
    cancel_step(draft, step.step_id, draft.state.end_reason)


def end_run(
    draft: Draft,
    *,
    reason: str | None = None,
    force: bool = False,
    why: FailureCause | None = None,
    code: str | None = None,
    retry_from: str | None = None,
    gate_id: str | None = None,
) -> None:
    """Somebody cancels the run, or with `why` a limit ends it: stop what is under way, cancel what is not.

    `finally` steps go on unless it is by force. Of a run that never started nothing has to be tidied up: they are cancelled, too.
    """
    state = draft.state
    stopping = tuple(
        f"{step.step_id}#{step.attempt}"
        for step in state.all_steps()
        if step.status == "running"
        and state.index.steps[step.step_id].kind not in PURE_KINDS
        and (force or state.index.steps[step.step_id].phase == "main")
    )
    after = {"retry_from": retry_from, "gate_id": gate_id if retry_from else None}
    draft.emit(RunCancelling(reason=reason, force=force, cause=why, stopping=stopping, code=code, **after))
    for step_id, plan in state.index.steps.items():
        step = state.step(step_id)
        # A blocked `finally` step would wait for a decision that nobody will take on a run that is being cancelled.
        if step.status == "needs_human" or (step.status in {"pending", "backing_off"} and state.gives_up(plan.phase)):
            _cancel_tree(draft, step)


def _end_groups(draft: Draft, evaluate: Evaluate) -> bool:
    """End every group that has begun and whose members are all over; did anything change?"""
    state = draft.state
    before = len(draft.records)
    for group_id in reversed(state.index.members):
        group = state.step(group_id)
        if group.status == "running" and group.open_members == 0:
            end_group(draft, state.index.steps[group_id], evaluate)
    return len(draft.records) > before


def _settle(draft: Draft, evaluate: Evaluate) -> None:
    """Bring the recorded status of the run to what its steps amount to."""
    state = draft.state
    if state.open_steps == 0 and (state.started or state.cancel_requested):
        if not state.closing and not state.telling:
            _finish(draft, evaluate)
        return
    following = state.following_status()
    if following in {state.status, "pending"}:
        return
    if following == "paused":
        draft.emit(RunPaused())
    elif following == "awaiting_approval":
        waiting = tuple(step.step_id for step in state.all_steps() if step.status == "needs_human")
        draft.emit(RunAwaitingApproval(waiting_for=waiting))
    elif following == "running" and state.started:
        draft.emit(RunResumed())


def _finish(draft: Draft, evaluate: Evaluate) -> None:
    """Every step is over: have the run's own artifacts collected, or end it at once."""
    state = draft.state
    collect = wants_collection(state)
    cancelled = state.cancel_requested and state.ended_by is None
    if state.status in {"paused", "awaiting_approval"} and (collect or not cancelled):
        draft.emit(RunResumed())
    if collect:
        draft.emit(RunClosing(code=verdict(state)["code"]))
    else:
        conclude(draft, evaluate)
