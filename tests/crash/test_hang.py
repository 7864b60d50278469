"""SIGSTOP of a real owner: replaced when its time has run out, fenced when it wakes; and two that never start the same twice."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.crash.disk import DiskSandbox
from tests.crash.owner import create, opened, until
from tests.crash.test_kill import PIN, PLAIN, journal, marks, owner
from tests.engine.rig import ACTOR
from tests.store.stopped import owner_inside
from wfconsole.domain.events import AttemptAdopted, OwnerChanged, RunSucceeded
from wfconsole.domain.facts import PauseRun
from wfconsole.ports import WfconsoleError
from wfconsole.store import check, database
from wfconsole.store.sqlite import SqliteStore

TTL_S = 0.6


def stopped_at(folder: Path, point: str, work: str) -> subprocess.Popen[str]:
    """A process that has stopped itself at that point."""
    process = owner(folder, "--at", point, "--signal", "STOP", "--ttl", str(TTL_S), "--work", work, "--drive", "run-1")
    assert process.stdout is not None
    assert process.stdout.readline() == f"{point}\n"
    return process


async def take_over(folder: Path, told: list[str], work_s: float) -> None:
    async with opened(folder, ttl_s=TTL_S, work_s=work_s) as rig:
        rig.supervisor._say = told.append
        await rig.worker(lambda _text: None).run(until_idle=False)


def taken_over(folder: Path, told: list[str]) -> None:
    """Until another process has brought the run to its end; `told` is the report of the one who took it over."""

    async def scenario() -> None:
        taking = asyncio.create_task(take_over(folder, told, 0.02))
        async with opened(folder) as rig:

            async def over() -> bool:
                return isinstance((await rig.store.load("run-1"))[-1].event, RunSucceeded)

            await until(over)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)

    asyncio.run(asyncio.wait_for(scenario(), 60))


@pytest.mark.parametrize("point", ["committing", "preparing", "prepared", "going", "gone", "waited", "removing"])
def test_a_stopped_owner_is_replaced_and_when_it_wakes_it_writes_and_starts_nothing(tmp_path: Path, point: str) -> None:
    create(tmp_path, PLAIN, workspace=PIN)
    process = stopped_at(tmp_path, point, "0.02")
    told: list[str] = []

    try:
        taken_over(tmp_path, told)
        before = journal(tmp_path)
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "another process" in err
    assert journal(tmp_path) == before
    assert sum(isinstance(record.event, OwnerChanged) for record in before) >= (point != "committing")
    engine = DiskSandbox(tmp_path / "engine")
    assert [each.rpartition(" ")[2] for each in engine.executions()] == ["a#1", "b#1", "c#1"]
    assert engine.twice() == []
    assert marks(tmp_path) == [("run-1", name) for name in "abc"]
    assert check.verify(tmp_path / database.NAME) == []
    if point != "committing":
        assert len(told) == 1
        assert "(hung)" in told[0]


def test_st_wf_003_the_next_owner_says_what_it_kept_and_adopted_with_the_counts(tmp_path: Path) -> None:
    create(tmp_path, PLAIN, workspace=PIN)
    first = owner(tmp_path, "--at", "waited", "--nth", "3", "--work", "0.1")
    first.communicate(timeout=30)
    second = owner(tmp_path, "--work", "0.1")
    _, err = second.communicate(timeout=30)
    (line,) = [line for line in err.splitlines() if "taken over" in line]
    assert "(dead): kept 2 of 3 steps (2 marks, none twice); adopted: c#1" in line
    adopted = [record.event for record in journal(tmp_path) if isinstance(record.event, AttemptAdopted)]
    assert [(each.step_id, each.attempt, each.owner) for each in adopted] == [("c", 1, str(second.pid))]


def test_a_command_to_a_hung_owner_is_decided_by_its_sender_once_the_time_has_run_out(tmp_path: Path) -> None:
    create(tmp_path, PLAIN, workspace=PIN)
    process = stopped_at(tmp_path, "gone", "30")

    async def scenario() -> None:
        async with opened(tmp_path, ttl_s=TTL_S) as rig:
            answer = await rig.office().send("run-1", PauseRun(fact_id="p", at=rig.clock.now_ms(), actor=ACTOR))
            assert answer.refusal is None
            assert not answer.owned
            assert [record.correlation_id for record in answer.records] == ["p"]

    try:
        asyncio.run(asyncio.wait_for(scenario(), 30))
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert "OWNER_LOST" in err or "another process" in err


def test_a_command_reaches_an_owner_in_another_process_by_its_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wfconsole.engine.local.INBOX_POLL_S", 3600)
    create(tmp_path, PLAIN, workspace=PIN)

    async def scenario() -> None:
        async with opened(tmp_path, work_s=30) as theirs, opened(tmp_path) as ours:
            driving = asyncio.create_task(theirs.supervisor.drive("run-1"))
            await theirs.disk.begun(2)
            answer = await ours.office().send("run-1", PauseRun(fact_id="p", at=ours.clock.now_ms(), actor=ACTOR))
            assert answer.owned
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)

    asyncio.run(asyncio.wait_for(scenario(), 30))


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_an_owner_that_stopped_inside_a_transaction_is_ended_when_its_time_has_run_out(
    tmp_path: Path, nth: int
) -> None:
    create(tmp_path, PLAIN, workspace=PIN)
    told: list[str] = []

    with owner_inside(tmp_path, nth=nth, ttl_s=TTL_S) as process:
        taken_over(tmp_path, told)
        assert process.wait(30) == -signal.SIGKILL
    assert sum(isinstance(record.event, OwnerChanged) for record in journal(tmp_path)) == (nth > 1)
    engine = DiskSandbox(tmp_path / "engine")
    assert [each.rpartition(" ")[2] for each in engine.executions()] == ["a#1", "b#1", "c#1"]
    assert (engine.twice(), engine.left()) == ([], [])
    assert marks(tmp_path) == [("run-1", name) for name in "abc"]
    assert check.verify(tmp_path / database.NAME) == []
    assert [line.partition(":")[0] for line in told] == [f"run run-1 taken over from {socket.gethostname()}"] * (
        nth > 1
    )


def test_an_owner_that_stopped_inside_a_transaction_is_left_alone_while_its_time_lasts(tmp_path: Path) -> None:
    create(tmp_path, PLAIN, workspace=PIN)

    async def write() -> None:
        store = SqliteStore.open(tmp_path, busy_seconds=1)
        with pytest.raises(WfconsoleError) as caught:
            await store.post("run-1", PauseRun(fact_id="p", at=0, actor=ACTOR))
        assert caught.value.code == "STORE_BUSY"
        assert caught.value.details["pid"] == process.pid
        await store.close()

    with owner_inside(tmp_path, nth=2, ttl_s=600) as process:
        asyncio.run(write())
        assert process.poll() is None
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert marks(tmp_path) == [("run-1", name) for name in "abc"]
