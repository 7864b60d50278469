"""The newest runs without opening the store: what the store itself says, or nothing at all."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.store.samples import Run
from wfconsole.ports import RunFilter
from wfconsole.store.glance import newest
from wfconsole.store.sqlite import SqliteStore


def filled(folder: Path, *run_ids: str) -> list[object]:
    async def fill() -> list[object]:
        store = SqliteStore.open(folder)
        for run_id in run_ids:
            await store.commit(Run(run_id).create())
        rows = list(await store.runs(RunFilter(limit=2)))
        await store.close()
        return list(rows)

    return asyncio.run(fill())


def test_it_gives_what_the_store_gives(tmp_path: Path) -> None:
    rows = filled(tmp_path, "run-1", "run-2", "run-3")
    assert newest(tmp_path, 2) == rows
    assert len(rows) == 2


def test_where_there_is_no_store_there_is_nothing_and_none_is_made(tmp_path: Path) -> None:
    assert newest(tmp_path, 2) is None
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_another_shape_is_left_to_the_store(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "wfconsole.db")) as db:
        db.execute("CREATE TABLE runs (id)")
    assert newest(tmp_path, 2) is None
    (tmp_path / "wfconsole.db").write_bytes(b"no database" * 100)
    assert newest(tmp_path, 2) is None
