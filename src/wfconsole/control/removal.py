"""Removing runs: what would go, the record that it goes, and the removal itself, which any later process can finish.

Two phases. The first is one commit: `run_deleted` in the journal, a tombstone, the run gone from every list. The second
removes containers, the run's folder and the contents that nothing else refers to, and last of all the journal; a process
that dies in it leaves an unfinished tombstone, and whoever starts next goes on. Refuses to know adapters. The decision that
would surprise: successors go before what they reuse, so that a kill between two runs leaves no run that refers to a hole.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wfconsole.control.disk import disk_bytes, log_count
from wfconsole.control.door import Answer
from wfconsole.domain.facts import AnyFact, DeleteRun
from wfconsole.domain.lifecycle import RUN_TERMINAL
from wfconsole.domain.records import Actor
from wfconsole.ports import RunFolder, StoreConflictError, WfconsoleError
from wfconsole.ports.keeping import Blobs, Containers, Kept, Remains
from wfconsole.ports.owning import Hold

COUNTED = ("runs", "steps", "artifacts", "logs", "containers")
GRACE_MS = 60 * 60 * 1000
"""How long a content is spared after it was stored, while a run is open that may be about to refer to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would go: the runs in the order of their removal, counts by kind, bytes on disk. `notes` are sentences."""

    run_ids: tuple[str, ...]
    counts: Mapping[str, int]
    bytes: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What went. `freed` are the bytes really free now; `unfinished` are runs whose rest the next start or `gc` removes."""

    run_ids: tuple[str, ...]
    counts: Mapping[str, int]
    bytes: int
    freed: int
    unfinished: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalPorts:
    """What removing stands on. `send` is the door's; `acquire` takes a run's lease; `discard` removes a folder whatever is in it.

    `forget` removes what else is named after a run (its lock file).
    """

    remains: Remains
    blobs: Blobs
    containers: Containers
    send: Callable[[str, AnyFact], Awaitable[Answer]]
    acquire: Callable[[str], Awaitable[Hold | None]]
    folder: Callable[[str], RunFolder]
    discard: Callable[[Path], None]
    forget: Callable[[str], None]
    now_ms: Callable[[], int]


