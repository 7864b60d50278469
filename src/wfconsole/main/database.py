"""`db check`, `db backup`, `db migrate`, `db query` on this state folder's store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wfconsole.config import Settings
from wfconsole.control.wiring import Migrated, StoreFinding
from wfconsole.ports import WfconsoleError
from wfconsole.store import backup, database, opening, query, schema
from wfconsole.store.check import Finding
from wfconsole.store.sqlite import SqliteStore


@dataclass(frozen=True, slots=True)
class StoreCare:
    """`control.wiring.DatabaseCare` of a real process."""

    settings: Settings

    @property
    def _path(self) -> Path:
        path = self.settings.state / database.NAME
        if not path.exists():
            opening.refuse_loss(path)
            raise WfconsoleError("NOT_FOUND", f"there is no store in {path.parent} yet", "the first run makes it")
        return path

    async def check(self) -> Sequence[StoreFinding]:
        store = SqliteStore.open(self._path.parent)
        try:
            findings = [*await store.verify(), *await store.verify_files(self.settings.runs, self.settings.artifacts)]
        finally:
            await store.close()
        return [_told(finding) for finding in findings]

    async def backup(self, target: Path | None) -> Path:
        opening.check(self._path)
        return await asyncio.to_thread(backup.make, self._path, target)

    async def migrate(self) -> Migrated:
        path = self._path
        before = opening.revision(path)
        known = set(backup.listed(path.parent))
        await asyncio.to_thread(opening.check, path)
        made = [one for one in backup.listed(path.parent) if one not in known]
        return Migrated(before=before, after=schema.HEAD, backup=str(made[0]) if made else None)

    async def query(self, sql: str) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        opening.revision(self._path)
        return await asyncio.to_thread(query.run, self._path, sql)


def _told(finding: Finding) -> StoreFinding:
    return StoreFinding(code=finding.code, message=finding.message, run_id=finding.run_id)
