"""Forged journals, as somebody makes them who can write the database and knows every hash: what an audit sees in them.

That no sound journal is called forged is checked at every random run, in `watching`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.domain.building import GATE_LIFE, gate, plan, step
from tests.domain.test_questions import DRAFTS, asked
from tests.domain.watching import WatchedWorld as World
from wfconsole.domain import events as ev
from wfconsole.domain.backing import unbacked

Forge = Callable[[list[ev.Record]], None]


def two_of_three() -> list[ev.Record]:
    """ann and bea approve; dan started the run."""
    made = gate(count=2, any_of=("ann", "bea", "cem"), not_author=True)
    world = World(plan(made, step("ship", needs="gate")), author="dan")
    world.ready()
    assert world.approve(by="ann").refusal is None
    assert world.approve(by="bea").refusal is None
    world.check_journal()
    return list(world.records)


def at(records: Sequence[ev.Record], kind: type, nth: int = 0) -> int:
    return [place for place, record in enumerate(records) if isinstance(record.event, kind)][nth]


def change(records: list[ev.Record], kind: type, nth: int = 0, **fields: Any) -> None:
    place = at(records, kind, nth)
    event: Any = records[place].event
    records[place] = replace(records[place], event=replace(event, **fields))


def drop(records: list[ev.Record], kind: type, nth: int = 0) -> None:
    del records[at(records, kind, nth)]


def twice(records: list[ev.Record], kind: type) -> None:
    place = at(records, kind)
    records.insert(place + 1, records[place])


def payload(records: list[ev.Record], **fields: Any) -> None:
    event: Any = records[at(records, ev.DecisionRecorded)].event
    change(records, ev.DecisionRecorded, payload={**event.payload, **fields})


FORGED: dict[str, tuple[Forge, str]] = {
    "a decision is gone": (lambda r: drop(r, ev.DecisionRecorded), "do not amount to that"),
    "a grant of nobody": (lambda r: change(r, ev.ApprovalGranted, by=()), "do not amount to that"),
    "a grant in another's name": (lambda r: change(r, ev.ApprovalGranted, by=("ann", "cem")), "do not amount to that"),
    "a rejection became a grant": (lambda r: change(r, ev.DecisionRecorded, 1, choice="reject"), "do not amount"),
    "one person twice": (lambda r: change(r, ev.DecisionRecorded, 1, principal="ann"), "do not amount to that"),
    "somebody who may not": (lambda r: change(r, ev.DecisionRecorded, principal="mal"), "mal may not decide gate#1"),
    "the author": (lambda r: change(r, ev.RunCreated, author="ann"), "ann started the run"),
    "a replay": (lambda r: twice(r, ev.DecisionRecorded), "was used before"),
    "two grants": (lambda r: twice(r, ev.ApprovalGranted), "which had been granted"),
    "asked again": (lambda r: twice(r, ev.ApprovalRequested), "was asked twice"),
    "another context": (lambda r: payload(r, context_digest="other"), "made for another context_digest"),
    "another run": (lambda r: payload(r, run_id="r2"), "made for another run_id"),
    "another plan": (lambda r: payload(r, plan_digest="f" * 64), "made for another plan_digest"),
    "before it was open": (lambda r: payload(r, seen={"seq": 1}), "before the gate was open"),
    "no gate": (lambda r: drop(r, ev.ApprovalRequested), "never open"),
    "no grant": (lambda r: drop(r, ev.ApprovalGranted), "step gate succeeded, and nobody let it pass"),
}


@pytest.mark.parametrize("name", sorted(FORGED))
def test_a_forged_approval_is_seen(name: str) -> None:
    forge, words = FORGED[name]
    records = two_of_three()
    forge(records)
    problems = [problem for _, problem in unbacked(records)]
    assert any(words in problem for problem in problems), problems


def test_the_event_that_shows_it_is_named() -> None:
    records = two_of_three()
    drop(records, ev.DecisionRecorded)
    granted = records[at(records, ev.ApprovalGranted)]
    assert list(unbacked(records)) == [
        (granted.seq, "gate#1 has been granted, and its decisions do not amount to that")
    ]


def test_a_rejection_that_nobody_made_is_seen() -> None:
    world = World(plan(gate(), step("ship", needs="gate")))
    world.ready()
    world.reject(by="ann")
    forgeries: tuple[Forge, ...] = (
        lambda r: drop(r, ev.DecisionRecorded),
        lambda r: change(r, ev.ApprovalRejected, by=("bea",)),
        lambda r: change(r, ev.DecisionRecorded, choice="approve"),
    )
    for forge in forgeries:
        records = list(world.records)
        forge(records)
        assert ["nobody's decision says so" in problem for _, problem in unbacked(records)] == [True]


def test_a_deadline_that_was_not_over_is_seen() -> None:
    world = World(plan(gate(), step("ship", needs="gate")))
    world.ready()
    world.wake(1_000 + GATE_LIFE)
    records = list(world.records)
    assert list(unbacked(records)) == []
    place = at(records, ev.ApprovalExpired)
    records[place] = replace(records[place], at=records[place].at - 1)
    assert [problem for _, problem in unbacked(records)] == ["gate#1 has expired, and its deadline was not over"]


def test_an_answer_that_nobody_gave_is_seen() -> None:
    world = asked(**DRAFTS)
    world.say("ask", "long")
    records = list(world.records)
    assert list(unbacked(records)) == []
    wrong: tuple[dict[str, Any], ...] = ({"choice": "short"}, {"by": ("bea",)}, {"by": ()})
    for fields in wrong:
        forged = list(records)
        change(forged, ev.InputReceived, **fields)
        assert ["nobody's answer says so" in problem for _, problem in unbacked(forged)] == [True], fields
