"""Pause, resume, cancel, force, at every state of a run; who takes it; what is refused."""

from __future__ import annotations

import pytest

from tests.domain.building import BLOCKED, PIN, evaluate, group, plan, step
from tests.domain.watching import WatchedWorld as World
from wfconsole.domain import events as ev
from wfconsole.domain.decide import decide
from wfconsole.domain.effects import SealBundle, StopAttempt
from wfconsole.domain.facts import CancelRun, ChannelFailed, StartRun, TakeRun
from wfconsole.domain.plan import RetryPolicy

RETRY = RetryPolicy(attempts=3, backoff_ms=1000, jitter=0.0, outcomes=("errored",))


def test_pause_waits_for_the_attempts_and_starts_nothing_more() -> None:
    world = World(plan(step("a"), step("b", needs="a")))
    world.pause()
    (pausing,) = world.events(ev.RunPausing)
    assert pausing.draining == 1
    assert world.status() == "running"
    world.end("a")
    assert world.status() == "paused"
    assert world.status("b") == "pending"
    world.resume()
    assert world.status() == "running"
    assert world.status("b") == "running"


def test_a_pause_with_nothing_under_way_pauses_at_once() -> None:
    world = World(plan(step("a", BLOCKED)))
    world.pause()
    assert world.status() == "paused"
    world.resume()
    assert world.status() == "awaiting_approval"
    assert world.names()[-2:] == ["run_resumed", "run_awaiting_approval"]


def test_resume_before_the_pause_took_effect_withdraws_it() -> None:
    world = World(plan(step("a"), step("b", needs="a")))
    world.pause()
    world.resume()
    world.end("a")
    assert world.status("b") == "running"


def test_a_pause_that_is_overtaken_by_the_last_step_does_not_hold_the_end() -> None:
    world = World(plan(step("a")))
    world.pause()
    world.end("a")
    assert world.status() == "succeeded"


def test_a_pause_that_is_overtaken_by_the_last_step_does_not_hold_the_collection() -> None:
    world = World(plan(step("a")), pin=PIN)
    world.pause()
    world.end("a")
    assert world.asked_to_close()
    assert world.state.following_status() == world.status() == "running"
    world.close()
    assert world.status() == "succeeded"


def test_groups_end_while_the_run_is_paused() -> None:
    world = World(plan(group("g", "x"), step("g/x"), step("b", needs="g")))
    world.pause()
    world.end("g/x")
    assert world.status("g", "b") == ["succeeded", "pending"]
    assert world.status() == "paused"


def test_cancel_stops_what_is_under_way_and_ends_when_that_has_ended() -> None:
    world = World(plan(step("a"), step("b"), step("c", needs="a"), group("g", "x", needs="a"), step("g/x")))
    world.cancel(reason="wrong branch")
    assert [e for e in world.effects if isinstance(e, StopAttempt)] == [
        StopAttempt(step_id="a", attempt=1, force=False),
        StopAttempt(step_id="b", attempt=1, force=False),
    ]
    assert world.status("c", "g", "g/x") == ["cancelled"] * 3
    assert world.status() == "running"
    world.end("a", "cancelled")
    world.end("b")
    assert world.status("a", "b") == ["cancelled", "succeeded"]
    (cancelled,) = world.events(ev.RunCancelled)
    assert cancelled.reason == "wrong branch"
    assert world.status() == "cancelled"
    assert world.effects[-1] == SealBundle()


def test_finally_runs_after_a_cancel() -> None:
    world = World(plan(step("a"), step("f", phase="finally")))
    world.cancel()
    world.end("a", "cancelled")
    assert world.status("f") == "running"
    world.end("f")
    assert world.status("f") == "succeeded"
    assert world.status() == "cancelled"


def test_a_cancel_during_finally_does_not_stop_it() -> None:
    world = World(plan(step("f", phase="finally"), step("e", needs="f", phase="finally")))
    world.cancel()
    assert not any(isinstance(e, StopAttempt) for e in world.effects)
    world.play()
    assert world.status("f", "e") == ["succeeded", "succeeded"]
    assert world.status() == "cancelled"


