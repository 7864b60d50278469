"""The writer: one thread and one connection a process; all that waits goes into one transaction.

Owns transactions, the wait for the lock and who learns of which failure. Refuses to know what a job writes. The decision
that would surprise: a busy writer leaves the lock alone for half a millisecond after each transaction, because SQLite's lock
is not fair and a second process would starve. One run alone leaves gaps anyway, between its answer and its next commit:
then there is no pause, a hundred commits take a quarter of the time, and the second process still waits 1 ms, not 300.
"""

from __future__ import annotations

import asyncio
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from wfconsole.ports import WfconsoleError
from wfconsole.store import database, faults, holder, place

FREE_SECONDS = 0.0005
MAX_BATCH = 1000
LOOK_SECONDS = 0.25
"""How often whoever waits looks at who has the lock."""
GRACE_SECONDS = 2.0
"""How long a writer waits at least after it has ended the one that had the lock."""

Write = Callable[[sqlite3.Connection], Any]


@dataclass(slots=True, eq=False)
class Job:
    """`prepare` runs before the lock is taken and returns what runs under it, inside a savepoint of its own.

    `run_id` is told to `on_commit` when the job's transaction is durable. `answer` belongs to the sender's loop.
    """

    prepare: Callable[[sqlite3.Connection], Write]
    answer: asyncio.Future[Any]
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Whom to tell what the writer waits for: `say` takes a line of text, in the writer's thread.

    It is called `after` so many seconds of waiting and then `every` so many.
    """

    say: Callable[[str], None] = lambda _: None
    after: float = 1.0
    every: float = 5.0


Ended: TypeAlias = tuple[Job, Any, Exception | None]
"""A job with its result, or with why it was refused."""


class _TransactionLostError(Exception):
    """The whole transaction failed, not one job."""

    def __init__(self, error: sqlite3.Error) -> None:
        super().__init__(str(error))
        self.error = error


class Writer:
    """Takes jobs from any thread. An answer comes when its transaction is durable, or says why its job was refused."""

    def __init__(
        self,
        path: Path,
        *,
        busy_seconds: float = 20.0,
        on_commit: Callable[[set[str]], None] = lambda _: None,
        trouble: Trouble | None = None,
    ) -> None:
        self._path = path
        self._trouble = trouble or Trouble()
        self._reserve = place.Reserve(path.parent)
        self._wal: int | None = None
        self._busy_seconds = busy_seconds
        self._on_commit = on_commit
        try:
            self._db = database.connect(path, busy_seconds=0)
        except sqlite3.Error as error:
            raise faults.of_file(error, path) from error
        self._inode = database.inode(path)
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._closed = False
        self._free_until = 0.0
        self._thread = threading.Thread(target=self._run, name="wfconsole-store-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        with self._guard:
            if self._closed:
                raise faults.closed()
            self._jobs.put(job)

    def close(self) -> None:
        """Write what waits, then end. Idempotent."""
        with self._guard:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (first := self._jobs.get()) is not None:
                ended: list[Ended] = []
                ready = self._gather(first, ended)
                try:
                    ended += self._settle(ready)
                except Exception as error:  # noqa: BLE001  whoever waits must hear of it, and the thread must live
                    ended += [(job, None, error) for job, _ in ready]
                _answer(ended, self._path.parent)
                if changed := {job.run_id for job, _, error in ended if error is None and job.run_id is not None}:
                    self._on_commit(changed)
        finally:
            self._db.close()

    def _gather(self, first: Job, ended: list[Ended]) -> list[tuple[Job, Write]]:
        """Prepare what waits while the lock is left alone; a job that cannot be prepared concerns its sender alone."""
        ready: list[tuple[Job, Write]] = []
        job: Job | None = first
        while job is not None:
            try:
                ready.append((job, job.prepare(self._db)))
            except Exception as error:  # noqa: BLE001  given to the sender
                ended.append((job, None, error))
            job = self._next() if len(ready) < MAX_BATCH else None
        return ready

    def _next(self) -> Job | None:
        """The next job that waits, or comes before the pause is over; None when there is none for this transaction."""
        pause = self._free_until - time.monotonic()
        try:
            job = self._jobs.get(timeout=pause) if pause > 0 else self._jobs.get_nowait()
        except queue.Empty:
            return None
        if job is None:
            self._jobs.put(None)  # the end, for the next turn
        return job

    def _settle(self, ready: list[tuple[Job, Write]]) -> list[Ended]:
        if not ready:
            return []
        try:
            return self._transact(ready)
        except _TransactionLostError as lost:
            if faults.is_full(lost.error, self._path.parent) and self._reserve.give_up():
                self._trouble.say("the disk is full: what is left of it is the reserve of the store")
                return self._settle(ready)
            if len(ready) == 1:
                return [(ready[0][0], None, lost.error)]
        return [self._alone(one) for one in ready]

    def _alone(self, one: tuple[Job, Write]) -> Ended:
        """After a failed shared transaction: perhaps only one of them was too large."""
        try:
            return self._transact([one])[0]
        except _TransactionLostError as lost:
            return one[0], None, lost.error

    def _transact(self, ready: list[tuple[Job, Write]]) -> list[Ended]:
        db = self._db
        try:
            self._begin()
            ended = [(job, *self._guarded(write)) for job, write in ready]
            db.execute("COMMIT")
        except sqlite3.Error as error:
            raise _TransactionLostError(error) from error
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
            busy = len(ready) > 1 or not self._jobs.empty()
            self._free_until = time.monotonic() + FREE_SECONDS if busy else 0.0
        return ended

    def _guarded(self, write: Write) -> tuple[Any, Exception | None]:
        """Run one job in its savepoint: its result, or why it was rolled back alone."""
        db = self._db
        db.execute("SAVEPOINT job")
        try:
            result = write(db)
        except sqlite3.Error as error:
            if not faults.is_constraint(error):
                raise
            refusal: Exception = error
        except Exception as error:  # noqa: BLE001  the others in this transaction must not suffer from it
            refusal = error
        else:
            db.execute("RELEASE job")
            return result, None
        db.execute("ROLLBACK TO job")
        db.execute("RELEASE job")
        return None, refusal

    def _begin(self) -> None:
        """Take the write lock; gives up after `busy_seconds`, and says who has it."""
        wait = _Wait(self._path, self._db, self._busy_seconds, self._trouble)
        ceiling = FREE_SECONDS
        while True:
            self._check_file()
            try:
                self._db.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                if not faults.is_busy(error):
                    raise
                wait.go_on()
                # shorter than the pause that a busy writer leaves, at least now and then
                time.sleep(random.uniform(0.1, 1.0) * ceiling)  # noqa: S311
                ceiling = min(ceiling * 1.05, 0.02)
            else:
                self._wal = database.inode(place.companions(self._path)[0])
                return

    def _check_file(self) -> None:
        """A commit into a file, or a -wal, that somebody took away would be lost with this process."""
        database.check_same(self._path, self._inode)
        if self._wal is not None and self._wal != database.inode(place.companions(self._path)[0]):
            with suppress(sqlite3.Error):
                # our descriptor still reaches what was committed: into the main file with it
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
            raise faults.corrupt(
                f"the -wal file of {self._path} was removed while wfconsole was using it",
                folder=self._path.parent,
                fault="wal_removed",
            )


class _Wait:
    """One wait for the lock: who has it, who is told, when it is given up."""

    def __init__(self, path: Path, db: sqlite3.Connection, at_most: float, trouble: Trouble) -> None:
        self._path = path
        self._db = db
        self._trouble = trouble
        self._began = time.monotonic()
        self._at_most = at_most
        self._tell_at = trouble.after
        self._look_at = min(LOOK_SECONDS, trouble.after, at_most)

    def go_on(self) -> None:
        """The lock was not free: look, end, tell, as it is time to. Raises STORE_BUSY."""
        waited = time.monotonic() - self._began
        if waited < self._look_at:
            return
        self._look_at = min(waited + LOOK_SECONDS, max(waited, self._at_most))
        found = holder.find(self._path)
        if found is not None and holder.end(found, self._path, self._db):
            self._at_most = max(self._at_most, waited + GRACE_SECONDS)
            self._trouble.say(_ended(found))
        elif waited >= self._at_most:
            raise faults.busy(f"nothing could be written for {waited:.0f} s", found)
        elif waited >= self._tell_at:
            self._tell_at += self._trouble.every
            self._trouble.say(_waiting(found, waited, self._at_most))


def _waiting(found: holder.Holder | None, seconds: float, at_most: float) -> str:
    text = f"another process is writing to the store: waiting for it, {seconds:.0f} s of at most {at_most:.0f} s"
    if found is None:
        return text
    return f"{text}; it is {found}{f': {found.remedy}' if found.stopped else ''}"


def _ended(found: holder.Holder) -> str:
    return (
        f"{found} was ended: it kept the lock of the store inside a write, and its lease had run out; "
        "its runs go on with whoever takes them"
    )


def _answer(ended: Iterable[Ended], folder: Path) -> None:
    """Tell the senders, waking each event loop once."""
    loops: dict[asyncio.AbstractEventLoop, list[Ended]] = {}
    for one in ended:
        loops.setdefault(one[0].answer.get_loop(), []).append(one)
    for loop, own in loops.items():
        with suppress(RuntimeError):  # the sender's loop was closed meanwhile
            loop.call_soon_threadsafe(_deliver, own, folder)


def _deliver(ended: list[Ended], folder: Path) -> None:
    for job, result, error in ended:
        if job.answer.done():
            continue
        if error is None:
            job.answer.set_result(result)
        else:
            job.answer.set_exception(_shown(error, folder))


def _shown(error: Exception, folder: Path) -> WfconsoleError:
    if isinstance(error, WfconsoleError):
        return error
    if isinstance(error, sqlite3.Error):
        return faults.translate(error, folder)
    return WfconsoleError("INTERNAL", f"the store failed: {error!r}", "this is a bug: please report it")
