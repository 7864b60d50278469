"""The run as it was after each event: always what a fold of the records up to there gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tests.fakes.gates import approval, decide, gated
from tests.fakes.journals import OK, Journal, failed, plan, step
from wfconsole.domain.codec import canonical
from wfconsole.domain.events import Record
from wfconsole.domain.plan import RetryPolicy
from wfconsole.views.history import GrowingView, History
from wfconsole.views.run_view import run_view


def _gate_journal() -> list[Record]:
    journal = gated()
    decide(journal, "approve")
    journal.play()
    return journal.records


def _retry_journal() -> list[Record]:
    retry = RetryPolicy(attempts=4, outcomes=("failed", "errored"))
    made = plan(step("lint", retry=retry), step("unit", "lint"), step("docs"), step("ship", "unit"))
    journal = Journal(made)
    return journal.play(lambda name, n: failed() if (name, n) in {("lint", 1), ("lint", 2), ("unit", 1)} else OK)


def _rejected_journal() -> list[Record]:
    journal = gated(step("a"), approval("gate", "a"), step("b", "gate"))
    decide(journal, "reject", reason="too big")
    journal.play()
    return journal.records


JOURNALS = {"gate": _gate_journal, "retry": _retry_journal, "rejected": _rejected_journal}


@pytest.mark.parametrize("name", JOURNALS)
@pytest.mark.parametrize("spacing", [1, 3, 512])
def test_at_is_the_fold_of_the_records_up_to_there(name: str, spacing: int) -> None:
    records = JOURNALS[name]()
    history = History(spacing)
    history.extend(records)
    assert history.seq == len(records) > 8
    for seq in (*range(len(records), 0, -1), *range(1, len(records) + 1)):
        assert canonical(history.at(seq)) == canonical(run_view(records[:seq]))
    assert canonical(history.document()) == canonical(run_view(records))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_pictures_handed_out_never_change_afterwards(data: st.DataObject) -> None:
    records = JOURNALS[data.draw(st.sampled_from(sorted(JOURNALS)))]()
    history = History(data.draw(st.integers(1, 5)))
    told: list[tuple[int, bytes, dict[str, Any]]] = []
    place = 0
    while place < len(records):
        size = data.draw(st.integers(1, 6))
        history.extend(records[place : place + size])
        place += size
        document = history.document()
        told.append((history.seq, canonical(document), document))
        history.at(data.draw(st.integers(1, history.seq)))
    for seq, before, document in told:
        assert canonical(document) == before == canonical(run_view(records[:seq]))


def test_a_growing_view_makes_only_what_was_touched() -> None:
    journal = Journal(plan(step("a"), step("b")))
    records = journal.play()
    view = GrowingView()
    before: dict[str, object] = {}
    for record in records:
        view.add(record)
        after: dict[str, object] = {item["step_id"]: item for item in view.steps()}
        changed = {name for name in after if after[name] is not before.get(name)}
        assert changed <= {getattr(record.event, "step_id", None), *(after if record.seq == 1 else ())} | (
            {record.event.artifact.step_id} if hasattr(record.event, "artifact") else set()
        )
        before = dict(after)


def test_bounds_are_kept_to_the_journal() -> None:
    records = _retry_journal()
    history = History()
    history.extend(records)
    assert history.at(0)["status"] == "pending"
    assert canonical(history.at(10_000)) == canonical(run_view(records))
    with pytest.raises(ValueError, match="cannot follow"):
        history.extend(records[:1])
