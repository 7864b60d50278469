"""Random plans times random facts: whatever happens in whatever order, the invariants of `watching` hold and the run ends."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.domain.random_plans import pins, plans
from tests.domain.watching import WatchedWorld, started_attempts
from wfconsole.domain.decide import next_wakeup
from wfconsole.domain.facts import AnyFact, AttemptEnded, ChannelFailed, StartRun, Wakeup
from wfconsole.domain.plan import Plan
from wfconsole.domain.records import OutcomeStatus

EXAMPLES = int(os.environ.get("WFCONSOLE_EXAMPLES", "60"))
"""How many random runs; raise it for a long search."""

OUTCOMES: list[OutcomeStatus] = [
    "succeeded", "errored", "succeeded", "failed", "errored", "timed_out", "cancelled", "abandoned",
]  # fmt: skip
MOVES = [
    *["end"] * 14, *["wake"] * 4, "stale", "again", "pause", "resume", "resume", "cancel", "force", "channel", "close", "take",
    "start", "early",
]  # fmt: skip
moves = st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 7)), min_size=6, max_size=40)


class RandomWorld(WatchedWorld):
    """Turns a move into a fact that makes sense, or on purpose none, in the present state."""

    def __init__(self, made_of: Plan, **more: Any) -> None:
        self.facts: list[AnyFact] = []
        super().__init__(made_of, take=False, **more)

    def decide(self, fact: AnyFact) -> Any:
        self.facts.append(fact)
        return super().decide(fact)

    def move(self, kind: str, n: int) -> None:
        self.now += n * 7
        match kind:
            case "end":
                self.end_one(n, OUTCOMES[n])
            case "wake":
                self.wake_due()
            case "early":
                self.send(Wakeup, at=max(0, self.now - 500))
            case "stale":
                self.stale(n)
            case "again":
                self.again(self.facts[n % len(self.facts)])
            case "force":
                self.cancel(force=True)
            case "channel":
                self.send(ChannelFailed, subscriber="hook", error="boom", failed_seq=n)
            case "start":
                self.send(StartRun, run_id="r1", workflow_id="w1", trace_id="t1", plan=self.state.plan)
            case _:
                getattr(self, kind)()

    def again(self, fact: AnyFact) -> None:
        """A fact that left a record before leaves none now; one that did not may have come too early."""
        known = any(record.correlation_id == fact.fact_id for record in self.records)
        ruling = WatchedWorld.decide(self, fact)
        assert not (known and ruling.records)

    def end_one(self, n: int, outcome: OutcomeStatus) -> None:
        live = self.live()
        if live:
            self.end(live[n % len(live)], outcome, sandbox_ms=n * 2, cost_usd=n / 50)

    def wake_due(self) -> None:
        due = next_wakeup(self.state)
        if due is not None:
            self.now = max(self.now, due)
            assert self.decide(Wakeup(fact_id=f"wakeup:{due}", at=self.now)).records, "woken in vain"

    def stale(self, n: int) -> None:
        """A report of an attempt that is not under way."""
        for step in list(self.state.all_steps())[n:]:
            number = n if n != step.attempt or self.kind(step.step_id) in {"steps", "set", "check"} else n + 1
            ruling = self.send(AttemptEnded, step_id=step.step_id, attempt=number, outcome="succeeded", at=0)
            assert not ruling.records
        assert not self.send(AttemptEnded, step_id="nobody", attempt=1, outcome="failed", at=0).records

    def drain(self) -> None:
        """Give every attempt an outcome, let time pass, and be the person who is waited for."""
        for _ in range(300):
            if self.state.is_terminal:
                return
            self._drain_one()
        raise AssertionError("the run does not end")

    def _drain_one(self) -> None:
        if not self.state.started:
            self.take()
        elif self.live():
            self.end_one(0, "succeeded")
        elif self.state.closing:
            self.close()
        elif self.status() == "paused":
            self.resume()
        elif next_wakeup(self.state) is not None:
            self.wake_due()
        else:
            assert self.status() == "awaiting_approval"
            assert self.cancel().refusal is None


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans(), pins, st.integers(0, 9), moves)
def test_whatever_happens_every_invariant_holds_and_the_run_ends(
    made_of: Plan, pin: Any, late: int, steps: list[tuple[str, int]]
) -> None:
    world = RandomWorld(made_of, pin=pin)
    if late:
        world.take()
    for kind, n in steps:
        world.move(kind, n)
    world.check_journal()
    world.drain()
    world.check_end()
    assert len(started_attempts(world)) == len(set(started_attempts(world)))
    for command in (world.pause, world.resume, world.cancel):
        assert command().refusal is not None
    assert not world.take().records


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans(), st.lists(st.integers(0, 7), min_size=3, max_size=30))
def test_a_run_that_nobody_disturbs_ends_by_itself_or_waits_for_a_person(made_of: Plan, order: list[int]) -> None:
    """The same plan ends the same way whatever the order in which its attempts succeed."""
    endings = set()
    for numbers in (order, [0]):
        world = RandomWorld(made_of)
        world.take()
        for n in numbers:
            world.end_one(n, "succeeded")
        while not world.state.is_terminal and world.status() != "awaiting_approval":
            world._drain_one()
        endings.add((world.status(), tuple(sorted(world.statuses().items()))))
    ends_early = made_of.limits.cost_usd or made_of.limits.sandbox_time_ms or made_of.limits.timeout_ms
    if not ends_early and made_of.limits.max_steps > 100:
        assert len(endings) == 1
