"""Deleting as the run itself decides it: only when it is over, once, and always with an answer."""

from __future__ import annotations

import pytest

from tests.store.samples import ANNE, T0, created, records
from wfconsole.domain import events as ev
from wfconsole.domain.codec import fact_from_json, fact_to_json, record_from_wire, wire
from wfconsole.domain.decide import decide
from wfconsole.domain.evolve import fold
from wfconsole.domain.facts import DeleteRun
from wfconsole.views.timeline import event_line

STARTED = ev.RunStarted(owner="me")
RUNNING = ev.StepStarted(step_id="a", attempt=1, kind="run")
CANCELLING = ev.RunCancelling(reason="enough")
GONE = (ev.StepCancelled(step_id="a"), ev.StepCancelled(step_id="b"), ev.RunClosing())
FACT = DeleteRun(fact_id="d1", at=T0 + 10_000, actor=ANNE, counts={"runs": 1, "steps": 2}, bytes=4096, reason="old")

OPEN: dict[str, tuple[ev.Event, ...]] = {
    "pending": (),
    "running": (STARTED, RUNNING),
    "paused": (STARTED, ev.RunPausing(draining=0), ev.RunPaused()),
    "cancelling": (STARTED, RUNNING, CANCELLING),
    "closing": (STARTED, CANCELLING, *GONE),
}
OVER: dict[str, tuple[ev.Event, ...]] = {
    "cancelled": (STARTED, CANCELLING, *GONE, ev.RunCancelled()),
    "succeeded": (
        STARTED,
        *(
            event
            for step in ("a", "b")
            for event in (
                ev.StepStarted(step_id=step, attempt=1, kind="run"),
                ev.StepSucceeded(step_id=step, attempt=1),
            )
        ),
        ev.RunClosing(),
        ev.RunSucceeded(),
    ),
}


@pytest.mark.parametrize("name", OPEN)
def test_a_run_that_is_not_over_refuses_and_says_what_to_do_first(name: str) -> None:
    state = fold(records((created("run-1"), *OPEN[name])))
    assert state is not None
    ruling = decide(state, FACT, lambda _, __: None)
    assert ruling.refusal is not None
    assert ruling.refusal.code == "TRANSITION_REFUSED"
    assert ruling.refusal.reason == f"run run-1 is not over: {state.status}"
    assert ruling.refusal.hint == "wfconsole cancel run-1, then delete it"
    (record,) = ruling.records
    assert isinstance(record.event, ev.CommandRefused)
    assert record.event.command == "delete_run"


@pytest.mark.parametrize("name", OVER)
def test_an_ended_run_is_deleted_once(name: str) -> None:
    before = records((created("run-1"), *OVER[name]))
    state = fold(before)
    assert state is not None
    ruling = decide(state, FACT, lambda _, __: None)
    assert ruling.refusal is None
    (record,) = ruling.records
    assert record.event == ev.RunDeleted(
        workflow_id="wf-run-1", counts={"runs": 1, "steps": 2}, bytes=4096, reason="old"
    )
    assert (record.actor, record.correlation_id) == (ANNE, "d1")
    after = fold((*before, record))
    assert after is not None
    assert after.status == state.status
    assert decide(after, FACT, lambda _, __: None).records == ()
    line = event_line(record, {})
    assert line is not None
    assert line.text == "deleted: old"


def test_fact_and_event_survive_the_wire() -> None:
    assert fact_from_json(fact_to_json(FACT)) == FACT
    event = ev.RunDeleted(workflow_id="w", counts={"runs": 1}, bytes=3)
    (record,) = records((event,))
    assert record_from_wire(wire(record, run_id="r", name="n", version="1")) == record
