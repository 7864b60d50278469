"""A database that is taken away under an owner whose step takes long: the owner notices by itself, and lets its step be."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.owner import create, finish, opened, until
from tests.crash.test_kill import PIN, marks, owner
from tests.engine.rig import plan, step
from wfconsole.ports import WfconsoleError
from wfconsole.store import backup, database, place

LONG = plan(step("long"), step("after", needs=["long"]))
SEEN_S = 2.0


def unlink(path: Path) -> None:
    path.unlink()


def unlink_with_companions(path: Path) -> None:
    for each in (path, *place.companions(path)):
        each.unlink(missing_ok=True)


@pytest.mark.parametrize("take_away", [unlink, unlink_with_companions])
def test_fault_23_an_owner_sees_within_two_seconds_that_its_database_was_unlinked(
    tmp_path: Path, take_away: Callable[[Path], None]
) -> None:
    create(tmp_path, LONG, workspace=PIN)

    async def scenario() -> None:
        async with opened(tmp_path, work_s=600) as rig:
            driving = asyncio.create_task(rig.supervisor.drive("run-1"))
            await rig.disk.begun(1)
            take_away(rig.store.path)
            before = time.monotonic()
            with pytest.raises(WfconsoleError) as caught:
                await driving
            assert time.monotonic() - before <= SEEN_S
            assert (caught.value.code, caught.value.details["fault"]) == ("STORE_CORRUPT", "removed")
            assert rig.disk.executions() == ["run-1 long#1"]
            assert rig.disk.left() != [], "what runs is left to whoever has the database again"

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_fault_23_with_its_backup_the_run_goes_on_and_nothing_is_done_twice(tmp_path: Path) -> None:
    create(tmp_path, LONG, workspace=PIN)
    process = owner(tmp_path, "--work", "2")

    async def under_way() -> None:
        async with opened(tmp_path) as rig:

            async def begun() -> bool:
                return bool(rig.disk.executions())

            await until(begun)

    try:
        asyncio.run(asyncio.wait_for(under_way(), 30))
        path = tmp_path / database.NAME
        saved = backup.make(path)
        unlink_with_companions(path)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "was removed or replaced while wfconsole was using it" in err
    (tmp_path / "runs").mkdir(exist_ok=True)
    with pytest.raises(WfconsoleError) as caught:
        asyncio.run(finish(tmp_path))
    assert (caught.value.code, caught.value.details["backup"]) == ("STORE_CORRUPT", str(saved))
    shutil.copy(saved, path)
    asyncio.run(finish(tmp_path, work_s=2))
    assert marks(tmp_path) == [("run-1", "after"), ("run-1", "long")]
