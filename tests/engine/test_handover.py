"""What one owner leaves to the next: outcomes, stops, bundles and commands that were under way when it went away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.rig import ACTOR, Rig, plan, play, step
from tests.fakes.sandbox import FakeSandbox, Script
from wfconsole.domain.events import ArtifactRecorded, Record, StepFailed, StepSucceeded
from wfconsole.domain.facts import AttemptEnded, CancelRun, PauseRun, RunClosed, WorkspacePin
from wfconsole.domain.plan import Limits, RetryPolicy
from wfconsole.domain.run import RunState
from wfconsole.engine.local import LocalPorts
from wfconsole.ports import Commit, SandboxHandle, WfconsoleError


class ChangedRig(Rig):
    """A rig of which a test changes the ports."""

    change: Callable[[LocalPorts], LocalPorts] = staticmethod(lambda ports: ports)

    def ports(self, run_id: str) -> LocalPorts:
        return self.change(super().ports(run_id))


def test_a_container_is_there_until_its_outcome_is_recorded(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    left: list[int] = []

    def look(_run: str, record: Record) -> None:
        if isinstance(record.event, StepSucceeded):
            left.append(len(rig.sandbox.containers))

    rig.subscribers["look"] = look
    assert play(lambda: rig.run(plan(step("a")))).status == "succeeded"
    assert left == [1]
    assert rig.sandbox.containers == {}


def test_exec_block_14_an_outcome_that_could_not_be_recorded_is_read_again_and_the_command_runs_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    rig = Rig(tmp_path, {"a": Script(effect=lambda _spec: ran.append(1))})
    commit, full = rig.store.commit, [True]

    async def out_of_space(one: Commit) -> None:
        if full and isinstance(one.fact, AttemptEnded):
            full.clear()
            raise WfconsoleError("DISK_FULL", "no space")
        await commit(one)

    async def scenario() -> None:
        monkeypatch.setattr(rig.store, "commit", out_of_space)
        run_id = await rig.create(plan(step("a")))
        tasks = asyncio.all_tasks()
        with pytest.raises(WfconsoleError, match="no space"):
            await rig.supervisor.drive(run_id)
        assert await rig.supervisor.deliver(run_id, PauseRun(fact_id="p", at=0, actor=ACTOR)) is None
        assert asyncio.all_tasks() == tasks
        after = await rig.new_owner("owner-2").drive(run_id)
        assert (after.status, after.step("a").attempt) == ("succeeded", 1)

    play(scenario)
    assert ran == [1]
    assert rig.sandbox.containers == {}


def test_a_stop_that_a_dead_owner_had_recorded_is_carried_out_by_the_next(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> str:
        rig.sandbox.scripts["a"] = Script(hold=asyncio.Event())
        run_id = await rig.create(plan(step("a")))

        def die(point: str, _subject: str) -> None:
            if point == "committed" and any(r.correlation_id == "c1" for r in rig.store.commits[-1].records):
                first.cancel()

        rig.signals.arm(die)
        first = asyncio.create_task(rig.supervisor.drive(run_id))
        await rig.sandbox.begun("a")
        sent = await rig.supervisor.deliver(run_id, CancelRun(fact_id="c1", at=rig.clock.now, actor=ACTOR))
        await asyncio.gather(first, return_exceptions=True)
        assert sent is not None
        rig.sandbox.calls.clear()
        return (await rig.new_owner("owner-2").drive(run_id)).status

    assert play(scenario) == "cancelled"
    assert ("stop", "a", 1) in rig.sandbox.calls


def test_a_run_that_ended_without_its_bundle_gets_it_from_the_next_that_drives_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> None:
        run_id = (await rig.run(plan(step("a")))).run_id
        rig.sealed.clear()
        assert (await rig.new_owner("owner-2").drive(run_id)).status == "succeeded"
        assert rig.sealed == [run_id]

    play(scenario)


class SlowToStop(FakeSandbox):
    """A graceful stop that takes for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def stop(self, handle: SandboxHandle, *, force: bool = False) -> None:
        self._note("kill" if force else "stop", handle.spec)
        if force:
            await super().stop(handle, force=True)
        else:
            self.asked.set()
            await asyncio.Event().wait()


