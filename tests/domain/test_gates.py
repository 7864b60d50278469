"""Gates from opening to end: what is shown first, approval, rejection, expiry, withdrawal, and what follows from each."""

from __future__ import annotations

from typing import Any

import pytest

from tests.domain.building import GATE_LIFE, PIN, expr, gate, limited, plan, step
from tests.domain.watching import WatchedWorld as World
from wfconsole.domain import events as ev
from wfconsole.domain.decide import next_wakeup
from wfconsole.domain.failures import cause
from wfconsole.domain.plan import SetBody, StepPlan
from wfconsole.domain.records import TIMER, Actor

DUE = 1_000 + GATE_LIFE


def opened(*steps: StepPlan, **more: Any) -> World:
    """A run whose one gate, `gate`, is open."""
    world = World(plan(*(steps or (gate(), step("ship", needs="gate"))), **more))
    world.ready()
    return world


def test_st_wf_005_1_a_gate_opens_after_what_it_shows_has_been_gathered() -> None:
    world = World(plan(step("a"), gate(needs="a")))
    world.end("a")
    assert world.started() == ["a#1", "gate#1"]
    assert not world.state.open_gates()
    assert world.approve("gate#1").refusal is not None
    world.ready()
    assert world.names()[-3:] == ["artifact_recorded", "approval_requested gate", "run_awaiting_approval"]
    (asked,) = world.events(ev.ApprovalRequested)
    assert (asked.gate_id, asked.context_digest, asked.expires_at) == ("gate#1", "seen gate#1", DUE)
    assert world.status() == "awaiting_approval"


def test_st_wf_005_2_a_decision_before_the_gate_is_open_is_refused() -> None:
    world = World(plan(step("a"), gate(needs="a")))
    for status in ("pending", "running"):
        ruling = world.approve("gate#1")
        assert ruling.refusal is not None
        assert ruling.refusal.code == "TRANSITION_REFUSED"
        assert status in ruling.refusal.reason
        world.end("a")
    assert world.approve("nobody#1").refusal.code == "NOT_FOUND"  # type: ignore[union-attr]


def test_st_wf_005_3_a_gate_that_cannot_show_everything_stays_shut_and_says_why() -> None:
    world = World(plan(gate(), step("ship", needs="gate")))
    why = cause("CONTEXT_INCOMPLETE", "the report of unit is missing", "run unit, then `wfconsole resume r1`")
    world.end("gate", "errored", cause=why)
    assert (world.status(), world.status("gate")) == ("awaiting_approval", "needs_human")
    refusal = world.approve("gate#1").refusal
    assert refusal is not None
    assert (refusal.code, refusal.reason, refusal.hint) == (why.code, why.message, why.hint)
    assert world.resume().refusal is None
    assert world.started() == ["gate#1", "gate#2"]
    assert world.status() == "running"
    world.ready()
    assert world.approve("gate#2").refusal is None
    assert world.status("gate", "ship") == ["succeeded", "running"]


@pytest.mark.parametrize("outcome", ["errored", "failed", "timed_out", "cancelled", "succeeded"])
def test_st_wf_005_3_no_end_of_the_gathering_opens_or_passes_a_gate(outcome: str) -> None:
    world = World(plan(gate(), step("ship", needs="gate")))
    world.end("gate", outcome)
    assert world.status("gate", "ship") == ["needs_human", "pending"]
    step_cause = world.state.step("gate").cause
    assert step_cause is not None
    assert step_cause.code == "CONTEXT_INCOMPLETE"
    assert world.resume().refusal is None
    assert world.started() == ["gate#1", "gate#2"]


def test_gathering_again_waits_for_a_free_place_and_is_asked_for_once() -> None:
    world = World(limited(gate(), step("b"), step("c", needs="b"), max_concurrency=1))
    world.end("gate", "errored")
    assert world.live() == ["b"]
    assert world.resume().refusal is None
    assert world.live() == ["b"]
    assert world.resume().refusal is not None
    world.end("b")
    assert world.live() == ["gate"]


def test_gathering_that_its_owner_did_not_survive_begins_again() -> None:
    world = World(plan(gate()))
    world.end("gate", "abandoned")
    assert world.started() == ["gate#1", "gate#2"]
    world.ready()
    assert world.gate() == "open"


def test_a_gate_survives_its_owner_and_a_second_report_opens_none() -> None:
    world = opened()
    world.take("another owner")
    assert world.ready().records == ()
    assert world.end("gate", "abandoned").records == ()
    assert world.approve().refusal is None
    assert world.status("gate") == "succeeded"


