"""A disk without room, and one that nobody may write: provoked with file systems of a few megabytes and limits of the kernel."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.store.samples import Run, step
from tests.store.test_faults_file import events, filled, refused
from wfconsole.domain import events as ev
from wfconsole.ports import WfconsoleError
from wfconsole.store import backup, place
from wfconsole.store.sqlite import SqliteStore
from wfconsole.store.writer import Trouble

OWNER = ev.OwnerChanged(owner="x" * 20_000)
ROOT = Path(__file__).parents[2]


@contextmanager
def tmpfs(folder: Path, size: int) -> Iterator[Path]:
    """A file system of its own, of so many bytes."""
    folder.mkdir(exist_ok=True)
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=False)
    if made.returncode != 0:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> Path:
    """Write until nothing more fits."""
    filler = folder / "filler"
    descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for size in (65536, 4096, 512, 1):
            while True:
                try:
                    os.write(descriptor, b"x" * size)
                except OSError:
                    break
    finally:
        os.close(descriptor)
    return filler


async def until_refused(store: SqliteStore, run: Run) -> None:
    for _ in range(1000):
        await store.commit(run.next(OWNER))


def test_a_full_disk_leaves_a_reserve_to_record_the_failure_in(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", 24 * 1024 * 1024) as folder:

        async def work() -> None:
            told: list[str] = []
            store = SqliteStore.open(folder, trouble=Trouble(say=told.append))
            run = Run("run-1")
            await store.commit(run.create())
            reserve = folder / place.RESERVE
            assert reserve.stat().st_blocks * 512 == place.RESERVE_BYTES
            filler = fill(folder)
            while reserve.exists():  # until the room that the -wal had is used up
                await store.commit(run.next(OWNER))
            assert told == ["the disk is full: what is left of it is the reserve of the store"]
            await store.commit(run.next(*step("b")))  # the failure itself
            fill(folder)
            with pytest.raises(WfconsoleError) as caught:
                await until_refused(store, run)
            assert (caught.value.code, caught.value.details["fault"]) == ("DISK_FULL", "disk_full")
            late = run.commits[-1]
            assert len(await store.load("run-1")) == run.seq - 1, "what was answered is there, the last is not"
            filler.unlink()
            await store.commit(late)
            assert await store.verify() == []
            assert len(await store.load("run-1")) == run.seq
            await store.close()
            again = SqliteStore.open(folder)
            assert reserve.exists(), "it comes back when there is room"
            await again.close()

        asyncio.run(work())


def test_a_disk_that_is_full_from_the_start_is_disk_full_and_leaves_nothing(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", 1024 * 1024) as folder:
        fill(folder)
        error = refused(folder)
        assert (error.code, error.details["fault"]) == ("DISK_FULL", "disk_full")
        assert [path.name for path in folder.iterdir()] == ["filler"]


def test_a_small_disk_gets_no_reserve(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", 4 * 1024 * 1024) as folder:
        filled(folder)
        assert not (folder / place.RESERVE).exists()


def test_a_folder_that_cannot_be_written_is_read_only_and_untouched(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", 24 * 1024 * 1024) as folder:
        path = filled(folder)
        before = path.read_bytes()
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        error = refused(folder)
        assert (error.code, error.details["fault"]) == ("STORE_CORRUPT", "read_only")
        assert "cannot be written" in error.message
        assert path.read_bytes() == before
        empty_one = tmp_path / "small" / "other"
        assert refused(empty_one).details["fault"] == "read_only"
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
        assert events(folder) == 4


def test_a_disk_that_becomes_read_only_under_a_running_process(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", 24 * 1024 * 1024) as folder:
        path = filled(folder)
        made = subprocess.run(
            [sys.executable, "-c", READ_ONLY_LATER, str(folder), str(ROOT)], capture_output=True, text=True, check=False
        )
        assert made.stdout == "STORE_CORRUPT read_only\n", made.stderr
        assert path.exists()


READ_ONLY_LATER = """
import asyncio, pathlib, resource, signal, sys
sys.path.insert(0, sys.argv[2])
from tests.store.samples import Run, step
from wfconsole.ports import WfconsoleError
from wfconsole.store import faults
from wfconsole.store.sqlite import SqliteStore
import sqlite3
async def main():
    store = SqliteStore.open(pathlib.Path(sys.argv[1]))
    store._writer._db.execute("PRAGMA query_only = ON")  # what SQLite says when the medium refuses
    try:
        await store.commit(Run("run-1", seq=4).next(*step("b")))
    except WfconsoleError as error:
        print(error.code, error.details.get("fault"))
    await store.close()
asyncio.run(main())
"""


FILE_LIMIT = """
import asyncio, pathlib, resource, signal, sys
sys.path.insert(0, sys.argv[2])
from tests.store.samples import Run, step
from wfconsole.domain import events as ev
from wfconsole.ports import WfconsoleError
from wfconsole.store.sqlite import SqliteStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
async def main():
    store = SqliteStore.open(pathlib.Path(sys.argv[1]))
    run = Run("run-1", seq=4)
    await store.commit(run.next(*step("b")))
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    late = run.next(ev.OwnerChanged(owner="x" * 1_000_000))
    try:
        await store.commit(late)
    except WfconsoleError as error:
        print(error.code)
    print(len(await store.load("run-1")))
    await store.close()
asyncio.run(main())
"""


def test_a_limit_on_the_size_of_files_refuses_what_does_not_fit_and_keeps_the_rest(tmp_path: Path) -> None:
    filled(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT, str(tmp_path), str(ROOT)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["DISK_FULL", "7"], (done.stdout, done.stderr)
    assert events(tmp_path) == 7


def test_a_backup_that_does_not_fit_leaves_no_half_of_it(tmp_path: Path) -> None:
    path = filled(tmp_path / "state")
    with tmpfs(tmp_path / "small", 64 * 1024) as folder:
        with pytest.raises(WfconsoleError) as caught:
            backup.make(path, folder / "copy.db")
        assert caught.value.code == "DISK_FULL"
        assert list(folder.iterdir()) == []
