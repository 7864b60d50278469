"""`ports.Remains` on the SQLite store: tombstones, who refers to what, and the last transaction of a removal.

Owns the second half of a deletion in the database; the first, the tombstone itself, is a projection of `run_deleted`. The
decision that would surprise: the journal stays until everything on disk is gone, so that a removal that was killed is found
and finished, and its event can be read by whoever followed the run.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from wfconsole.ports import Lease
from wfconsole.ports.keeping import Kept, Tombstone
from wfconsole.store import statements as sql
from wfconsole.store.faults import owner_lost
from wfconsole.store.sqlite import SqliteStore
from wfconsole.store.stone import read


class SqliteRemains:
    """Of one open store."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    async def tombstones(self) -> Sequence[Tombstone]:
        return [read(row) for row in await self._store.rows(sql.TOMBSTONES)]

    async def tombstone(self, ref: str) -> Tombstone | None:
        rows = await self._store.rows(sql.TOMBSTONES_NAMED, (ref,))
        return read(rows[0]) if rows else None

    async def unfinished(self) -> Sequence[str]:
        return [run_id for (run_id,) in await self._store.rows(sql.UNFINISHED)]

    async def counts(self, run_id: str) -> Mapping[str, int]:
        ((steps, attempts, artifacts),) = await self._store.rows(sql.COUNTS, (run_id,))
        return {"steps": steps, "attempts": attempts, "artifacts": artifacts}

    async def reused_by(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for run_id, parent in await self._store.rows(sql.REUSES):
            found.setdefault(parent, set()).add(run_id)
        return {parent: frozenset(children - {parent}) for parent, children in found.items()}

    async def exclusive(self, run_ids: Sequence[str]) -> Sequence[str]:
        return [sha for (sha,) in await self._store.rows(sql.EXCLUSIVE, (json.dumps(list(run_ids)),))]

    async def doomed(self, run_id: str) -> Sequence[str]:
        return [sha for (sha,) in await self._store.rows(sql.DOOMED, (run_id,))]

    async def referred(self) -> frozenset[str]:
        return frozenset(sha for (sha,) in await self._store.rows(sql.REFERRED))

    async def ended_attempts(self, run_id: str) -> frozenset[tuple[str, int]]:
        return frozenset((step_id, n) for step_id, n in await self._store.rows(sql.OVER, (run_id,)))

    async def kept(self) -> Sequence[Kept]:
        return [
            Kept(
                run_id=run_id,
                recipe=recipe,
                status=status,
                created_at=created_at,
                finished_at=finished_at,
                policy=json.loads(policy) if policy else None,
            )
            for run_id, recipe, status, created_at, finished_at, policy in await self._store.rows(sql.RETENTION)
        ]

    async def measured(self, run_id: str, size: int) -> None:
        await self._store.write(lambda db: db.execute(sql.MEASURED, (size, run_id)))

    async def finish(self, run_id: str, *, after: int, at: int, lease: Lease | None = None) -> None:
        await self._store.write(lambda db: _bury(db, run_id, after, at, lease))


def _bury(db: sqlite3.Connection, run_id: str, after: int, at: int, lease: Lease | None) -> None:
    """Overwrite what was there: a deleted row is not to be found in the file by whoever reads it byte by byte."""
    if not db.execute(sql.IS_UNFINISHED, (run_id,)).fetchone():
        return
    if lease is not None and db.execute(sql.LEASE_FENCE, (run_id,)).fetchone() != (lease.owner, lease.fence):
        raise owner_lost(run_id)
    db.execute("PRAGMA secure_delete = ON")
    for statement in sql.FORGET:  # children before parents; there is nothing left in them
        db.execute(statement, (run_id,))
    for (table,) in db.execute(sql.TABLES_OF_RUNS).fetchall():
        db.execute(f'DELETE FROM "{table}" WHERE run_id = ?', (run_id,))  # noqa: S608  a table of our own schema
    db.execute(sql.BURIED, (after, at, run_id))