def test_finally_steps_are_tried_again_after_a_cancel() -> None:
    world = World(plan(step("f", phase="finally", retry=RETRY)))
    world.end("f", "errored")
    world.cancel()
    assert world.status("f") == "backing_off"
    world.wake(2_000)
    assert world.status("f") == "running"
    world.end("f", "errored")
    assert world.status("f") == "backing_off"


def test_force_gives_up_the_finally_steps() -> None:
    world = World(plan(step("a"), step("f", phase="finally"), step("e", needs="f", phase="finally")))
    world.cancel()
    world.end("a", "cancelled")
    world.cancel(force=True)
    assert world.effects[-1] == StopAttempt(step_id="f", attempt=1, force=True)
    assert world.status("e") == "cancelled"
    world.end("f", "cancelled")
    assert world.status("f") == "cancelled"
    assert world.status() == "cancelled"


def test_force_at_once_starts_no_finally_step() -> None:
    world = World(plan(step("a"), group("f", "x", phase="finally"), step("f/x", phase="finally")))
    world.cancel(force=True)
    world.end("a", "cancelled")
    assert world.status("f", "f/x") == ["cancelled", "cancelled"]
    assert world.started() == ["a#1"]


def test_a_cancel_before_the_start_ends_the_run_at_once() -> None:
    world = World(plan(step("a"), step("f", phase="finally")), take=False)
    world.cancel()
    assert world.statuses() == {"a": "cancelled", "f": "cancelled"}
    assert world.status() == "cancelled"
    assert world.effects == [SealBundle()]


def test_a_cancel_while_paused_cancels() -> None:
    world = World(plan(step("a"), step("b", needs="a")))
    world.pause()
    world.end("a")
    world.cancel()
    assert world.status() == "cancelled"
    assert world.status("b") == "cancelled"


def test_a_cancel_while_paused_still_runs_the_finally_steps() -> None:
    world = World(plan(step("a"), step("b", needs="a"), step("f", phase="finally")))
    world.pause()
    world.end("a")
    world.cancel()
    assert world.status("f") == "running"
    assert world.play().status() == "cancelled"


@pytest.mark.parametrize("paused", [False, True])
def test_a_cancel_while_nothing_runs_still_collects_the_workspace(paused: bool) -> None:
    world = World(plan(step("a"), step("b", BLOCKED)), pin=PIN)
    world.end("a")
    if paused:
        world.pause()
    world.cancel()
    assert world.asked_to_close()
    assert world.state.following_status() == world.status() == "running"
    world.close()
    assert world.status() == "cancelled"


def test_a_cancel_while_a_step_backs_off_forgets_its_timer() -> None:
    world = World(plan(step("a", retry=RETRY)))
    world.end("a", "errored")
    world.cancel()
    assert world.status("a") == "cancelled"
    assert world.state.timers == {}


def test_no_attempt_is_tried_again_once_the_run_is_being_cancelled() -> None:
    world = World(plan(step("a", retry=RETRY)))
    world.cancel()
    world.end("a", "errored")
    assert world.status("a") == "failed"
    assert world.status() == "cancelled"


def test_a_blocked_finally_step_waits_and_a_cancel_gives_it_up() -> None:
    world = World(plan(step("a"), step("f", BLOCKED, phase="finally")))
    world.end("a")
    assert world.status() == "awaiting_approval"
    world.cancel()
    assert world.status("f") == "cancelled"
    assert world.status() == "cancelled"


def test_a_finally_step_that_blocks_after_a_cancel_waits_for_one_more_cancel() -> None:
    world = World(plan(step("a"), step("f", BLOCKED, phase="finally")))
    world.cancel()
    world.end("a", "cancelled")
    assert world.status() == "awaiting_approval"
    assert world.cancel().refusal is None
    assert world.status() == "cancelled"


def test_an_attempt_that_was_cancelled_though_nobody_asked_is_a_failure() -> None:
    world = World(plan(step("a"), step("b", needs="a"))).play(a="cancelled")
    (failed,) = world.events(ev.StepFailed)
    assert failed.outcome == "cancelled"
    assert world.status() == "failed"


