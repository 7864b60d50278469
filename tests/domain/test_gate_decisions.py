"""Which decisions count: signed, about this very gate and context, by somebody who may, in time, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.domain.building import GATE_LIFE, gate, plan, step
from tests.domain.test_gates import opened
from tests.domain.watching import WatchedWorld as World
from wfconsole.domain import events as ev
from wfconsole.domain.draft import Ruling
from wfconsole.domain.facts import SignatureCheck


def code(ruling: Ruling) -> str:
    assert ruling.refusal is not None
    assert ruling.refusal.hint
    (record,) = ruling.records
    assert isinstance(record.event, ev.CommandRefused)
    assert (record.event.command, record.event.code) == ("decide_gate", ruling.refusal.code)
    return ruling.refusal.code


INVALID: dict[str, dict[str, Any]] = {
    "no signature": {"check": None},
    "wrong key": {"check": SignatureCheck(valid=False, problem="the key is not known")},
    "another journal": {"check": SignatureCheck(valid=True, principal="ann", seen_holds=False)},
    "another run": {"run_id": "r2"},
    "another plan": {"plan_digest": "e" * 64},
    "a journal before the gate": {"seen": {"seq": 1, "hash": "h"}},
    "no journal at all": {"seen": None},
    "a signed start": {"kind": "start"},
    "a later version": {"version": 2},
    "a version that only equals": {"version": True},
    "no nonce": {"nonce": None},
    "a short nonce": {"nonce": "n"},
    "a nonce that is no text": {"nonce": [1] * 20},
    "a reason that is no text": {"reason": ["because"]},
}


@pytest.mark.parametrize("name", sorted(INVALID))
def test_st_wf_006_3_a_decision_that_does_not_hold_is_refused_and_the_gate_stays_open(name: str) -> None:
    world = opened()
    assert code(world.approve(**INVALID[name])) == "DECISION_INVALID"
    assert (world.gate(), world.status()) == ("open", "awaiting_approval")
    assert not world.state.gates["gate#1"].decisions


def test_a_decision_about_a_context_that_has_changed_is_stale() -> None:
    world = opened()
    assert code(world.approve(context_digest="seen before")) == "DECISION_STALE"
    assert world.gate() == "open"


@pytest.mark.parametrize("choice", ["", "yes", "APPROVE", None, ["approve"], {"approve": 1}, True])
def test_a_choice_that_the_gate_does_not_have_is_refused(choice: Any) -> None:
    world = opened()
    assert code(world.say("gate", "approve", forge={"choice": choice})) == "INPUT_INVALID"
    assert world.gate() == "open"


@pytest.mark.parametrize("gate_id", ["gate#2", "gate", "other#1", "", None, 7, ["gate#1"]])
def test_a_decision_names_its_gate_and_its_attempt(gate_id: Any) -> None:
    world = opened()
    assert code(world.approve(forge={"gate_id": gate_id})) == "NOT_FOUND"


def test_a_decision_for_one_gate_does_not_move_another() -> None:
    world = World(plan(gate("x"), gate("y")))
    world.ready("x")
    world.ready("y")
    assert code(world.approve("x", forge={"gate_id": "y#1"})) == "DECISION_STALE"
    assert (world.gate("x"), world.gate("y")) == ("open", "open")


def test_a_nonce_counts_once_in_a_run_whatever_the_gate() -> None:
    world = World(plan(gate("x", count=2), gate("y")))
    world.ready("x")
    world.ready("y")
    nonce = "the very same nonce"
    assert world.approve("x", nonce=nonce).refusal is None
    assert code(world.approve("x", nonce=nonce)) == "DECISION_INVALID"
    assert code(world.approve("y", "bea", nonce=nonce)) == "DECISION_INVALID"
    assert [world.gate("x"), world.gate("y")] == ["open", "open"]


def test_the_same_fact_twice_decides_once() -> None:
    world = opened(gate(count=2))
    assert world.approve(fact_id="one").records
    assert world.approve(fact_id="one", by="bea").records == ()
    assert world.gate() == "open"


LATE: dict[str, tuple[Callable[[World], object], str]] = {
    "granted": (World.approve, "granted by ann"),
    "rejected": (World.reject, "rejected by ann: no"),
    "withdrawn": (lambda world: world.cancel(reason="not now"), "withdrawn: not now"),
    "expired": (lambda world: world.wake(world.now + GATE_LIFE), "expired at 1970-01-01T00:00:11.000Z"),
    "over, and nobody looked": (lambda world: setattr(world, "now", world.now + GATE_LIFE), "expired at 1970"),
}


@pytest.mark.parametrize("choice", ["approve", "reject"])
@pytest.mark.parametrize("end", sorted(LATE))
def test_a_late_decision_is_refused_and_told_who_was_first(end: str, choice: str) -> None:
    act, told = LATE[end]
    world = opened(gate(), step("b"))
    act(world)
    ruling = world.say("gate", choice, "bea", reason="me too")
    assert code(ruling) == "TRANSITION_REFUSED"
    assert ruling.refusal is not None
    assert told in ruling.refusal.reason
    assert len(world.events(ev.ApprovalGranted, ev.ApprovalRejected)) == (end in {"granted", "rejected"})


def test_a_decision_after_the_run_is_over_is_refused() -> None:
    world = opened(gate())
    world.approve()
    assert world.status() == "succeeded"
    ruling = world.approve(by="bea")
    assert code(ruling) == "TRANSITION_REFUSED"
    assert "granted by ann" in str(ruling.refusal)


def test_a_decision_that_was_made_in_time_but_found_the_deadline_over_does_not_count() -> None:
    world = opened()
    world.wake(1_000 + GATE_LIFE)
    assert code(world.approve(at=1_500)) == "TRANSITION_REFUSED"
    assert world.gate() == "expired"


def test_two_of_three_have_to_approve() -> None:
    world = opened(gate(count=2, any_of=("ann", "bea", "cem")), step("ship", needs="gate"))
    assert world.approve(by="ann").refusal is None
    assert (world.gate(), world.status()) == ("open", "awaiting_approval")
    assert code(world.approve(by="dan")) == "DECISION_INVALID"
    assert world.approve(by="cem").refusal is None
    (granted,) = world.events(ev.ApprovalGranted)
    assert granted.by == ("ann", "cem")
    assert world.state.step("gate").outputs["actor"] == "ann, cem"  # type: ignore[index]


def test_nobody_votes_twice() -> None:
    world = opened(gate(count=2))
    for _ in range(3):
        assert world.approve(by="ann").refusal is None
    assert world.gate() == "open"
    world.approve(by="bea")
    assert world.gate() == "granted"


def test_one_rejection_closes_a_gate_that_others_approved() -> None:
    world = opened(gate(count=3))
    world.approve(by="ann")
    world.approve(by="bea")
    world.reject(by="ann", reason="I looked again")
    (rejected,) = world.events(ev.ApprovalRejected)
    assert (rejected.by, rejected.reason) == (("ann",), "I looked again")
    assert world.gate() == "rejected"


def test_who_counts_is_the_key_and_not_the_account() -> None:
    world = opened(gate(count=2))
    anonymous = SignatureCheck(valid=True, key="a key of nobody")
    assert code(world.approve(check=anonymous)) == "DECISION_INVALID"
    for name in ("ann", "bea"):
        world.say("gate", "approve", "root", check=SignatureCheck(valid=True, principal=name))
    (granted,) = world.events(ev.ApprovalGranted)
    assert granted.by == ("ann", "bea")


def test_without_rules_about_people_the_account_is_who_decided() -> None:
    world = opened()
    world.approve(check=SignatureCheck(valid=True, key="a key of nobody"))
    (granted,) = world.events(ev.ApprovalGranted)
    assert granted.by == ("ann@desk",)


@pytest.mark.parametrize(("author", "refused"), [("ann", True), ("bea", False), (None, True)])
def test_a_run_is_not_approved_by_its_author(author: str | None, refused: bool) -> None:
    world = World(plan(gate(not_author=True)), author=author)
    world.ready()
    ruling = world.approve(by="ann")
    assert (ruling.refusal is not None) is refused
    assert not refused or code(world.reject(by="ann")) == "DECISION_INVALID"


@pytest.mark.parametrize(
    ("rule", "choice", "refused"),
    [
        ("always", "approve", True),
        ("always", "reject", True),
        ("on_reject", "approve", False),
        ("on_reject", "reject", True),
        ("never", "approve", False),
        ("never", "reject", False),
    ],
)
@pytest.mark.parametrize("reason", [None, "  "])
def test_a_reason_is_wanted_where_the_recipe_says_so(rule: str, choice: str, refused: bool, reason: Any) -> None:
    world = opened(gate(require_reason=rule))
    ruling = world.say("gate", choice, reason=reason)
    assert (ruling.refusal is not None) is refused
    assert not refused or code(ruling) == "INPUT_MISSING"
    assert not refused or world.say("gate", choice, reason="because").refusal is None


def test_a_new_run_asks_again() -> None:
    first, second = opened(), opened()
    payload = first.payload("gate#1", "approve", "ann")
    first.approve()
    assert second.gate() == "open"
    assert code(second.approve(forge={**payload, "run_id": "r0"})) == "DECISION_INVALID"
