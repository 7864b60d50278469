"""Exec-block 9: a command that the policy refuses waits on a card; one decision lets one command of one attempt run."""

from __future__ import annotations

import pytest

from tests.domain.building import BLOCKED, expr, gate, limited, plan, run_body, step
from tests.domain.watching import WatchedWorld as World
from wfconsole.domain import events as ev
from wfconsole.domain.decide import next_wakeup
from wfconsole.domain.gates import DAY_MS
from wfconsole.domain.plan import RetryPolicy, RunBody

RETRY = RetryPolicy(attempts=3, backoff_ms=10, jitter=0.0, outcomes=("errored",))
TWO = RunBody(commands=(("sh", "-c", "one"), ("sh", "-c", "two")))
SAME = RunBody(commands=(("sh", "-c", "one"), ("sh", "-c", "one")))


def test_exec_block_09_an_operator_with_a_reason_lets_the_command_run() -> None:
    world = World(plan(step("a", BLOCKED), step("b", needs="a")))
    assert (world.status(), world.started()) == ("awaiting_approval", [])
    refusal = world.approve("a").refusal
    assert refusal is not None
    assert refusal.code == "INPUT_MISSING"
    ruling = world.approve("a", reason="I read it")
    assert [type(r.event).__name__ for r in ruling.records] == [
        "DecisionRecorded",
        "ApprovalGranted",
        "RunResumed",
        "StepStarted",
    ]
    assert world.started() == ["a#1"]
    assert world.play().status() == "succeeded"


def test_exec_block_09_a_rejected_command_fails_its_step_and_never_runs() -> None:
    world = World(plan(step("a", BLOCKED), step("b", needs="a"), step("c", needs={"a": "failed"})))
    world.reject("a", reason="no shells")
    assert world.status("a", "b", "c") == ["failed", "skipped", "running"]
    assert world.play().status() == "failed"
    (failed,) = world.events(ev.RunFailed)
    assert (failed.failure.code, failed.failure.step_id) == ("POLICY_BLOCKED", "a")
    assert "no shells" in failed.failure.message
    assert world.started() == ["c#1"]


def test_exec_block_09_a_blocked_command_that_nobody_decided_does_not_run() -> None:
    world = World(plan(step("a", BLOCKED)))
    assert next_wakeup(world.state) == 1_000 + DAY_MS
    world.wake(1_000 + DAY_MS)
    assert (world.gate("a"), world.status()) == ("expired", "failed")
    assert world.started() == []


@pytest.mark.parametrize("body", [TWO, SAME])
def test_one_decision_lets_one_command_through(body: RunBody) -> None:
    world = World(plan(step("a", body)))
    world.approve("a", reason="fine")
    assert list(world.state.gates) == ["a#1", "a#1.2"]
    assert (world.status(), world.started()) == ("awaiting_approval", [])
    world.approve("a", reason="fine, too")
    assert world.started() == ["a#1"]
    assert world.state.gates["a#1.2"].asked.argv == tuple(body.commands[1])


def test_a_decision_about_the_first_command_is_none_about_the_second() -> None:
    world = World(plan(step("a", TWO)))
    world.approve("a", reason="fine")
    refusal = world.say("a#1.2", "approve", context_digest=world.state.gates["a#1"].asked.context_digest).refusal
    assert refusal is not None
    assert refusal.code == "DECISION_STALE"


def test_what_was_let_through_holds_for_that_attempt_alone() -> None:
    world = World(plan(step("a", BLOCKED, retry=RETRY)))
    world.approve("a", reason="fine")
    world.end("a", "errored")
    world.wake(5_000)
    assert (world.status("a"), world.gate("a")) == ("needs_human", "open")
    assert list(world.state.gates) == ["a#1", "a#2"]
    assert world.started() == ["a#1"]


def test_a_command_that_turned_into_another_is_asked_about_again() -> None:
    argv = ("sh", "-c", expr("'try %d' % attempt['n']"))
    world = World(plan(step("a", run_body(*argv), retry=RETRY)))
    world.approve("a", reason="fine")
    world.end("a", "errored")
    world.wake(5_000)
    assert world.state.gates["a#2"].asked.argv == ("sh", "-c", "try 2")


def test_a_step_that_was_let_through_waits_for_a_free_place() -> None:
    world = World(limited(step("a", BLOCKED), step("b"), step("c"), max_concurrency=1))
    assert world.live() == ["b"]
    world.approve("a", reason="fine")
    assert (world.live(), world.status("a")) == (["b"], "needs_human")
    assert world.reject("a").refusal is not None
    world.end("b")
    assert world.live() == ["a"]
    assert world.play().status() == "succeeded"


def test_a_step_that_was_let_through_while_paused_waits_for_the_resume() -> None:
    world = World(plan(step("a", BLOCKED)))
    world.pause()
    assert world.approve("a", reason="fine").refusal is None
    assert (world.status(), world.started()) == ("paused", [])
    world.resume()
    assert world.started() == ["a#1"]


def test_a_step_that_was_let_through_counts_towards_the_limit_of_steps() -> None:
    world = World(limited(step("a", BLOCKED), step("b"), max_steps=1))
    world.approve("a", reason="fine")
    assert world.status("a") == "cancelled"
    world.end("b", "cancelled")
    assert world.status() == "failed"


def test_a_cancel_withdraws_the_card_of_a_blocked_command() -> None:
    world = World(plan(step("a", BLOCKED), gate()))
    world.ready()
    world.cancel(reason="wrong branch")
    assert (world.gate("a"), world.gate()) == ("withdrawn", "withdrawn")
    assert {e.reason for e in world.events(ev.ApprovalWithdrawn)} == {"wrong branch"}
    assert world.status() == "cancelled"


def test_a_workdir_outside_the_workspace_can_only_be_rejected() -> None:
    world = World(plan(step("a", workdir="..")))
    refusal = world.approve("a", reason="please").refusal
    assert refusal is not None
    assert (refusal.code, refusal.hint) == ("INPUT_INVALID", "one of: reject")
    assert world.reject("a").refusal is None
    assert world.status() == "failed"


def test_an_allowed_failure_of_a_blocked_step_harms_nobody() -> None:
    world = World(plan(step("a", BLOCKED, allow_failure=True), step("b", needs="a")))
    world.reject("a")
    assert world.play().status("b") == "succeeded"
    assert world.status() == "succeeded"
