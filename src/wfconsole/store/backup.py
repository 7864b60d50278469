"""Backups: consistent copies in the folder `backups` beside the store, named by time, looked at before they count.

Refuses to restore: that replaces what is there, so it is a person's step, which every STORE_CORRUPT names.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from wfconsole.ports import WfconsoleError
from wfconsole.store import database, faults, schema, statements

FOLDER = faults.BACKUPS


def make(path: Path, target: Path | None = None, *, label: str = "") -> Path:
    """Copy the store at `path`, by default into its folder `backups`; where the copy is, verified. `label` ends its name.

    Raises INPUT_INVALID when `target` exists or cannot be written, STORE_CORRUPT when the store cannot be copied.
    """
    place = target or _named(path, label)
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        database.backup(path, place)
    except FileExistsError as error:
        raise WfconsoleError("INPUT_INVALID", f"{place} exists already", "choose another file") from error
    except OSError as error:
        raise faults.of_system(error, place) from error
    try:
        verify(place, path)
    except BaseException:
        place.unlink(missing_ok=True)
        raise
    return place


def verify(copy: Path, original: Path) -> None:
    """Raise STORE_CORRUPT unless `copy` is a sound store with the identity of `original`."""
    try:
        with closing(database.connect(copy, mode="ro")) as db, closing(database.connect(original)) as first:
            damage = [str(row[0]) for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
            application = db.execute("PRAGMA application_id").fetchone()
            ids = _identity(db), _identity(first)
    except sqlite3.Error as error:
        raise faults.translate(error, copy.parent) from error
    if damage or application != (schema.APPLICATION_ID,) or ids[0] != ids[1]:
        raise faults.corrupt(f"the backup {copy} does not hold: {', '.join(damage) or 'it is another store'}")


def listed(state_dir: Path) -> Sequence[Path]:
    """The backups there are, newest first."""
    folder = state_dir / FOLDER
    if not folder.is_dir():
        return []
    found = [path for path in folder.glob("*.db") if path.is_file()]
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)


def _identity(db: sqlite3.Connection) -> Any:
    """The database's own id; None for a store from before the first revision."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:
        return None
    return db.execute(statements.DATABASE_ID).fetchone()


def _named(path: Path, label: str) -> Path:
    now = time.time_ns()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 1_000_000_000))
    return path.parent / FOLDER / f"{path.stem}-{stamp}.{now // 1_000_000 % 1000:03}Z{label}.db"
