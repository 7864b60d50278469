"""What one process does at a time, or once: a store is made, it is migrated, a content is stored while none is removed."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.store.test_schema import add_meta, before_the_first_revision
from wfconsole.store import blobs, database, migrate, opening
from wfconsole.store.artifacts import DiskArtifacts


def locked(path: Path, kind: int) -> bool:
    """Whether somebody has that file or folder in a way that does not go with `kind`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_a_store_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / database.NAME
    opening.create(path)
    made = opening.check(path)
    opening.create(path)
    assert opening.check(path) == made
    assert [each.name for each in tmp_path.iterdir()] == [database.NAME]


def test_nobody_else_writes_or_migrates_while_a_store_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = before_the_first_revision(tmp_path)
    real = migrate._drop
    found: list[object] = []

    def drop(connection: Any) -> None:
        """What another process meets when the migration has begun and has not written yet."""
        with closing(sqlite3.connect(path, timeout=0)) as other:
            with pytest.raises(sqlite3.OperationalError) as caught:
                other.execute("CREATE TABLE late (x)")
            found.extend((str(caught.value), locked(path.with_name(f"{path.name}.migrating"), fcntl.LOCK_EX)))
        real(connection)

    monkeypatch.setattr(migrate, "_drop", drop)
    migrate.upgrade(path, None)
    add_meta(path)
    assert opening.check(path) == "an id"
    assert found == ["database is locked", True]


def test_a_content_is_not_removed_while_one_is_stored_nor_stored_while_one_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, found = tmp_path / "artifacts", []
    publish, changed = DiskArtifacts._publish, blobs._changed

    def publishing(self: DiskArtifacts, draft: Path, place: Path) -> None:
        found.append(("storing", locked(folder, fcntl.LOCK_EX), locked(folder, fcntl.LOCK_SH)))
        publish(self, draft, place)

    def looking(path: Path) -> int:
        found.append(("removing", locked(folder, fcntl.LOCK_EX), locked(folder, fcntl.LOCK_SH)))
        return changed(path)

    monkeypatch.setattr(DiskArtifacts, "_publish", publishing)
    monkeypatch.setattr(blobs, "_changed", looking)
    sha256, _ = asyncio.run(DiskArtifacts(folder).put_bytes(b"content"))
    assert blobs.DiskBlobs(folder).remove([sha256], spare_since=2**62) == 1
    assert found == [("storing", True, False), ("removing", True, True)]
