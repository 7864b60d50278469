"""`ports.Store` on one SQLite file: hands writes to the writer, reads to the reader, and translates both ways.

Owns the life of the two; refuses to know SQL beyond the names in `statements`. The decision that would surprise: it imports
neither SQLModel nor SQLAlchemy; those declare and migrate the schema, and only then.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Self

from wfconsole.domain.codec import fact_from_json, record_from_wire
from wfconsole.domain.events import Record
from wfconsole.domain.facts import AnyFact
from wfconsole.ports import Commit, RunFilter, RunRow, WfconsoleError
from wfconsole.store import check, database, journal, opening, query, statements as sql
from wfconsole.store.changes import Bell, bodies_after
from wfconsole.store.reader import Reader
from wfconsole.store.writer import Job, Trouble, Writer

MIN_PART = 3
MAX_CANDIDATES = 10


class SqliteStore:
    """The store of one state folder. Open it once a process; `close` writes what waits."""

    def __init__(self, path: Path, database_id: str, *, busy_seconds: float, trouble: Trouble | None = None) -> None:
        self.path = path
        self.database_id = database_id
        self._names = journal.Names()
        self._bell = Bell()
        self._writer = Writer(path, busy_seconds=busy_seconds, on_commit=self._bell.ring, trouble=trouble)
        self._reader = Reader(path)

    @classmethod
    def open(cls, state_dir: Path, *, busy_seconds: float = 20.0, trouble: Trouble | None = None) -> Self:
        """Open or create ``wfconsole.db`` in `state_dir`. Raises STORE_CORRUPT or STORE_TOO_NEW.

        `busy_seconds` is how long a write waits for other processes before it fails with STORE_BUSY; `trouble` is told of it.
        """
        path, database_id = opening.ensure(state_dir)
        return cls(path, database_id, busy_seconds=busy_seconds, trouble=trouble)

    async def load(self, run_id: str) -> Sequence[Record]:
        return [_record(body) for (body,) in await self._reader.rows(sql.BODIES, (run_id, 0))]

    async def commit(self, commit: Commit) -> None:
        await self._write(lambda db: journal.writing(db, self._names, commit), commit.run_id)

    async def post(self, run_id: str, fact: AnyFact) -> None:
        await self._write(lambda _: lambda db: journal.post(db, run_id, fact))

    async def pending(self, run_id: str) -> Sequence[AnyFact]:
        return [fact_from_json(json.loads(body)) for (body,) in await self._reader.rows(sql.PENDING, (run_id,))]

    async def event_hash(self, run_id: str, seq: int | None = None) -> tuple[int, str]:
        rows = await self._reader.rows(*((sql.HEAD, (run_id,)) if seq is None else (sql.HASH, (run_id, seq))))
        if not rows:
            raise WfconsoleError("NOT_FOUND", f"run {run_id} has no event {seq or ''}", "`wfconsole events` lists them")
        return rows[0][0], bytes(rows[0][1]).hex()

    async def changes(self, run_id: str, after_seq: int) -> AsyncIterator[Sequence[Record]]:
        async for rows in bodies_after(self._reader, self._bell, run_id, after_seq):
            yield [_record(body) for (body,) in rows]

    async def version(self) -> int:
        return int(await self._reader.value(sql.DATA_VERSION))

    async def find_run(self, ref: str) -> str:
        if ref == "@latest":
            return _only(ref, await self._reader.rows(sql.RUN_LATEST), "run")
        for exact in (sql.RUN_BY_ID, sql.RUN_BY_WORKFLOW):
            rows = await self._reader.rows(exact, (ref,))
            if rows:
                return _only(ref, rows, "run")
        found = await self._reader.rows(sql.RUN_BY_PART, (ref,)) if len(ref) >= MIN_PART else []
        if not found:
            await self._refuse_deleted(ref)
        return _only(ref, found, "run")

    async def _refuse_deleted(self, ref: str) -> None:
        """Raise NOT_FOUND with what is left when `ref` names a run that was deleted."""
        rows = await self._reader.rows(sql.TOMBSTONES_NAMED, (ref,))
        if rows:
            from wfconsole.store.stone import gone, read

            raise gone(read(rows[0]))

    async def run_of_workflow(self, workflow_id: str) -> str | None:
        found: str | None = await self._reader.value(sql.RUN_BY_WORKFLOW, (workflow_id,))
        return found

    async def runs(self, where: RunFilter) -> Sequence[RunRow]:
        statement, parameters = sql.listing(
            statuses=where.statuses,
            recipe=where.recipe,
            project=where.project,
            since_ms=where.since_ms,
            limit=where.limit,
        )
        return [_run_row(row) for row in await self._reader.rows(statement, parameters)]

    async def newest(self, limit: int) -> Sequence[tuple[str, Record]]:
        return [(run_id, _record(body)) for run_id, body in await self._reader.rows(sql.NEWEST, (limit,))]

    async def save_intent(self, intent_id: str, canonical: bytes, at: int) -> None:
        await self._write(lambda _: lambda db: journal.save_intent(db, intent_id, canonical, at))

    async def load_intent(self, ref: str) -> tuple[str, bytes]:
        rows = await self._reader.rows(sql.INTENTS, (ref,)) if len(ref) >= MIN_PART else []
        intent_id = _only(ref, rows, "intent")
        return intent_id, bytes(rows[0][1])

    async def query(self, sql: str) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        return await asyncio.to_thread(query.run, self.path, sql)

    async def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """For the other modules of this package: rows of one of the `statements`."""
        return await self._reader.rows(statement, parameters)

    async def write(self, work: Callable[[sqlite3.Connection], Any], run_id: str | None = None) -> None:
        """For the other modules of this package: `work` in a transaction; whoever watches `run_id` is told."""
        await self._write(lambda _: work, run_id)

    async def rebuild(self, run_id: str) -> None:
        """Make the run's projections again from its journal."""
        await self._write(lambda _: lambda db: check.rebuild(db, run_id), run_id)

    async def verify_run(self, run_id: str) -> Sequence[check.Finding]:
        """What is wrong with the run's journal and projections; empty when nothing is. NOT_FOUND is the caller's."""
        return await asyncio.to_thread(check.verify_run, self.path, run_id)

    async def verify(self) -> Sequence[check.Finding]:
        """What is wrong with the file as a whole: SQLite's own checks, then every run."""
        return await asyncio.to_thread(check.verify, self.path)

    async def verify_tombstones(self) -> Sequence[check.Finding]:
        """What is wrong with what deleted runs left."""
        return await asyncio.to_thread(check.verify_tombstones, self.path)

    async def verify_files(self, runs: Path, artifacts: Path) -> Sequence[check.Finding]:
        """What of the runs' folders and the contents does not agree with the rows."""
        return await asyncio.to_thread(check.verify_files, self.path, runs, artifacts)

    async def backup(self, target: Path) -> None:
        """A consistent copy of the store, made while others use it. FileExistsError when `target` is there."""
        await asyncio.to_thread(database.backup, self.path, target)

    async def close(self) -> None:
        await asyncio.to_thread(self._writer.close)
        self._bell.ring_all()
        await self._reader.close()

    async def _write(self, prepare: Callable[[sqlite3.Connection], Any], run_id: str | None = None) -> None:
        """A write that was handed over goes on when its sender is cancelled: only the answer is."""
        answer = asyncio.get_running_loop().create_future()
        self._writer.submit(Job(prepare, answer, run_id))
        await answer


