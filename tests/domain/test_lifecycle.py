"""A walk over every pair of the three tables, and over everything that the status of a run depends on."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from tests.domain.building import RECIPE, World, gate, plan, step
from wfconsole.domain import events as ev
from wfconsole.domain.evolve import evolve, fold
from wfconsole.domain.lifecycle import (
    APPROVAL_STATUSES,
    APPROVAL_TRANSITIONS,
    RUN_STATUSES,
    RUN_TERMINAL,
    RUN_TRANSITIONS,
    STEP_STATUSES,
    STEP_TERMINAL,
    STEP_TRANSITIONS,
    RunFacts,
    TransitionError,
    check_run,
    check_step,
    derive_run_status,
)
from wfconsole.domain.plan import Plan
from wfconsole.domain.records import ENGINE, FailureCause

STEP_PAIRS = set(
    """pending>running pending>needs_human pending>skipped pending>cancelled pending>succeeded
    running>succeeded running>failed running>backing_off running>needs_human running>cancelled
    backing_off>running backing_off>needs_human backing_off>cancelled
    needs_human>running needs_human>succeeded needs_human>failed needs_human>skipped needs_human>cancelled""".split()
)
RUN_PAIRS = set(
    """pending>running pending>cancelled
    running>paused running>awaiting_approval running>succeeded running>failed running>cancelled
    paused>running paused>awaiting_approval paused>cancelled
    awaiting_approval>running awaiting_approval>paused awaiting_approval>cancelled""".split()
)
APPROVAL_PAIRS = {"open>granted", "open>rejected", "open>expired", "open>withdrawn"}
WHY = FailureCause(code="STEP_FAILED", message="no")


@pytest.mark.parametrize(("current", "following"), product(STEP_STATUSES, STEP_STATUSES))
def test_the_step_table_has_exactly_the_pairs_of_the_design(current: str, following: str) -> None:
    allowed = f"{current}>{following}" in STEP_PAIRS
    if allowed:
        check_step("a", current, following)
    else:
        with pytest.raises(TransitionError, match=f"step a: {current} to {following}"):
            check_step("a", current, following)


@pytest.mark.parametrize(("current", "following"), product(RUN_STATUSES, RUN_STATUSES))
def test_st_wf_003_1_the_run_table_has_exactly_the_pairs_of_the_design(current: str, following: str) -> None:
    if f"{current}>{following}" in RUN_PAIRS:
        check_run(current, following)
    else:
        with pytest.raises(TransitionError, match=f"run: {current} to {following}"):
            check_run(current, following)


@pytest.mark.parametrize(("current", "following"), product(APPROVAL_STATUSES, APPROVAL_STATUSES))
def test_the_approval_table_has_exactly_the_pairs_of_the_design(current: str, following: str) -> None:
    assert (following in APPROVAL_TRANSITIONS[current]) == (f"{current}>{following}" in APPROVAL_PAIRS)


def test_the_tables_are_closed_and_their_ends_are_the_terminal_statuses() -> None:
    for table, statuses in (
        (STEP_TRANSITIONS, STEP_STATUSES),
        (RUN_TRANSITIONS, RUN_STATUSES),
        (APPROVAL_TRANSITIONS, APPROVAL_STATUSES),
    ):
        assert tuple(table) == statuses
        assert {name for names in table.values() for name in names} | {statuses[0]} == set(statuses)
    assert {name for name, then in STEP_TRANSITIONS.items() if not then} == STEP_TERMINAL
    assert {name for name, then in RUN_TRANSITIONS.items() if not then} == RUN_TERMINAL


STEP_EVENTS: dict[str, ev.Event] = {
    "running": ev.StepStarted(step_id="a", attempt=2, kind="run"),
    "succeeded": ev.StepSucceeded(step_id="a", attempt=1),
    "failed": ev.StepFailed(step_id="a", attempt=1, cause=WHY),
    "backing_off": ev.StepBackingOff(step_id="a", attempt=1, outcome="errored", cause=WHY, until=9_000),
    "cancelled": ev.StepCancelled(step_id="a"),
    "skipped": ev.StepSkipped(step_id="a", cause="when", reason="no"),
    "needs_human": ev.StepBlocked(step_id="a", cause=WHY),
}


def world_in(status: str) -> World:
    """A run whose step `a` is in `status`, got there by events that the table allows."""
    world = World(plan(step("a")), take=False)
    path = {"pending": [], "backing_off": ["running", "backing_off"], "failed": ["running", "failed"]}
    for name in path.get(status, [status]):
        apply(world, STEP_EVENTS[name])
    assert world.status("a") == status
    return world


def apply(world: World, event: ev.Event) -> None:
    record = ev.Record(seq=world.state.seq + 1, at=2_000, correlation_id="x", actor=ENGINE, event=event)
    world.run = evolve(world.run, record)
    world.records.append(record)


@pytest.mark.parametrize(("current", "following"), product(STEP_STATUSES, STEP_EVENTS))
def test_evolve_follows_the_step_table(current: str, following: str) -> None:
    world = world_in(current)
    before = (world.statuses(), world.state.facts(), world.state.ready.copy(), world.state.seq)
    if f"{current}>{following}" in STEP_PAIRS:
        apply(world, STEP_EVENTS[following])
        assert world.status("a") == following
    else:
        with pytest.raises(TransitionError):
            apply(world, STEP_EVENTS[following])
        assert (world.statuses(), world.state.facts(), world.state.ready, world.state.seq) == before


RUN_EVENTS: dict[str, ev.Event] = {
    "running": ev.RunResumed(),
    "paused": ev.RunPaused(),
    "awaiting_approval": ev.RunAwaitingApproval(waiting_for=("a",)),
    "succeeded": ev.RunSucceeded(),
    "failed": ev.RunFailed(failure=ev.RunFailure(code="STEP_FAILED", message="no")),
    "cancelled": ev.RunCancelled(),
}


@pytest.mark.parametrize(("current", "following"), product(RUN_STATUSES, RUN_EVENTS))
def test_evolve_follows_the_run_table(current: str, following: str) -> None:
    world = World(plan(step("a")), take=False)
    if current != "pending":
        apply(world, ev.RunStarted(owner="me"))
        if current != "running":
            apply(world, RUN_EVENTS[current])
    if current == following or f"{current}>{following}" in RUN_PAIRS:
        apply(world, RUN_EVENTS[following])
        assert world.status() == following
    else:
        with pytest.raises(TransitionError):
            apply(world, RUN_EVENTS[following])
        assert world.status() == current


GATE_EVENTS: dict[str, ev.Event] = {
    "granted": ev.ApprovalGranted(gate_id="a#1", step_id="a", by=("ann",)),
    "rejected": ev.ApprovalRejected(gate_id="a#1", step_id="a", by=("ann",)),
    "expired": ev.ApprovalExpired(gate_id="a#1", step_id="a", action="cancel"),
    "withdrawn": ev.ApprovalWithdrawn(gate_id="a#1", step_id="a"),
}


def world_with_gate() -> World:
    world = World(plan(gate("a")))
    world.ready("a")
    return world


@pytest.mark.parametrize(("current", "following"), product(GATE_EVENTS, GATE_EVENTS))
def test_a_gate_is_closed_once(current: str, following: str) -> None:
    world = world_with_gate()
    apply(world, GATE_EVENTS[current])
    assert world.gate("a") == current
    with pytest.raises(TransitionError, match=f"gate a#1: {current} to {following}"):
        apply(world, GATE_EVENTS[following])
    assert world.gate("a") == current


def test_a_journal_in_which_a_gate_is_asked_twice_or_decided_too_late_is_forged() -> None:
    world = world_with_gate()
    (asked,) = world.events(ev.ApprovalRequested)
    for gate_id in ("a#1", "a#2"):
        with pytest.raises(TransitionError, match="asked twice"):
            apply(world, replace(asked, gate_id=gate_id))
    apply(world, GATE_EVENTS["expired"])
    with pytest.raises(TransitionError, match="a decision when expired"):
        apply(world, ev.DecisionRecorded(gate_id="a#1", step_id="a", choice="approve", principal="ann"))
    assert world.state.gates["a#1"].decisions == ()


def expected_status(facts: RunFacts) -> str:
    """The rules of the design, said once more in another order."""
    if facts.closed:
        return "cancelled" if facts.cancel_requested else "failed" if facts.failed else "succeeded"
    if facts.started and not facts.live and not facts.pause_requested and facts.waiting and not facts.timed:
        return "awaiting_approval"
    if facts.started and not facts.live and facts.pause_requested:
        return "paused"
    return "running" if facts.started else "pending"


def test_the_status_of_a_run_is_derived_from_its_facts_alone() -> None:
    flags, counts = (False, True), (0, 1, 3)
    found = set()
    for started, live, waiting, timed, pause, cancel, failed, closed in product(
        flags, counts, counts, counts, flags, flags, flags, flags
    ):
        facts = RunFacts(
            started=started, live=live, waiting=waiting, timed=timed, pause_requested=pause, cancel_requested=cancel,
            failed=failed, closed=closed,
        )  # fmt: skip
        assert derive_run_status(facts) == expected_status(facts)
        found.add(derive_run_status(facts))
    assert found == set(RUN_STATUSES)


def created(made_of: Plan) -> ev.Record:
    event = ev.RunCreated(run_id="r1", workflow_id="w1", trace_id="t1", plan=made_of)
    return ev.Record(seq=1, at=1, correlation_id="x", actor=ENGINE, event=event)


def test_a_journal_begins_with_run_created_and_has_no_second_one() -> None:
    first = created(Plan(recipe=RECIPE, text="", steps=()))
    with pytest.raises(ValueError, match="not the first"):
        evolve(evolve(None, first), first)
    started = ev.Record(seq=1, at=1, correlation_id="x", actor=ENGINE, event=ev.RunStarted(owner="me"))
    with pytest.raises(ValueError, match="first event"):
        evolve(None, started)


def test_an_empty_journal_has_no_state() -> None:
    assert fold([]) is None
