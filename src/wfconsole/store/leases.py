"""Leases: which process may write a run, with a fence that only grows; the database refuses every other writer.

Owns one row a process in `owners`, renewed while it holds anything, and one a run in `leases`. A lock file a run tells of a dead
owner at once; a hung one is replaced when its row has run out. Refuses to know what is done with a run. The decision that would
surprise: nobody looks at a clock when it writes. A lease that ran out and was not taken is as good as new; one that was taken has
another fence, and the triggers `leases_writer` and `journal_leased` look at that.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from wfconsole.ports import Lease, WfconsoleError
from wfconsole.store import hints, statements as sql
from wfconsole.store.boot import boot_id, boottime_ms
from wfconsole.store.locks import FileLock, FileLocks
from wfconsole.store.sqlite import SqliteStore

TTL_S = 15.0
RENEWALS = 7.5
"""How often a row is renewed within its time: every two seconds of fifteen."""
CONFIRMED_S = 1.0
"""For how long the database's word that a lease is ours is believed before it is asked again."""


def start_ticks(pid: int) -> int:
    """When that process started, in ticks since the boot: with the pid, which is used again, it names one process."""
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19])


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process as its row in `owners` has it; by default this one."""

    owner: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=socket.gethostname)
    boot: str = field(default_factory=boot_id)
    pid: int = field(default_factory=os.getpid)
    ticks: int = field(default_factory=lambda: start_ticks(os.getpid()))


class HeldLease:
    """A lease that was taken. `crashed` says from whom, when that owner had not let go: ``HOST:PID (dead)`` or ``(hung)``."""

    def __init__(
        self, leases: Leases, run_id: str, lease: Lease, lock: FileLock | None, crashed: str | None, setbacks: int
    ) -> None:
        self.lease = lease
        self.run_id = run_id
        self.crashed = crashed
        self.setbacks = setbacks
        self.lost = False
        self._released = False
        self._leases = leases
        self._lock = lock
        self._confirmed = time.clock_gettime(time.CLOCK_BOOTTIME)

    def moment(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def confirm(self, asked: float) -> None:
        """The database, asked at that moment, said that it is ours: a commit went through, or the row was renewed."""
        self._confirmed = max(self._confirmed, asked)

    async def is_mine(self) -> bool:
        """Whether the run is still ours to act on: as the database says now, or said a moment ago."""
        asked = self.moment()
        if self._released:
            return False
        if not self.lost and asked - self._confirmed > self._leases.believed_s:
            rows = await self._leases.store.rows(sql.LEASE_FENCE, (self.run_id,))
            self.lost = not rows or rows[0] != (self.lease.owner, self.lease.fence)
            if not self.lost:
                self.confirm(asked)
        return not self.lost

    async def release(self, setback: str | None = None) -> None:
        """Let go; with `setback`, why the run could not be driven, which is counted until something is written. Idempotent."""
        self._released = True
        try:
            await self._leases.let_go(self, setback)
        finally:  # who has the lock keeps everybody else from the run, whatever the row says
            if self._lock is not None:
                self._lock.release()


class Leases:
    """What this process holds. Bound to the event loop that takes the first lease: a loop that stands still renews nothing."""

    def __init__(self, store: SqliteStore, locks: FileLocks, sockets: Path, *, ttl_s: float = TTL_S) -> None:
        self.store = store
        self.believed_s = min(CONFIRMED_S, ttl_s / 4)
        self._locks = locks
        self._ttl_ms = int(ttl_s * 1000)
        self._me = Process()
        self._held: dict[str, HeldLease] = {}
        self._hearing = hints.Hearing(sockets, self._me.owner)
        self._renewing: asyncio.Task[None] | None = None

    def on_hint(self, listener: Callable[[str], None]) -> None:
        """`listener` is called with a run whose inbox may have something, perhaps one that is not driven here."""
        self._hearing.listener = listener

    async def acquire(self, run_id: str, *, listens: bool = False) -> HeldLease | None:
        """The run's lease, or None while a living process has it. `listens`: commands for it are to be hinted at."""
        lock = self._locks.acquire(run_id)
        try:
            held = await self._take(run_id, lock, listens=listens)
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        if held is None:
            if lock is not None:
                lock.release()
            return None
        self._held[run_id] = held
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.get_running_loop().create_task(self._renew())
        return held

    async def _take(self, run_id: str, lock: FileLock | None, *, listens: bool) -> HeldLease | None:
        if lock is None:  # another living process, as a rule: looking costs it nothing
            rows = await self.store.rows(sql.LEASE, (run_id,))
            if rows and self._lives(rows[0], locked=False):
                return None
            if not rows and not await self.store.rows(sql.IS_UNFINISHED, (run_id,)):
                return None  # a run that is deleted may be removed although an owner of it hangs, with the lock
        place = self._hearing.open() if listens else self._hearing.place
        found: list[HeldLease | None] = []
        await self.store.write(lambda db: found.append(self._write(db, run_id, lock, place)))
        return found[-1]

    def _write(self, db: sqlite3.Connection, run_id: str, lock: FileLock | None, place: str | None) -> HeldLease | None:
        row = db.execute(sql.LEASE, (run_id,)).fetchone()
        if row is not None and self._lives(row, locked=lock is not None):
            return None
        me, now = self._me, boottime_ms()
        db.execute(sql.OWNERS_GONE, (me.boot, now - self._ttl_ms))
        db.execute(sql.OWNER, (me.owner, me.host, me.boot, me.pid, me.ticks, place, now + self._ttl_ms))
        crashed, setbacks = None, 0
        if row is None:
            db.execute(sql.LEASE_NEW, (run_id, me.owner, lock is not None))
            fence = 1
        else:
            owner, fence, _, setbacks, host, pid, boot, expires = row
            fence += 1
            db.execute(sql.LEASE_TAKEN, (me.owner, fence, lock is not None, run_id))
            if owner is not None:
                hung = lock is None and boot == me.boot and expires is not None
                crashed = f"{host or 'a forgotten host'}:{pid or 0} ({'hung' if hung else 'dead'})"
        return HeldLease(self, run_id, Lease(owner=me.owner, fence=fence), lock, crashed, setbacks)

    def _lives(self, row: tuple[object, ...], *, locked: bool) -> bool:
        """Whether the holder in `row` may still act; `locked`: we have the lock file that it has, or should have."""
        owner, _, had_lock, _, _, _, boot, expires = row
        if owner is None:
            return bool(had_lock) and not locked  # somebody is about to take it, or removes the run
        if owner == self._me.owner:
            return not locked
        if boot != self._me.boot or (had_lock and locked):
            return False
        return isinstance(expires, int) and expires > boottime_ms()

    async def setbacks(self, run_id: str) -> tuple[int, str | None]:
        """How often driving the run failed since something was last written, and how the last time."""
        rows = await self.store.rows(sql.SETBACKS, (run_id,))
        return (int(rows[0][0]), rows[0][1]) if rows else (0, None)

    async def lift(self, run_id: str) -> bool:
        """Forget the setbacks; whether there were any."""
        if not (await self.setbacks(run_id))[0]:
            return False
        await self.store.write(lambda db: db.execute(sql.LIFT, (run_id,)))
        return True

    async def not_let_go(self) -> list[str]:
        """Runs that are over and that another process has not let go of: if it died, something of them was left."""
        return [str(run_id) for (run_id,) in await self.store.rows(sql.NOT_LET_GO, (self._me.owner,))]

    async def hint(self, run_id: str) -> None:
        """Tell the run's owner that there is something in the inbox. Lost hints cost the time of one look."""
        rows = await self.store.rows(sql.SOCKET, (run_id,))
        if rows and rows[0][0] is not None:
            self._hearing.send(str(rows[0][0]), run_id)

    async def let_go(self, held: HeldLease, setback: str | None) -> None:
        """For `HeldLease.release`."""
        if self._held.get(held.run_id) is held:
            del self._held[held.run_id]
            with suppress(WfconsoleError):  # a lease that cannot be given back is seen to be a dead process's
                names = (held.run_id, held.lease.owner, held.lease.fence)
                await self.store.write(lambda db: db.execute(sql.LET_GO, (setback, *names)))
        if not self._held and self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
            self._renewing = None

    async def close(self) -> None:
        """Nothing is renewed or heard afterwards."""
        for held in list(self._held.values()):
            await held.release()
        self._hearing.close()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._ttl_ms / 1000 / RENEWALS)
            asked = list(self._held.values())
            with suppress(WfconsoleError):  # a store that is busy now is asked again; the row runs out meanwhile
                moments = {held.run_id: held.moment() for held in asked}
                await self.store.write(self._renew_row)
                rows = await self.store.rows(sql.HELD, (self._me.owner,))
                for held in asked:
                    if (held.run_id, held.lease.fence) in rows:
                        held.confirm(moments[held.run_id])
                    else:
                        held.lost = True

    def _renew_row(self, db: sqlite3.Connection) -> None:
        me = self._me
        now = boottime_ms()
        db.execute(sql.OWNER, (me.owner, me.host, me.boot, me.pid, me.ticks, self._hearing.place, now + self._ttl_ms))
