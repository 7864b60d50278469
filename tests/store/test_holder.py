"""The process that has the lock: named, with the way to be rid of it; ended if it is ours, stopped and out of time."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.store.samples import Run, step
from tests.store.stopped import holding
from wfconsole.ports import WfconsoleError
from wfconsole.store import database, holder, leases, writer
from wfconsole.store.boot import boottime_ms
from wfconsole.store.sqlite import SqliteStore
from wfconsole.store.writer import Trouble

PROGRAM = Path(sys.executable).name[:15]
HOUR_MS = 3_600_000
BUSY_S = 0.4
"""For how long a lock is waited for that is not to become free."""


def owned(folder: Path, *, lasts_ms: int, **other: int | str) -> Callable[[int], None]:
    """Gives the process a row in `owners` that runs out so many ms from now; `other`: what of it is not that process's."""

    def write(pid: int) -> None:
        me = leases.Process(pid=pid, ticks=leases.start_ticks(pid))
        kept = {"host": me.host, "boot": me.boot, "pid": me.pid, "ticks": me.ticks, **other}
        columns = (me.owner, kept["host"], kept["boot"], kept["pid"], kept["ticks"], boottime_ms() + lasts_ms)
        with closing(database.connect(folder / database.NAME)) as db:
            db.execute("INSERT INTO owners (owner, host, boot, pid, ticks, expires) VALUES (?, ?, ?, ?, ?, ?)", columns)

    return write


def refused_by(
    folder: Path, *, stopped: bool, before: Callable[[int], None] = lambda _: None
) -> tuple[int, WfconsoleError, list[str]]:
    """Write while another process has the lock, which it is left: its pid, the error, and what was told."""
    told: list[str] = []

    async def work() -> tuple[int, WfconsoleError, list[str]]:
        store = SqliteStore.open(folder, busy_seconds=BUSY_S, trouble=Trouble(say=told.append, after=0.05, every=60))
        run = Run("run-1")
        await store.commit(run.create())
        with holding(store.path, stopped=stopped, before=before) as process:
            late = run.next(*step("a"))
            with pytest.raises(WfconsoleError) as caught:
                await store.commit(late)
            assert process.poll() is None
            found = holder.look(process.pid)
            assert found is not None
            assert found.stopped == stopped
        await store.commit(late)
        await store.close()
        return process.pid, caught.value, told

    return asyncio.run(work())


def test_a_running_holder_is_named(tmp_path: Path) -> None:
    pid, error, told = refused_by(tmp_path, stopped=False)
    assert (error.code, error.message) == (
        "STORE_BUSY", f"{PROGRAM} (pid {pid}) holds the store: nothing could be written for 0 s",
    )  # fmt: skip
    assert error.hint == f"wait for it; `kill {pid}` ends it, and wfconsole recovers its runs"
    assert error.details == {"fault": "held", "pid": pid, "program": PROGRAM, "stopped": False}
    assert told == [
        f"another process is writing to the store: waiting for it, 0 s of at most 0 s; it is {PROGRAM} (pid {pid})"
    ]


def test_those_who_wait_together_give_up_together(tmp_path: Path) -> None:
    told: list[str] = []

    async def work() -> None:
        store = SqliteStore.open(tmp_path, busy_seconds=BUSY_S, trouble=Trouble(say=told.append, after=0.05, every=60))
        runs = [Run(f"run-{number}") for number in range(6)]
        with holding(store.path, stopped=False):
            ended = await asyncio.gather(*(store.commit(run.create()) for run in runs), return_exceptions=True)
        assert {error.code for error in ended if isinstance(error, WfconsoleError)} == {"STORE_BUSY"}
        await store.close()

    asyncio.run(work())
    assert len(told) <= 2, "the first waits alone, or with the others"


def test_a_stopped_holder_that_is_not_ours_is_named_with_the_remedy_and_left_alone(tmp_path: Path) -> None:
    pid, error, told = refused_by(tmp_path, stopped=True)
    assert error.message == f"{PROGRAM} (pid {pid}, stopped) holds the store: nothing could be written for 0 s"
    assert error.hint == f"`kill -CONT {pid}` lets it go on; `kill -9 {pid}` ends it, and wfconsole recovers its runs"
    assert error.details["stopped"] is True
    (line,) = told
    assert line.endswith(f"; it is {PROGRAM} (pid {pid}, stopped): {error.hint}")


def test_an_owner_that_is_stopped_and_out_of_time_is_ended_and_the_write_goes_on(tmp_path: Path) -> None:
    told: list[str] = []

    async def work() -> None:
        store = SqliteStore.open(tmp_path, trouble=Trouble(say=told.append))
        run = Run("run-1")
        await store.commit(run.create())
        with holding(store.path, stopped=True, before=owned(tmp_path, lasts_ms=0)) as process:
            await store.commit(run.next(*step("a")))
            assert process.wait() == -signal.SIGKILL
        assert len(await store.load("run-1")) == 4
        await store.close()
        (line,) = told
        assert line.startswith(f"{PROGRAM} (pid {process.pid}, stopped) was ended: it kept the lock of the store")

    asyncio.run(work())


