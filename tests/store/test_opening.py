"""The first look at a state folder: what is made, what is refused, and that nothing is destroyed by refusing."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.samples import Run, step
from wfconsole.ports import WfconsoleError
from wfconsole.store import database, opening, schema
from wfconsole.store.sqlite import SqliteStore


def code_of_opening(folder: Path) -> str:
    with pytest.raises(WfconsoleError) as caught:
        SqliteStore.open(folder)
    return caught.value.code


def open_and_close(folder: Path) -> str:
    async def work() -> str:
        store = SqliteStore.open(folder)
        await store.close()
        return store.database_id

    return asyncio.run(work())


def test_a_new_store_is_private_and_keeps_its_identity(tmp_path: Path) -> None:
    folder = tmp_path / "a state folder with spaces and ü"
    first = open_and_close(folder)
    assert open_and_close(folder) == first
    assert open_and_close(tmp_path / "other") != first
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name for path in folder.iterdir()} == {"wfconsole.db", "wfconsole.reserve"}
    with closing(sqlite3.connect(folder / database.NAME)) as db:
        assert db.execute("PRAGMA application_id").fetchone() == (schema.APPLICATION_ID,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_writer_waits_to_open_the_file_while_somebody_else_has_all_of_it(tmp_path: Path) -> None:
    """As who reads the log again after a kill -9 has; to open the file it must not matter how long it waits to write."""
    open_and_close(tmp_path)
    path = tmp_path / database.NAME
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("COMMIT")
        with pytest.raises(sqlite3.OperationalError), closing(sqlite3.connect(path, timeout=0)) as impatient:
            impatient.execute("PRAGMA synchronous = FULL")
        letting_go = threading.Timer(0.2, other.close)
        letting_go.start()
        with closing(database.connect(path, busy_seconds=0)) as db:
            assert db.execute("PRAGMA busy_timeout").fetchone() == (0,)
        letting_go.join()


def test_a_folder_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    open_and_close(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "content", [b"", b"this is no database, and longer than a header of one" * 100, b"SQLite format 3\0"]
)
def test_an_empty_or_garbage_file_is_corrupt_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / database.NAME
    path.write_bytes(content)
    assert code_of_opening(tmp_path) == "STORE_CORRUPT"
    assert path.read_bytes() == content


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / database.NAME).touch()
    with pytest.raises(WfconsoleError, match="is empty"):
        SqliteStore.open(tmp_path)


def test_somebody_elses_database_is_corrupt_and_kept(tmp_path: Path) -> None:
    path = tmp_path / database.NAME
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE notes (text)")
    before = path.read_bytes()
    assert code_of_opening(tmp_path) == "STORE_CORRUPT"
    assert path.read_bytes() == before


def test_a_store_whose_tables_are_damaged_is_corrupt(tmp_path: Path) -> None:
    open_and_close(tmp_path)
    path = tmp_path / database.NAME
    damaged = bytearray(path.read_bytes())
    damaged[4096:] = b"\xff" * (len(damaged) - 4096)
    path.write_bytes(damaged)
    assert code_of_opening(tmp_path) == "STORE_CORRUPT"


def test_a_store_that_lost_its_main_file_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / f"{database.NAME}-wal").write_bytes(b"commits that belong to a file that is gone")
    assert code_of_opening(tmp_path) == "STORE_CORRUPT"
    assert not (tmp_path / database.NAME).exists()


def test_many_openers_of_a_new_folder_make_one_store(tmp_path: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(opening.ensure(tmp_path / "state")[1])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert {path.name for path in (tmp_path / "state").iterdir()} <= {
        "wfconsole.db",
        "wfconsole.db-wal",
        "wfconsole.db-shm",
        "wfconsole.reserve",
    }


def test_a_file_that_is_replaced_under_a_running_process_is_noticed(tmp_path: Path) -> None:
    async def work() -> None:
        store = SqliteStore.open(tmp_path)
        run = Run("run-1")
        await store.commit(run.create())
        store.path.rename(tmp_path / "moved.db")
        with pytest.raises(WfconsoleError) as caught:
            await store.commit(run.next(*step("a")))
        assert caught.value.code == "STORE_CORRUPT"
        (tmp_path / "moved.db").rename(store.path)
        await store.commit(run.commits[-1])
        await store.close()

    asyncio.run(work())


def test_a_backup_is_a_store_of_its_own(tmp_path: Path) -> None:
    async def work() -> None:
        store = SqliteStore.open(tmp_path / "state")
        run = Run("run-1")
        await store.commit(run.create())
        (tmp_path / "copy").mkdir()
        await store.backup(tmp_path / "copy" / database.NAME)
        with pytest.raises(FileExistsError):
            await store.backup(tmp_path / "copy" / database.NAME)
        await store.commit(run.next(*step("a")))
        copy = SqliteStore.open(tmp_path / "copy")
        assert copy.database_id == store.database_id
        assert len(await copy.load("run-1")) == 1
        assert await copy.verify() == []
        await copy.close()
        await store.close()

    asyncio.run(work())
