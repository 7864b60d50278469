"""`db query` reads anything and writes nothing, whatever the statement tries."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.store.samples import Run
from wfconsole.ports import WfconsoleError
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