def _record(body: bytes) -> Record:
    return record_from_wire(json.loads(body))


def _run_row(row: tuple[Any, ...]) -> RunRow:
    (
        run_id,
        workflow_id,
        status,
        recipe,
        version,
        project,
        created_at,
        started_at,
        finished_at,
        seq,
        view,
        total,
        over,
    ) = row
    return RunRow(
        run_id=run_id,
        workflow_id=workflow_id,
        status=status,
        recipe=recipe,
        version=version,
        project=project,
        created_at=created_at,
        started_at=started_at,
        finished_at=finished_at,
        seq=seq,
        view=json.loads(view),
        steps_total=total,
        steps_over=over,
    )


def _only(ref: str, rows: Sequence[tuple[Any, ...]], what: str) -> str:
    """The one id that was found; NOT_FOUND for none and for several, with these in the details."""
    found = [str(row[0]) for row in rows]
    if len(found) == 1:
        return found[0]
    hint = "`wfconsole runs` lists the runs" if what == "run" else "`wfconsole intent submit FILE` prints the id"
    if not found:
        raise WfconsoleError("NOT_FOUND", f"there is no {what} {ref!r}", hint)
    shown = found[:MAX_CANDIDATES]
    more = " and more" if len(found) > MAX_CANDIDATES else ""
    raise WfconsoleError(
        "NOT_FOUND",
        f"{ref!r} names more than one {what}: {', '.join(shown)}{more}",
        "give more of the id",
        {"candidates": shown},
    )
