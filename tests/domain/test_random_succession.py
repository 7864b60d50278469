"""Random runs that end in a rejection: whatever they were, their successors are sound and end."""

from __future__ import annotations

import os
from dataclasses import replace

from hypothesis import HealthCheck, given, settings, strategies as st

from tests.domain.building import evaluate, gate
from tests.domain.random_plans import plans
from tests.domain.test_random_runs import RandomWorld, moves
from tests.domain.watching import check_state
from wfconsole.domain import events as ev
from wfconsole.domain.decide import decide
from wfconsole.domain.evolve import fold
from wfconsole.domain.facts import StartRun
from wfconsole.domain.lineage import Rejection
from wfconsole.domain.plan import ApprovalBody, Limits, Plan, StepPlan
from wfconsole.domain.run import RunState
from wfconsole.domain.succession import succession

EXAMPLES = int(os.environ.get("WFCONSOLE_EXAMPLES", "40"))


def _tells(item: StepPlan) -> bool:
    """Does this gate have somebody told of its deadline? Those runs end only when that is done."""
    return isinstance(item.body, ApprovalBody) and item.body.on_timeout == "cancel_and_notify"


@st.composite
def gated(draw: st.DrawFn) -> Plan:
    """A random plan with a gate behind everything, whose rejection starts again at any step."""
    made = draw(plans().filter(lambda found: not any(_tells(item) for item in found.steps)))
    names = [item.step_id for item in made.steps if item.phase == "main"]
    tops = {item.step_id: "done" for item in made.steps if item.phase == "main" and item.parent is None}
    target = draw(st.sampled_from(names or ["last"]))
    last = gate("last", needs=tops, on_reject={"retry_from": target}, on_timeout="reject")
    return replace(made, steps=(*made.steps, last), limits=Limits(max_concurrency=made.limits.max_concurrency))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(gated(), moves, st.booleans())
def test_whatever_a_run_was_its_successor_is_sound_and_ends(
    made: Plan,
    steps: list[tuple[str, int]],
    late: bool,
) -> None:
    """Parent and successor agree: what is taken over had succeeded, and what depends on the step is not among it."""
    world = RandomWorld(made)
    world.take()
    for kind, n in steps:
        if kind not in {"cancel", "force"}:
            world.move(kind, n)
    decide_all(world, late=late)
    world.drain()
    world.check_end()
    retried = world.events(ev.RunRetried)
    if not retried:
        return
    assert isinstance([r.event for r in world.records if not isinstance(r.event, ev.CommandRefused)][-1], ev.RunRetried)
    fact = succession(world.records[: world.records.index(next(r for r in world.records if r.event is retried[0])) + 1])
    check_taken(world.state, fact, retried[0].retried_from)
    state = fold(decide(None, fact, evaluate).records)
    assert state is not None
    check_state(state)
    again = Successor(fact)
    again.drain()
    again.check_end()
    assert not {each.step_id for each in fact.taken} & {name.partition("#")[0] for name in again.started()}


def decide_all(world: RandomWorld, *, late: bool) -> None:
    """Let everything come to the last gate, and reject that, or let its deadline pass."""
    for _ in range(300):
        last = world.state.gate_of("last")
        if world.state.is_terminal or (last is not None and last.status != "open"):
            return
        others = [found for found in world.state.open_gates() if found is not last]
        if world.status() == "paused":
            world.resume()
        elif world.state.keeping:
            world.keep()
        elif world.live():
            world.end_one(0, "succeeded")
        elif others and others[0].asked.kind != "question":
            world.approve(others[0].asked.gate_id, "a" if len(others[0].decisions) % 2 else "b", reason="so")
        elif others or late or last is None:
            world.wake_due()
        else:
            world.reject("last", reason="no")


class Successor(RandomWorld):
    def __init__(self, fact: StartRun) -> None:
        super().__init__(fact.plan)
        self.facts = []
        self.now, self.count, self.records, self.effects, self.run = fact.at, 1000, [], [], None
        self.decide(fact)


def check_taken(parent: RunState, fact: StartRun, step_id: str) -> None:
    taken = {each.step_id: each for each in fact.taken}
    assert step_id not in taken
    for name, each in taken.items():
        before = parent.step(name)
        assert before.status == each.status
        assert parent.index.steps[name].kind != "approval" or each.status == "skipped"
        assert each.status == "skipped" or each.outputs == (before.outputs or {})
        assert parent.index.steps[name].phase == "main"
        anew = {need.step for need in parent.index.steps[name].needs} - taken.keys()
        assert fact.lineage is not None
        assert anew <= set(fact.lineage.asks)
    assert isinstance(fact.lineage.rejections[-1] if fact.lineage else None, Rejection)
