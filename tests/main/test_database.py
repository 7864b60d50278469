"""`db query` looks at the store as it is: it makes none, migrates none, and says when there is none."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from wfconsole.config import read_settings
from wfconsole.main.database import StoreCare
from wfconsole.ports import WfconsoleError
from wfconsole.store import database, schema
from wfconsole.store.sqlite import SqliteStore


def care(home: Path) -> StoreCare:
    return StoreCare(read_settings({"WFCONSOLE_HOME": str(home)}))


def test_a_query_makes_no_store(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(WfconsoleError) as caught:
        asyncio.run(care(home).query("SELECT 1"))
    assert caught.value.code == "NOT_FOUND"
    assert not home.exists()


def test_a_query_leaves_an_older_store_as_it_is(tmp_path: Path) -> None:
    async def made() -> None:
        await SqliteStore.open(tmp_path).close()

    asyncio.run(made())
    with closing(sqlite3.connect(tmp_path / database.NAME)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = ?", (schema.REVISIONS[0],))
    assert asyncio.run(care(tmp_path).query("SELECT version_num AS v FROM alembic_version")) == (
        ["v"],
        [(schema.REVISIONS[0],)],
    )
    assert not (tmp_path / "backups").exists()


def test_a_query_refuses_a_newer_store(tmp_path: Path) -> None:
    async def made() -> None:
        await SqliteStore.open(tmp_path).close()

    asyncio.run(made())
    with closing(sqlite3.connect(tmp_path / database.NAME)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(WfconsoleError) as caught:
        asyncio.run(care(tmp_path).query("SELECT 1"))
    assert caught.value.code == "STORE_TOO_NEW"
