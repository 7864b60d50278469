"""Random streams of decisions about one gate, against a rule book written once more: one outcome, whatever the order."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings, strategies as st

from tests.domain.building import GATE_LIFE, gate, plan, step
from tests.domain.watching import WatchedWorld
from wfconsole.domain import events as ev
from wfconsole.domain.facts import SignatureCheck
from wfconsole.domain.plan import StepPlan

EXAMPLES = int(os.environ.get("WFCONSOLE_EXAMPLES", "60"))
PEOPLE = ["ann", "bea", "cem", "dan"]
WRONG: dict[str, dict[str, Any]] = {
    "fine": {},
    "no reason": {"reason": None},
    "unsigned": {"check": SignatureCheck(valid=False, problem="no")},
    "nobody": {"check": SignatureCheck(valid=True)},
    "other journal": {"check": SignatureCheck(valid=True, principal="ann", seen_holds=False)},
    "stale": {"forge": {"context_digest": "old"}},
    "other run": {"forge": {"run_id": "r2"}},
    "other gate": {"forge": {"gate_id": "gate#7"}},
}
NEVER_HOLDS = set(WRONG) - {"fine", "no reason", "nobody"}
rules = st.fixed_dictionaries(
    {
        "count": st.integers(1, 3),
        "any_of": st.sampled_from([(), ("ann", "bea", "cem")]),
        "not_author": st.booleans(),
        "require_reason": st.sampled_from(["on_reject", "always", "never"]),
        "on_reject": st.sampled_from(["cancel", "route"]),
        "on_timeout": st.sampled_from(["cancel", "reject", "route"]),
    }
)
votes = st.tuples(
    st.sampled_from(["approve", "approve", "approve", "reject"]),
    st.sampled_from(PEOPLE),
    st.sampled_from(["fine"] * 8 + sorted(WRONG)),
)
others = st.sampled_from(["again", "replay", "pause", "resume", "take", "expire", "late", "clock back", "cancel"])
streams = st.lists(votes | votes | votes | votes | others, max_size=14)


@dataclass
class RuleBook:
    """What the gate has to be after each move, without events: who approved, and how it was closed."""

    rule: dict[str, Any]
    author: str
    approved: set[str] = field(default_factory=set)
    status: str = "open"

    def vote(self, choice: str, who: str, kind: str) -> bool:
        """Does this decision count?"""
        if self.status != "open" or kind in NEVER_HOLDS or not self._may(who, kind, choice):
            return False
        if choice == "reject":
            self.status = "rejected"
        else:
            self.approved.add(who if kind != "nobody" else f"{who}@desk")
            if len(self.approved) >= self.rule["count"]:
                self.status = "granted"
        return True

    def _may(self, who: str, kind: str, choice: str) -> bool:
        rule = self.rule
        if kind == "nobody" and (rule["count"] > 1 or rule["any_of"] or rule["not_author"]):
            return False
        if rule["not_author"] and who == self.author:
            return False
        if rule["any_of"] and who not in rule["any_of"]:
            return False
        wants = rule["require_reason"] == "always" or (rule["require_reason"] == "on_reject" and choice == "reject")
        return not (wants and kind == "no reason")

    def end(self, status: str) -> None:
        self.status = status if self.status == "open" else self.status


class Stream:
    """One run, one gate, and the rule book beside it."""

    def __init__(self, rule: dict[str, Any], *more: StepPlan) -> None:
        self.book = RuleBook(rule, author="dan")
        parts = gate(**rule), step("ship", needs="gate"), step("tell", needs={"gate": "failed"}), *more
        self.world = WatchedWorld(plan(*parts), author="dan")
        self.world.ready()

    def move(self, move: Any) -> None:
        self.world.now += 5
        if isinstance(move, tuple):
            self.vote(*move)
        else:
            self.other(move)
        assert self.world.gate() == self.book.status

    def vote(self, choice: str, who: str, kind: str) -> None:
        ruling = self.world.say("gate#1", choice, who, **{"reason": "so", **WRONG[kind]})
        assert (ruling.refusal is None) is self.book.vote(choice, who, kind)

    def other(self, move: str) -> None:
        world, closed = self.world, self.book.status != "open"
        match move:
            case "again":
                assert world.decide(world.last).records == ()
            case "replay":
                for decision in world.state.gates["gate#1"].decisions:
                    ruling = world.say("gate#1", "approve", decision.principal, forge=decision.payload)
                    assert ruling.refusal is not None
            case "expire" | "late":
                world.now = max(world.now, 1_000 + GATE_LIFE)
                if move == "expire":
                    world.wake(world.now)
                else:
                    assert world.approve("gate#1", "ann", reason="late").refusal is not None
                    world.wake(world.now)
                self.book.end("expired")
            case "clock back":
                world.now = 1
                world.take()
            case "cancel":
                assert (world.cancel().refusal is None) or closed
                self.book.end("withdrawn")
            case _:
                getattr(world, move)()


def follow(stream: Stream, moves: list[Any]) -> WatchedWorld:
    for move in moves:
        stream.move(move)
    world, status = stream.world, stream.book.status
    world.check_journal()
    counts = world.events(ev.ApprovalGranted, ev.ApprovalRejected, ev.ApprovalExpired, ev.ApprovalWithdrawn)
    assert len(counts) == (status != "open")
    shipped = "ship#1" in world.started()
    assert not shipped or status == "granted"
    assert "tell#1" not in world.started() or status in {"rejected", "expired"}
    if status == "granted" and not world.state.pause_requested and not world.state.cancel_requested:
        assert shipped
    return world


@settings(max_examples=EXAMPLES, deadline=None)
@given(rules, streams)
def test_whatever_is_decided_in_whatever_order_a_gate_has_one_outcome(rule: dict[str, Any], moves: list[Any]) -> None:
    world = follow(Stream(rule), moves)
    if world.state.open_gates():
        assert world.status() in {"awaiting_approval", "paused"}


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(rules, streams)
def test_a_gate_has_one_outcome_also_while_another_branch_runs(rule: dict[str, Any], moves: list[Any]) -> None:
    world = follow(Stream(rule, step("long"), gate("other")), moves)
    assert world.status() == "running" or world.state.is_terminal


@given(st.permutations([("approve", who, "fine") for who in PEOPLE[:3]] + [("reject", "dan", "fine")]))
def test_the_first_to_close_a_gate_wins_in_every_order(order: list[Any]) -> None:
    rule = {
        "count": 2, "any_of": (), "not_author": False, "require_reason": "never", "on_reject": "cancel", "on_timeout": "cancel",
    }  # fmt: skip
    world = follow(Stream(rule), order)
    rejected = [choice for choice, _, _ in order].index("reject")
    assert world.gate() == ("rejected" if rejected < 2 else "granted")
