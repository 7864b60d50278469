"""The streams that run on the engine's loop: the run list, one run, the inbox, the newest events.

Owns when a picture is made anew: only after something was committed, and no oftener than a person can follow. Refuses to know
widgets. A stream ends when its subscriber stops it, never by itself: a run that is over can still be retried or decided late.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from wfconsole.console.model import Inbox, RunList, listed
from wfconsole.console.run_feed import one_run as one_run  # noqa: PLC0414 - a feed like the others for who asks
from wfconsole.control.door import Door
from wfconsole.domain.events import Record
from wfconsole.domain.plan import Json
from wfconsole.ports import RunFilter
from wfconsole.views.inbox import inbox
from wfconsole.views.run_view import run_view

POLL_SECONDS = 0.25
_MAY_WAIT = ("running", "paused", "awaiting_approval")


async def run_list(door: Door, limit: int) -> AsyncIterator[RunList]:
    """The newest `limit` runs, anew after every commit of any process."""
    async for _ in _commits(door):
        yield listed(await door.store.runs(RunFilter(limit=limit)), limit)


async def newest_events(door: Door, limit: int) -> AsyncIterator[tuple[tuple[str, Record], ...]]:
    """The newest `limit` events over all runs, oldest first, anew after every commit of any process."""
    async for _ in _commits(door):
        yield tuple(reversed(await door.store.newest(limit)))


async def waiting(door: Door) -> AsyncIterator[Inbox]:
    """What waits for a person, anew after every commit of any process. A run is read again only when its journal grew."""
    known: dict[str, tuple[int, Mapping[str, Json]]] = {}
    async for _ in _commits(door):
        rows = [
            row
            for row in await door.store.runs(RunFilter(statuses=_MAY_WAIT))
            if row.status != "running" or _asks(row.view)
        ]
        fresh: dict[str, tuple[int, Mapping[str, Json]]] = {}
        for row in rows:
            before = known.get(row.run_id)
            if before is not None and before[0] == row.seq:
                fresh[row.run_id] = before
            else:
                fresh[row.run_id] = row.seq, await asyncio.to_thread(run_view, await door.store.load(row.run_id))
        known = fresh
        yield Inbox(entries=tuple(inbox([view for _, view in known.values()])))


def _asks(view: object) -> bool:
    return bool(isinstance(view, dict) and view.get("waiting_for"))


async def _commits(door: Door) -> AsyncIterator[None]:
    """Once at first, then after commits; several within the poll count as one."""
    seen: int | None = None
    while True:
        version = await door.store.version()
        if version != seen:
            seen = version
            yield
        await asyncio.sleep(POLL_SECONDS)
