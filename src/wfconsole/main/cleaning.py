"""What `delete` and `gc` stand on, put together over one open door; and the removals that an earlier process did not end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wfconsole.config import Settings
from wfconsole.control.collection import Collected, Collection, CollectionPorts, Rubbish
from wfconsole.control.office import Office
from wfconsole.control.removal import Preview, Receipt, Removal, RemovalPorts
from wfconsole.domain.records import Actor
from wfconsole.engine.clock import SystemClock
from wfconsole.ports import WfconsoleError
from wfconsole.sandbox.folders import discard
from wfconsole.sandbox.leftovers import LabelledContainers
from wfconsole.store import backup
from wfconsole.store.blobs import DiskBlobs
from wfconsole.store.sqlite import SqliteStore
from wfconsole.store.tombstones import SqliteRemains

_DRAFTS = ("wfconsole.db.new-*",)


GO_ON_S = 5.0
"""A start does not wait longer for what an earlier process left to be removed; a wedged engine must not hold every command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaner:
    """`control.wiring.Cleaning` of a real process."""

    office: Office
    removal: Removal
    collection: Collection
    containers: LabelledContainers

    async def preview(self, ref: str, *, cascade: bool) -> Preview:
        return await self.removal.preview(await self.office.store.find_run(ref), cascade=cascade)

    async def delete(self, preview: Preview, actor: Actor) -> Receipt:
        return await self.removal.delete(preview, actor)

    async def find(self) -> Rubbish:
        return await self.collection.find()

    async def collect(self, rubbish: Rubbish, actor: Actor) -> Collected:
        """What an owner left undone that died after its run was over is done first: taking the run's lease would hide it."""
        for run_id in await self.office.not_let_go():
            with suppress(WfconsoleError):
                await self.office.drive(run_id)
        return await self.collection.collect(rubbish, actor)

    async def close(self) -> None:
        try:
            await self.containers.close()
        finally:
            await self.office.close()


async def go_on_removing(settings: Settings, office: Office) -> None:
    """End the removals that some process began and did not end. What the engine keeps from ending stays for the next start."""
    cleaner = cleaner_of(settings, office)
    try:
        with suppress(WfconsoleError, OSError, TimeoutError):
            async with asyncio.timeout(GO_ON_S):
                await cleaner.removal.finish_all()
    finally:
        await cleaner.containers.close()


def cleaner_of(settings: Settings, office: Office) -> Cleaner:
    """Over a door that is open."""
    store = office.store
    if not isinstance(store, SqliteStore):
        raise TypeError("runs are removed from a store on disk")
    remains, blobs = SqliteRemains(store), DiskBlobs(settings.artifacts)
    containers = LabelledContainers(database_id=store.database_id, docker_host=settings.environ.get("DOCKER_HOST"))
    removal = Removal(
        RemovalPorts(
            remains=remains,
            blobs=blobs,
            containers=containers,
            send=office.send,
            acquire=office.acquire,
            folder=office.folder,
            discard=discard,
            forget=lambda run_id: (settings.state / "locks" / f"{run_id}.lock").unlink(missing_ok=True),
            now_ms=SystemClock().now_ms,
        )
    )
    ports = CollectionPorts(
        removal=removal,
        remains=remains,
        blobs=blobs,
        containers=containers,
        acquire=office.acquire,
        folder=office.folder,
        runs=settings.runs,
        discard=discard,
        now_ms=SystemClock().now_ms,
        drafts=lambda before: [*blobs.drafts(before=before), *_drafts(settings.state, before)],
        backups=lambda: backup.listed(settings.state)[settings.retention.backups :],
        retention=settings.retention.runs,
        workspaces_ms=settings.retention.workspaces_ms,
    )
    return Cleaner(office=office, removal=removal, collection=Collection(ports), containers=containers)


def _drafts(state: Path, before: int) -> Sequence[Path]:
    """Databases that somebody began to make and died."""
    found = [path for pattern in _DRAFTS for path in sorted(state.glob(pattern))]
    found += sorted((state / backup.FOLDER).glob("*.new-*"))
    return [path for path in found if path.stat().st_mtime_ns // 1_000_000 < before]
