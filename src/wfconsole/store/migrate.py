"""Brings an older store to this version's schema: a backup first, then Alembic, then views and triggers from their one list.

The only module of the running program that imports SQLAlchemy, and it is imported only when the revision differs. Everything
happens in one transaction, behind a lock file, so that two processes that start at once migrate once.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from wfconsole.store import backup, database, faults, schema, statements
from wfconsole.store.triggers import TRIGGERS, VIEWS

MIGRATIONS = Path(__file__).parent / "migrations"
BACKUPS = backup.FOLDER


def config() -> Config:
    """Alembic's configuration, without a file."""
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    return settings


def upgrade(path: Path, found: str | None) -> None:
    """Back the store up and migrate it to the newest revision; nothing when another process was first."""
    with _alone(path), closing(database.connect(path)) as raw:
        try:
            row = raw.execute(statements.REVISION).fetchone()
            if (str(row[0]) if row else None) != found:
                return
            backup.make(path, label=f"-before-{schema.HEAD}")
            _migrate(raw)
        except sqlite3.Error as error:
            raise faults.translate(error, path.parent) from error


def _migrate(raw: sqlite3.Connection) -> None:
    raw.execute("PRAGMA foreign_keys = OFF")
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool, pool_reset_on_return=None)
    settings = config()
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            _drop(connection)
            settings.attributes["connection"] = connection
            command.upgrade(settings, "head")
            for statement in (*VIEWS.values(), *TRIGGERS.values()):
                connection.exec_driver_sql(statement)
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise faults.corrupt(f"the store breaks its own references, so it was not migrated: {broken[0]}")
            connection.commit()
        except BaseException:
            connection.rollback()
            raise


def _drop(connection: Connection) -> None:
    """Take views and triggers away, whatever their names were in the older version."""
    found = connection.exec_driver_sql(
        "SELECT type, name FROM sqlite_master WHERE type IN ('view', 'trigger')"
    ).fetchall()
    for kind, name in found:
        connection.exec_driver_sql(f'DROP {kind} IF EXISTS "{name}"')


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.with_name(f"{path.name}.migrating").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
