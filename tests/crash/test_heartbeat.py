"""A command that takes many times as long as a lease holds: its owner keeps the run by saying that it lives."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.crash.disk import DiskSandbox
from tests.crash.owner import create, opened, until
from tests.crash.test_kill import PIN, journal, marks, owner
from tests.engine.rig import plan, step
from wfconsole.domain.events import OwnerChanged
from wfconsole.store import check, database

TTL_S = 1.2
WORK_S = 3.6


def test_exec_block_13_and_exec_block_gap_1_a_command_outlives_its_lease_by_heartbeats(tmp_path: Path) -> None:
    create(tmp_path, plan(step("long")), workspace=PIN)
    process = owner(tmp_path, "--ttl", str(TTL_S), "--work", str(WORK_S), "--drive", "run-1")
    expiries: set[int] = set()
    refused = 0

    async def rival() -> None:
        nonlocal refused
        async with opened(tmp_path, ttl_s=TTL_S) as rig:

            async def begun() -> bool:
                return bool(rig.disk.executions())

            await until(begun)
            while process.poll() is None:
                taken = await rig.leases.acquire("run-1")
                if taken is not None:
                    await taken.release()
                    break
                refused += 1
                with closing(sqlite3.connect(tmp_path / database.NAME)) as db:
                    expiries.update(each for (each,) in db.execute("SELECT expires FROM owners"))
                await asyncio.sleep(0.02)

    try:
        asyncio.run(asyncio.wait_for(rival(), 60))
        process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert refused > 10
    assert max(expiries) - min(expiries) > TTL_S * 1000, "its row was renewed again and again"
    assert not [each for each in journal(tmp_path) if isinstance(each.event, OwnerChanged)]
    engine = DiskSandbox(tmp_path / "engine")
    assert (engine.executions(), engine.twice()) == (["run-1 long#1"], [])
    assert marks(tmp_path) == [("run-1", "long")]
    assert check.verify(tmp_path / database.NAME) == []
