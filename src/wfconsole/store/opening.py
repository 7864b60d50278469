"""The first look at a state folder: making a store, recognising one, bringing an older one up to date.

Refuses to repair: what is damaged or not ours is refused and kept. The decision that would surprise: a new database is made
complete under another name and linked into place, so an empty file at the right name is never "not yet created" but damage.
"""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from contextlib import closing, suppress
from pathlib import Path

from wfconsole.ports import WfconsoleError
from wfconsole.store import faults, place, schema, statements
from wfconsole.store.database import NAME, connect, sync_folder

RUNS = "runs"
"""The folder of the state folder that the runs keep their files in."""


def ensure(state_dir: Path) -> tuple[Path, str]:
    """The path and the id of the store in `state_dir`, created or brought up to date if need be.

    Raises STORE_CORRUPT, STORE_TOO_NEW or DISK_FULL.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if state_dir.stat().st_mode & 0o077:
            state_dir.chmod(0o700)
    except OSError as error:
        raise faults.of_system(error, state_dir) from error
    path = state_dir / NAME
    kind = place.filesystem(state_dir)
    if kind in place.NETWORK:
        raise faults.network(state_dir, kind)
    if not path.exists():
        refuse_loss(path)
        create(path)
    database_id = check(path)
    place.Reserve(state_dir).ensure()
    return path, database_id


def refuse_loss(path: Path) -> None:
    """Raise STORE_CORRUPT when there are runs: a state folder that has some had a database, and a new one would hide that."""
    with suppress(FileNotFoundError):
        first = next((one.name for one in (path.parent / RUNS).iterdir() if one.is_dir()), None)
        if first is not None and not path.exists():  # another process may have made both just now
            raise faults.corrupt(
                f"{path} is gone, but there are folders of runs ({first})", folder=path.parent, fault="missing"
            )


def create(path: Path) -> None:
    """Make a complete empty store and link it to `path`; a store that somebody else linked first is left alone."""
    if path.with_name(f"{path.name}-wal").exists() and not path.exists():
        raise faults.corrupt(f"{path} is gone but its -wal file is still there", folder=path.parent, fault="missing")
    draft = path.with_name(f"{path.name}.new-{uuid.uuid4().hex}")
    try:
        with closing(connect(draft, mode="rwc")) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("BEGIN IMMEDIATE")
            for statement in schema.fresh():
                db.execute(statement)
            row = (str(uuid.uuid4()), "wfconsole", time.time_ns() // 1_000_000)
            db.execute("INSERT INTO meta (id, database_id, application_id, created_at) VALUES (1, ?, ?, ?)", row)
            db.execute("COMMIT")
        with suppress(FileExistsError):
            os.link(draft, path)
        sync_folder(path.parent)
    except sqlite3.Error as error:
        raise faults.translate(error, path.parent) from error
    except OSError as error:
        raise faults.of_system(error, path) from error
    finally:
        for name in (draft, draft.with_name(f"{draft.name}-wal"), draft.with_name(f"{draft.name}-shm")):
            name.unlink(missing_ok=True)


def revision(path: Path) -> str | None:
    """The schema revision of the store at `path`, None for one from before the first. Raises STORE_CORRUPT, STORE_TOO_NEW."""
    if path.stat().st_size == 0:
        raise faults.corrupt(f"{path} is empty", folder=path.parent, fault="empty")
    if place.lost_its_wal(path):
        raise faults.corrupt(
            f"the -wal file of {path} is gone, and with it what was committed last; its -shm file is still there",
            folder=path.parent,
            fault="wal_removed",
        )
    try:
        with closing(connect(path)) as db:
            return _identify(db, path)
    except sqlite3.Error as error:
        if faults.is_full(error, path.parent) and place.Reserve(path.parent).give_up():
            return revision(path)  # reading needs room, too: for the shared memory of the first who opens the file
        raise faults.of_file(error, path) from error


def check(path: Path) -> str:
    """The database id, when the file is a store that this version can use; migrates an older one."""
    found = revision(path)
    if found != schema.HEAD:
        from wfconsole.store import migrate

        migrate.upgrade(path, found)
    with closing(connect(path)) as db:
        row = db.execute(statements.DATABASE_ID).fetchone()
    if row is None:
        raise faults.corrupt(f"{path} has no row in `meta`", folder=path.parent)
    return str(row[0])


def _identify(db: sqlite3.Connection, path: Path) -> str | None:
    """The schema revision; None for a store from before the first one."""
    if db.execute("PRAGMA application_id").fetchone() != (schema.APPLICATION_ID,):
        raise faults.corrupt(f"{path} is no store of wfconsole", folder=path.parent, fault="wrong_application")
    row = db.execute(statements.REVISION).fetchone()
    revision = str(row[0]) if row else None
    if revision is not None and revision not in schema.REVISIONS:
        raise WfconsoleError(
            "STORE_TOO_NEW",
            f"the store has schema revision {revision}; this version knows {schema.HEAD}",
            "use the newer wfconsole that wrote it",
            {"fault": "newer_schema"},
        )
    return revision