class Removal:
    """Removes runs of one open state folder."""

    def __init__(self, ports: RemovalPorts) -> None:
        self._ports = ports

    async def preview(self, run_id: str, *, cascade: bool = False) -> Preview:
        """What `delete` would remove. Raises TRANSITION_REFUSED for a run that is not over, or that another run reuses."""
        runs = {run.run_id: run for run in await self._ports.remains.kept()}
        if run_id not in runs:
            raise WfconsoleError("NOT_FOUND", f"there is no run {run_id}", "`wfconsole runs` lists them")
        order = successors_first(run_id, await self._ports.remains.reused_by(), runs)
        for one in order:
            _refuse_open(runs[one])
        if len(order) > 1 and not cascade:
            _refuse_reused(run_id, order[:-1])
        return await self.measure(order)

    async def measure(self, run_ids: Sequence[str]) -> Preview:
        """Counts and bytes of these runs, together."""
        counts = dict.fromkeys(COUNTED, 0)
        notes: list[str] = []
        for run_id in run_ids:
            for name, count in (await self._counts(run_id, notes)).items():
                counts[name] += count
        shas = await self._ports.remains.exclusive(run_ids)
        folders = [self._ports.folder(run_id).root for run_id in run_ids]
        size = await asyncio.to_thread(lambda: disk_bytes(*folders) + self._ports.blobs.size(shas))
        return Preview(run_ids=tuple(run_ids), counts=counts, bytes=size, notes=tuple(dict.fromkeys(notes)))

    async def delete(self, preview: Preview, actor: Actor, *, reason: str | None = None) -> Receipt:
        """Remove what was previewed. Raises what the run refuses; what the engine keeps from being removed is left over."""
        freed = 0
        unfinished: list[str] = []
        notes = list(preview.notes)
        for run_id in preview.run_ids:
            await self._record(run_id, actor, reason)
            try:
                gone = await self.finish(run_id)
            except (WfconsoleError, OSError) as error:
                unfinished.append(run_id)
                notes.append(f"{getattr(error, 'message', error)}; `wfconsole gc` removes the rest of run {run_id}")
                continue
            if gone is None:
                unfinished.append(run_id)
                notes.append(f"another process is removing run {run_id}; `wfconsole gc` removes what it leaves")
            freed += gone or 0
        if not unfinished and freed < preview.bytes:
            kept = preview.bytes - freed
            notes.append(
                f"{kept} bytes stay for now: a run that is open may use the same contents; `wfconsole gc` later"
            )
        return Receipt(
            run_ids=preview.run_ids,
            counts=preview.counts,
            bytes=preview.bytes,
            freed=freed,
            unfinished=tuple(unfinished),
            notes=tuple(dict.fromkeys(notes)),
        )

    async def finish_all(self) -> Sequence[str]:
        """Go on with every removal that somebody began and did not end; what could not be ended is left for the next one."""
        done: list[str] = []
        for run_id in await self._ports.remains.unfinished():
            try:
                if await self.finish(run_id) is not None:
                    done.append(run_id)
            except (WfconsoleError, OSError):
                continue
        return done

    async def finish(self, run_id: str) -> int | None:
        """The second phase: the bytes that were freed; None when another process is at it. Can be repeated at any point.

        Whoever was stopped in it and wakes when another process has taken over removes nothing more.
        """
        hold = await self._ports.acquire(run_id)
        if hold is None:
            return None
        try:
            return await self._finish(run_id, hold)
        except WfconsoleError as error:
            if error.code == "OWNER_LOST":
                return None
            raise
        finally:
            await hold.release()

    async def _finish(self, run_id: str, hold: Hold) -> int:
        ports = self._ports
        if run_id in await ports.remains.unfinished():
            await self._remove_containers(run_id, hold)
            spare = await self._spare_since()
            shas = await ports.remains.doomed(run_id)
            root = ports.folder(run_id).root
            await ports.remains.measured(run_id, await asyncio.to_thread(self._size, root, shas))
            await still(hold, run_id)
            await asyncio.to_thread(self._discard, root)
            await still(hold, run_id)
            await asyncio.to_thread(lambda: ports.blobs.remove(shas, spare_since=spare))
            after = await asyncio.to_thread(self._size, root, shas)
            ports.forget(run_id)
            await ports.remains.finish(run_id, after=after, at=ports.now_ms(), lease=hold.lease)
        ports.forget(run_id)
        stone = await ports.remains.tombstone(run_id)
        return (stone.freed or 0) if stone is not None else 0

    def _discard(self, root: Path) -> None:
        try:
            self._ports.discard(root)
        except OSError as error:
            raise WfconsoleError(
                "INTERNAL", f"{root} cannot be removed: {error}", "look at its owner and at what is mounted in it"
            ) from error

    def _size(self, root: Path, shas: Sequence[str]) -> int:
        return disk_bytes(root) + self._ports.blobs.size(shas)

    async def _spare_since(self) -> int:
        """From when on a content may be somebody's who has not said so yet; to be asked before who refers to what.

        Without an open run that is now: a run that begins later stores what it refers to later, however long we sleep.
        """
        moment = await asyncio.to_thread(self._ports.blobs.moment)
        kept = await self._ports.remains.kept()
        return self._ports.now_ms() - GRACE_MS if any(run.status not in RUN_TERMINAL for run in kept) else moment

    async def _remove_containers(self, run_id: str, hold: Hold) -> None:
        """An engine that is away is asked only for runs that ever had a container, which is told by their folders."""
        if not self._ports.folder(run_id).root.joinpath("attempts").exists():
            return
        for container in await self._ports.containers.of(run_id):
            await still(hold, run_id)
            await self._ports.containers.remove(container)
        await still(hold, run_id)
        await self._ports.containers.wipe_run(run_id)

    async def _counts(self, run_id: str, notes: list[str]) -> dict[str, int]:
        found = dict(await self._ports.remains.counts(run_id))
        containers = 0
        if found.pop("attempts", 0):
            try:
                containers = len(await self._ports.containers.of(run_id))
            except WfconsoleError as error:
                notes.append(f"containers could not be counted: {error.message}")
        logs = await asyncio.to_thread(log_count, self._ports.folder(run_id).bundle / "logs")
        return {"runs": 1, **found, "logs": logs, "containers": containers}

    async def _record(self, run_id: str, actor: Actor, reason: str | None) -> None:
        """The first phase, under the run's lock: the run itself says whether it may go."""
        own = await self.measure([run_id])
        fact = DeleteRun(
            fact_id=f"delete:{uuid.uuid4().hex}",
            at=self._ports.now_ms(),
            actor=actor,
            counts=dict(own.counts),
            bytes=own.bytes,
            reason=reason,
        )
        try:
            answer = await self._ports.send(run_id, fact)
        except StoreConflictError:
            if await self._ports.remains.tombstone(run_id) is None:
                raise
            return  # somebody else deleted it at the same moment
        if answer.refusal is not None:
            raise WfconsoleError(answer.refusal.code, answer.refusal.reason, answer.refusal.hint)


async def still(hold: Hold, run_id: str) -> None:
    """Before anything of a run is removed. Raises OWNER_LOST when another process has it by now."""
    if not await hold.is_mine():
        raise WfconsoleError("OWNER_LOST", f"another process has taken run {run_id} over", "look again")


def successors_first(run_id: str, reused_by: Mapping[str, frozenset[str]], runs: Mapping[str, Kept]) -> list[str]:
    """The run and all that directly or indirectly reuse it, each before what it reuses."""
    order: list[str] = []
    stack = [(run_id, iter(sorted(reused_by.get(run_id, ()))))]
    seen = {run_id}
    while stack:
        current, children = stack[-1]
        child = next((one for one in children if one in runs and one not in seen), None)
        if child is None:
            stack.pop()
            order.append(current)
        else:
            seen.add(child)
            stack.append((child, iter(sorted(reused_by.get(child, ())))))
    return order


def _refuse_open(run: Kept) -> None:
    if run.status not in RUN_TERMINAL:
        raise WfconsoleError(
            "TRANSITION_REFUSED",
            f"run {run.run_id} is not over: {run.status}",
            f"wfconsole cancel {run.run_id}, then delete it",
        )


def _refuse_reused(run_id: str, by: Sequence[str]) -> None:
    raise WfconsoleError(
        "TRANSITION_REFUSED",
        f"run {run_id} cannot be deleted: {', '.join(by)} reuses what it left",
        "--cascade deletes these runs with it",
        {"reused_by": list(by)},
    )
