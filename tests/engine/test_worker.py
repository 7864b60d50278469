"""The worker: takes what nobody drives, lets go of what waits, survives what goes wrong in one run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from tests.engine.rig import Rig, evaluate, plan, play, step
from wfconsole.domain.decide import decide
from wfconsole.domain.evolve import fold
from wfconsole.domain.facts import PauseRun
from wfconsole.domain.records import Actor
from wfconsole.engine.worker import Worker
from wfconsole.ports import Commit, WfconsoleError

Drive = Callable[[str], Awaitable[object]]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def worker(rig: Rig, said: list[str], drive: Drive | None = None) -> Worker:
    return Worker(rig.store, drive or rig.supervisor.drive, said.append)


async def statuses(rig: Rig, *run_ids: str) -> Sequence[str]:
    states = [fold(await rig.records(run_id)) for run_id in run_ids]
    return [state.status for state in states if state is not None]


def test_everything_that_nobody_drives_is_driven_to_its_end(rig: Rig) -> None:
    said: list[str] = []

    async def scenario() -> None:
        for name in ("one", "two", "three"):
            await rig.create(plan(step("work")), run_id=name)
        await worker(rig, said).run(until_idle=True)
        assert await statuses(rig, "one", "two", "three") == ["succeeded"] * 3

    play(scenario)
    assert sorted(said) == ["one let go", "three let go", "two let go"]


def test_nothing_to_do_is_idle_at_once(rig: Rig) -> None:
    said: list[str] = []
    play(lambda: worker(rig, said).run(until_idle=True))
    assert said == []


def test_a_run_that_waits_is_let_go_once_and_left_alone(rig: Rig) -> None:
    said: list[str] = []
    drives: list[str] = []

    async def drive(run_id: str) -> None:
        drives.append(run_id)
        await rig.supervisor.drive(run_id, until_waiting=True)

    async def scenario() -> None:
        await rig.create(plan(step("blocked", "rm", "/etc/hostname")), run_id="waits")
        await worker(rig, said, drive).run(until_idle=True)
        assert await statuses(rig, "waits") == ["awaiting_approval"]

    play(scenario)
    assert drives == ["waits"]


def test_a_paused_run_is_nobodys_to_drive(rig: Rig) -> None:
    async def scenario() -> None:
        await rig.create(plan(step("blocked", "rm", "/etc/hostname")), run_id="lies")
        await rig.supervisor.drive("lies", until_waiting=True)
        pause = PauseRun(fact_id="p", at=rig.clock.now_ms(), actor=Actor(user="op", host="h"))
        ruling = decide(fold(await rig.records("lies")), pause, evaluate)
        seq = len(await rig.records("lies"))
        await rig.store.commit(Commit(run_id="lies", expected_seq=seq, records=ruling.records, fact=pause))
        before = len(await rig.records("lies"))
        assert await statuses(rig, "lies") == ["paused"]
        await worker(rig, []).run(until_idle=True)
        assert len(await rig.records("lies")) == before

    play(scenario)


def test_what_goes_wrong_in_one_run_is_said_and_leaves_the_others_alone(rig: Rig) -> None:
    said: list[str] = []

    async def drive(run_id: str) -> None:
        if run_id == "bug":
            raise ZeroDivisionError("by nought")
        if run_id == "sick":
            raise WfconsoleError("SANDBOX_UNAVAILABLE", "no engine", "start one")
        await rig.supervisor.drive(run_id)

    async def scenario() -> None:
        for name in ("bug", "sick", "sound"):
            await rig.create(plan(step("work")), run_id=name)
        await worker(rig, said, drive).run(until_idle=True)
        assert await statuses(rig, "sound") == ["succeeded"]

    play(scenario)
    assert sorted(said) == [
        "bug: INTERNAL: ZeroDivisionError: by nought",
        "sick: SANDBOX_UNAVAILABLE: no engine",
        "sound let go",
    ]


def test_until_idle_does_not_wait_for_what_another_process_drives(rig: Rig) -> None:
    said: list[str] = []

    async def drive(run_id: str) -> None:
        raise WfconsoleError("OWNER_LOST", f"another process drives {run_id}", "")

    async def scenario() -> None:
        await rig.create(plan(step("work")), run_id="theirs")
        await worker(rig, said, drive).run(until_idle=True)

    play(scenario)
    assert said == []


def test_a_run_whose_owner_dies_without_a_trace_is_taken_over(rig: Rig) -> None:
    asked = 0
    taken = asyncio.Event()

    async def drive(run_id: str) -> None:
        nonlocal asked
        asked += 1
        if asked < 3:  # nothing is written meanwhile: the owner was killed, its journal stands still
            raise WfconsoleError("OWNER_LOST", f"another process drives {run_id}", "")
        taken.set()

    async def scenario() -> None:
        await rig.create(plan(step("work")), run_id="orphan")
        working = asyncio.create_task(worker(rig, [], drive).run(until_idle=False))
        await taken.wait()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    play(scenario)
    assert asked == 3


def test_a_worker_that_is_ended_lets_go_of_what_it_drives(rig: Rig) -> None:
    let_go: list[str] = []
    driven = asyncio.Event()

    async def drive(run_id: str) -> None:
        driven.set()
        try:
            await asyncio.Event().wait()
        finally:
            let_go.append(run_id)

    async def scenario() -> None:
        await rig.create(plan(step("work")), run_id="held")
        said: list[str] = []
        working = asyncio.create_task(worker(rig, said, drive).run(until_idle=False))
        await driven.wait()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    play(scenario)
    assert let_go == ["held"]
