"""Two processes that read and then write: with the lock taken at the beginning neither loses what it has read."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from wfconsole.store.sqlite import SqliteStore

TURNS = 60
READ = "SELECT seq FROM leases WHERE run_id = 'counter'"
COUNT = "UPDATE leases SET seq = ?, writer = 'me', writer_fence = 1 WHERE run_id = 'counter'"


def add_one(db: sqlite3.Connection) -> None:
    (found,) = db.execute(READ).fetchone()
    db.execute(COUNT, (found + 1,))


def test_no_turn_of_two_writers_is_lost_and_none_is_refused(tmp_path: Path) -> None:
    async def scenario() -> int:
        stores = [SqliteStore.open(tmp_path) for _ in range(2)]
        row = "INSERT INTO leases (run_id, owner, fence, locked, setbacks, seq) VALUES ('counter', 'me', 1, 1, 0, 0)"
        await stores[0].write(lambda db: db.execute(row))

        async def count(store: SqliteStore) -> None:
            for _ in range(TURNS):
                await store.write(add_one)

        try:
            await asyncio.gather(*(count(store) for store in stores))
            return int((await stores[0].rows(READ))[0][0])
        finally:
            for store in stores:
                await store.close()

    assert asyncio.run(scenario()) == 2 * TURNS
