"""Starting one step that is ready: its condition, its resolved commands, the command policy, or at once the whole of a pure kind.

Refuses to know when a step is ready (`advance`) and how a container runs it. Everything that expressions give is put into
the `step_started` event, so that no later reader evaluates again.
"""

from __future__ import annotations

import hashlib

from wfconsole.domain.approvers import resolved_approvers
from wfconsole.domain.draft import Draft
from wfconsole.domain.events import ArtifactRecorded, CommandWarned, StepBlocked, StepFailed, StepStarted, StepSucceeded
from wfconsole.domain.failures import cause
from wfconsole.domain.gates import open_blocked
from wfconsole.domain.outcome import cancel_step, group_outputs, nothing_left
from wfconsole.domain.plan import (
    ApprovalBody,
    CheckBody,
    EmailBody,
    Json,
    OtherBody,
    QuestionBody,
    RunBody,
    SetBody,
    ShellBody,
    StepPlan,
)
from wfconsole.domain.policy.command_safety import Verdict, judge, judge_workdir
from wfconsole.domain.records import FailureCause
from wfconsole.domain.run import RunState
from wfconsole.domain.scope import Evaluate, Reach
from wfconsole.domain.values import ExpressionError, as_text, sources


def start(draft: Draft, plan: StepPlan, evaluate: Evaluate) -> None:
    """Begin `plan` with its next attempt number; a pure kind is also finished. The step's needs are met and `when` holds."""
    reach = Reach(draft.state, plan.step_id, evaluate)
    attempt = draft.state.step(plan.step_id).attempt + 1
    body = plan.body
    try:
        if isinstance(body, SetBody):
            begin(draft, plan, attempt)
            succeed_pure(draft, plan, attempt, reach.value(body.values))
        elif isinstance(body, CheckBody):
            begin(draft, plan, attempt)
            _check(draft, plan, attempt, body, reach)
        elif plan.kind == "steps":
            begin(draft, plan, attempt)
        elif isinstance(body, ApprovalBody | QuestionBody):
            begin(draft, plan, attempt, resolve_gate(draft.state, body, reach, evaluate))
        elif isinstance(body, EmailBody):
            begin(draft, plan, attempt, resolve_email(body, reach))
        else:
            _start_attempt(draft, plan, attempt, resolve_commands(plan, body, reach))
    except ExpressionError as error:
        if draft.state.step(plan.step_id).status != "running":
            begin(draft, plan, attempt)
        fail_pure(draft, plan, attempt, cause("RECIPE_INVALID", str(error), "mend the expression, then run again"))


def resolve_gate(
    state: RunState, body: ApprovalBody | QuestionBody, reach: Reach, evaluate: Evaluate
) -> dict[str, Json]:
    """What the card says and when it closes by itself. Previewed steps are resolved as they themselves will see the run.

    What such a step reads of the gate, or of steps between, is null now; so its effect will differ from what was shown.
    """
    if isinstance(body, QuestionBody):
        return {"title": as_text(reach.value(body.prompt)), "timeout_ms": body.timeout_ms}
    preview: dict[str, Json] = {}
    for name in body.context.preview:
        shown, own = state.index.steps[name].body, Reach(state, name, evaluate)
        if isinstance(shown, EmailBody):
            preview[name] = {"kind": "email", **resolve_email(shown, own)}
        else:
            preview[name] = own.value(shown.data) if isinstance(shown, OtherBody) else None
    who = {} if body.who is None else {"approvers": resolved_approvers(reach.value(body.who))}
    return {"title": as_text(reach.value(body.title)), "timeout_ms": body.timeout_ms, "preview": preview, **who}


def resolve_email(body: EmailBody, reach: Reach) -> dict[str, Json]:
    """A message with no expression left in it; `to` and `attach` are lists of texts. Raises ExpressionError."""
    return {
        "via": as_text(reach.value(body.via)),
        "to": _texts("to", reach.value(body.to)),
        "subject": as_text(reach.value(body.subject)),
        "body": as_text(reach.value(body.body)),
        "attach": _texts("attach", reach.value(body.attach)),
    }


def _texts(key: str, value: Json) -> list[str]:
    """A text, a list of texts or nothing; as a list. Empty ones are left out, so that an expression can leave one out."""
    found = value if isinstance(value, list) else [value]
    for item in found:
        if item is not None and not isinstance(item, str):
            raise ExpressionError(f"`{key}` must be text or a list of texts, and {as_text(item)[:80]} is none")
    return [item for item in found if item]


def resolve_commands(plan: StepPlan, body: object, reach: Reach) -> dict[str, Json]:
    """All that the sandbox needs of a `run` or `shell` step, with no expression left. Raises ExpressionError."""
    if isinstance(body, RunBody):
        commands = [[as_argument(reach.value(part), part) for part in argv] for argv in body.commands]
    elif isinstance(body, ShellBody):
        commands = [["/bin/sh", "-c", body.script]]
    else:
        raise ExpressionError(f"a {plan.kind} step is not available in this version")
    stdin = reach.value(plan.stdin)
    return {
        "commands": commands,
        "workdir": as_text(reach.value(plan.workdir)),
        "env": {name: as_text(reach.value(value)) for name, value in plan.env.items()},
        "stdin": None if stdin is None else as_text(stdin),
        "network": reach.value(plan.network),
    }


