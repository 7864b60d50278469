"""Events that no table allows, given to the state of any run: each is refused, and not one field has changed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from tests.domain.random_plans import plans
from tests.domain.test_lifecycle import APPROVAL_PAIRS, GATE_EVENTS, RUN_EVENTS, RUN_PAIRS, STEP_EVENTS, STEP_PAIRS
from tests.domain.test_random_runs import RandomWorld, moves
from tests.domain.watching import snapshot
from wfconsole.domain import events as ev
from wfconsole.domain.evolve import evolve
from wfconsole.domain.lifecycle import TransitionError
from wfconsole.domain.plan import Plan
from wfconsole.domain.records import ENGINE
from wfconsole.domain.run import RunState

EXAMPLES = int(os.environ.get("WFCONSOLE_EXAMPLES", "30"))


def forbidden(state: RunState) -> Iterator[ev.Event]:
    """Every change of status that the tables do not have, from where the run, its steps and its gates are now."""
    for step in state.all_steps():
        for following, event in STEP_EVENTS.items():
            if f"{step.status}>{following}" not in STEP_PAIRS and step.step_id not in state.unblocked:
                yield with_fields(event, step_id=step.step_id)
        if step.status != "pending":
            yield ev.StepReused(step_id=step.step_id, reused_from="r0")
    for following, event in {**RUN_EVENTS, "running": ev.RunStarted(owner="thief")}.items():
        if following != state.status and f"{state.status}>{following}" not in RUN_PAIRS:
            yield event
    for gate_id, gate in state.gates.items():
        yield gate.asked  # asked twice
        for following, event in GATE_EVENTS.items():
            if f"{gate.status}>{following}" not in APPROVAL_PAIRS:
                yield with_fields(event, gate_id=gate_id, step_id=gate.asked.step_id)
        if gate.status != "open":
            step_id = gate.asked.step_id
            yield ev.DecisionRecorded(gate_id=gate_id, step_id=step_id, choice="approve", principal="ann")
            yield ev.InputReceived(gate_id=gate_id, step_id=step_id, choice="x", by=("ann",))


def with_fields(event: ev.Event, **fields: str) -> ev.Event:
    from dataclasses import replace

    return replace(event, **fields)  # type: ignore[arg-type]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans(), moves)
def test_an_event_that_no_table_allows_is_refused_and_changes_nothing(
    made_of: Plan, steps: list[tuple[str, int]]
) -> None:
    world = RandomWorld(made_of)
    for kind, n in steps:
        world.move(kind, n)
        if n == 0:
            check(world)
    check(world)
    world.drain()
    check(world)


def check(world: RandomWorld) -> None:
    before, created = snapshot(world.state), world.state.created
    for event in forbidden(world.state):
        record = ev.Record(seq=world.state.seq + 1, at=world.now, correlation_id="forged", actor=ENGINE, event=event)
        with pytest.raises(TransitionError):
            evolve(world.state, record)
        assert snapshot(world.state) == before, event
    with pytest.raises(ValueError, match="not the first"):
        evolve(world.state, ev.Record(seq=1, at=1, correlation_id="forged", actor=ENGINE, event=created))
    assert snapshot(world.state) == before
