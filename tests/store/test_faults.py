"""Real faults: a full disk, a lock that another process holds, kill -9 in the middle of commits."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.samples import Run, plan, step
from wfconsole.domain import events as ev
from wfconsole.ports import StoreConflictError, WfconsoleError
from wfconsole.store import database
from wfconsole.store.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]


def test_a_full_disk_refuses_what_does_not_fit_and_keeps_the_rest(tmp_path: Path) -> None:
    async def work() -> None:
        store = SqliteStore.open(tmp_path)
        runs = [Run(f"run-{number}") for number in range(4)]
        for run in runs:
            await store.commit(run.create())
        db = store._writer._db
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + 4}")
        small = [run.next(ev.OwnerChanged(owner="me")) for run in runs[:3]]
        large = runs[3].next(ev.OwnerChanged(owner="x" * 500_000))
        results = await asyncio.gather(
            *(store.commit(commit) for commit in (small[0], large, *small[1:])), return_exceptions=True
        )
        assert [type(result) for result in results] == [type(None), WfconsoleError, type(None), type(None)]
        assert isinstance(results[1], WfconsoleError)
        assert results[1].code == "DISK_FULL"
        assert len(await store.load("run-3")) == 1
        db.execute("PRAGMA max_page_count = 1000000")
        await store.commit(large)
        assert await store.verify() == []
        await store.close()

    asyncio.run(work())


HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
db.execute("COMMIT")
print("free", flush=True)
"""


def hold(path: Path) -> subprocess.Popen[str]:
    """A process that has the write lock until it reads a line."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_commit_waits_for_another_process_that_holds_the_lock(tmp_path: Path) -> None:
    async def work() -> None:
        store = SqliteStore.open(tmp_path)
        run = Run("run-1")
        await store.commit(run.create())
        holder = hold(store.path)
        waiting = asyncio.create_task(store.commit(run.next(*step("a"))))
        await asyncio.wait([waiting], timeout=0.1)
        assert not waiting.done()
        assert len(await store.load("run-1")) == 1
        holder.communicate("go\n")
        await waiting
        assert len(await store.load("run-1")) == 4
        await store.close()

    asyncio.run(work())


def test_a_lock_that_is_never_freed_is_store_busy_and_nothing_is_written(tmp_path: Path) -> None:
    async def work() -> None:
        store = SqliteStore.open(tmp_path, busy_seconds=0.05)
        run = Run("run-1")
        await store.commit(run.create())
        holder = hold(store.path)
        late = run.next(*step("a"))
        with pytest.raises(WfconsoleError) as caught:
            await store.commit(late)
        assert caught.value.code == "STORE_BUSY"
        assert not isinstance(caught.value, StoreConflictError)
        holder.communicate("go\n")
        await store.commit(late)
        await store.close()

    asyncio.run(work())


COMMITTING = """
import asyncio, pathlib, sys
sys.path.insert(0, sys.argv[2])
from tests.store.samples import Run, plan, step
from wfconsole.store.sqlite import SqliteStore
async def drive(store, run):
    await store.commit(run.create(pinned=plan(*(f"s{n}" for n in range(500)))))
    for number in range(500):
        await store.commit(run.next(*step(f"s{number}")))
        print(run.run_id, run.seq, flush=True)
async def main():
    store = SqliteStore.open(pathlib.Path(sys.argv[1]))
    await asyncio.gather(*(drive(store, Run(f"run-{n}")) for n in range(5)))
asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 17, 60])
def test_kill_9_in_the_middle_of_commits_loses_nothing_that_was_answered(tmp_path: Path, lines: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", COMMITTING, str(tmp_path), str(ROOT)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    answered = [child.stdout.readline() for _ in range(lines)]
    os.kill(child.pid, signal.SIGKILL)
    answered += child.stdout.readlines()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    promised: dict[str, int] = {}
    for line in answered:
        if line.endswith("\n"):
            run_id, seq = line.split()
            promised[run_id] = int(seq)
    assert promised

    async def look() -> None:
        store = SqliteStore.open(tmp_path)
        assert await store.verify() == []
        for run_id, seq in promised.items():
            journal = await store.load(run_id)
            assert len(journal) >= seq
            assert (len(journal) - 1) % 3 == 0, "a commit is there as a whole or not at all"
            await store.commit(Run(run_id, seq=len(journal)).next(ev.OwnerChanged(owner="me")))
        await store.close()

    asyncio.run(look())


def test_two_processes_commit_to_their_runs_at_once(tmp_path: Path) -> None:
    program = """
import asyncio, pathlib, sys
sys.path.insert(0, sys.argv[2])
from tests.store.samples import Run, plan, step
from wfconsole.store.sqlite import SqliteStore
async def main():
    store = SqliteStore.open(pathlib.Path(sys.argv[1]))
    run = Run(sys.argv[3])
    await store.commit(run.create(pinned=plan(*(f"s{n}" for n in range(50)))))
    for number in range(50):
        await store.commit(run.next(*step(f"s{number}")))
    await store.close()
asyncio.run(main())
"""
    children = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(ROOT), f"run-{number}"])
        for number in range(3)
    ]
    assert [child.wait() for child in children] == [0, 0, 0]

    async def look() -> None:
        store = SqliteStore.open(tmp_path)
        assert await store.verify() == []
        assert [len(await store.load(f"run-{number}")) for number in range(3)] == [151, 151, 151]
        await store.close()

    asyncio.run(look())


