"""Random plans times random facts: whatever happens in whatever order, the invariants of `watching` hold and the run ends."""

from __future__ import annotations

import os
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.domain.building import PIN
from tests.domain.random_plans import random_plan
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
chances = st.randoms(use_true_random=True)
"""Evenly spread, unlike Hypothesis's own choices, which stay with small plans; a failure is reproduced by its seed."""


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
        """Reports of attempts that are not under way say nothing (after a refusal any fact may notice that time has passed)."""
        reports = [("nobody", 1)]
        for step in list(self.state.all_steps())[n:]:
            current = n == step.attempt and self.kind(step.step_id) not in {"steps", "set", "check"}
            reports.append((step.step_id, n + 1 if current else n))
        for step_id, number in reports:
            if step_id in self.live() and self.state.step(step_id).attempt == number:
                continue  # what was due has just begun under this number
            due = next_wakeup(self.state)
            ruling = self.send(AttemptEnded, step_id=step_id, attempt=number, outcome="succeeded", at=0)
            assert not ruling.records or (due is not None and due <= ruling.records[0].at)

    def drain(self) -> None:
        """Give every attempt an outcome, let time pass, and be the person who is waited for."""
        for _ in range(300):
            if self.state.is_terminal:
                return
            self.drain_one()
        raise AssertionError("the run does not end")

    def drain_one(self) -> None:
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


RANDOM = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@RANDOM
@given(chances)
def test_whatever_happens_every_invariant_holds_and_the_run_ends(chance: Random) -> None:
    world = RandomWorld(random_plan(chance), pin=chance.choice([None, PIN]))
    if chance.randint(0, 9):
        world.take()
    for _ in range(chance.randint(0, 40)):
        world.move(chance.choice(MOVES), chance.randint(0, 7))
    world.check_journal()
    world.drain()
    world.check_end()
    assert len(started_attempts(world)) == len(set(started_attempts(world)))
    for command in (world.pause, world.resume, world.cancel):
        assert command().refusal is not None
    assert not world.take().records


@RANDOM
@given(chances)
def test_the_order_in_which_attempts_succeed_does_not_change_how_a_run_ends(chance: Random) -> None:
    made_of = random_plan(chance)
    endings = set()
    for last in (7, 0):
        world = RandomWorld(made_of)
        world.take()
        while not world.state.is_terminal and world.status() != "awaiting_approval":
            if world.live():
                world.end_one(chance.randint(0, last), "succeeded")
            else:
                world.drain_one()
        endings.add((world.status(), tuple(sorted(world.statuses().items()))))
    limits = made_of.limits
    if not (limits.cost_usd or limits.sandbox_time_ms or limits.timeout_ms or limits.max_steps < 100):
        assert len(endings) == 1
