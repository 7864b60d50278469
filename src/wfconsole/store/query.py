"""`db query`: one statement of the operator's, on a connection that cannot write.

Refuses by three walls of SQLite: the file is opened read-only, query_only is on, and an authorizer lets reading through and
nothing else (no ATTACH, no VACUUM INTO, no function that loads code). The database is visible as `main` and as `app`, as in
``app.marks``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from wfconsole.ports import WfconsoleError
from wfconsole.store import database

_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_TOLD = frozenset({
    "table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list", "data_version",
    "integrity_check", "quick_check", "foreign_key_check", "page_count", "freelist_count",
})  # fmt: skip
_UNSAFE = frozenset({"load_extension", "fts3_tokenizer"})
"""Functions that call what an address points to: code of this process, or a library."""
_SET_BY_ARGUMENT = frozenset({"user_version", "application_id", "page_size", "journal_mode"})


def run(path: Path, sql: str) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    """Column names and rows. Raises INPUT_INVALID for a statement that is wrong or would write."""
    with closing(database.connect(path, mode="ro")) as db:
        db.execute("ATTACH DATABASE ? AS app", (f"{path.absolute().as_uri()}?mode=ro",))
        db.execute("PRAGMA query_only = ON")
        db.set_authorizer(_authorize)
        try:
            cursor = db.execute(sql)
            rows = cursor.fetchall()
        except (sqlite3.Error, sqlite3.Warning, UnicodeEncodeError) as error:
            raise WfconsoleError(
                "INPUT_INVALID", f"the store refuses this statement: {error}", "one statement that only reads"
            ) from error
        return [column[0] for column in cursor.description or ()], rows


def _authorize(action: int, first: str | None, second: str | None, _schema: str | None, _trigger: str | None) -> int:
    if action in _READING:
        unsafe = action == sqlite3.SQLITE_FUNCTION and str(second).lower() in _UNSAFE
        return sqlite3.SQLITE_DENY if unsafe else sqlite3.SQLITE_OK
    # an argument sets user_version or application_id, and only names a table for the others
    asks = action == sqlite3.SQLITE_PRAGMA and (first in _TOLD or (first in _SET_BY_ARGUMENT and second is None))
    return sqlite3.SQLITE_OK if asks else sqlite3.SQLITE_DENY