def test_who_ended_the_holder_at_the_last_moment_waits_on_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    told: list[str] = []
    found = holder.Holder(pid=1, program="theirs", stopped=True, ticks=1)
    ends = iter([True, False, False])
    monkeypatch.setattr(writer, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(holder, "find", lambda _: found)
    monkeypatch.setattr(holder, "end", lambda *_: next(ends))
    with closing(sqlite3.connect(":memory:")) as db:
        wait = writer._Wait(tmp_path / database.NAME, db, 1.0, Trouble(say=told.append))
        now[0] = 1.0
        wait.go_on()
        assert len(told) == 1
        now[0] += writer.GRACE_SECONDS - 0.01
        wait.go_on()
        now[0] += 0.02
        with pytest.raises(WfconsoleError) as caught:
            wait.go_on()
    assert caught.value.code == "STORE_BUSY"


def test_an_owner_that_is_stopped_and_has_time_left_is_not_ended(tmp_path: Path) -> None:
    _, error, told = refused_by(tmp_path, stopped=True, before=owned(tmp_path, lasts_ms=HOUR_MS))
    assert (error.code, len(told)) == ("STORE_BUSY", 1)


def test_an_owner_with_two_rows_has_the_time_of_the_later_one(tmp_path: Path) -> None:
    def twice(pid: int) -> None:
        for lasts_ms in (-HOUR_MS, HOUR_MS):
            owned(tmp_path, lasts_ms=lasts_ms)(pid)

    _, error, _ = refused_by(tmp_path, stopped=True, before=twice)
    assert error.code == "STORE_BUSY"


def test_an_owner_that_runs_is_not_ended_whatever_its_time(tmp_path: Path) -> None:
    pid, error, _ = refused_by(tmp_path, stopped=False, before=owned(tmp_path, lasts_ms=-HOUR_MS))
    assert error.details["pid"] == pid


@pytest.mark.parametrize("other", [{"ticks": 1}, {"boot": "another"}, {"host": "another"}, {"pid": 1}], ids=str)
def test_a_process_that_only_resembles_an_owner_is_not_ended(tmp_path: Path, other: dict[str, int | str]) -> None:
    _, error, _ = refused_by(tmp_path, stopped=True, before=owned(tmp_path, lasts_ms=-HOUR_MS, **other))
    assert error.details["stopped"] is True


def test_whoever_let_go_before_it_could_be_ended_is_not_ended(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path)
    with closing(database.connect(store.path)) as db:
        with holding(store.path, stopped=True, before=owned(tmp_path, lasts_ms=-HOUR_MS)) as process:
            found = holder.find(store.path)
            assert found is not None
            assert found.pid == process.pid
            process.send_signal(signal.SIGCONT)
            process.communicate("go\n")
            assert process.returncode == 0
        with holding(store.path, stopped=True) as another:
            assert not holder.end(found, store.path, db)
            assert another.poll() is None
    asyncio.run(store.close())


def test_the_process_of_a_pid_that_was_used_again_is_not_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore.open(tmp_path)
    sent: list[int] = []
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *_: sent.append(1))
    with (
        closing(database.connect(store.path)) as db,
        holding(store.path, stopped=True, before=owned(tmp_path, lasts_ms=-HOUR_MS)) as process,
    ):
        found = holder.find(store.path)
        assert found is not None
        assert holder.end(found, store.path, db)
        before = holder.Holder(pid=found.pid, program=found.program, stopped=True, ticks=found.ticks - 1)
        monkeypatch.setattr(holder, "_is_over", lambda *_: True)
        assert not holder.end(before, store.path, db)
        assert process.poll() is None
    assert sent == [1]
    asyncio.run(store.close())


def test_nobody_is_found_when_nobody_has_the_lock_or_this_process_has(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path)
    assert holder.find(store.path) is None
    assert holder.find(tmp_path / "elsewhere.db") is None
    with closing(database.connect(store.path)) as db:
        db.execute("BEGIN IMMEDIATE")
        assert holder.find(store.path) is None
        db.execute("ROLLBACK")
    asyncio.run(store.close())


def test_asking_who_has_the_lock_drops_no_lock_of_this_process(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path)
    with closing(database.connect(store.path)) as db:
        db.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            holder.find(store.path)
        refused = os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", TRY, str(store.path)])
        db.execute("ROLLBACK")
    assert refused == 3
    asyncio.run(store.close())


TRY = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
try:
    db.execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError:
    sys.exit(3)
"""


def test_a_name_from_outside_is_read_whole_and_shown_without_what_a_terminal_obeys(tmp_path: Path) -> None:
    rename = "import sys; open('/proc/self/comm', 'w').write(sys.argv[1]); print(flush=True); sys.stdin.readline()"
    with subprocess.Popen(
        [sys.executable, "-c", rename, "a) T \x1b[31m)"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = holder.look(process.pid)
        process.communicate("\n")
    assert found is not None
    assert (found.program, found.stopped) == ("a) T ?[31m)", False)
    assert holder.look(process.pid) is None
