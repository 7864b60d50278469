"""What can be wrong with the store, as ours: the only place that reads an error code of the database.

Every error carries a stable word in ``details.fault``. Refuses to guess: an error that is not the disk's, the lock's, a
constraint's or the file's is INTERNAL and keeps its text. The decision that would surprise: when SQLite finds the file
damaged, the file's own header is read to say how, because "malformed" covers a copy that was cut short and a bad disk alike.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import sqlite3
from pathlib import Path

from wfconsole.ports import StoreConflictError, WfconsoleError
from wfconsole.store.holder import Holder
from wfconsole.store.triggers import FENCED, NOT_SIGNED

BACKUPS = "backups"
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNREACHABLE = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
)
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_ALLOWED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_HEADER = 100
_SMALL = 64 * 1024


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


def is_full(error: sqlite3.Error, folder: Path) -> bool:
    """No room: as SQLite says it, and as it says it when there is none for its shared memory."""
    code = primary_code(error)
    return code == sqlite3.SQLITE_FULL or (code in _UNREACHABLE and _has_no_room(folder))


def conflict(message: str, **details: str | int | None) -> StoreConflictError:
    """A commit that came too late or breaks an invariant. Nothing of it was written."""
    return StoreConflictError(
        "STORE_BUSY", message, "somebody else has changed this run: look at it and try again", details
    )


def owner_lost(run_id: str | None = None) -> WfconsoleError:
    """A commit by a process that does not have the run any more. Nothing of it was written."""
    which = f"run {run_id}" if run_id else "this run"
    hint = f"wfconsole watch {run_id}" if run_id else "`wfconsole watch RUN` follows it"
    return WfconsoleError("OWNER_LOST", f"another process has taken {which} over", hint)


def corrupt(message: str, *, folder: Path | None = None, fault: str = "damaged") -> WfconsoleError:
    """The store cannot be trusted. With `folder`, the state folder, the hint names the last backup."""
    last = _last_backup(folder) if folder is not None else None
    if last is not None:
        hint = f"keep what is there, then restore the last backup: {last}"
    elif folder is not None:
        hint = f"there is no backup in {folder / BACKUPS}: keep what is there and move the state folder away"
    else:
        hint = "keep the file, restore a copy from the folder `backups`, or move the state folder away"
    return WfconsoleError("STORE_CORRUPT", message, hint, {"fault": fault, "backup": str(last) if last else None})


def translate(error: sqlite3.Error, folder: Path | None = None) -> WfconsoleError:
    """The error that a caller of the store sees; `folder` is the state folder, to tell a full disk from a broken one."""
    code = primary_code(error)
    if code == sqlite3.SQLITE_CONSTRAINT and str(error) in {FENCED, NOT_SIGNED}:
        return owner_lost()
    if code == sqlite3.SQLITE_CONSTRAINT:
        return conflict(f"the store refuses this: {error}", constraint=str(error))
    if code in _BUSY:
        return busy(str(error))
    if code == sqlite3.SQLITE_FULL or (folder is not None and is_full(error, folder)):
        return full("the store")
    if code in _BROKEN:
        return corrupt(f"the store cannot be read: {error}", folder=folder)
    if code == sqlite3.SQLITE_READONLY or (folder is not None and code in _UNREACHABLE and not _writable(folder)):
        return read_only(folder, str(error))
    if code in _UNREACHABLE:
        return WfconsoleError(
            "STORE_CORRUPT",
            f"the store cannot be used: {error}",
            "check the disk and the owner of the state folder",
            {"fault": "unreachable"},
        )
    return WfconsoleError("INTERNAL", f"the store failed: {error}", "this is a bug: please report it")


def of_file(error: sqlite3.Error, path: Path) -> WfconsoleError:
    """As `translate`, for the database file at `path`: damage is told by what the file looks like."""
    if not is_broken(error):
        return translate(error, path.parent)
    cut = _cut_short(path)
    if cut is not None:
        return corrupt(f"{path} is cut short: {cut}", folder=path.parent, fault="truncated")
    return corrupt(f"{path} is damaged: {error}", folder=path.parent)


def of_system(error: OSError, path: Path) -> WfconsoleError:
    """An error of the file system at `path`."""
    if error.errno in _NO_ROOM:
        return full(str(path))
    if error.errno in _NOT_ALLOWED:
        return read_only(path, error.strerror or str(error))
    return WfconsoleError("INPUT_INVALID", f"{path} cannot be written: {error.strerror or error}", "choose another")


def full(what: str) -> WfconsoleError:
    return WfconsoleError(
        "DISK_FULL",
        f"no space is left for {what}",
        "free space in the state folder (`wfconsole gc`), then go on: nothing that was recorded is lost",
        {"fault": "disk_full"},
    )


def read_only(where: Path | None, why: str) -> WfconsoleError:
    place = f"{where} " if where is not None else "the store "
    return WfconsoleError(
        "STORE_CORRUPT",
        f"{place}cannot be written: {why}",
        "mount it writable, or give this account the right to write there; what is there was not touched",
        {"fault": "read_only"},
    )


def network(path: Path, kind: str) -> WfconsoleError:
    return WfconsoleError(
        "STORE_CORRUPT",
        f"{path} lies on a network file system ({kind}), whose locks and shared memory cannot be trusted",
        "set WFCONSOLE_HOME to a folder on a local disk",
        {"fault": "network_file_system"},
    )


def closed() -> WfconsoleError:
    return WfconsoleError("STORE_BUSY", "this store was closed", "wfconsole is ending: run the command again")


def busy(why: str, found: Holder | None = None) -> WfconsoleError:
    """Somebody else has the lock; `found` is who, when that is known."""
    known = {"pid": found.pid, "program": found.program, "stopped": found.stopped} if found is not None else {}
    return WfconsoleError(
        "STORE_BUSY",
        f"{found or 'another process'} holds the store: {why}",
        found.remedy if found is not None else "wait for it, or end it: nothing that was recorded is lost",
        {"fault": "held", **known},
    )


def _has_no_room(folder: Path) -> bool:
    """SQLite reports a disk that has no room for its shared memory, and a limit on the size of files, as an I/O error."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        if limit != resource.RLIM_INFINITY and any(
            path.stat().st_size + _SMALL >= limit for path in folder.glob("*.db*")
        ):
            return True
        return shutil.disk_usage(folder).free < _SMALL
    except OSError:
        return False


def _writable(folder: Path) -> bool:
    """Asked of the mount as well: root may write everywhere but where nobody can."""
    try:
        return os.access(folder, os.W_OK) and not os.statvfs(folder).f_flag & os.ST_RDONLY
    except OSError:
        return True


def _cut_short(path: Path) -> str | None:
    """What is missing of the file, by its own header; None when its length is what it says, or there is no header."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except OSError:
        return None
    if len(header) < _HEADER or not header.startswith(b"SQLite format 3\0"):
        return None
    page = int.from_bytes(header[16:18], "big")
    wanted = (65536 if page == 1 else page) * int.from_bytes(header[28:32], "big")
    return f"{size} of {wanted} bytes" if size < wanted else None


def _last_backup(folder: Path) -> Path | None:
    try:
        found = [path for path in (folder / BACKUPS).glob("*.db") if path.is_file()]
        return max(found, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)
    except OSError:
        return None
