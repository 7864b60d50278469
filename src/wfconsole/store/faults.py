"""SQLite's errors as ours: the only place that reads an error code of the database.

Refuses to guess: an error that is not the disk's, the lock's, a constraint's or the file's is INTERNAL and keeps its text.
"""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from wfconsole.ports import StoreConflictError, WfconsoleError

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNREACHABLE = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
)


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code, or SQLITE_ERROR for an error that the Python module raised by itself."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    return primary_code(error) in _BUSY


def is_broken(error: sqlite3.Error) -> bool:
    return primary_code(error) in _BROKEN


def is_constraint(error: sqlite3.Error) -> bool:
    return primary_code(error) == sqlite3.SQLITE_CONSTRAINT


def conflict(message: str, **details: str | int | None) -> StoreConflictError:
    """A commit that came too late or breaks an invariant. Nothing of it was written."""
    return StoreConflictError(
        "STORE_BUSY", message, "somebody else has changed this run: look at it and try again", details
    )


def corrupt(message: str) -> WfconsoleError:
    return WfconsoleError(
        "STORE_CORRUPT",
        message,
        "keep the file, restore a copy from the folder `backups`, or move the state folder away",
    )


def translate(error: sqlite3.Error, folder: Path | None = None) -> WfconsoleError:
    """The error that a caller of the store sees; `folder` is where the file lies, to tell a full disk from a broken one."""
    code = primary_code(error)
    if folder is not None and code in _UNREACHABLE and _is_full(folder):
        code = sqlite3.SQLITE_FULL
    if code == sqlite3.SQLITE_CONSTRAINT:
        return conflict(f"the store refuses this: {error}", constraint=str(error))
    if code in _BUSY:
        return busy(str(error))
    if code == sqlite3.SQLITE_FULL:
        return WfconsoleError(
            "DISK_FULL", "no space is left for the store", "free space in the state folder, then go on"
        )
    if code in _BROKEN:
        return corrupt(f"the store cannot be read: {error}")
    if code in _UNREACHABLE:
        return WfconsoleError(
            "STORE_CORRUPT", f"the store cannot be used: {error}", "check the disk and the owner of the state folder"
        )
    return WfconsoleError("INTERNAL", f"the store failed: {error}", "this is a bug: please report it")


def _is_full(folder: Path) -> bool:
    """SQLite reports a disk that has no room for its shared memory as an I/O error."""
    try:
        return shutil.disk_usage(folder).free < 64 * 1024
    except OSError:
        return False


def closed() -> WfconsoleError:
    return WfconsoleError("STORE_BUSY", "this store was closed", "wfconsole is ending: run the command again")


def busy(why: str) -> WfconsoleError:
    return WfconsoleError(
        "STORE_BUSY", f"another process holds the store: {why}", "wait for it, or see `wfconsole doctor` for who it is"
    )
