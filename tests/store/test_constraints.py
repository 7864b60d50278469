"""Each constraint of the tables stands alone: in plain SQL, on the tables of a fresh store without its triggers.

A row of a table below is a statement that only this constraint refuses, which SQLite's message says. `scripts/mutations` takes
the constraints away one at a time and looks that this file notices.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing

import pytest

from tests.store import constraints
from wfconsole.store import database, opening, statements as sql
from wfconsole.store.triggers import TRIGGERS

Value = int | str | bytes | None
Row = Mapping[str, Value]

ROWS: dict[str, Row] = {
    "journal": {"run_id": "r", "seq": 1, "at": 0, "type": "t", "body": b"b", "prev": b"p", "hash": b"h"},
    "inbox": {
        "id": 1, "run_id": "r", "fact_id": "f", "type": "t", "body": None, "posted_at": 0, "decided_seq": None,
    },
    "runs": {
        "run_id": "r", "workflow_id": "w", "trace_id": "t", "status": "running", "recipe": "n", "version": "1",
        "project": None, "intent_hash": None, "created_at": 0, "started_at": None, "finished_at": None, "seq": 1,
        "failure_code": None, "steps_total": 1, "steps_succeeded": 0, "steps_failed": 0, "steps_skipped": 0,
        "steps_cancelled": 0, "view": "{}",
    },
    "steps": {
        "run_id": "r", "step_id": "s", "ordinal": 0, "kind": "run", "parent": None, "status": "pending", "attempts": 1,
        "started_at": None, "finished_at": None, "code": None, "reason": None,
    },
    "attempts": {
        "run_id": "r", "step_id": "s", "n": 1, "claimed_at": 0, "ended_at": None, "outcome": None, "code": None,
        "exit_code": None,
    },
    "artifacts": {
        "run_id": "r", "artifact_id": "a", "step_id": None, "attempt": None, "name": "a", "kind": "file", "sha256": "00",
        "bytes": 0, "media_type": None, "reason": None,
    },
    "intents": {"intent_id": "i", "body": b"{}", "created_at": 0},
    "tombstones": {
        "run_id": "r", "workflow_id": "w", "deleted_at": 0, "seq": 1, "body": b"b", "prev": b"p", "hash": b"h",
        "doomed": "[]", "measured": None, "freed": None, "finished_at": None,
    },
    "owners": {"owner": "o", "host": "h", "boot": "b", "pid": 1, "ticks": 1, "socket": None, "expires": 0},
    "leases": {
        "run_id": "r", "owner": "o", "fence": 1, "locked": 1, "setbacks": 0, "trouble": None, "writer": None,
        "writer_fence": None, "seq": 1,
    },
}  # fmt: skip
"""A row of each table that is as it may be; `meta` has one already."""

KEYS: dict[str, tuple[str, str, Row]] = {
    "primary key meta": ("meta", "id", {}),
    "primary key journal": ("journal", "run_id seq", {}),
    "primary key inbox": ("inbox", "id", {"fact_id": "g"}),
    "unique inbox_one_fact": ("inbox", "run_id fact_id", {"id": 2}),
    "primary key runs": ("runs", "run_id", {"workflow_id": "x"}),
    "unique runs_one_workflow": ("runs", "workflow_id", {"run_id": "q"}),
    "primary key steps": ("steps", "run_id step_id", {}),
    "primary key attempts": ("attempts", "run_id step_id n", {"claimed_at": 1}),
    "primary key artifacts": ("artifacts", "run_id artifact_id", {}),
    "primary key intents": ("intents", "intent_id", {}),
    "primary key tombstones": ("tombstones", "run_id", {}),
    "primary key owners": ("owners", "owner", {}),
    "primary key leases": ("leases", "run_id", {}),
}
"""Table, the columns that are there once, and what of a second row is different."""

CHECKS: dict[str, list[tuple[str, Row]]] = {
    "check meta_has_one_row": [("meta", {"id": 2})],
    "check artifacts_content_or_none": [("artifacts", {"sha256": None}), ("artifacts", {"kind": "none"})],
    "check tombstones_doomed_until_finished": [("tombstones", {"doomed": None}), ("tombstones", {"finished_at": 1})],
    "check leases_fence_positive": [("leases", {"fence": 0})],
}
"""What a row cannot become."""

REFERENCES: dict[str, tuple[str, Row]] = {
    "foreign key steps (run_id)": ("steps", {"run_id": "nobody"}),
    "foreign key attempts (run_id, step_id)": ("attempts", {"step_id": "nothing"}),
    "foreign key artifacts (run_id)": ("artifacts", {"run_id": "nobody"}),
}
"""A second row that refers to nothing."""

NOT_NULL: dict[str, str] = {
    "meta": "database_id application_id created_at",
    "journal": "at type body prev hash",
    "inbox": "run_id fact_id type posted_at",
    "runs": "workflow_id trace_id status recipe version created_at seq steps_total steps_succeeded steps_failed "
    "steps_skipped steps_cancelled view",
    "steps": "ordinal kind status attempts",
    "attempts": "claimed_at",
    "artifacts": "name kind",
    "intents": "body created_at",
    "tombstones": "workflow_id deleted_at seq body prev hash",
    "owners": "host boot pid ticks expires",
    "leases": "fence locked setbacks seq",
}
"""Columns that cannot be empty, beside those of the keys."""

STRICT: dict[str, str] = {
    "meta": "created_at", "journal": "at", "inbox": "posted_at", "runs": "created_at", "steps": "ordinal",
    "attempts": "claimed_at", "artifacts": "bytes", "intents": "created_at", "tombstones": "deleted_at",
    "owners": "expires", "leases": "seq",
}  # fmt: skip
"""A column of numbers of each table, which takes no text."""

INDEXES: dict[str, str] = {
    "index inbox_pending": sql.PENDING,
    "index runs_newest": sql.RUN_LATEST,
    "index tombstones_unfinished": sql.UNFINISHED,
    "index leases_held": sql.HELD,
}
"""A statement of the hot path that would read the whole table without it: nothing is refused by an index."""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("constraints") / database.NAME
    opening.create(path)
    with closing(database.connect(path)) as connection:
        for name in TRIGGERS:
            connection.execute(f"DROP TRIGGER IF EXISTS {name}")
        for table, row in ROWS.items():
            insert(connection, table, row)
        yield connection


@pytest.fixture
def db(tables: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """The same rows for each test."""
    tables.execute("BEGIN")
    yield tables
    tables.execute("ROLLBACK")


def insert(db: sqlite3.Connection, table: str, row: Row) -> None:
    db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))


def insert_again(db: sqlite3.Connection, table: str, changed: Row) -> None:
    """The row that is there once more, with what is different."""
    cursor = db.execute(f"SELECT * FROM {table} LIMIT 1")
    names = [column[0] for column in cursor.description]
    insert(db, table, {**dict(zip(names, cursor.fetchone(), strict=True)), **changed})


def update(db: sqlite3.Connection, table: str, changed: Row) -> None:
    db.execute(f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in changed)}", tuple(changed.values()))


def refused(message: str) -> pytest.RaisesExc[sqlite3.IntegrityError]:
    return pytest.raises(sqlite3.IntegrityError, match=f"^{re.escape(message)}$")


def test_every_constraint_of_the_schema_is_tried() -> None:
    tried = {*KEYS, *CHECKS, *REFERENCES, *INDEXES, *(f"strict {table}" for table in STRICT)}
    tried |= {f"not null {table}.{column}" for table, columns in NOT_NULL.items() for column in columns.split()}
    assert tried == set(constraints.removals())


@pytest.mark.parametrize("name", KEYS)
def test_what_is_there_once_is_not_there_twice(db: sqlite3.Connection, name: str) -> None:
    table, columns, changed = KEYS[name]
    with refused(f"UNIQUE constraint failed: {', '.join(f'{table}.{column}' for column in columns.split())}"):
        insert_again(db, table, changed)


@pytest.mark.parametrize(("name", "table", "changed"), [(name, *each) for name in CHECKS for each in CHECKS[name]])
def test_a_row_that_contradicts_itself_is_refused(db: sqlite3.Connection, name: str, table: str, changed: Row) -> None:
    with refused(f"CHECK constraint failed: {name.removeprefix('check ')}"):
        update(db, table, changed)


@pytest.mark.parametrize("name", REFERENCES)
def test_nothing_refers_to_what_is_not_there(db: sqlite3.Connection, name: str) -> None:
    table, changed = REFERENCES[name]
    with refused("FOREIGN KEY constraint failed"):
        insert_again(db, table, changed)


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, columns in NOT_NULL.items() for column in columns.split()]
)
def test_what_every_row_has_cannot_be_missing(db: sqlite3.Connection, table: str, column: str) -> None:
    with refused(f"NOT NULL constraint failed: {table}.{column}"):
        update(db, table, {column: None})


@pytest.mark.parametrize("table", STRICT)
def test_a_number_is_a_number(db: sqlite3.Connection, table: str) -> None:
    with refused(f"cannot store TEXT value in INTEGER column {table}.{STRICT[table]}"):
        update(db, table, {STRICT[table]: "many"})


@pytest.mark.parametrize("name", INDEXES)
def test_the_hot_path_finds_its_rows_by_the_index(db: sqlite3.Connection, name: str) -> None:
    text = INDEXES[name]
    plan = " / ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {text}", (None,) * text.count("?")))
    assert re.search(rf"INDEX {name.removeprefix('index ')}\b", plan), plan


def test_a_commit_waits_until_the_disk_has_it(tables: sqlite3.Connection) -> None:
    assert tables.execute("PRAGMA synchronous").fetchone() == (2,), "FULL: also the -wal file, at every commit"
