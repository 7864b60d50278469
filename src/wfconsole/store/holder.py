"""Who has the write lock of the file; and the end of one who can neither let go of it nor write any more.

Owns the question to the kernel, and the three conditions under which a process is killed: it is stopped, a row of `owners` has
it, and its time has run out. Refuses to open any file of the store: closing a descriptor of one would drop the locks that this
process holds, so the kernel is asked through the descriptor that SQLite has. The decision that would surprise is the kill
itself: a process that was stopped inside a transaction keeps the lock for as long as it sleeps, and nothing else takes it away.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sqlite3
import struct
from dataclasses import dataclass
from pathlib import Path

from wfconsole.store import place
from wfconsole.store.boot import boot_id, boottime_ms

WRITE_LOCK = 120
"""The byte of the -shm file that whoever writes has locked: WAL_WRITE_LOCK of SQLite's wal.c, the first of its locks."""

OWNS = "SELECT max(expires) FROM owners WHERE pid = ? AND ticks = ? AND boot = ? AND host = ?"
"""Until when a process may write; one process may have several rows."""

_FLOCK = "hhqqi4x"
"""`struct flock` of 64-bit Linux: type, whence, start, length, pid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process as /proc has it. `ticks`: when it started, since the boot; with the pid it names one process."""

    pid: int
    program: str
    stopped: bool
    ticks: int

    def __str__(self) -> str:
        return f"{self.program} (pid {self.pid}{', stopped' if self.stopped else ''})"

    @property
    def remedy(self) -> str:
        """What a person can do about it."""
        if self.stopped:
            return (
                f"`kill -CONT {self.pid}` lets it go on; `kill -9 {self.pid}` ends it, and wfconsole recovers its runs"
            )
        return f"wait for it; `kill {self.pid}` ends it, and wfconsole recovers its runs"


def find(path: Path) -> Holder | None:
    """Who has the write lock of the database at `path`, which this process has open; None when nobody, or nobody we can see.

    A process of another pid namespace cannot be seen, nor can another connection of this process.
    """
    shm = place.companions(path)[1]
    try:
        pid = _locker(_descriptor(shm))
        return look(pid) if pid > 0 else None
    except (OSError, ValueError):
        return None


def look(pid: int) -> Holder | None:
    """That process; None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    before, _, after = text.rpartition(")")
    fields = after.split()
    program = "".join(letter if letter.isprintable() else "?" for letter in before.partition("(")[2])
    return Holder(pid=pid, program=program, stopped=fields[0] == "T", ticks=int(fields[19]))


def end(holder: Holder, path: Path, db: sqlite3.Connection) -> bool:
    """Kill the holder when it is stopped, ours, and its time has run out; whether it was killed.

    Its transaction is rolled back, its containers live on. `db` is a connection to `path` that is in no transaction.
    """
    if not holder.stopped or not _is_over(holder, db):
        return False
    try:
        process = os.pidfd_open(holder.pid)
    except OSError:
        return False
    try:
        if find(path) != holder:  # from here on the pid cannot become another's unnoticed
            return False
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except OSError:  # another user's, or gone
        return False
    finally:
        os.close(process)
    return True


def _is_over(holder: Holder, db: sqlite3.Connection) -> bool:
    """Whether the holder is a process of ours, by its row, and may not write any more."""
    try:
        row = db.execute(OWNS, (holder.pid, holder.ticks, boot_id(), socket.gethostname())).fetchone()
    except sqlite3.Error:  # a table that cannot be read says nothing about anybody
        return False
    return row[0] is not None and row[0] <= boottime_ms()


def _descriptor(file: Path) -> int:
    """The descriptor of `file` that SQLite has open in this process. Raises OSError when there is none."""
    wanted = file.stat()
    for each in Path("/proc/self/fd").iterdir():
        try:
            found = os.fstat(int(each.name))
        except OSError:  # closed meanwhile
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return int(each.name)
    raise FileNotFoundError(file)


def _locker(descriptor: int) -> int:
    """The pid of the process that has the write lock; 0 when none has, or one of another pid namespace."""
    question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, WRITE_LOCK, 1, 0)
    kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    return 0 if kind == fcntl.F_UNLCK else int(pid)
