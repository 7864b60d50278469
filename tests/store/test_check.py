"""What was changed behind the store's back is found, and named by the first event that shows it."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.samples import Run, plan, step, whole_story
from wfconsole.domain import events as ev
from wfconsole.store import check, database, journal, statements as sql
from wfconsole.store.sqlite import SqliteStore
from wfconsole.store.triggers import TRIGGERS


def store_with_two_runs(folder: Path) -> Path:
    async def fill() -> None:
        store = SqliteStore.open(folder)
        for run_id in ("run-1", "run-2"):
            await store.commit(Run(run_id).next(*whole_story(run_id)))
        assert await store.verify() == []
        assert await store.verify_run("nothing") == []
        await store.close()

    asyncio.run(fill())
    return folder / database.NAME


def tamper(path: Path, *statements: str) -> None:
    """Somebody with write access and no respect: triggers away, change, triggers back."""
    with closing(sqlite3.connect(path)) as db, db:
        for name in TRIGGERS:
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(statement)
        for text in TRIGGERS.values():
            db.execute(text)


@pytest.mark.parametrize(
    ("statement", "code", "seq"),
    [
        (("UPDATE journal SET body = CAST(replace(CAST(body AS TEXT), '\"owner\":\"me\"', '\"owner\":\"mr\"') AS BLOB) "
         "WHERE seq = 2 AND run_id = 'run-1'"), "chain_broken", 2),
        ("UPDATE journal SET hash = zeroblob(32) WHERE seq = 5 AND run_id = 'run-1'", "chain_broken", 5),
        ("UPDATE journal SET prev = zeroblob(32) WHERE seq = 1 AND run_id = 'run-1'", "chain_broken", 1),
        ("DELETE FROM journal WHERE seq = 4 AND run_id = 'run-1'", "seq_gap", 4),
        ("UPDATE journal SET type = 'run_paused' WHERE seq = 2 AND run_id = 'run-1'", "event_misplaced", 2),
        ("UPDATE journal SET body = x'7b7d' WHERE seq = 3 AND run_id = 'run-1'", "event_unreadable", 3),
        ("UPDATE steps SET status = 'succeeded' WHERE step_id = 'c' AND run_id = 'run-1'", "projection_differs", None),
        ("DELETE FROM attempts WHERE step_id = 'c' AND n = 1 AND run_id = 'run-1'", "projection_differs", None),
        ("UPDATE runs SET seq = 3 WHERE run_id = 'run-1'", "projection_differs", None),
        ("UPDATE runs SET view = json_set(view, '$.failure.code', 'OOM_KILLED') WHERE run_id = 'run-1'",
         "projection_differs", None),
        ("DELETE FROM artifacts WHERE step_id = 'a' AND run_id = 'run-1'", "artifact_missing", None),
    ],
)  # fmt: skip
def test_a_change_behind_the_store_is_found(tmp_path: Path, statement: str, code: str, seq: int | None) -> None:
    path = store_with_two_runs(tmp_path)
    tamper(path, statement)
    found = check.verify_run(path, "run-1")
    assert (found[0].code, found[0].seq) == (code, seq)
    assert {finding.run_id for finding in check.verify(path)} == {"run-1"}


def test_the_tail_of_a_journal_cannot_vanish_unnoticed(tmp_path: Path) -> None:
    path = store_with_two_runs(tmp_path)
    tamper(
        path,
        "DELETE FROM journal WHERE run_id = 'run-1' AND seq = (SELECT max(seq) FROM journal WHERE run_id = 'run-1')",
    )
    assert [finding.code for finding in check.verify_run(path, "run-1")] == ["projection_differs"]


def test_the_chain_begins_with_the_run_and_its_plan(tmp_path: Path) -> None:
    path = store_with_two_runs(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute(sql.CHAIN, ("run-1",)).fetchall()
    assert rows[0][3] == hashlib.sha256(b"run-1" + b"d" * 64).digest() == journal.genesis("run-1", "d" * 64)
    prev = rows[0][3]
    for _, _, body, stored_prev, stored_hash in rows:
        assert stored_prev == prev
        prev = journal.link(prev, body)
        assert stored_hash == prev


def test_a_run_can_be_copied_nowhere_in_the_chain_of_another(tmp_path: Path) -> None:
    path = store_with_two_runs(tmp_path)
    tamper(
        path,
        "DELETE FROM journal WHERE run_id = 'run-2' AND seq > 1",
        "INSERT INTO journal SELECT 'run-2', seq, at, type, body, prev, hash FROM journal WHERE run_id = 'run-1' AND seq > 1",
    )
    assert check.verify_run(path, "run-2")[0].code == "event_misplaced"


def test_an_executed_step_that_left_nothing_and_no_reason_is_found(tmp_path: Path) -> None:
    async def work() -> None:
        store = SqliteStore.open(tmp_path)
        run = Run("run-1")
        await store.commit(run.create(pinned=plan("a")))
        await store.write(lambda db: db.execute("DROP TRIGGER runs_accounted"))  # the database itself would refuse
        await store.commit(run.next(*step("a")[:2], ev.RunSucceeded()))
        assert [finding.code for finding in await store.verify_run("run-1")] == ["artifact_missing"]
        await store.close()

    asyncio.run(work())