def refused_worlds() -> dict[str, tuple[World, str]]:
    """By name: a world, and the command that it has to refuse."""
    over = World(plan(step("a"))).play()
    paused = World(plan(step("a"), step("b", needs="a")))
    paused.pause()
    cancelling = World(plan(step("a")))
    cancelling.cancel()
    forced = World(plan(step("a")))
    forced.cancel(force=True)
    closing = World(plan(step("a")), pin=PIN)
    closing.end("a")
    return {
        "pause when over": (over, "pause"),
        "resume when over": (over, "resume"),
        "cancel when over": (over, "cancel"),
        "start when over": (over, "start"),
        "pause before the start": (World(plan(step("a")), take=False), "pause"),
        "pause twice": (paused, "pause"),
        "pause while cancelling": (cancelling, "pause"),
        "pause while closing": (closing, "pause"),
        "resume when not paused": (World(plan(step("a"))), "resume"),
        "cancel twice": (cancelling, "cancel"),
        "force twice": (forced, "force"),
        "start twice": (World(plan(step("a"))), "start"),
    }


@pytest.mark.parametrize("case", sorted(refused_worlds()))
def test_st_wf_003_3_an_invalid_command_is_refused_and_changes_nothing(case: str) -> None:
    world, command = refused_worlds()[case]
    before = world.statuses(), world.status(), world.state.facts(), len(world.effects)
    match command:
        case "start":
            ruling = world.send(StartRun, run_id="r1", workflow_id="w1", trace_id="t1", plan=plan())
        case "force":
            ruling = world.cancel(force=True)
        case _:
            ruling = getattr(world, command)()
    assert ruling.refusal is not None
    assert ruling.refusal.code == "TRANSITION_REFUSED"
    assert ruling.refusal.reason
    (record,) = ruling.records
    refused = record.event
    assert isinstance(refused, ev.CommandRefused)
    assert (refused.code, refused.reason, refused.hint) == (
        ruling.refusal.code,
        ruling.refusal.reason,
        ruling.refusal.hint,
    )
    assert (world.statuses(), world.status(), world.state.facts(), len(world.effects)) == before


def test_st_wf_003_1_the_status_of_a_run_follows_the_allowed_transitions() -> None:
    world = World(plan(step("a"), step("b", BLOCKED)), take=False)
    seen = [world.status()]
    for act in (world.take, world.pause, lambda: world.end("a"), world.resume, world.cancel):
        act()
        seen.append(world.status())
    assert seen == ["pending", "running", "running", "paused", "awaiting_approval", "cancelled"]


def test_st_wf_003_2_each_transition_is_recorded_with_its_time_its_step_and_its_actor() -> None:
    world = World(plan(step("a")))
    world.now = 5_000
    ruling = world.end("a")
    assert {(r.at, r.actor.surface, r.correlation_id) for r in ruling.records} == {
        (5_000, "engine", world.last.fact_id)
    }
    assert [getattr(r.event, "step_id", None) for r in ruling.records] == [None, "a", None]


def test_taking_a_started_run_changes_the_owner_alone() -> None:
    world = World(plan(step("a")))
    ruling = world.take("other")
    assert [r.event for r in ruling.records] == [ev.OwnerChanged(owner="other")]
    assert world.state.owner == "other"


def test_taking_a_run_that_is_over_says_nothing() -> None:
    assert World(plan()).take().records == ()


def test_a_run_begins_with_start_run_alone() -> None:
    with pytest.raises(TypeError, match="TakeRun"):
        decide(None, TakeRun(fact_id="x", at=1, owner="me"), evaluate)


def test_st_wf_004_3_a_failing_subscriber_leaves_a_record_and_the_run_goes_on() -> None:
    world = World(plan(step("a")))
    ruling = world.send(ChannelFailed, subscriber="hook", error="boom", failed_seq=2)
    assert [type(r.event) for r in ruling.records] == [ev.EventChannelFailed]
    assert world.play().status() == "succeeded"


def test_time_never_goes_back_in_a_journal() -> None:
    world = World(plan(step("a"), step("b", needs="a")))
    world.now = 10
    world.end("a")
    assert [r.at for r in world.records] == [1_000] * len(world.records)


def test_deciding_changes_nothing_until_the_records_are_applied() -> None:
    world = World(plan(step("a"), step("b", needs="a"), group("g", "x", needs="a"), step("g/x")))
    before = repr(world.state)
    ruling = decide(world.state, CancelRun(fact_id="c", at=1_000), evaluate)
    assert ruling.records
    assert repr(world.state) == before
