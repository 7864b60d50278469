"""Backups, and migrations from every schema revision that there ever was."""

from __future__ import annotations

import asyncio
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from tests.store.samples import Run, step
from tests.store.test_faults_file import events, filled
from tests.store.test_schema import described
from wfconsole.ports import WfconsoleError
from wfconsole.store import backup, database, migrate, opening, schema, statements
from wfconsole.store.sqlite import SqliteStore

NAMED = re.compile(r"wfconsole-\d{8}T\d{6}\.\d{3}Z(-before-\d{4})?\.db")


def as_of(revision: str, folder: Path) -> Path:
    """A store as the version that ended with `revision` left it: its schema, without views and triggers, with a run."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / database.NAME
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool, pool_reset_on_return=None)
    settings = migrate.config()
    with engine.connect() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, revision)
        connection.commit()
    copy_rows(folder.parent / f"now-{revision}", raw)
    raw.close()
    return path


def copy_rows(folder: Path, raw: sqlite3.Connection) -> None:
    """Rows of a run in every table that the old schema has, in the columns that it has."""
    filled(folder)
    with closing(sqlite3.connect(folder / database.NAME)) as now:
        raw.execute("PRAGMA foreign_keys = OFF")
        for (table,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if table == "alembic_version":
                continue
            columns = ", ".join(f'"{row[1]}"' for row in raw.execute(f"PRAGMA table_info({table})"))
            for row in now.execute(f"SELECT {columns} FROM {table}"):
                raw.execute(f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(row))})", row)


@pytest.mark.parametrize("revision", schema.REVISIONS)
def test_exec_block_gap_5_a_store_of_every_revision_is_migrated_with_all_it_holds(
    tmp_path: Path, revision: str
) -> None:
    path = as_of(revision, tmp_path / "old")
    fresh = tmp_path / "fresh.db"
    opening.create(fresh)
    if revision != schema.HEAD:
        before = described(path)
        assert opening.revision(path) == revision
        opening.check(path)
        (saved,) = backup.listed(path.parent)
        assert described(saved) == before
        assert NAMED.fullmatch(saved.name)
        assert saved.name.endswith(f"-before-{schema.HEAD}.db")
        assert described(path) == described(fresh)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute(statements.REVISION).fetchall() == [(schema.HEAD,)]
    assert events(path.parent) == 4


def test_a_backup_is_named_by_time_and_listed_newest_first(tmp_path: Path) -> None:
    path = filled(tmp_path)
    first = backup.make(path)
    second = backup.make(path)
    assert backup.listed(tmp_path) == [second, first]
    assert all(NAMED.fullmatch(one.name) for one in (first, second))
    assert first.parent == tmp_path / "backups"
    assert {one.name for one in first.parent.iterdir()} == {first.name, second.name}, "nothing half done is left"


def test_a_backup_is_made_while_others_write_and_is_whole(tmp_path: Path) -> None:
    async def work() -> None:
        store = SqliteStore.open(tmp_path / "state")
        run = Run("run-1")
        await store.commit(run.create())

        async def writing() -> None:
            for number in range(40):
                await store.commit(run.next(*step("a")[:1] if number == 0 else ()))

        busy = asyncio.ensure_future(writing())
        saved = await asyncio.to_thread(backup.make, store.path)
        await busy
        await store.close()
        (tmp_path / "again").mkdir()
        saved.rename(tmp_path / "again" / database.NAME)
        copy = SqliteStore.open(tmp_path / "again")
        assert await copy.verify() == []
        assert copy.database_id == store.database_id
        await copy.close()

    asyncio.run(work())


def test_a_backup_never_replaces_a_file(tmp_path: Path) -> None:
    path = filled(tmp_path / "state")
    target = tmp_path / "mine.db"
    target.write_bytes(b"precious")
    with pytest.raises(WfconsoleError) as caught:
        backup.make(path, target)
    assert caught.value.code == "INPUT_INVALID"
    assert target.read_bytes() == b"precious"


def test_a_backup_of_a_damaged_store_is_refused_and_not_kept(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'journal'").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(WfconsoleError) as caught:
        backup.make(path)
    assert caught.value.code == "STORE_CORRUPT"
    assert backup.listed(tmp_path) == []


KILLED = """
import os, pathlib, signal, sys
from wfconsole.store import migrate, opening
done = migrate.command.upgrade
def upgrade(*args):
    done(*args)
    os.kill(os.getpid(), signal.SIGKILL)
migrate.command.upgrade = upgrade
opening.check(pathlib.Path(sys.argv[1]))
"""


def test_a_kill_in_the_middle_of_a_migration_leaves_the_old_store(tmp_path: Path) -> None:
    path = as_of("0001", tmp_path / "old")
    before = described(path)
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert described(path) == before
    assert opening.revision(path) == "0001"
    opening.check(path)
    assert events(path.parent) == 4
    assert len(backup.listed(path.parent)) == 2


@pytest.mark.parametrize("harm", ["another store", "damage"])
def test_a_copy_that_does_not_hold_is_no_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str) -> None:
    path = filled(tmp_path / "state")
    done = database.backup

    def bad(source: Path, target: Path) -> None:
        if harm == "another store":
            opening.create(target)
            return
        done(source, target)
        with closing(sqlite3.connect(target)) as db:
            (page,) = db.execute(
                "SELECT rootpage FROM sqlite_master WHERE name = 'inbox_one_fact' OR name = 'sqlite_autoindex_inbox_1'"
            ).fetchone()
        with target.open("r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(b"\xff" * 4096)

    monkeypatch.setattr(database, "backup", bad)
    with pytest.raises(WfconsoleError) as caught:
        backup.make(path)
    assert caught.value.code == "STORE_CORRUPT"
    assert backup.listed(path.parent) == []
