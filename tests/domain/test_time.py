"""Automatic retry, back-off, the run's timeout and its budgets: everything in which a clock or a counter decides."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.domain.building import BLOCKED, evaluate, group, limited, plan, step
from tests.domain.watching import WatchedWorld as World
from wfconsole.domain import events as ev
from wfconsole.domain.decide import decide, next_wakeup
from wfconsole.domain.effects import StopAttempt
from wfconsole.domain.facts import Wakeup
from wfconsole.domain.gates import DAY_MS
from wfconsole.domain.outcome import backoff_ms
from wfconsole.domain.plan import RetryPolicy, SetBody
from wfconsole.domain.records import FailureCause

RETRY = RetryPolicy(attempts=3, backoff_ms=1000, max_backoff_ms=1500, jitter=0.0, outcomes=("errored", "timed_out"))


def test_an_outcome_of_the_policy_is_tried_again_after_its_back_off() -> None:
    world = World(plan(step("a", retry=RETRY)))
    world.end("a", "errored")
    assert world.status("a") == "backing_off"
    assert next_wakeup(world.state) == 2_000
    assert world.wake(1_999).records == ()
    world.wake(2_000)
    assert world.started() == ["a#1", "a#2"]
    world.end("a", "timed_out")
    assert next_wakeup(world.state) == 3_500
    world.wake(3_500)
    world.end("a", "errored")
    assert world.status("a") == "failed"
    assert world.started() == ["a#1", "a#2", "a#3"]


def test_an_outcome_outside_the_policy_fails_at_once() -> None:
    world = World(plan(step("a", retry=RETRY))).play(a="failed")
    assert world.status("a") == "failed"
    assert world.started() == ["a#1"]


def test_a_success_after_a_retry_forgets_the_failure() -> None:
    world = World(plan(step("a", retry=RETRY), step("b", needs="a")))
    world.end("a", "errored")
    world.wake(2_000)
    world.play()
    assert world.status("a", "b") == ["succeeded", "succeeded"]
    assert world.state.step("a").cause is None
    assert world.status() == "succeeded"


def test_a_back_off_that_is_over_while_no_place_is_free_goes_on_when_one_is() -> None:
    world = World(limited(step("a", retry=RETRY), step("b"), max_concurrency=1))
    world.end("a", "errored")
    assert world.status("a", "b") == ["backing_off", "running"]
    assert next_wakeup(world.state) is None
    world.wake(9_000)
    assert world.status("a") == "backing_off"
    world.end("b")
    assert world.status("a") == "running"


def test_of_two_that_are_due_the_longer_waiting_goes_first() -> None:
    world = World(limited(step("a", retry=RETRY), step("b", retry=RETRY), step("c"), max_concurrency=2))
    world.end("b", "errored")
    world.now = 1_100
    world.end("a", "errored")
    world.now = 5_000
    world.end("c")
    assert world.started()[-2:] == ["b#2", "a#2"]


def test_two_back_offs_due_at_once_with_one_place_both_start_in_the_end() -> None:
    world = World(limited(step("a", retry=RETRY), step("b", retry=RETRY), max_concurrency=1))
    world.end("a", "errored")
    world.end("b", "errored")
    due = next_wakeup(world.state)
    assert due == 2_000
    world.decide(Wakeup(fact_id=f"wakeup:{due}", at=due))
    assert world.live() == ["a"]
    world.end("a")
    assert world.live() == ["b"]
    assert world.play().status() == "succeeded"


def test_a_back_off_of_nothing_starts_the_next_attempt_in_the_same_ruling() -> None:
    policy = RetryPolicy(attempts=2, backoff_ms=0, outcomes=("errored",))
    world = World(plan(step("a", retry=policy)))
    world.end("a", "errored")
    assert world.started() == ["a#1", "a#2"]


def test_a_back_off_waits_while_the_run_is_paused_and_goes_on_with_resume() -> None:
    world = World(plan(step("a", retry=RETRY)))
    world.end("a", "errored")
    world.pause()
    assert world.status() == "paused"
    assert next_wakeup(world.state) is None
    world.wake(9_000)
    assert world.status("a") == "backing_off"
    world.resume()
    assert world.status("a") == "running"


def test_a_run_that_backs_off_is_running_not_waiting_for_a_person() -> None:
    world = World(plan(step("a", retry=RETRY), step("b", BLOCKED)))
    world.end("a", "errored")
    assert world.status() == "running"
    world.wake(2_000)
    world.end("a")
    assert world.status() == "awaiting_approval"


def test_an_abandoned_attempt_is_followed_by_the_next_number_whatever_the_policy() -> None:
    world = World(plan(step("a")))
    ruling = world.end("a", "abandoned")
    kinds = [type(r.event) for r in ruling.records]
    assert kinds == [ev.ArtifactRecorded, ev.AttemptAbandoned, ev.StepBackingOff, ev.StepStarted]
    assert world.started() == ["a#1", "a#2"]


def test_an_attempt_that_is_abandoned_while_the_run_is_cancelled_is_not_followed() -> None:
    world = World(plan(step("a")))
    world.cancel()
    world.end("a", "abandoned")
    assert world.status("a") == "cancelled"
    assert world.status() == "cancelled"


@given(st.integers(0, 10_000), st.integers(0, 60_000), st.floats(0, 1), st.integers(1, 40), st.text(max_size=5))
def test_the_back_off_doubles_up_to_its_cap_within_its_jitter(
    base: int, cap: int, jitter: float, attempt: int, key: str
) -> None:
    policy = RetryPolicy(attempts=99, backoff_ms=base, max_backoff_ms=cap, jitter=jitter)
    centre = min(base * 2 ** (attempt - 1), cap)
    found = backoff_ms(policy, attempt, key)
    assert centre * (1 - jitter) - 1 <= found <= centre * (1 + jitter) + 1
    assert found == backoff_ms(policy, attempt, key)


def test_the_jitter_differs_between_attempts() -> None:
    policy = RetryPolicy(attempts=9, backoff_ms=100_000, max_backoff_ms=100_000, jitter=0.5)
    assert len({backoff_ms(policy, n, "r/a") for n in range(1, 20)}) > 10


def test_the_timeout_of_the_run_fails_it_and_stops_what_is_under_way() -> None:
    world = World(limited(step("a"), step("b", needs="a"), timeout_ms=500))
    assert next_wakeup(world.state) == 1_500
    world.wake(1_500)
    assert isinstance(world.effects[-1], StopAttempt)
    assert next_wakeup(world.state) is None
    world.end("a", "cancelled")
    (failed,) = world.events(ev.RunFailed)
    assert failed.failure.code == "RUN_TIMED_OUT"
    assert world.status("a", "b") == ["cancelled", "cancelled"]


def test_the_timeout_is_noticed_by_whatever_fact_comes_first() -> None:
    world = World(limited(step("a"), step("b", needs="a"), timeout_ms=500))
    world.now = 2_000
    world.end("a")
    assert world.started() == ["a#1"]
    assert world.status() == "failed"


def test_the_timeout_does_not_fail_a_run_whose_steps_are_all_over() -> None:
    world = World(limited(step("a"), timeout_ms=500))
    world.now = 2_000
    world.end("a")
    assert world.status() == "succeeded"


def test_the_timeout_counts_time_in_running_only() -> None:
    world = World(limited(step("a"), step("b", needs="a"), timeout_ms=500))
    world.now = 1_100
    world.pause()
    world.now = 1_200
    world.end("a")
    assert world.status() == "paused"
    assert next_wakeup(world.state) is None
    assert world.wake(90_000).records == ()
    world.resume()
    assert next_wakeup(world.state) == 90_300
    world.wake(90_299)
    assert world.state.ended_by is None
    world.wake(90_300)
    assert world.state.ended_by is not None


def test_waiting_for_a_person_does_not_count_towards_the_timeout() -> None:
    world = World(limited(step("a", BLOCKED), timeout_ms=500))
    assert world.status() == "awaiting_approval"
    assert next_wakeup(world.state) == 1_000 + DAY_MS  # the deadline of the decision, not that of the run
    assert world.wake(90_000).records == ()


def test_finally_steps_are_outside_the_timeout_and_nobody_is_woken_in_vain() -> None:
    world = World(limited(step("f", phase="finally"), timeout_ms=500))
    assert next_wakeup(world.state) is None
    assert world.wake(9_000).records == ()
    assert world.play().status() == "succeeded"


def test_finally_runs_after_the_timeout() -> None:
    world = World(limited(step("a"), step("f", SetBody(values={}), phase="finally"), timeout_ms=500))
    world.wake(1_500)
    world.end("a", "cancelled")
    assert world.status("f") == "succeeded"
    assert world.status() == "failed"


def test_a_timed_out_run_whose_finally_step_is_blocked_still_ends_as_failed() -> None:
    world = World(limited(step("a"), step("f", BLOCKED, phase="finally"), timeout_ms=500))
    world.wake(1_500)
    world.end("a", "cancelled")
    assert world.status() == "awaiting_approval"
    world.cancel()
    assert world.status() == "failed"


@pytest.mark.parametrize(
    ("limits", "used", "over"),
    [
        ({"sandbox_time_ms": 100}, {"sandbox_ms": 60}, "sandbox time"),
        ({"cost_usd": 1.0}, {"cost_usd": 0.6}, "cost"),
    ],
)
def test_a_budget_ends_the_run_when_it_is_passed(limits: dict[str, Any], used: dict[str, Any], over: str) -> None:
    parts = [step("a"), step("b", needs="a"), step("c", needs="b"), step("f", phase="finally")]
    world = World(limited(*parts, **limits))
    world.end("a", **used)
    assert world.status("b") == "running"
    world.end("b", **used)
    assert world.status("c", "f") == ["cancelled", "running"]
    world.play()
    (failed,) = world.events(ev.RunFailed)
    assert failed.failure.code == "BUDGET_EXCEEDED"
    assert over in failed.failure.message


def test_what_failed_attempts_used_counts_too() -> None:
    world = World(limited(step("a", retry=RETRY), sandbox_time_ms=100))
    world.end("a", "errored", sandbox_ms=101)
    assert world.status("a") == "cancelled"
    assert world.status() == "failed"


def test_the_limit_of_steps_lets_none_too_many_start() -> None:
    world = World(limited(*(step(f"s{n}", SetBody(values={})) for n in range(5)), max_steps=3))
    assert [e.step_id for e in world.events(ev.StepStarted)] == ["s0", "s1", "s2"]
    assert world.status("s3", "s4") == ["cancelled", "cancelled"]
    (failed,) = world.events(ev.RunFailed)
    assert failed.failure.code == "BUDGET_EXCEEDED"


def test_the_limit_of_steps_counts_retries_and_spares_finally() -> None:
    parts = [step("a", retry=RETRY), step("f", phase="finally")]
    world = World(limited(*parts, max_steps=1))
    world.end("a", "errored")
    world.wake(2_000)
    assert world.status("a", "f") == ["cancelled", "running"]
    assert world.play().status() == "failed"


def test_exactly_as_many_steps_as_allowed_succeed() -> None:
    assert World(limited(step("a"), step("b"), max_steps=2)).play().status() == "succeeded"


def test_a_report_of_an_attempt_that_is_not_under_way_is_a_no_op() -> None:
    world = World(plan(step("a", retry=RETRY), step("b", needs="a")))
    world.end("a", "errored")
    for attempt in (0, 1, 2, 7):
        assert world.end("a", attempt=attempt).records == ()
    assert world.end("b", attempt=1).records == ()
    world.wake(2_000)
    assert world.end("a", attempt=1).records == ()
    assert world.status("a") == "running"


def test_a_report_about_a_group_is_a_no_op() -> None:
    world = World(plan(group("g", "x"), step("g/x")))
    assert world.end("g").records == ()
    assert world.status("g") == "running"


def test_exec_block_7_a_second_report_of_the_same_end_changes_nothing() -> None:
    world = World(plan(step("a"), step("b", needs="a")))
    world.end("a", exit_code=0)
    fact, seq, before = world.last, world.state.seq, repr(world.state)
    assert decide(world.state, fact, evaluate).records == ()
    assert world.end("a", "failed", attempt=1, cause=FailureCause(code="STEP_FAILED", message="no")).records == ()
    assert (world.state.seq, repr(world.state)) == (seq, before)
