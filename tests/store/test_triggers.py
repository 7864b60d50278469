"""The database refuses by itself what the code would never do: each invariant is tried from outside, in plain SQL."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.store.samples import T0, Run, pause, plan, step, whole_story
from wfconsole.domain import events as ev
from wfconsole.ports import Lease
from wfconsole.store import database, statements as sql
from wfconsole.store.sqlite import SqliteStore
from wfconsole.store.triggers import TRIGGERS


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    async def fill() -> None:
        store = SqliteStore.open(tmp_path)
        run = Run("run-1")
        await store.commit(run.next(*whole_story("run-1")))
        await store.commit(replace(run.next(), fact=pause("decided")))
        leased = Run("leased")
        await store.commit(leased.create())
        await store.write(lambda db: db.execute(LEASED))
        begun = ev.StepStarted(step_id="b", attempt=1, kind="run")
        await store.commit(replace(leased.next(*step("a"), begun), lease=Lease(owner="me", fence=3)))
        await store.post("run-1", pause("waits"))
        await store.save_intent("i" * 64, b"{}", T0)
        careless = Run("careless")
        await store.commit(careless.create(pinned=plan("a")))
        await store.commit(careless.next(*step("a")[:2]))
        gone = Run("gone")
        await store.commit(gone.create())
        await store.commit(gone.next(ev.RunDeleted(workflow_id="wf-gone")))
        buried = Run("buried")
        await store.commit(buried.create())
        await store.commit(buried.next(ev.RunDeleted(workflow_id="wf-buried")))
        await store.write(lambda db: db.execute(sql.BURIED, (0, T0, "buried")))
        await store.close()

    asyncio.run(fill())
    with closing(database.connect(tmp_path / database.NAME)) as connection:
        yield connection


LEASED = (
    "INSERT INTO leases (run_id, owner, fence, locked, setbacks, seq) SELECT run_id, 'me', 3, 1, 0, seq FROM runs "
    "WHERE run_id = 'leased'"
)
COPY = "INSERT OR REPLACE INTO {0} SELECT * FROM {0} LIMIT 1"
FORBIDDEN = {
    "meta_once": COPY.format("meta"),
    "meta_no_update": "UPDATE meta SET database_id = 'x'",
    "meta_no_delete": "DELETE FROM meta",
    "journal_next": COPY.format("journal"),
    "journal_next before the first": "INSERT INTO journal SELECT run_id, 0, at, type, body, prev, hash FROM journal LIMIT 1",
    "journal_chain gap": "INSERT INTO journal SELECT run_id, 1000, at, type, body, prev, hash FROM journal LIMIT 1",
    "journal_chain": "INSERT INTO journal SELECT run_id, (SELECT max(seq) + 1 FROM journal), at, type, body, prev, hash "
    "FROM journal LIMIT 1",
    "journal_one_fallback": "INSERT INTO journal SELECT run_id, seq + n, at, 'template_fallback', "
    'CAST(\'{"step_id":"a"}\' AS BLOB), hash, hash FROM journal, (SELECT 1 AS n UNION ALL SELECT 2) '
    "WHERE seq = (SELECT max(seq) FROM journal) ORDER BY n",
    "journal_no_update": "UPDATE journal SET body = x'00' WHERE seq = 2",
    "journal_no_delete": "DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)",
    "inbox_once": COPY.format("inbox"),
    "inbox_once by fact": "INSERT OR REPLACE INTO inbox (run_id, fact_id, type, posted_at) "
    "SELECT run_id, fact_id, type, posted_at FROM inbox LIMIT 1",
    "inbox_once by id": "INSERT OR REPLACE INTO inbox (id, run_id, fact_id, type, posted_at) "
    "SELECT id, run_id, 'another', type, posted_at FROM inbox LIMIT 1",
    "inbox_no_update decided": "UPDATE inbox SET decided_seq = 1 WHERE decided_seq IS NOT NULL",
    **{
        f"inbox_no_update {column}": f"UPDATE inbox SET {column} = {value} WHERE decided_seq IS NULL"
        for column, value in (
            ("id", "1000"),
            ("run_id", "'another'"),
            ("fact_id", "'another'"),
            ("type", "'another'"),
            ("body", "x'00'"),
            ("posted_at", "1"),
        )
    },
    "inbox_no_delete": "DELETE FROM inbox",
    "intents_once": COPY.format("intents"),
    "intents_no_update": "UPDATE intents SET body = x'00'",
    "intents_no_delete": "DELETE FROM intents",
    "runs_once": COPY.format("runs"),
    "runs_once by workflow": "INSERT OR REPLACE INTO runs SELECT 'run-2', workflow_id, trace_id, status, recipe, version, "
    "project, intent_hash, created_at, started_at, finished_at, seq, failure_code, steps_total, steps_succeeded, "
    "steps_failed, steps_skipped, steps_cancelled, view FROM runs WHERE run_id = 'run-1'",
    "runs_once by run": "INSERT OR REPLACE INTO runs SELECT run_id, 'wf-another', trace_id, status, recipe, version, "
    "project, intent_hash, created_at, started_at, finished_at, seq, failure_code, steps_total, steps_succeeded, "
    "steps_failed, steps_skipped, steps_cancelled, view FROM runs WHERE run_id = 'run-1'",
    "runs_no_update workflow": "UPDATE runs SET workflow_id = 'another' WHERE run_id = 'run-1'",
    "runs_no_update run": "UPDATE runs SET run_id = 'another' WHERE run_id = 'run-1'",
    "runs_accounted": f"UPDATE runs SET finished_at = {T0} WHERE run_id = 'careless'",
    "steps_once": COPY.format("steps"),
    "steps_no_update": "UPDATE steps SET status = 'running' WHERE step_id = 'a'",
    "steps_no_update run": "UPDATE steps SET run_id = 'run-1' WHERE run_id = 'leased' AND step_id = 'b'",
    "steps_no_update step": "UPDATE steps SET step_id = 'z' WHERE run_id = 'leased' AND step_id = 'b'",
    "attempts_once": COPY.format("attempts"),
    "attempts_no_update": "UPDATE attempts SET outcome = 'failed' WHERE step_id = 'a'",
    **{
        f"attempts_no_update {column}": f"UPDATE attempts SET {column} = {value} WHERE run_id = 'leased' AND step_id = 'b'"
        for column, value in (("run_id", "'run-1'"), ("step_id", "'a'"), ("n", "7"), ("claimed_at", "7"))
    },
    "artifacts_once": COPY.format("artifacts"),
    "artifacts_no_update": "UPDATE artifacts SET sha256 = NULL",
    "journal_of_the_living": "INSERT INTO journal SELECT run_id, 3, at, type, body, hash, hash FROM journal "
    "WHERE run_id = 'gone' AND seq = 2",
    "inbox_of_the_living": "INSERT INTO inbox (run_id, fact_id, type, body, posted_at) "
    "VALUES ('gone', 'late', 'pause_run', x'00', 0)",
    "tombstones_once": COPY.format("tombstones"),
    "tombstones_no_update finished": "UPDATE tombstones SET freed = 7 WHERE run_id = 'buried'",
    **{
        f"tombstones_no_update {column}": f"UPDATE tombstones SET {column} = {value} WHERE run_id = 'gone'"
        for column, value in (
            ("run_id", "'another'"),
            ("workflow_id", "'another'"),
            ("deleted_at", "7"),
            ("seq", "7"),
            ("body", "x'00'"),
            ("prev", "x'00'"),
            ("hash", "x'00'"),
        )
    },
    "tombstones_no_delete": "DELETE FROM tombstones",
    "journal_leased": "INSERT INTO journal SELECT run_id, seq + 1, at, type, body, hash, hash FROM journal "
    "WHERE run_id = 'leased' ORDER BY seq DESC LIMIT 1",
    "leases_once": COPY.format("leases"),
    "leases_writer another owner": "UPDATE leases SET writer = 'you', writer_fence = 3, seq = seq + 1",
    "leases_writer an older fence": "UPDATE leases SET writer = 'me', writer_fence = 2, seq = seq + 1",
    "leases_writer back": "UPDATE leases SET writer = 'me', writer_fence = 3, seq = seq - 1",
    "leases_writer another owner alone": "UPDATE leases SET writer = 'you'",
    "leases_writer an older fence alone": "UPDATE leases SET writer_fence = 2",
    "leases_writer back alone": "UPDATE leases SET seq = seq - 1",
    "leases_fence for another run": "UPDATE leases SET run_id = 'run-1'",
    "leases_fence": "UPDATE leases SET fence = 2",
    "leases_fence the same for another": "UPDATE leases SET owner = 'you'",
    "leases_no_delete": "DELETE FROM leases",
    "doomed until finished": "UPDATE tombstones SET finished_at = 1",
    "content or none": "INSERT INTO artifacts (run_id, artifact_id, name, kind) VALUES ('run-1', 'x', 'x', 'file')",
    "run exists": "INSERT INTO artifacts (run_id, artifact_id, name, kind) VALUES ('run-9', 'x', 'x', 'none')",
    "step exists": "INSERT INTO attempts (run_id, step_id, n, claimed_at) VALUES ('run-1', 'zz', 1, 0)",
    "run has steps": "DELETE FROM runs",
}


def test_every_trigger_is_tried() -> None:
    assert set(TRIGGERS) <= {name.split()[0] for name in FORBIDDEN}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_the_database_refuses(db: sqlite3.Connection, name: str) -> None:
    trigger = TRIGGERS.get(name.split(maxsplit=1)[0])
    with pytest.raises(sqlite3.IntegrityError) as caught:
        db.execute(FORBIDDEN[name])
    if trigger is not None:
        assert f"RAISE(ABORT, '{caught.value}')" in trigger


def test_a_waiting_fact_can_be_marked_as_decided_once(db: sqlite3.Connection) -> None:
    assert db.execute("UPDATE inbox SET decided_seq = 3 WHERE fact_id = 'waits'").rowcount == 1
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("UPDATE inbox SET decided_seq = 4 WHERE fact_id = 'waits'")
