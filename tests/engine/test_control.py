"""Commands against a run that is driven: cancel, pause, resume, a second owner, a dead owner, a broken subscriber."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.engine.rig import ACTOR, Rig, evaluate, plan, play, step
from tests.fakes.sandbox import FakeSandbox, Script
from wfconsole.domain.decide import decide
from wfconsole.domain.events import EventChannelFailed, Record, RunFailed
from wfconsole.domain.evolve import fold
from wfconsole.domain.facts import CancelRun, PauseRun, ResumeRun, TakeRun
from wfconsole.domain.plan import Limits
from wfconsole.ports import Commit, SandboxHandle, SandboxSpec, WfconsoleError


def test_cancel_stops_what_runs_and_ends_the_run_cancelled(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {"a": Script(hangs=False, hold=None)})

    async def scenario() -> str:
        rig.sandbox.scripts["a"] = Script(hold=asyncio.Event())
        run_id = await rig.create(plan(step("a"), step("b", needs=["a"]), step("end", phase="finally")))
        driving = asyncio.create_task(rig.supervisor.drive(run_id))
        await rig.sandbox.begun("a")
        await rig.deliver(run_id, CancelRun(fact_id="c1", at=rig.clock.now, actor=ACTOR, reason="enough"))
        state = await driving
        assert [state.step(name).status for name in ("a", "b", "end")] == ["cancelled", "cancelled", "succeeded"]
        return state.status

    assert play(scenario) == "cancelled"
    assert ("stop", "a", 1) in rig.sandbox.calls
    assert rig.sandbox.containers == {}


def test_a_cancel_ends_the_wait_for_an_engine_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path)
    waiting = asyncio.Event()

    async def away(_: object, spec: SandboxSpec) -> SandboxHandle:
        waiting.set()
        while spec.wanted():  # noqa: ASYNC110  as the adapter does, which waits for a socket
            await asyncio.sleep(0)
        raise WfconsoleError("SANDBOX_UNAVAILABLE", "the engine is away", "wait")

    async def scenario() -> str:
        monkeypatch.setattr(FakeSandbox, "prepare", away)
        run_id = await rig.create(plan(step("a")))
        driving = asyncio.create_task(rig.supervisor.drive(run_id))
        await waiting.wait()
        await rig.deliver(run_id, CancelRun(fact_id="c1", at=rig.clock.now, actor=ACTOR))
        state = await driving
        assert state.step("a").status == "cancelled"
        return state.status

    assert play(scenario) == "cancelled"


def test_a_second_cancel_by_force_also_gives_up_the_finally_steps(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> str:
        rig.sandbox.scripts["end"] = Script(hold=asyncio.Event())
        rig.sandbox.scripts["a"] = Script(hold=asyncio.Event())
        run_id = await rig.create(plan(step("a"), step("end", phase="finally")))
        driving = asyncio.create_task(rig.supervisor.drive(run_id))
        await rig.sandbox.begun("a")
        await rig.deliver(run_id, CancelRun(fact_id="c1", at=rig.clock.now, actor=ACTOR))
        await rig.sandbox.begun("end")
        await rig.deliver(run_id, CancelRun(fact_id="c2", at=rig.clock.now, actor=ACTOR, force=True))
        state = await driving
        assert state.step("end").status == "cancelled"
        return state.status

    assert play(scenario) == "cancelled"
    assert ("kill", "end", 1) in rig.sandbox.calls


def test_pause_drains_and_resume_goes_on_after_the_last_completed_step(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> list[str]:
        hold = asyncio.Event()
        rig.sandbox.scripts["a"] = Script(hold=hold)
        run_id = await rig.create(plan(step("a"), step("b", needs=["a"])))
        paused = asyncio.Event()

        def watch(_run: str, record: Record) -> None:
            if type(record.event).__name__ == "RunPaused":
                paused.set()

        rig.subscribers["test"] = watch
        driving = asyncio.create_task(rig.supervisor.drive(run_id))
        await rig.sandbox.begun("a")
        await rig.deliver(run_id, PauseRun(fact_id="p1", at=rig.clock.now, actor=ACTOR))
        hold.set()
        await paused.wait()
        assert ("prepare", "b", 1) not in rig.sandbox.calls
        await rig.deliver(run_id, ResumeRun(fact_id="r1", at=rig.clock.now, actor=ACTOR))
        assert (await driving).status == "succeeded"
        return await rig.types()

    types = play(scenario)
    assert types.index("run_pausing") < types.index("run_paused") < types.index("run_resumed")
    assert types.count("step_started") == 2


def test_st_wf_003_3_an_invalid_command_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> None:
        hold = asyncio.Event()
        rig.sandbox.scripts["a"] = Script(hold=hold)
        run_id = await rig.create(plan(step("a")))
        driving = asyncio.create_task(rig.supervisor.drive(run_id))
        await rig.sandbox.begun("a")
        before = await rig.types()
        ruling = await rig.deliver(run_id, ResumeRun(fact_id="r1", at=rig.clock.now, actor=ACTOR))
        assert ruling.refusal is not None
        assert ruling.refusal.code == "TRANSITION_REFUSED"
        assert await rig.types() == [*before, "command_refused"]
        hold.set()
        assert (await driving).status == "succeeded"

    play(scenario)


def test_st_wf_004_3_a_broken_subscriber_leaves_one_diagnostic_and_the_run_goes_on(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    def broken(_run: str, _record: Record) -> None:
        raise OSError("pipe is gone")

    rig.subscribers["events_file"] = broken
    assert play(lambda: rig.run(plan(step("a"), step("b", needs=["a"])))).status == "succeeded"
    found = [r.event for r in play(rig.records) if isinstance(r.event, EventChannelFailed)]
    assert len(found) == 1
    assert found[0].subscriber == "events_file"
    assert "pipe is gone" in found[0].error


def test_exec_block_08_a_second_owner_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> None:
        hold = asyncio.Event()
        rig.sandbox.scripts["a"] = Script(hold=hold)
        run_id = await rig.create(plan(step("a")))
        driving = asyncio.create_task(rig.supervisor.drive(run_id))
        await rig.sandbox.begun("a")
        with pytest.raises(WfconsoleError) as caught:
            await rig.new_owner("owner-2").drive(run_id)
        assert caught.value.code == "OWNER_LOST"
        hold.set()
        assert (await driving).status == "succeeded"

    play(scenario)
    assert rig.sandbox.calls.count(("prepare", "a", 1)) == 1


async def _claim_and_die(rig: Rig) -> str:
    """A run whose only step was claimed by an owner that is gone."""
    run_id = await rig.create(plan(step("a")))
    state = fold(await rig.records())
    take = TakeRun(fact_id="take:dead", at=rig.clock.now, owner="dead")
    ruling = decide(state, take, evaluate)
    await rig.store.commit(Commit(run_id=run_id, expected_seq=1, records=ruling.records, fact=take))
    return run_id


def test_an_attempt_that_was_claimed_and_never_began_is_carried_out_under_its_number(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> None:
        after = await rig.supervisor.drive(await _claim_and_die(rig))
        assert (after.status, after.step("a").attempt) == ("succeeded", 1)

    play(scenario)
    assert rig.sandbox.calls.count(("go", "a", 1)) == 1


def test_exec_block_06_an_attempt_that_began_and_is_gone_is_abandoned_and_the_next_one_opened(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> list[str]:
        hold = asyncio.Event()
        rig.sandbox.scripts[("a", 1)] = Script(hold=hold)
        run_id = await rig.create(plan(step("a")))
        first = asyncio.create_task(rig.supervisor.drive(run_id))
        await rig.sandbox.begun("a")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        rig.sandbox.containers.clear()
        after = await rig.new_owner("owner-2").drive(run_id)
        assert (after.status, after.step("a").attempt) == ("succeeded", 2)
        return await rig.types()

    types = play(scenario)
    assert types.count("attempt_abandoned") == 1
    assert types.count("step_succeeded") == 1


def test_exec_block_14_a_container_that_outlived_its_owner_is_adopted_and_not_run_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> None:
        hold = asyncio.Event()
        rig.sandbox.scripts["a"] = Script(hold=hold)
        run_id = await rig.create(plan(step("a")))
        first = asyncio.create_task(rig.supervisor.drive(run_id))
        await rig.sandbox.begun("a")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        hold.set()
        after = await rig.new_owner("owner-2").drive(run_id)
        assert (after.status, after.step("a").attempt) == ("succeeded", 1)

    play(scenario)
    assert len([call for call in rig.sandbox.calls if call[0] == "remove"]) == 1


def test_a_command_left_in_the_inbox_reaches_the_owner(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> str:
        rig.sandbox.scripts["a"] = Script(hold=asyncio.Event())
        run_id = await rig.create(plan(step("a")))
        driving = asyncio.create_task(rig.supervisor.drive(run_id))
        await rig.sandbox.begun("a")
        await rig.store.post(run_id, CancelRun(fact_id="other-process", at=rig.clock.now, actor=ACTOR))
        return (await driving).status

    assert play(scenario) == "cancelled"


def test_a_run_over_its_time_limit_fails_with_run_timed_out(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> RunFailed:
        rig.sandbox.scripts["a"] = Script(hold=asyncio.Event())
        run_id = await rig.create(plan(step("a"), limits=Limits(timeout_ms=5_000)))
        driving = asyncio.create_task(rig.supervisor.drive(run_id))
        await rig.sandbox.begun("a")
        rig.clock.now += 6_000
        assert (await driving).status == "failed"
        last = (await rig.records())[-1].event
        assert isinstance(last, RunFailed)
        return last

    assert play(scenario).failure.code == "RUN_TIMED_OUT"


def test_until_waiting_lets_go_when_only_a_person_can_go_on(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> str:
        run_id = await rig.create(plan(step("a", "sh", "-c", "echo hi"), step("b")))
        return (await rig.supervisor.drive(run_id, until_waiting=True)).status

    assert play(scenario) == "awaiting_approval"
    assert ("prepare", "a", 1) not in rig.sandbox.calls
