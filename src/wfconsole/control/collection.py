"""`gc`: everything that nobody needs any more, found first and removed afterwards.

Owns what counts as left over; a dry run and a real one take the same list. Refuses to touch runs that are open, and containers
of other state folders, which are only counted. The decision that would surprise: a run folder that the database does not know
but that holds a bundle is never removed, and with such a folder no content is: the database may be an older copy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wfconsole.control.disk import disk_bytes
from wfconsole.control.removal import Removal, still
from wfconsole.domain.lifecycle import RUN_TERMINAL
from wfconsole.domain.policy.retention import Ended, Retention, expired
from wfconsole.domain.records import Actor
from wfconsole.ports import RunFolder, WfconsoleError
from wfconsole.ports.keeping import Blobs, Container, Containers, Kept, Remains
from wfconsole.ports.owning import Hold

STALE_MS = 24 * 60 * 60 * 1000
"""Age at which a run folder without a run, and a half-written content, were left by somebody who died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that goes: `kind` is run, deletion, workspace, container, secrets, content, folder, draft or backup.

    `bytes` as on disk; `run_id` when it belonged to one.
    """

    kind: str
    name: str
    why: str
    bytes: int = 0
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubbish:
    """What a collection found: `items` go; `notes` say what stays although one might expect otherwise."""

    items: tuple[Item, ...]
    containers: Mapping[str, Container] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection removed, and how many bytes are free now that were not."""

    items: tuple[Item, ...]
    freed: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionPorts:
    """What collecting stands on. `retention` is the operator's, `workspaces_ms` how long an ended run keeps its workspace.

    `drafts` and `backups` find files to remove, given the time before which they are stale.
    """

    removal: Removal
    remains: Remains
    blobs: Blobs
    containers: Containers
    acquire: Callable[[str], Awaitable[Hold | None]]
    folder: Callable[[str], RunFolder]
    runs: Path
    discard: Callable[[Path], None]
    now_ms: Callable[[], int]
    drafts: Callable[[int], Sequence[Path]]
    backups: Callable[[], Sequence[Path]]
    retention: Retention
    workspaces_ms: int


