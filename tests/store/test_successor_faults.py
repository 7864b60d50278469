"""The end of a run and the creation of its successor, on a store that fails in the middle: both are there, or neither."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.successor_contract import retried, taken_over
from tests.store.samples import Run, start_fact
from wfconsole.domain import events as ev
from wfconsole.ports import WfconsoleError
from wfconsole.store.sqlite import SqliteStore


@pytest.mark.parametrize(
    "when",
    [
        "INSERT ON journal WHEN NEW.type = 'run_retried'",
        "INSERT ON journal WHEN NEW.run_id = 'run-2' AND NEW.seq = 1",
        "INSERT ON journal WHEN NEW.run_id = 'run-2' AND NEW.seq = 3",
        "UPDATE ON steps WHEN NEW.run_id = 'run-2'",
        "INSERT ON inbox WHEN NEW.run_id = 'run-2'",
    ],
)
def test_a_fault_at_any_place_leaves_neither_and_the_same_commit_leaves_both_later(tmp_path: Path, when: str) -> None:
    async def scenario() -> None:
        store = SqliteStore.open(tmp_path)
        run = Run("run-1")
        await store.commit(run.create())
        end = run.next(ev.RunCancelled(), retried("run-2"))
        after = Run("run-2").next(*taken_over("run-2"))
        both = replace(end, successor=replace(after, fact=start_fact(after.run_id)))
        sql(tmp_path, f"CREATE TRIGGER fault BEFORE {when} BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END")
        with pytest.raises(WfconsoleError):
            await store.commit(both)
        assert len(await store.load("run-1")) == 1
        assert list(await store.load("run-2")) == []
        assert list(await store.verify_run("run-1")) == []
        sql(tmp_path, "DROP TRIGGER fault")
        await store.commit(both)
        assert (len(await store.load("run-1")), len(await store.load("run-2"))) == (3, 3)
        await store.close()

    asyncio.run(scenario())


def sql(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "wfconsole.db")) as db, db:
        db.execute(statement)
