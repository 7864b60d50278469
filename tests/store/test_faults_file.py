"""What can happen to the database file, provoked for real: each has its own words, and nothing of what was there is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.samples import Run, step
from tests.store.test_faults import hold
from wfconsole.ports import WfconsoleError
from wfconsole.store import backup, opening, place
from wfconsole.store.sqlite import SqliteStore
from wfconsole.store.writer import Trouble

ROOT = Path(__file__).parents[2]


def filled(folder: Path) -> Path:
    """A store with a run in it, closed."""

    async def work() -> Path:
        store = SqliteStore.open(folder)
        run = Run("run-1")
        await store.commit(run.create(inputs={"text": "x" * 50_000}))
        await store.commit(run.next(*step("a")))
        await store.close()
        return store.path

    return asyncio.run(work())


def refused(folder: Path) -> WfconsoleError:
    with pytest.raises(WfconsoleError) as caught:
        SqliteStore.open(folder)
    return caught.value


def events(folder: Path) -> int:
    async def work() -> int:
        store = SqliteStore.open(folder)
        assert await store.verify() == []
        found = len(await store.load("run-1"))
        await store.close()
        return found

    return asyncio.run(work())


def wrong_application(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA application_id = 7")


def newer_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)


def damaged(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(byte ^ 0x55 for byte in file.read(4096 * 3)))
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 200)


@pytest.mark.parametrize(
    ("harm", "code", "words"),
    [
        (wrong_application, "STORE_CORRUPT", "is no store of wfconsole"),
        (newer_schema, "STORE_TOO_NEW", "has schema revision 9999"),
        (empty, "STORE_CORRUPT", "is empty"),
        (truncated, "STORE_CORRUPT", "is cut short"),
        (damaged, "STORE_CORRUPT", "is damaged"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_harm_has_its_words_and_the_file_is_kept(tmp_path: Path, harm: object, code: str, words: str) -> None:
    path = filled(tmp_path)
    saved = backup.make(path)
    harm(path)  # type: ignore[operator]
    before = path.read_bytes()
    error = refused(tmp_path)
    assert (error.code, error.details["fault"]) == (code, harm.__name__)  # type: ignore[attr-defined]
    assert words in error.message
    if code == "STORE_CORRUPT":
        assert error.details["backup"] == str(saved)
        assert str(saved) in error.hint
    assert path.read_bytes() == before
    shutil.copy(saved, path)
    assert events(tmp_path) == 4


def test_bytes_flipped_in_an_event_are_found_by_the_check(tmp_path: Path) -> None:
    path = filled(tmp_path)
    data = path.read_bytes()
    found: list[list[str]] = []

    async def work() -> None:
        store = SqliteStore.open(tmp_path)
        found.append([finding.code for finding in await store.verify()])
        await store.close()

    for page in range(0, len(data), 4096):
        flipped = data.find(b"xxxxxxxxxx", page, page + 4096)
        if flipped >= 0:
            path.write_bytes(data[:flipped] + b"y" + data[flipped + 1 :])
            asyncio.run(work())
    # in the journal, in what is made from it, and where nothing lies any more
    assert {tuple(codes) for codes in found} - {()} == {("chain_broken",), ("projection_differs",)}


def test_a_database_that_is_gone_while_runs_are_there_is_no_fresh_start(tmp_path: Path) -> None:
    path = filled(tmp_path)
    (tmp_path / "runs" / "run-1").mkdir(parents=True)
    first = refused_without(path)
    assert (first.code, first.details) == ("STORE_CORRUPT", {"fault": "missing", "backup": None})
    assert "there is no backup" in first.hint
    path.with_name("aside").rename(path)
    saved = backup.make(path)
    second = refused_without(path)
    assert second.details == {"fault": "missing", "backup": str(saved)}
    assert not path.exists(), "nothing was made in its place"
    shutil.copy(saved, path)
    assert events(tmp_path) == 4


def refused_without(path: Path) -> WfconsoleError:
    path.rename(path.with_name("aside"))
    return refused(path.parent)


def test_a_new_state_folder_with_an_empty_folder_of_runs_is_a_fresh_start(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    opening.ensure(tmp_path)


KILLED_WITH_A_WAL = """
import asyncio, os, pathlib, signal, sys
sys.path.insert(0, sys.argv[2])
from tests.store.samples import Run, step
from wfconsole.store.sqlite import SqliteStore
async def main():
    store = SqliteStore.open(pathlib.Path(sys.argv[1]))
    await store.commit(Run("run-1", seq=4).next(*step("b")))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def test_a_wal_that_was_removed_after_a_crash_is_noticed(tmp_path: Path) -> None:
    path = filled(tmp_path)
    done = subprocess.run([sys.executable, "-c", KILLED_WITH_A_WAL, str(tmp_path), str(ROOT)], check=False)
    assert done.returncode == -signal.SIGKILL
    wal, shm = place.companions(path)
    aside = tmp_path / "aside"
    wal.rename(aside)
    assert shm.exists()
    error = refused(tmp_path)
    assert (error.code, error.details["fault"]) == ("STORE_CORRUPT", "wal_removed")
    aside.rename(wal)
    assert events(tmp_path) == 7, "with the -wal back nothing is lost"


def test_a_wal_that_is_removed_under_a_running_process_is_noticed_and_loses_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        store = SqliteStore.open(tmp_path)
        run = Run("run-1")
        await store.commit(run.create())
        await store.commit(run.next(*step("a")))
        place.companions(store.path)[0].unlink()
        with pytest.raises(WfconsoleError) as caught:
            await store.commit(run.next(*step("b")))
        assert (caught.value.code, caught.value.details["fault"]) == ("STORE_CORRUPT", "wal_removed")
        await store.close()

    asyncio.run(work())
    assert events(tmp_path) == 4