def test_st_wf_006_1_an_approval_sets_the_run_going_and_starts_the_next_step() -> None:
    world = opened()
    world.now = 2_000
    ruling = world.approve(reason="looks good")
    assert [type(r.event).__name__ for r in ruling.records] == [
        "DecisionRecorded",
        "ApprovalGranted",
        "RunResumed",
        "StepSucceeded",
        "StepStarted",
    ]
    assert world.status() == "running"
    assert world.state.step("gate").outputs == {
        "choice": "approve", "reason": "looks good", "actor": "ann", "at": "1970-01-01T00:00:02.000Z",
    }  # fmt: skip
    assert world.play().status() == "succeeded"


def test_st_wf_006_1_an_approval_of_the_last_step_resumes_before_it_ends() -> None:
    world = opened(gate())
    ruling = world.approve()
    assert [type(r.event).__name__ for r in ruling.records][-3:] == ["RunResumed", "StepSucceeded", "RunSucceeded"]


def test_st_wf_006_2_a_decision_is_recorded_with_its_actor_and_its_time() -> None:
    world = opened()
    world.now = 2_000
    ruling = world.approve(by="bea", reason="fine")
    decided = ruling.records[0]
    assert isinstance(decided.event, ev.DecisionRecorded)
    assert (decided.at, decided.actor) == (2_000, Actor(user="bea", host="desk"))
    assert (decided.event.principal, decided.event.key, decided.event.signature) == ("bea", "key of bea", "sig")
    assert decided.event.payload["context_digest"] == "seen gate#1"


def test_st_wf_007_1_a_rejection_cancels_the_run() -> None:
    world = opened(gate(), step("ship", needs="gate"), step("f", phase="finally"))
    ruling = world.reject(reason="too risky")
    assert ev.ApprovalRejected in {type(r.event) for r in ruling.records}
    assert world.status("gate", "ship", "f") == ["failed", "cancelled", "running"]
    assert world.play().status() == "cancelled"
    (ended,) = world.events(ev.RunCancelled)
    assert "ann" in ended.reason
    assert world.started() == ["gate#1", "f#1"]


def test_st_wf_007_1_a_routed_rejection_goes_on_where_the_gate_may_fail() -> None:
    world = opened(
        gate(on_reject="route"),
        step("ship", needs="gate"),
        step("mend", needs={"gate": "failed"}),
        step("tell", needs={"gate": "done"}),
    )
    world.reject()
    assert world.status("gate", "ship", "mend", "tell") == ["failed", "skipped", "running", "running"]
    assert world.play().status() == "failed"
    (failed,) = world.events(ev.RunFailed)
    assert (failed.failure.code, failed.failure.step_id) == ("APPROVAL_REJECTED", "gate")
    assert failed.failure.hint


def test_st_wf_007_1_a_rejection_that_retries_from_a_step_ends_this_run() -> None:
    world = opened(gate(on_reject={"retry_from": "plan"}), step("ship", needs="gate"))
    world.reject()
    (rejected,) = world.events(ev.ApprovalRejected)
    assert rejected.action == "retry_from"
    assert world.status() == "cancelled"


def test_st_wf_007_2_a_rejection_keeps_who_why_and_when() -> None:
    world = opened(gate(), step("f", SetBody(values={"why": expr("gates['gate']['reason']")}), phase="finally"))
    world.now = 3_000
    ruling = world.reject(by="bea", reason="no tests")
    record = next(r for r in ruling.records if isinstance(r.event, ev.ApprovalRejected))
    assert isinstance(record.event, ev.ApprovalRejected)
    assert (record.at, record.event.by, record.event.reason) == (3_000, ("bea",), "no tests")
    assert world.state.step("f").outputs == {"why": "no tests"}


@pytest.mark.parametrize("allowed", [False, True])
def test_a_rejected_gate_lets_nothing_pass_that_needs_its_success(allowed: bool) -> None:
    parts = [gate(on_reject="route", allow_failure=allowed), step("ship", needs="gate"), step("b")]
    world = opened(*parts)
    world.reject()
    assert world.play().status("ship") == "skipped"
    assert world.status() == ("succeeded" if allowed else "failed")


@pytest.mark.parametrize("action", ["cancel", "cancel_and_notify", "reject"])
def test_a_gate_that_nobody_decided_in_time_ends_the_run(action: str) -> None:
    told = step(
        "f", SetBody(values={"code": expr("run['code']"), "choice": expr("gates['gate']['choice']")}), phase="finally"
    )
    world = opened(gate(on_timeout=action), step("ship", needs="gate"), told)
    assert next_wakeup(world.state) == DUE
    assert world.wake(DUE - 1).records == ()
    world.wake(DUE)
    assert world.gate() == "expired"
    (expired,) = world.events(ev.ApprovalExpired)
    assert (expired.event, expired.action) == ("approval_timeout", action)
    assert world.state.step("f").outputs == {"code": "APPROVAL_EXPIRED", "choice": None}
    assert (world.status(), world.status("ship")) == ("cancelled", "cancelled")
    assert not world.events(ev.ApprovalRejected, ev.DecisionRecorded)


