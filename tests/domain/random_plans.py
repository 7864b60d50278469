"""Random plans: graphs with nested groups, needs, conditions, retries, limits, `finally`, blocked commands and gates."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.domain.building import BLOCKED, PIN, checks, expr, group, run_body, step
from wfconsole.domain.facts import WorkspacePin
from wfconsole.domain.plan import (
    ApprovalBody,
    ApproverRule,
    Body,
    InputSpec,
    Limits,
    OutputSpec,
    Phase,
    Plan,
    QuestionBody,
    RecipeRef,
    RetryPolicy,
    RunBody,
    SetBody,
    StepPlan,
)

STATUSES = [*["succeeded"] * 3, "succeeded skipped", "done", "done", "failed", "skipped", "cancelled", "failed skipped"]
WHENS = [*[None] * 8, "True", "False", "attempt['n'] == 1", "run['id'] == 'no'", "nonsense"]
BODIES: list[Body] = [
    *[run_body()] * 8, run_body("rm", "x"), run_body("go", expr("attempt['n']")),
    run_body("go", expr("nonsense")), BLOCKED, SetBody(values={"v": expr("attempt['n']")}), SetBody(values={"v": expr("nope")}),
    checks("True"), checks("False"), RunBody(commands=(("sh", "-c", "one"), ("sh", "-c", "two"))),
]  # fmt: skip
GATES: list[Body] = [
    ApprovalBody(title="Ship?"),
    ApprovalBody(title="Ship?", on_reject="route", on_timeout="route", approvers=ApproverRule(count=2)),
    ApprovalBody(title="Ship?", on_reject="route", on_timeout="reject", approvers=ApproverRule(any_of=("a", "b"))),
    ApprovalBody(title="Ship?", on_reject={"retry_from": "s0"}, on_timeout="cancel_and_notify"),
    ApprovalBody(title=expr("nonsense")),
    QuestionBody(prompt="Which?", choices=("x", "y"), default="x"),
    QuestionBody(
        prompt="How?", form=(InputSpec(name="n", type="integer", has_default=True, default=1),), default={"n": 2}
    ),
    QuestionBody(prompt="Which?", choices=("approve", "y")),
]
RETRIES = [
    RetryPolicy(attempts=3, backoff_ms=20, outcomes=("errored", "timed_out", "failed")),
    RetryPolicy(attempts=2, backoff_ms=0, outcomes=("errored", "failed")), RetryPolicy(),
]  # fmt: skip
LIMITS = [
    Limits(), Limits(), Limits(), Limits(max_concurrency=1), Limits(max_concurrency=2), Limits(max_concurrency=1, timeout_ms=150),
    Limits(timeout_ms=60), Limits(max_steps=4), Limits(sandbox_time_ms=25), Limits(cost_usd=0.25, max_concurrency=2),
]  # fmt: skip


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    steps: list[StepPlan] = []
    _fill(draw, steps, None, "main", [], draw(st.sampled_from([4, 3, 5, 6, 2, 1, 0])), depth=0)
    upstream = [item.step_id for item in steps if item.parent is None]
    _fill(draw, steps, None, "finally", upstream, draw(st.sampled_from([1, 2, 0])), depth=1)
    if draw(st.booleans()):
        steps.reverse()
    return Plan(
        recipe=RecipeRef(name="demo", version="1", digest="d", origin="built-in"),
        text="",
        steps=tuple(steps),
        limits=draw(st.sampled_from(LIMITS)),
        outputs=draw(st.sampled_from([{}, {"s": expr("run['status']")}, {"s": expr("nonsense")}])),
    )


pins: st.SearchStrategy[WorkspacePin | None] = st.sampled_from([PIN, None])


def _fill(
    draw: st.DrawFn,
    steps: list[StepPlan],
    parent: str | None,
    phase: Phase,
    upstream: list[str],
    count: int,
    *,
    depth: int,
) -> list[str]:
    """Add `count` steps beside each other; each may need those before it and what its group could need."""
    names: list[str] = []
    for position in range(count):
        name = f"{'f' if phase == 'finally' else 's'}{position}"
        step_id = f"{parent}/{name}" if parent else name
        known = upstream + [f"{parent}/{other}" if parent else other for other in names]
        names.append(name)
        more: dict[str, Any] = {
            "needs": _needs(draw, known),
            "when": draw(st.sampled_from(WHENS)),
            "allow_failure": draw(st.integers(0, 4)) == 0,
            "phase": phase,
        }
        if depth < 3 and draw(st.integers(0, 3)) == 0:
            _group(draw, steps, step_id, known, depth, more)
        else:
            body = draw(st.sampled_from(BODIES if draw(st.integers(0, 2)) else GATES))
            steps.append(step(step_id, body, retry=draw(st.sampled_from(RETRIES)), **more))
    return names


def _group(
    draw: st.DrawFn, steps: list[StepPlan], step_id: str, known: list[str], depth: int, more: dict[str, Any]
) -> None:
    place = len(steps)
    members = _fill(draw, steps, step_id, more["phase"], known, draw(st.integers(0, 3)), depth=depth + 1)
    source = draw(st.sampled_from([None, "nonsense", *(f"steps['{member}']['status']" for member in members)]))
    if source is not None:
        value = expr(source)
        more["outputs"] = (OutputSpec(name="o", source="expression", value=value),)
    steps.insert(place, group(step_id, *members, **more))


def _needs(draw: st.DrawFn, known: list[str]) -> dict[str, str]:
    if not known:
        return {}
    wanted = draw(st.lists(st.sampled_from(known), max_size=2, unique=True))
    return {name: draw(st.sampled_from(STATUSES)) for name in wanted}