def test_a_forced_stop_does_not_wait_for_the_graceful_one(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.sandbox = slow = SlowToStop()

    async def scenario() -> str:
        rig.sandbox.scripts["a"] = Script(hold=asyncio.Event())
        run_id = await rig.create(plan(step("a")))
        driving = asyncio.create_task(rig.supervisor.drive(run_id))
        await rig.sandbox.begun("a")
        await rig.deliver(run_id, CancelRun(fact_id="c1", at=rig.clock.now, actor=ACTOR))
        await slow.asked.wait()
        await rig.deliver(run_id, CancelRun(fact_id="c2", at=rig.clock.now, actor=ACTOR, force=True))
        return (await driving).status

    assert play(scenario) == "cancelled"


class NoStop(FakeSandbox):
    """An engine that cannot stop anything."""

    async def stop(self, handle: SandboxHandle, *, force: bool = False) -> None:
        raise WfconsoleError("SANDBOX_UNAVAILABLE", "the engine is stuck")


def test_a_stop_that_fails_ends_the_attempt_with_the_engines_word(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.sandbox = NoStop()

    async def scenario() -> StepFailed:
        rig.sandbox.scripts["a"] = Script(hold=asyncio.Event())
        run_id = await rig.create(plan(step("a")))
        driving = asyncio.create_task(rig.supervisor.drive(run_id))
        await rig.sandbox.begun("a")
        await rig.deliver(run_id, CancelRun(fact_id="c1", at=rig.clock.now, actor=ACTOR))
        await driving
        return next(r.event for r in await rig.records() if isinstance(r.event, StepFailed))

    assert play(scenario).cause.code == "SANDBOX_UNAVAILABLE"
    assert rig.sandbox.containers == {}


def test_a_command_in_the_inbox_is_seen_however_busy_the_run_is(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {"a": Script(exits=(1,))})
    again = RetryPolicy(attempts=10**6, backoff_ms=0, max_backoff_ms=0, outcomes=("failed",))

    async def scenario() -> str:
        run_id = await rig.create(plan(step("a", retry=again), limits=Limits(max_steps=10**6)))
        driving = asyncio.create_task(rig.supervisor.drive(run_id))
        await rig.sandbox.begun("a", 3)
        await rig.store.post(run_id, CancelRun(fact_id="other-process", at=rig.clock.now, actor=ACTOR))
        return (await driving).status

    assert play(scenario) in {"cancelled", "failed"}
    assert any(commit.fact.fact_id == "other-process" for commit in rig.store.commits)


def test_a_command_that_comes_while_the_bundle_is_written_is_not_lost(tmp_path: Path) -> None:
    rig = ChangedRig(tmp_path)

    async def scenario() -> object:
        sealing, go_on = asyncio.Event(), asyncio.Event()

        async def slow(_run: str) -> None:
            sealing.set()
            await go_on.wait()

        rig.change = lambda ports: replace(ports, seal=slow)
        run_id = await rig.create(plan(step("a")))
        driving = asyncio.create_task(rig.supervisor.drive(run_id))
        await sealing.wait()
        late = CancelRun(fact_id="late", at=rig.clock.now, actor=ACTOR)
        sent = asyncio.create_task(rig.supervisor.deliver(run_id, late))
        await asyncio.sleep(0)
        go_on.set()
        await driving
        return await sent

    assert play(scenario) is None


def test_the_same_command_delivered_twice_has_one_answer_for_both(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> None:
        rig.sandbox.scripts["a"] = Script(hold=asyncio.Event())
        run_id = await rig.create(plan(step("a")))
        driving = asyncio.create_task(rig.supervisor.drive(run_id))
        await rig.sandbox.begun("a")
        twice = CancelRun(fact_id="twice", at=rig.clock.now, actor=ACTOR)
        one, two = await asyncio.gather(rig.deliver(run_id, twice), rig.deliver(run_id, twice))
        assert one.records == two.records != ()
        await driving

    play(scenario)


def test_that_a_run_could_not_be_collected_is_on_record(tmp_path: Path) -> None:
    rig = ChangedRig(tmp_path)

    async def broken(_state: RunState) -> RunClosed:
        raise OSError("the disk is gone")

    rig.change = lambda ports: replace(ports, close_run=broken)
    pin = WorkspacePin(source="/src", ref="HEAD", commit=None, tree="0" * 40)
    rig.folder("run-1").workspace.mkdir(parents=True)
    assert play(lambda: rig.run(plan(step("a")), workspace=pin)).status == "succeeded"
    found = [r.event.artifact for r in play(rig.records) if isinstance(r.event, ArtifactRecorded)]
    assert any(a.kind == "none" and a.step_id is None and "the disk is gone" in str(a.reason) for a in found)


def test_a_container_that_a_dead_owner_could_not_remove_any_more_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path)

    async def dies(_handle: SandboxHandle) -> None:
        raise WfconsoleError("SANDBOX_UNAVAILABLE", "the process died here")

    async def scenario() -> None:
        monkeypatch.setattr(rig.sandbox, "remove", dies)
        run_id = (await rig.run(plan(step("a"), step("b", needs=["a"])))).run_id
        assert len(rig.sandbox.containers) == 2
        monkeypatch.undo()
        await rig.new_owner("owner-2").drive(run_id)

    play(scenario)
    assert rig.sandbox.containers == {}
    assert rig.sandbox.calls.count(("go", "a", 1)) == 1