def as_argument(value: Json, template: Json) -> str:
    """One argv element from an expression's value: text or a number. Anything else would not be what the author meant."""
    if isinstance(value, bool) or value is None or isinstance(value, list | dict):
        shown = ", ".join(sources(template)) or "what is written"
        raise ExpressionError(f"an argument must be text or a number, and {shown} gives {as_text(value) or 'null'}")
    return as_text(value)


def span_id(trace_id: str, step_id: str, attempt: int) -> str:
    """The W3C span id of an attempt, or of the run itself (no step, attempt 0).

    It is derived, so that every reader of the journal computes the same.
    """
    return hashlib.sha256(f"{trace_id}/{step_id}#{attempt}".encode()).hexdigest()[:16]


def begin(draft: Draft, plan: StepPlan, attempt: int, resolved: Json = None) -> None:
    draft.emit(
        StepStarted(
            step_id=plan.step_id,
            attempt=attempt,
            kind=plan.kind,
            resolved=resolved,
            span_id=span_id(draft.state.created.trace_id, plan.step_id, attempt),
        )
    )


def _start_attempt(draft: Draft, plan: StepPlan, attempt: int, resolved: dict[str, Json]) -> None:
    outside = judge_workdir(resolved["workdir"]).decision == "block"
    verdicts = [
        (argv, judge(argv, draft.state.plan.commands, workdir=resolved["workdir"])) for argv in resolved["commands"]
    ]
    blocked = [(argv, verdict) for argv, verdict in verdicts if verdict.decision == "block"]
    for argv in draft.state.step(plan.step_id).let_through:  # one decision lets one command through, also of two equal
        let = next((found for found in blocked if tuple(found[0]) == argv), None)
        if let is not None:
            blocked.remove(let)
    if outside or blocked:
        _block(draft, plan, resolved["workdir"] if outside else None, *(blocked[:1]))
        return
    begin(draft, plan, attempt, resolved)
    for argv, verdict in verdicts:
        if verdict.decision == "warn":
            draft.emit(
                CommandWarned(
                    step_id=plan.step_id, attempt=attempt, argv=tuple(argv), rule=verdict.rule, message=verdict.message
                )
            )


def _block(draft: Draft, plan: StepPlan, workdir: str | None, *blocked: tuple[list[str], Verdict]) -> None:
    if workdir is not None:
        why = cause(
            "POLICY_BLOCKED",
            f"workdir {workdir} leaves the workspace",
            "give a folder inside the workspace",
            rule="workdir",
        )
        draft.emit(StepBlocked(step_id=plan.step_id, cause=why, rule="workdir"))
        open_blocked(draft, plan, why, ())
        return
    argv, verdict = blocked[0]
    why = cause("POLICY_BLOCKED", verdict.message, verdict.hint or None, rule=verdict.rule, argv=list(argv))
    draft.emit(StepBlocked(step_id=plan.step_id, cause=why, argv=tuple(argv), rule=verdict.rule))
    open_blocked(draft, plan, why, tuple(argv))


def _check(draft: Draft, plan: StepPlan, attempt: int, body: CheckBody, reach: Reach) -> None:
    for rule in body.rules:
        if not reach.expression(rule.that):
            message = as_text(reach.value(rule.message)) or f"{rule.that} does not hold"
            hint = as_text(reach.value(rule.hint)) or None
            fail_pure(draft, plan, attempt, cause("CHECK_FAILED", message, hint, that=rule.that))
            return
    succeed_pure(draft, plan, attempt, {})


def succeed_pure(draft: Draft, plan: StepPlan, attempt: int, outputs: dict[str, Json]) -> None:
    draft.emit(ArtifactRecorded(artifact=nothing_left(plan, attempt)))
    draft.emit(StepSucceeded(step_id=plan.step_id, attempt=attempt, outputs=outputs))


def fail_pure(
    draft: Draft, plan: StepPlan, attempt: int, why: FailureCause, outputs: dict[str, Json] | None = None
) -> None:
    draft.emit(ArtifactRecorded(artifact=nothing_left(plan, attempt)))
    draft.emit(
        StepFailed(step_id=plan.step_id, attempt=attempt, cause=why, allowed=plan.allow_failure, outputs=outputs or {})
    )


def end_group(draft: Draft, plan: StepPlan, evaluate: Evaluate) -> None:
    """All members of the group are over: it succeeds, or fails as its first failing member did."""
    state = draft.state
    attempt = state.step(plan.step_id).attempt
    members = [state.step(member) for member in state.index.members.get(plan.step_id, ())]
    failed = next((member for member in members if member.status == "failed" and not member.allowed), None)
    cancelled = any(member.status == "cancelled" for member in members)
    outputs, problem = group_outputs(state, plan, evaluate)
    if failed is not None and failed.cause is not None:
        fail_pure(draft, plan, attempt, failed.cause, outputs)
    elif cancelled:
        cancel_step(draft, plan.step_id, "its steps were cancelled")
    elif problem is not None:
        fail_pure(draft, plan, attempt, problem, outputs)
    else:
        succeed_pure(draft, plan, attempt, outputs)
