"""Random plans times random facts: whatever happens in whatever order, the invariants of `watching` hold and the run ends."""

from __future__ import annotations

import os
from typing import Any, get_args

from hypothesis import HealthCheck, given, settings, strategies as st

from tests.domain.building import GATE_LIFE, PIN, gate, plan, step
from tests.domain.random_plans import pins, plans
from tests.domain.watching import WatchedWorld, started_attempts
from wfconsole.domain import events as ev
from wfconsole.domain.decide import next_wakeup
from wfconsole.domain.facts import (
    AnyFact,
    AttemptEnded,
    AttemptFound,
    ChannelFailed,
    DeleteRun,
    OperatorTold,
    SetAside,
    StartRun,
    Wakeup,
)
from wfconsole.domain.plan import GATE_KINDS, PURE_KINDS, Plan
from wfconsole.domain.records import OutcomeStatus
from wfconsole.domain.run import StepState

EXAMPLES = int(os.environ.get("WFCONSOLE_EXAMPLES", "60"))
"""How many random runs; raise it for a long search."""

OUTCOMES: list[OutcomeStatus] = [
    "succeeded", "errored", "succeeded", "failed", "errored", "timed_out", "cancelled", "abandoned",
]  # fmt: skip
FORGED: list[dict[str, Any]] = [
    {"run_id": "r2"}, {"context_digest": "old"}, {"plan_digest": None}, {"nonce": 1}, {"kind": "start"}, {"gate_id": "s0#99"},
    {"choice": 7, "answer": {"m": 1}}, {"reason": 1},
]  # fmt: skip
MOVES = [
    *["end"] * 12, *["say"] * 6, *["wake"] * 3, "forge", "forge", "stale", "again", "pause", "resume", "resume", "cancel",
    "force", "channel", "close", "take", "start", "early",
    *["keep"] * 3, "adopt", "delete", "told", "aside",
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
                self.end_one(n, OUTCOMES[n], life=n * 20)
            case "wake":
                self.wake_due()
            case "early":
                self.send(Wakeup, at=max(0, self.now - 500))
            case "say":
                self.say_something(n)
            case "forge":
                self.say_something(n, FORGED[n])
            case "stale" | "adopt" | "told" | "delete":
                getattr(self, kind)(n)
            case "again":
                self.again(self.facts[n % len(self.facts)])
            case "force":
                self.cancel(force=True)
            case "channel":
                self.send(ChannelFailed, subscriber="hook", error="boom", failed_seq=n)
            case "aside":
                self.send(SetAside, attempts=3, code="INTERNAL", message="boom")
            case "start":
                self.send(StartRun, run_id="r1", workflow_id="w1", trace_id="t1", plan=self.state.plan)
            case _:
                getattr(self, kind)()

    def again(self, fact: AnyFact) -> None:
        """A fact that left a record before leaves none now; one that did not may have come too early."""
        known = any(record.correlation_id == fact.fact_id for record in self.records)
        ruling = WatchedWorld.decide(self, fact)
        assert not (known and ruling.records)

    def end_one(self, n: int, outcome: OutcomeStatus, life: int = GATE_LIFE) -> None:
        """An attempt ends; that of a gate ends well when it is ready to be decided."""
        live = self.live()
        if not live:
            return
        step_id = live[n % len(live)]
        if outcome == "succeeded" and self.kind(step_id) in GATE_KINDS:
            self.ready(step_id, expires_at=self.now + life)
        else:
            self.end(step_id, outcome, sandbox_ms=n * 2, cost_usd=n / 50)

    def say_something(self, n: int, forge: dict[str, Any] | None = None) -> None:
        """Somebody decides a gate, open or closed; a decision that does not hold never counts."""
        gates = list(self.state.gates.values())
        if not gates:
            return
        found = gates[(n + self.count) % len(gates)].asked
        choice = found.choices[n % len(found.choices)] if found.choices else None
        answer = {"n": n} if n % 3 else None
        ruling = self.say(found.gate_id, choice, "abc"[self.count % 3], reason="so", answer=answer, forge=forge or {})
        assert not (forge and ruling.refusal is None)

    def adopt(self, n: int) -> None:
        """The container of an attempt is found again; of one that is not under way, nobody hears."""
        if self.overdue():
            self.wake_due()
        for each in [*self.state.all_steps(), StepState(step_id="nobody", unmet=0)][n % 2 :]:
            if each.step_id != "nobody" and self.kind(each.step_id) in PURE_KINDS:
                continue  # what has no attempts has no containers
            attempt = each.attempt + (n == 7)
            found = each.step_id in self.live() and attempt == each.attempt
            ruling = self.send(AttemptFound, step_id=each.step_id, attempt=attempt, owner="you", at=0)
            assert [type(record.event) for record in ruling.records] == [ev.AttemptAdopted] * found

    def told(self, n: int) -> None:
        """The operator's hook was called for an expired gate: for one that it had to be called for, and once."""
        if self.overdue():
            self.wake_due()
        waiting = bool(self.state.telling)
        if waiting:
            assert self.tell("no" if n % 2 else None).records
        else:
            gone = self.send(OperatorTold, gate_id="s0#99", step_id="s0", seq=1, at=0)
            assert not gone.records

    def wake_due(self) -> None:
        due = next_wakeup(self.state)
        if due is not None:
            self.now = max(self.now, due)
            assert self.decide(Wakeup(fact_id=f"wakeup:{due}", at=self.now)).records, "woken in vain"

    def stale(self, n: int) -> None:
        """A report of an attempt that is not under way."""
        if self.overdue():
            self.wake_due()
        for each in list(self.state.all_steps())[n:]:
            number = n if n != each.attempt or self.kind(each.step_id) in {"steps", "set", "check"} else n + 1
            ruling = self.send(AttemptEnded, step_id=each.step_id, attempt=number, outcome="succeeded", at=0)
            assert not ruling.records
        assert not self.send(AttemptEnded, step_id="nobody", attempt=1, outcome="failed", at=0).records

    def overdue(self) -> bool:
        """Is something due that no fact has found? Its wake-up comes before anything else."""
        due = next_wakeup(self.state)
        return due is not None and due <= max(self.state.at, self.now)

    def delete(self, _: int) -> None:
        """A run that is not over cannot be; of one that was, nothing is left that facts could reach."""
        if not self.state.is_terminal:
            assert self.send(DeleteRun).refusal is not None

    def bury(self) -> None:
        """A run that is over is deleted once."""
        assert [type(record.event) for record in self.send(DeleteRun).records] == [ev.RunDeleted]

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
        elif self.overdue():
            self.wake_due()
        elif self.live():
            self.end_one(0, "succeeded")
        elif self.state.keeping:
            self.keep()
        elif self.state.telling:
            self.tell()
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
    world.bury()


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


def test_the_random_streams_know_every_kind_of_fact() -> None:
    """A fact that is added later has to be among the moves, or nothing of the above is true of it."""
    used: set[type] = set()
    for kind in set(MOVES):
        world = RandomWorld(plan(gate("g"), step("a")), pin=PIN)
        for move, n in (("take", 0), ("end", 0), *((kind, n) for n in range(8))):
            world.move(move, n)
        used |= {type(fact) for fact in world.facts}
    assert used == set(kinds_of(AnyFact))


def kinds_of(union: Any) -> list[type]:
    """The members of a union, those of unions in it too."""
    members = get_args(union)
    return [kind for member in members for kind in kinds_of(member)] if members else [union]