class Collection:
    """Collects what is left over in one open state folder."""

    def __init__(self, ports: CollectionPorts) -> None:
        self._ports = ports

    async def find(self) -> Rubbish:
        """What would go now. Changes nothing."""
        ports, now, notes = self._ports, self._ports.now_ms(), list[str]()
        kept = await ports.remains.kept()
        known = {run.run_id: run for run in kept}
        items = [
            Item(kind="deletion", name=run_id, why="its removal was begun and not ended", run_id=run_id)
            for run_id in await ports.remains.unfinished()
        ]
        gone = frozenset(item.name for item in items)
        items += await self._expired(kept, now, notes)
        leaving = gone | {item.name for item in items}
        containers = await self._containers(known, gone, notes)
        items += [_container_item(one, why) for one, why in containers]
        items += await self._secrets(notes)
        items += await asyncio.to_thread(lambda: list(self._workspaces(kept, leaving, now)))
        folders, unknown = await asyncio.to_thread(self._folders, frozenset(known) | gone, now)
        items += folders
        if unknown:
            notes.append(f"run folders that the database does not know are kept, and so are contents: {_few(unknown)}")
        else:
            items += await self._contents(now)
        items += [_file_item("draft", path, "half written") for path in ports.drafts(now - STALE_MS)]
        items += [_file_item("backup", path, "an older one than are kept") for path in ports.backups()]
        return Rubbish(items=tuple(items), containers={one.name: one for one, _ in containers}, notes=tuple(notes))

    async def collect(self, rubbish: Rubbish, actor: Actor) -> Collected:
        """Remove it. What cannot be removed now is noted and stays for the next time."""
        freed, done, notes = 0, list[Item](), list(rubbish.notes)
        for item in rubbish.items:
            try:
                freed += await self._remove(item, rubbish, actor)
                done.append(item)
            except WfconsoleError as error:
                notes.append(f"{item.kind} {item.name}: {error.message}")
            except OSError as error:
                notes.append(f"{item.kind} {item.name}: {error}")
        return Collected(items=tuple(done), freed=freed, notes=tuple(notes))

    async def _remove(self, item: Item, rubbish: Rubbish, actor: Actor) -> int:
        ports = self._ports
        match item.kind:
            case "run":
                preview = await ports.removal.preview(item.name)
                receipt = await ports.removal.delete(preview, actor, reason=f"retention: {item.why}")
                return receipt.freed
            case "deletion":
                return await ports.removal.finish(item.name) or 0
            case "container":
                found = rubbish.containers[item.name]
                if await self._why(found, {run.run_id: run for run in await ports.remains.kept()}):
                    await ports.containers.remove(found)
                return 0
            case "secrets":
                await ports.containers.wipe(item.name)
                return 0
            case "content":
                spared = ports.now_ms() - STALE_MS
                gone = await asyncio.to_thread(lambda: ports.blobs.remove([item.name], spare_since=spared))
                return item.bytes if gone else 0
            case "workspace":
                return await self._empty(item.name)
            case "folder":
                if any(run.run_id == item.name for run in await ports.remains.kept()):
                    return 0  # it took its creator long
                return await asyncio.to_thread(self._discard, ports.runs / item.name)
            case _:
                return await asyncio.to_thread(_unlink, Path(item.name))

    async def _expired(self, kept: Sequence[Kept], now: int, notes: list[str]) -> list[Item]:
        """Ended runs that their recipe's policy, or the operator's, keeps no longer; but none that a kept run reuses."""
        found: dict[str, tuple[str, int]] = {}
        for recipe in dict.fromkeys(run.recipe for run in kept):
            own = [run for run in kept if run.recipe == recipe]
            policy = self._ports.retention.under(own[0].policy)
            ended = [run for run in own if run.status in RUN_TERMINAL]
            sizes = await asyncio.to_thread(self._sizes, ended) if policy.bytes is not None else {}
            aged = [
                Ended(run_id=run.run_id, finished_at=run.finished_at or run.created_at, bytes=sizes.get(run.run_id, 0))
                for run in ended
            ]
            for run_id, why in expired(aged, policy, now=now):
                found[run_id] = (why, sizes.get(run_id, 0))
        reused_by = await self._ports.remains.reused_by()
        alive = {run.run_id for run in kept}
        order: list[str] = []
        for run_id in found:
            users = [one for one in reused_by.get(run_id, ()) if one in alive and one not in found]
            if users:
                notes.append(f"run {run_id} is kept, because run {users[0]} reuses it")
            else:
                order.append(run_id)
        # newest first: a successor is younger than what it reuses
        return [Item(kind="run", name=one, why=found[one][0], bytes=found[one][1], run_id=one) for one in order]

    def _sizes(self, runs: Sequence[Kept]) -> dict[str, int]:
        return {run.run_id: disk_bytes(self._ports.folder(run.run_id).root) for run in runs}

    async def _containers(
        self, known: Mapping[str, Kept], gone: frozenset[str], notes: list[str]
    ) -> list[tuple[Container, str]]:
        try:
            all_of_them = await self._ports.containers.all()
        except WfconsoleError as error:
            notes.append(f"containers could not be looked for: {error.message}")
            return []
        foreign = [one for one in all_of_them if not one.ours]
        if foreign:
            notes.append(f"{len(foreign)} containers of other state folders are left alone")
        ours = [one for one in all_of_them if one.ours and one.run_id not in gone]
        return [(one, why) for one in ours if (why := await self._why(one, known))]

    async def _secrets(self, notes: list[str]) -> list[Item]:
        """What lies on the host's tmpfs of containers that nobody will find any more."""
        try:
            names = await self._ports.containers.left()
        except WfconsoleError as error:
            notes.append(f"secrets that were left could not be told from those in use: {error.message}")
            return []
        return [Item(kind="secrets", name=name, why="its container is gone") for name in names]

    async def _why(self, container: Container, known: Mapping[str, Kept]) -> str | None:
        """Why nobody needs the container; None when somebody may."""
        run = known.get(container.run_id)
        if run is None:
            return "its run is not known"
        if run.status in RUN_TERMINAL:
            return f"its run is over: {run.status}"
        over = await self._ports.remains.ended_attempts(container.run_id)
        return "its attempt is over" if (container.step_id, container.attempt) in over else None

    def _workspaces(self, kept: Sequence[Kept], leaving: frozenset[str] | set[str], now: int) -> Sequence[Item]:
        found = []
        for run in kept:
            over = run.status in RUN_TERMINAL and now - (run.finished_at or now) >= self._ports.workspaces_ms
            if over and run.run_id not in leaving:
                size = disk_bytes(*self._temporary(run.run_id))
                if size:
                    found.append(
                        Item(kind="workspace", name=run.run_id, why="its run is over", bytes=size, run_id=run.run_id)
                    )
        return found

    def _temporary(self, run_id: str) -> tuple[Path, ...]:
        """What an ended run needs no more: its bundle, its recipe's files and its git folder stay."""
        folder = self._ports.folder(run_id)
        return folder.workspace, folder.root / "attempts"

    async def _empty(self, run_id: str) -> int:
        hold = await self._ports.acquire(run_id)
        if hold is None:
            return 0
        freed = 0
        try:
            for path in self._temporary(run_id):
                if path.exists():
                    await still(hold, run_id)
                    freed += await asyncio.to_thread(self._discard, path)
        finally:
            await hold.release()
        return freed

    def _folders(self, known: frozenset[str], now: int) -> tuple[list[Item], list[str]]:
        """Folders of runs that were never created, and the names of those that the database should know."""
        found: list[Item] = []
        unknown: list[str] = []
        if not self._ports.runs.is_dir():
            return found, unknown
        for path in sorted(self._ports.runs.iterdir()):
            if path.name in known or not path.is_dir() or path.is_symlink():
                continue
            if self._ports.folder(path.name).bundle.exists():
                unknown.append(path.name)
            elif path.stat().st_mtime_ns // 1_000_000 < now - STALE_MS:
                why = "its run was never created"
                found.append(Item(kind="folder", name=path.name, why=why, bytes=disk_bytes(path)))
        return found, unknown

    async def _contents(self, now: int) -> list[Item]:
        referred = await self._ports.remains.referred()
        strays = await asyncio.to_thread(lambda: self._ports.blobs.strays(referred, before=now - STALE_MS))
        return [Item(kind="content", name=sha, why="nothing refers to it", bytes=size) for sha, size in strays]

    def _discard(self, path: Path) -> int:
        before = disk_bytes(path)
        self._ports.discard(path)
        return before - disk_bytes(path)


def _container_item(container: Container, why: str) -> Item:
    return Item(kind="container", name=container.name, why=why, run_id=container.run_id)


def _file_item(kind: str, path: Path, why: str) -> Item:
    return Item(kind=kind, name=str(path), why=why, bytes=disk_bytes(path))


def _unlink(path: Path) -> int:
    size = disk_bytes(path)
    path.unlink(missing_ok=True)
    return size


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
