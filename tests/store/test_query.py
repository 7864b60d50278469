"""`db query` reads anything and writes nothing, whatever the statement tries."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from tests.store.samples import Run
from wfconsole.ports import WfconsoleError
from wfconsole.store import database, query
from wfconsole.store.sqlite import SqliteStore


def ask(folder: Path, *statements: str) -> list[tuple[Sequence[str], Sequence[Sequence[Any]]]]:
    async def work() -> list[tuple[Sequence[str], Sequence[Sequence[Any]]]]:
        store = SqliteStore.open(folder)
        try:
            if await store.run_of_workflow("wf-run-1") is None:
                await store.commit(Run("run-1").create())
            return [await store.query(statement) for statement in statements]
        finally:
            await store.close()

    return asyncio.run(work())


def test_a_query_answers_with_columns_and_rows(tmp_path: Path) -> None:
    counted, recursive, described, empty = ask(
        tmp_path,
        "SELECT run_id AS run, count(*) AS n FROM journal GROUP BY run_id",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT n FROM t",
        "PRAGMA table_info(intents)",
        "SELECT intent_id FROM intents",
    )
    assert counted == (["run", "n"], [("run-1", 1)])
    assert recursive[1] == [(1,), (2,), (3,)]
    assert [row[1] for row in described[1]] == ["intent_id", "body", "created_at"]
    assert empty == (["intent_id"], [])


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO intents VALUES ('x', x'00', 1)", "DELETE FROM runs", "UPDATE runs SET status = 'x'", "DROP TABLE runs",
        "CREATE TABLE x (y)", "CREATE TEMP TABLE x (y)", "VACUUM", "VACUUM INTO '{folder}/stolen.db'",
        "ATTACH '{folder}/stolen.db' AS x", "PRAGMA query_only = 0", "PRAGMA user_version = 9", "PRAGMA journal_mode = DELETE",
        "PRAGMA writable_schema = 1", "BEGIN IMMEDIATE", "REINDEX", "SELECT load_extension('x')", "DETACH app",
        "WITH x AS (SELECT 1) DELETE FROM runs", "WITH x AS (SELECT 1) UPDATE runs SET status = 'x'",
        "WITH x AS (SELECT 'a') INSERT INTO intents SELECT *, x'00', 1 FROM x", "DELETE FROM journal RETURNING *",
        "REPLACE INTO intents VALUES ('x', x'00', 1)", "EXPLAIN DELETE FROM runs", "PRAGMA user_version(9)",
        "PRAGMA app.user_version = 9", "PRAGMA application_id = 1", "PRAGMA journal_mode(DELETE)", "PRAGMA page_size = 512",
        "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA optimize", "PRAGMA schema_version = 9", "PRAGMA foreign_keys = 0",
        "PRAGMA temp_store_directory = '{folder}'", "SELECT * FROM pragma_optimize", "ATTACH ':memory:' AS x",
        "ALTER TABLE runs ADD COLUMN x", "DROP VIEW marks", "DROP TRIGGER journal_no_delete", "ANALYZE", "SAVEPOINT x", "COMMIT",
        "CREATE TRIGGER x AFTER INSERT ON runs BEGIN SELECT 1; END", "CREATE VIRTUAL TABLE temp.x USING fts5(y)",
        "UPDATE sqlite_master SET sql = 'x'", "SELECT writefile('{folder}/stolen', 'x')", "SELECT Load_Extension('x', 'y')",
        "SELECT fts3_tokenizer('simple', x'0011223344556677')", "SELECT \0", "SELECT '\udcff'",
        "SELECT 1; DELETE FROM runs", "nonsense", "SELECT ?", "INSERT INTO app.intents VALUES ('x', x'00', 1)",
    ],
)  # fmt: skip
def test_a_query_that_would_do_anything_else_is_refused(tmp_path: Path, statement: str) -> None:
    state = tmp_path / "state"
    with pytest.raises(WfconsoleError) as caught:
        ask(state, statement.format(folder=tmp_path))
    assert caught.value.code == "INPUT_INVALID"
    assert {path.name for path in tmp_path.iterdir()} == {"state"}
    assert ask(state, "SELECT count(*) FROM runs")[0][1] == [(1,)]


def test_what_the_program_itself_reads_goes_through_aiosqlite_and_cannot_write(tmp_path: Path) -> None:
    async def work() -> None:
        store = SqliteStore.open(tmp_path)
        await store.commit(Run("run-1").create())
        opened = store._reader._opening
        assert not opened
        assert (len(await store.load("run-1")), await store.find_run("@latest")) == (1, "run-1")
        connection = await opened[asyncio.get_running_loop()]
        assert isinstance(connection, aiosqlite.Connection)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await connection.execute("DELETE FROM intents")
        await store.close()

    asyncio.run(work())


def test_without_the_authorizer_the_file_can_still_only_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(tmp_path, "SELECT 1")
    monkeypatch.setattr(query, "_authorize", lambda *_: sqlite3.SQLITE_OK)
    statements = (
        "DELETE FROM intents",
        "PRAGMA user_version = 9",
        "DELETE FROM app.intents",
        "CREATE TEMP TABLE x (y)",
    )
    for statement in statements:
        with pytest.raises(WfconsoleError, match="readonly"):
            query.run(tmp_path / database.NAME, statement)