NOTICED_AND_KILLED = """
import asyncio, os, pathlib, signal, sys
sys.path.insert(0, sys.argv[2])
from tests.store.samples import Run, step
from wfconsole.ports import WfconsoleError
from wfconsole.store.sqlite import SqliteStore
async def main():
    store = SqliteStore.open(pathlib.Path(sys.argv[1]))
    run = Run("run-1", seq=4)
    await store.commit(run.next(*step("b")))
    os.unlink(sys.argv[1] + "/wfconsole.db-wal")
    try:
        await store.commit(run.next())
    except WfconsoleError as error:
        print(error.code, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def test_what_the_removed_wal_held_is_in_the_main_file_when_it_was_noticed(tmp_path: Path) -> None:
    path = filled(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", NOTICED_AND_KILLED, str(tmp_path), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "STORE_CORRUPT\n"), done.stderr
    assert refused(tmp_path).details["fault"] == "wal_removed"
    place.companions(path)[1].unlink()
    assert events(tmp_path) == 7


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_unlinked_while_open_is_noticed_at_the_next_write(tmp_path: Path, replaced: bool) -> None:
    async def work() -> None:
        store = SqliteStore.open(tmp_path)
        run = Run("run-1")
        await store.commit(run.create())
        store.path.unlink()
        if replaced:
            opening.create(tmp_path / "new.db")
            (tmp_path / "new.db").rename(store.path)
        with pytest.raises(WfconsoleError) as caught:
            await store.commit(run.next(*step("a")))
        wanted = "replaced" if replaced else "removed"
        assert (caught.value.code, caught.value.details["fault"]) == ("STORE_CORRUPT", wanted)
        await store.close()

    asyncio.run(work())


def test_who_follows_a_run_learns_that_the_file_is_gone(tmp_path: Path) -> None:
    async def work() -> None:
        store = SqliteStore.open(tmp_path)
        await store.commit(Run("run-1").create())
        following = asyncio.ensure_future(anext(store.changes("run-1", 1)))
        await store.load("run-1")
        store.path.unlink()
        with pytest.raises(WfconsoleError) as caught:
            async with asyncio.timeout(10):
                await following
        assert (caught.value.code, caught.value.details["fault"]) == ("STORE_CORRUPT", "removed")
        await store.close()

    asyncio.run(work())


MOUNTS = """22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:45 / /mnt/far rw,relatime shared:7 - {0} server:/export rw
41 22 0:46 / /mnt/far/near rw - tmpfs none rw
42 22 0:47 / /mnt/with\\040space rw - {0} server:/other rw
"""


@pytest.mark.parametrize("kind", sorted(place.NETWORK))
def test_the_kind_of_file_system_is_that_of_the_nearest_mount(kind: str) -> None:
    def mounts() -> str:
        return MOUNTS.format(kind)

    assert place.filesystem(Path("/home/x"), mounts) == "ext4"
    assert place.filesystem(Path("/mnt/far/state"), mounts) == kind
    assert place.filesystem(Path("/mnt/farther"), mounts) == "ext4"
    assert place.filesystem(Path("/mnt/far/near/state"), mounts) == "tmpfs"
    assert place.filesystem(Path("/mnt/with space/state"), mounts) == kind


def test_this_machines_mounts_can_be_read() -> None:
    assert place.filesystem(Path("/proc")) == "proc"


def test_a_network_file_system_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "filesystem", lambda _: "nfs4")
    error = refused(tmp_path)
    assert (error.code, error.details["fault"]) == ("STORE_CORRUPT", "network_file_system")
    assert "nfs4" in error.message
    assert "WFCONSOLE_HOME" in error.hint
    assert list(tmp_path.iterdir()) == []


def test_a_wait_for_another_writer_is_shown_and_then_over(tmp_path: Path) -> None:
    async def work() -> None:
        told: list[str] = []
        shown = asyncio.Event()
        loop = asyncio.get_running_loop()

        def say(text: str) -> None:
            told.append(text)
            loop.call_soon_threadsafe(shown.set)

        store = SqliteStore.open(tmp_path, busy_seconds=20, trouble=Trouble(say=say, after=0.05, every=0.05))
        run = Run("run-1")
        await store.commit(run.create())
        assert told == []
        holder = hold(store.path)
        waiting = asyncio.ensure_future(store.commit(run.next(*step("a"))))
        async with asyncio.timeout(20):
            await shown.wait()
        assert not waiting.done()
        holder.communicate("go\n")
        await waiting
        waits = "another process is writing to the store: waiting for it, 0 s of at most 20 s"
        assert told[0] == f"{waits}; it is {Path(sys.executable).name} (pid {holder.pid})"
        assert len(await store.load("run-1")) == 4
        await store.close()

    asyncio.run(work())


def test_a_writer_that_never_lets_go_is_store_busy_after_the_time(tmp_path: Path) -> None:
    async def work() -> None:
        told: list[str] = []
        store = SqliteStore.open(tmp_path, busy_seconds=0.2, trouble=Trouble(say=told.append, after=0.05, every=9))
        run = Run("run-1")
        await store.commit(run.create())
        holder = hold(store.path)
        late = run.next(*step("a"))
        with pytest.raises(WfconsoleError) as caught:
            await store.commit(late)
        assert (caught.value.code, caught.value.details["fault"]) == ("STORE_BUSY", "held")
        assert len(told) == 1
        holder.communicate("go\n")
        await store.commit(late)
        await store.close()

    asyncio.run(work())
