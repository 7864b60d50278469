"""Does the store still say what happened: the chain recomputed, the projections compared with a fold, sequence without gaps.

Refuses to repair anything but projections, and those only when `rebuild` is called. The decision that would surprise: the
fold is made by the same statements in a database in memory, so there is no second implementation to disagree with.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wfconsole.domain.codec import record_from_wire
from wfconsole.store import database, faults, journal, schema, statements as sql
from wfconsole.store.projections import advance, project


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong. `code` is a stable word, `seq` the first event that shows it; None when it is no event's."""

    run_id: str | None
    code: str
    message: str
    seq: int | None = None


def rebuild(db: sqlite3.Connection, run_id: str) -> None:
    """Replace the run's projections by a fold of its journal, inside the caller's transaction."""
    rows = db.execute(sql.CHAIN, (run_id,)).fetchall()
    for statement in sql.FORGET:
        db.execute(statement, (run_id,))
    _fold(db, run_id, [body for _, _, body, _, _ in rows])


def verify(path: Path) -> list[Finding]:
    """The file, then all runs."""
    try:
        with closing(database.connect(path)) as db:
            damage = [str(row[0]) for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
            dangling = db.execute("PRAGMA foreign_key_check").fetchall()
            stones = _tombstones(db)
            run_ids = [str(row[0]) for row in db.execute(sql.JOURNAL_RUNS)]
    except sqlite3.Error as error:
        if not faults.is_broken(error):
            raise faults.translate(error, path.parent) from error
        return [Finding(run_id=None, code="file_damaged", message=str(error))]
    findings = [Finding(run_id=None, code="file_damaged", message=text) for text in damage]
    findings += [Finding(run_id=None, code="reference_broken", message=f"{row[0]} -> {row[2]}") for row in dangling]
    return [*findings, *stones, *(finding for run_id in run_ids for finding in verify_run(path, run_id))]


def verify_files(path: Path, runs: Path, artifacts: Path) -> list[Finding]:
    """What the rows promise and the disk does not have, and what the disk has that no row knows."""
    try:
        with closing(database.connect(path)) as db:
            known = {str(run_id) for (run_id,) in db.execute(sql.JOURNAL_RUNS)}
            contents = db.execute(sql.CONTENTS).fetchall()
    except sqlite3.Error as error:
        raise faults.translate(error, path.parent) from error
    findings = []
    for run_id, artifact_id, sha256, size in contents:
        place = artifacts / sha256[:2] / sha256[2:]
        if not place.is_file() or (size is not None and place.stat().st_size != size):
            why = "is not what was stored" if place.is_file() else "is gone"
            findings.append(Finding(run_id=run_id, code="content_missing", message=f"{artifact_id}: {sha256} {why}"))
    folders = sorted(one.name for one in runs.iterdir() if (one / "bundle").is_dir()) if runs.is_dir() else []
    return findings + [
        Finding(run_id=name, code="run_unknown", message=f"{runs / name} has a bundle, but no row knows the run")
        for name in folders
        if name not in known
    ]


def verify_tombstones(path: Path) -> list[Finding]:
    """What is wrong with what deleted runs left."""
    try:
        with closing(database.connect(path)) as db:
            db.execute("BEGIN")
            return _tombstones(db)
    except sqlite3.Error as error:
        raise faults.translate(error, path.parent) from error


def _tombstones(db: sqlite3.Connection) -> list[Finding]:
    """Each holds, and nothing in the database belongs to a run whose removal is finished."""
    from wfconsole.store.stone import read

    tables_of_runs = [str(table) for (table,) in db.execute(sql.TABLES_OF_RUNS)]
    stones = [read(row) for row in db.execute(sql.TOMBSTONES)]
    findings = [
        Finding(run_id=stone.run_id, code="tombstone_broken", message=problem, seq=stone.seq)
        for stone in stones
        for problem in stone.problems
    ]
    for stone in stones:
        tables = list(sql.PROJECTIONS) if stone.finished_at is None else tables_of_runs
        findings += [
            Finding(run_id=stone.run_id, code="deleted_run_left", message=f"{table}: rows of a deleted run")
            for table in tables
            if db.execute(f"SELECT 1 FROM {table} WHERE run_id = ?", (stone.run_id,)).fetchone()  # noqa: S608  ours
        ]
    return findings


def verify_run(path: Path, run_id: str) -> list[Finding]:
    """What is wrong with one run; empty when nothing is, also for a run that does not exist."""
    try:
        with closing(database.connect(path)) as db:
            db.execute("BEGIN")
            rows = db.execute(sql.CHAIN, (run_id,)).fetchall()
            actual = _projections(db, run_id)
            unaccounted = db.execute(sql.UNACCOUNTED, (run_id,)).fetchall()
    except sqlite3.Error as error:
        raise faults.translate(error, path.parent) from error
    findings = list(_chain(run_id, rows))
    findings += [
        Finding(
            run_id=run_id, code="artifact_missing", message=f"step {step}, attempt {n}: no artifact and no reason why"
        )
        for step, n in unaccounted
    ]
    return findings if any(finding.seq for finding in findings) else [*findings, *_drift(run_id, rows, actual)]


def _chain(run_id: str, rows: list[tuple[int, str, bytes, bytes, bytes]]) -> Iterator[Finding]:
    prev: bytes | None = None
    for expected, (seq, kind, body, stored_prev, stored_hash) in enumerate(rows, start=1):
        try:
            data = json.loads(body)
            record = record_from_wire(data)
        except (ValueError, KeyError, TypeError) as error:
            yield Finding(run_id=run_id, code="event_unreadable", message=f"event {seq}: {error!r}", seq=seq)
            return
        if prev is None:
            prev = journal.genesis(run_id, str(data.get("plan", {}).get("recipe", {}).get("digest")))
        if seq != expected:
            yield Finding(run_id=run_id, code="seq_gap", message=f"event {expected} is missing", seq=expected)
            return
        if (record.seq, data.get("type"), data.get("run_id")) != (seq, kind, run_id):
            yield Finding(run_id=run_id, code="event_misplaced", message=f"event {seq} says it is another", seq=seq)
        if stored_prev != prev or stored_hash != journal.link(prev, body):
            yield Finding(run_id=run_id, code="chain_broken", message=f"event {seq} is not what was written", seq=seq)
            return
        prev = stored_hash


def _drift(run_id: str, rows: list[tuple[int, str, bytes, bytes, bytes]], actual: dict[str, Any]) -> Iterator[Finding]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for statement in schema.TABLES:
            db.execute(statement)
        try:
            _fold(db, run_id, [body for _, _, body, _, _ in rows])
        except sqlite3.Error as error:
            yield Finding(run_id=run_id, code="fold_failed", message=str(error))
            return
        folded = _projections(db, run_id)
    for table, expected in folded.items():
        if actual[table] != expected:
            yield Finding(
                run_id=run_id,
                code="projection_differs",
                message=f"{table}: the rows are not what the journal says; rebuild them",
            )


def _fold(db: sqlite3.Connection, run_id: str, bodies: list[bytes]) -> None:
    for body in bodies:
        record = record_from_wire(json.loads(body))
        for statement, parameters in (*project(run_id, record), advance(run_id, record.seq, (record,))):
            db.execute(statement, parameters)


def _projections(db: sqlite3.Connection, run_id: str) -> dict[str, list[tuple[Any, ...]]]:
    return {table: db.execute(statement, (run_id,)).fetchall() for table, statement in sql.PROJECTIONS.items()}
