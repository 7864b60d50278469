"""Random plans: a graph with nested groups, needs in all forms, conditions, retries, limits, `finally`, blocked commands."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.domain.building import BLOCKED, checks, expr, group, run_body, step
from wfconsole.domain.plan import Body, Limits, OutputSpec, Phase, Plan, RecipeRef, RetryPolicy, SetBody, StepPlan

STATUSES = [*["succeeded"] * 3, "succeeded skipped", "done", "done", "failed", "skipped", "cancelled", "failed skipped"]
WHENS = [*[None] * 8, "True", "False", "attempt['n'] == 1", "run['id'] == 'no'", "nonsense"]
BODIES: list[Body] = [
    *[run_body()] * 8, run_body("rm", "x"), run_body("go", expr("attempt['n']")),
    run_body("go", expr("nonsense")), BLOCKED, SetBody(values={"v": expr("attempt['n']")}), SetBody(values={"v": expr("nope")}),
    checks("True"), checks("False"),
]  # fmt: skip
RETRIES = [
    RetryPolicy(attempts=3, backoff_ms=20, outcomes=("errored", "timed_out", "failed")),
    RetryPolicy(attempts=2, backoff_ms=0, outcomes=("errored", "failed")), RetryPolicy(),
]  # fmt: skip
LIMITS = [
    Limits(), Limits(), Limits(), Limits(max_concurrency=1), Limits(max_concurrency=2), Limits(max_concurrency=1, timeout_ms=150),
    Limits(timeout_ms=60), Limits(max_steps=4), Limits(sandbox_time_ms=25), Limits(cost_usd=0.25, max_concurrency=2),
]  # fmt: skip


def random_plan(draw: Random) -> Plan:
    steps: list[StepPlan] = []
    _fill(draw, steps, None, "main", [], draw.choice([4, 3, 5, 6, 2, 1, 0]), depth=0)
    upstream = [item.step_id for item in steps if item.parent is None]
    _fill(draw, steps, None, "finally", upstream, draw.choice([1, 2, 0]), depth=1)
    if draw.randint(0, 1):
        steps.reverse()
    return Plan(
        recipe=RecipeRef(name="demo", version="1", digest="d", origin="built-in"),
        text="",
        steps=tuple(steps),
        limits=draw.choice(LIMITS),
        outputs=draw.choice([{}, {"s": expr("run['status']")}, {"s": expr("nonsense")}]),
    )


def _fill(
    draw: Random,
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
            "when": draw.choice(WHENS),
            "allow_failure": draw.randint(0, 4) == 0,
            "phase": phase,
        }
        if depth < 3 and draw.randint(0, 3) == 0:
            _group(draw, steps, step_id, known, depth, more)
        else:
            steps.append(step(step_id, draw.choice(BODIES), retry=draw.choice(RETRIES), **more))
    return names


def _group(
    draw: Random, steps: list[StepPlan], step_id: str, known: list[str], depth: int, more: dict[str, Any]
) -> None:
    place = len(steps)
    members = _fill(draw, steps, step_id, more["phase"], known, draw.randint(0, 3), depth=depth + 1)
    source = draw.choice([None, "nonsense", *(f"steps['{member}']['status']" for member in members)])
    if source is not None:
        value = expr(source)
        more["outputs"] = (OutputSpec(name="o", source="expression", value=value),)
    steps.insert(place, group(step_id, *members, **more))


def _needs(draw: Random, known: list[str]) -> dict[str, str]:
    if not known:
        return {}
    wanted = draw.sample(known, min(len(known), draw.randint(0, 2)))
    return {name: draw.choice(STATUSES) for name in wanted}
