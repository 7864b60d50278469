"""The worker: drives whatever nobody drives, so that a decision from any shell takes effect.

Looks at the runs that are not over and takes each that has no living owner. Runs that wait for a person are kept, so
that decisions reach them at once and deadlines fall due; a worker that ends when idle lets those go. Refuses to know
how a run is driven.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from wfconsole.ports import RunFilter, RunRow, Store, WfconsoleError

LOOK_S = 0.1
MOVABLE = ("pending", "running", "awaiting_approval")

Drive = Callable[[str], Awaitable[object]]
Say = Callable[[str], None]
NotLetGo = Callable[[], Awaitable[Sequence[str]]]


class Worker:
    """`drive` takes a run as far as it goes without a person; OWNER_LOST when another process has it.

    `not_let_go` tells of runs that are over and whose owner may have died before it cleaned up after them.
    """

    def __init__(self, store: Store, drive: Drive, say: Say, not_let_go: NotLetGo | None = None) -> None:
        self._not_let_go = not_let_go
        self._store = store
        self._drive = drive
        self._say = say
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._left: dict[str, int] = {}
        self._aside: set[str] = set()

    async def run(self, *, until_idle: bool) -> None:
        """For ever, or until nothing is left that goes on without a person. Raises what the store raises."""
        try:
            while True:
                started = await self._look(until_idle=until_idle)
                if until_idle and not started and not self._tasks:
                    return
                await self._pause()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _look(self, *, until_idle: bool) -> bool:
        started = False
        for row in await self._store.runs(RunFilter(statuses=MOVABLE)):
            if row.run_id not in self._tasks and await self._can_move(row):
                self._tasks[row.run_id] = asyncio.create_task(self._take(row.run_id, again=not until_idle))
                started = True
        for run_id in await self._not_let_go() if self._not_let_go is not None else ():
            if run_id not in self._tasks:
                self._tasks[run_id] = asyncio.create_task(self._clean_up(run_id))
        return started

    async def _clean_up(self, run_id: str) -> None:
        """A dead owner's run that is over: its containers go, its bundle is written. One that lives does that itself."""
        try:
            await self._drive(run_id)
        except WfconsoleError as error:
            if error.code not in {"OWNER_LOST", "RUN_QUARANTINED"}:
                self._say(f"{run_id}: {error.code}: {error.message}")
        finally:
            self._tasks.pop(run_id, None)

    async def _can_move(self, row: RunRow) -> bool:
        """Has anything happened since this run was last let go?"""
        if self._left.get(row.run_id) != row.seq:
            return True
        return bool(await self._store.pending(row.run_id))

    async def _take(self, run_id: str, *, again: bool) -> None:
        """With `again` a run that another process drives is asked for at every look: its owner can die without a trace."""
        try:
            if await self._went(run_id) or not again:
                self._left[run_id] = len(await self._store.load(run_id))
        finally:
            self._tasks.pop(run_id, None)

    async def _went(self, run_id: str) -> bool:
        """Drive the run; False when it is another's, or is to be tried again."""
        try:
            await self._drive(run_id)
        except WfconsoleError as error:
            if error.code == "OWNER_LOST":
                return False
            if error.code == "RUN_QUARANTINED":
                if run_id in self._aside:
                    return False
                self._aside.add(run_id)
            self._say(f"{run_id}: {error.code}: {error.message}")
        except Exception as error:  # noqa: BLE001 - a bug met in one run leaves the others alone
            self._say(f"{run_id}: INTERNAL: {type(error).__name__}: {error}")
        else:
            self._aside.discard(run_id)
            self._say(f"{run_id} let go")
        return True

    async def _pause(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(LOOK_S)