@pytest.mark.parametrize("more", [{"on_timeout": "route"}, {"on_timeout": "reject", "on_reject": "route"}])
def test_a_routed_expiry_goes_on_where_the_gate_may_fail(more: dict[str, str]) -> None:
    world = opened(gate(**more), step("ship", needs="gate"), step("tell", needs={"gate": "failed"}))
    world.wake(DUE)
    assert world.status("gate", "ship", "tell") == ["failed", "skipped", "running"]
    assert world.play().status() == "failed"
    (failed,) = world.events(ev.RunFailed)
    assert failed.failure.code == "APPROVAL_EXPIRED"


def test_an_expiry_is_the_timers_whoever_found_it() -> None:
    world = opened(gate(on_timeout="route"), step("b"), step("tell", needs={"gate": "failed"}))
    world.now = DUE
    ruling = world.send(type(world.last), step_id="gate", attempt=9, context={}, context_digest="", expires_at=0,
                        actor=Actor(user="ann", host="desk"))  # fmt: skip
    by = {type(r.event).__name__: r.actor for r in ruling.records}
    assert by["ApprovalExpired"] == by["StepFailed"] == TIMER
    assert by["StepStarted"].user == "ann"


@pytest.mark.parametrize("closed", ["expired", "rejected", "withdrawn", "granted"])
def test_the_four_ends_of_a_gate_are_told_apart(closed: str) -> None:
    world = opened()
    match closed:
        case "expired":
            world.wake(DUE)
        case "rejected":
            world.reject()
        case "withdrawn":
            world.cancel(reason="not now")
        case _:
            world.approve()
    assert world.gate() == closed
    assert len(world.events(ev.ApprovalExpired, ev.ApprovalRejected, ev.ApprovalWithdrawn, ev.ApprovalGranted)) == 1


def test_a_gate_expires_while_the_run_is_paused() -> None:
    world = opened()
    world.pause()
    assert world.status() == "paused"
    assert next_wakeup(world.state) == DUE
    world.wake(DUE)
    assert (world.gate(), world.status()) == ("expired", "cancelled")


def test_a_routed_expiry_while_paused_starts_nothing_before_the_resume() -> None:
    world = opened(gate(on_timeout="route"), step("tell", needs={"gate": "failed"}))
    world.pause()
    world.wake(DUE)
    assert (world.status(), world.status("tell")) == ("paused", "pending")
    world.resume()
    assert world.status("tell") == "running"


def test_an_approval_while_paused_waits_for_the_resume() -> None:
    world = opened()
    world.pause()
    assert world.approve().refusal is None
    assert (world.status(), world.status("gate", "ship")) == ("paused", ["succeeded", "pending"])
    world.resume()
    assert world.status("ship") == "running"


@pytest.mark.parametrize(("choice", "ends"), [("approve", "succeeded"), ("reject", "failed")])
@pytest.mark.parametrize("pin", [None, PIN])
def test_a_decision_that_leaves_nothing_to_do_ends_a_paused_run(choice: str, ends: str, pin: Any) -> None:
    world = World(plan(gate(on_reject="route")), pin=pin)
    world.ready()
    world.pause()
    assert world.say("gate", choice, reason="so").refusal is None
    assert world.play().status() == ends


def test_deadlines_outlive_the_process_and_are_found_by_the_next_owner() -> None:
    world = opened()
    world.now = 1_000 + 24 * 3600 * 1000
    world.take("the next owner")
    assert (world.gate(), world.status()) == ("expired", "cancelled")


def test_a_clock_that_goes_back_neither_expires_nor_prolongs_a_gate() -> None:
    world = opened()
    world.now = 10
    assert world.pause().records[0].at == 1_000
    assert (world.gate(), next_wakeup(world.state)) == ("open", DUE)
    world.wake(DUE)
    assert world.gate() == "expired"


def test_a_gate_that_opens_after_the_clock_went_back_lasts_as_long_as_it_says() -> None:
    world = World(plan(step("a"), gate()))
    world.now = 9_000_000
    world.end("a")
    world.now = 5_000
    world.ready()
    assert world.gate() == "open"
    assert next_wakeup(world.state) == 9_000_000 + GATE_LIFE
