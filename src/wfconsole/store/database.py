"""Connections to the file: pragmas, read-only or not, and a copy of the whole.

Refuses to know rows and revisions. Nobody opens the file but through SQLite: closing any other descriptor of it would drop
the locks that this process holds.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

from wfconsole.store import faults

NAME = "wfconsole.db"
READ_BUSY_SECONDS = 5.0


def backup(path: Path, target: Path) -> None:
    """A consistent copy, made while others read and write. FileExistsError when `target` is there."""
    draft = target.with_name(f"{target.name}.new-{uuid.uuid4().hex}")
    try:
        with closing(connect(path, mode="ro")) as source, closing(connect(draft, mode="rwc")) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
        os.link(draft, target)
        sync_folder(target.parent)
    except sqlite3.Error as error:
        raise faults.translate(error, target.parent) from error
    finally:
        draft.unlink(missing_ok=True)


def connect(path: Path, *, mode: str = "rw", busy_seconds: float = READ_BUSY_SECONDS) -> sqlite3.Connection:
    """A connection in autocommit mode with our pragmas, usable from any one thread at a time.

    `busy_seconds` is for its work. To open it waits in any case: after a kill -9 somebody else may be reading the log again.
    """
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=max(busy_seconds, READ_BUSY_SECONDS),
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        if db.execute("PRAGMA foreign_keys").fetchone() != (1,):
            raise faults.corrupt("this SQLite was built without foreign keys")
        db.execute(f"PRAGMA busy_timeout = {int(busy_seconds * 1000)}")
    except BaseException:
        db.close()
        raise
    return db


def inode(path: Path) -> int | None:
    """Which file lies there; None when none does."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def check_same(path: Path, known: int | None) -> None:
    """Raise STORE_CORRUPT when the file was removed or replaced: SQLite goes on with one that nobody else ever reads."""
    found = inode(path)
    if found != known:
        raise faults.corrupt(
            f"{path} was removed or replaced while wfconsole was using it",
            folder=path.parent,
            fault="removed" if found is None else "replaced",
        )


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
