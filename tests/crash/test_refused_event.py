"""An event that the database refuses to take: the whole commit is rolled back, said by a code, and done later as if new."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.owner import create, opened
from tests.crash.test_kill import PIN, PLAIN, marks
from wfconsole.ports import WfconsoleError
from wfconsole.store import check, database


def execute(folder: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / database.NAME)) as db, db:
        return list(db.execute(statement))


@pytest.mark.parametrize("event", ["run_started", "step_started", "step_succeeded", "artifact_recorded"])
def test_fault_50_an_event_that_cannot_be_appended_rolls_back_all_that_came_with_it(tmp_path: Path, event: str) -> None:
    create(tmp_path, PLAIN, workspace=PIN)
    refuse = f"BEFORE INSERT ON journal WHEN NEW.type = '{event}' BEGIN SELECT RAISE(ABORT, 'no more events'); END"
    execute(tmp_path, f"CREATE TRIGGER refuses {refuse}")

    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            for _ in range(4):  # the fourth would be one too many if it counted against the run
                with pytest.raises(WfconsoleError) as caught:
                    await rig.supervisor.drive("run-1")
                assert caught.value.code == "STORE_BUSY"
                assert caught.value.details["constraint"] == "no more events"
                assert execute(tmp_path, f"SELECT * FROM journal WHERE type = '{event}'") == []
                assert check.verify(tmp_path / database.NAME) == [], "all rows are what the journal makes of them"
            assert await rig.leases.setbacks("run-1") == (0, None)
            assert marks(tmp_path) == []
            execute(tmp_path, "DROP TRIGGER refuses")
            assert (await rig.supervisor.drive("run-1")).status == "succeeded"
            assert rig.disk.twice() == []
            assert rig.disk.left() == []

    asyncio.run(asyncio.wait_for(scenario(), 30))
    assert marks(tmp_path) == [("run-1", name) for name in "abc"]
    assert check.verify(tmp_path / database.NAME) == []
