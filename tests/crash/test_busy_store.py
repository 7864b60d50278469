"""Somebody else holds the write lock of the database for longer than a lease: all wait, and nothing is lost or done twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.crash.disk import DiskSandbox
from tests.crash.owner import create, opened, until
from tests.crash.test_kill import PIN, PLAIN, journal, marks
from tests.store.test_faults import hold
from wfconsole.domain.events import RunSucceeded
from wfconsole.store import check, database

TTL_S = 0.5
HELD_S = 1.5


def test_fault_22_a_lock_that_is_held_for_longer_than_a_lease_loses_and_repeats_no_step(tmp_path: Path) -> None:
    create(tmp_path, PLAIN, workspace=PIN)

    async def scenario() -> None:
        async with opened(tmp_path, ttl_s=TTL_S, work_s=0.3) as rig, opened(tmp_path, ttl_s=TTL_S, work_s=0.3) as other:
            driving = asyncio.create_task(rig.supervisor.drive("run-1"))
            await rig.disk.begun(2)
            holder = await asyncio.to_thread(hold, rig.store.path)
            rival = asyncio.create_task(other.worker(lambda _text: None).run(until_idle=False))
            _, waiting = await asyncio.wait([driving], timeout=HELD_S)
            assert waiting, "nobody can write"
            await asyncio.to_thread(holder.communicate, "go\n")
            await asyncio.gather(driving, return_exceptions=True)  # its lease has run out: it may have been replaced

            async def over() -> bool:
                return isinstance((await other.store.load("run-1"))[-1].event, RunSucceeded)

            await until(over)
            rival.cancel()
            await asyncio.gather(rival, return_exceptions=True)

    asyncio.run(asyncio.wait_for(scenario(), 60))
    assert isinstance(journal(tmp_path)[-1].event, RunSucceeded)
    assert marks(tmp_path) == [("run-1", name) for name in "abc"]
    engine = DiskSandbox(tmp_path / "engine")
    assert [each.rpartition(" ")[2] for each in engine.executions()] == ["a#1", "b#1", "c#1"]
    assert (engine.twice(), engine.left()) == ([], [])
    assert check.verify(tmp_path / database.NAME) == []