def test_a_watcher_sees_the_commits_of_another_process(tmp_path: Path) -> None:
    program = """
import asyncio, pathlib, sys
sys.path.insert(0, sys.argv[2])
from tests.store.samples import Run, step
from wfconsole.store.sqlite import SqliteStore
async def main():
    store = SqliteStore.open(pathlib.Path(sys.argv[1]))
    await store.commit(Run("run-1", seq=1).next(*step("a")))
    await store.close()
asyncio.run(main())
"""

    async def work() -> None:
        store = SqliteStore.open(tmp_path)
        await store.commit(Run("run-1").create())
        batches = store.changes("run-1", 0)
        assert [record.seq for record in await anext(batches)] == [1]
        following = asyncio.ensure_future(anext(batches))
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(tmp_path), str(ROOT))
        async with asyncio.timeout(30):
            assert [record.seq for record in await following] == [2, 3, 4]
        assert await child.wait() == 0
        await batches.aclose()  # type: ignore[attr-defined]
        await store.close()

    asyncio.run(work())


def test_several_event_loops_and_threads_share_one_store(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path)
    errors: list[BaseException] = []

    def drive(run_id: str) -> None:
        async def work() -> None:
            run = Run(run_id)
            await store.commit(run.create())
            for step_id in ("a", "b"):
                await store.commit(run.next(*step(step_id)))
            assert len(await store.load(run_id)) == 7

        try:
            for number in range(3):
                run_id = f"{run_id}-{number}"
                asyncio.run(work())
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=drive, args=(f"run-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def end() -> None:
        assert await store.verify() == []
        await store.close()

    asyncio.run(end())
    assert errors == []


def test_connections_of_loops_that_ended_are_let_go(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path)
    for _ in range(3):
        assert asyncio.run(store.load("run-1")) == []
    assert len(store._reader._opening) == 1
    asyncio.run(store.close())


def test_closing_writes_what_waits_and_then_refuses(tmp_path: Path) -> None:
    async def work() -> None:
        store = SqliteStore.open(tmp_path)
        runs = [Run(f"run-{number}") for number in range(20)]
        commits = [asyncio.create_task(store.commit(run.create(pinned=plan("a")))) for run in runs]
        watcher = asyncio.ensure_future(_all(store, "run-0"))
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*commits)
        assert len(await watcher) <= 1
        await store.close()
        with pytest.raises(WfconsoleError):
            await store.commit(runs[0].next(*step("a")))
        with pytest.raises(WfconsoleError):
            await store.load("run-0")

    asyncio.run(work())
    with closing(database.connect(tmp_path / database.NAME)) as db:
        assert db.execute("SELECT count(*) FROM journal").fetchone() == (20,)
    assert not (tmp_path / f"{database.NAME}-wal").exists()


async def _all(store: SqliteStore, run_id: str) -> list[int]:
    return [record.seq async for batch in store.changes(run_id, 0) for record in batch]


def test_an_error_of_a_writer_job_reaches_its_sender_alone(tmp_path: Path) -> None:
    async def work() -> None:
        store = SqliteStore.open(tmp_path)
        good = Run("run-1").create()
        with pytest.raises(WfconsoleError) as caught:
            await store._write(lambda _: lambda db: db.execute("SELECT nonsense"))
        assert caught.value.code == "INTERNAL"
        with pytest.raises(WfconsoleError) as caught:
            await store._write(lambda _: lambda db: int("nonsense"))
        assert caught.value.code == "INTERNAL"
        await store.commit(good)
        await store.close()

    asyncio.run(work())


def test_reading_a_damaged_page_is_store_corrupt(tmp_path: Path) -> None:
    async def work() -> None:
        store = SqliteStore.open(tmp_path)
        await store.commit(Run("run-1").create(inputs={"text": "x" * 100_000}))
        await store.close()
        with closing(sqlite3.connect(store.path)) as db:
            (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'journal'").fetchone()
        with store.path.open("r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(b"\xff" * 4096)
        again = SqliteStore.open(tmp_path)
        with pytest.raises(WfconsoleError) as caught:
            await again.load("run-1")
        assert caught.value.code == "STORE_CORRUPT"
        assert any(finding.code == "file_damaged" for finding in await again.verify())
        await again.close()

    asyncio.run(work())
