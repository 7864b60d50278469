"""Who waits for which run: wakes watchers of this process at once, and lets them look for other processes' commits.

Owns no data: a watcher always reads the journal itself, so a lost or a double wake-up cannot lose or repeat a record.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

from wfconsole.ports import WfconsoleError
from wfconsole.store import statements as sql
from wfconsole.store.reader import Reader, Row

POLL_SECONDS = 0.1


class Bell:
    """Rung by the writer with the runs that a transaction changed; from any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}

    def ring(self, run_ids: set[str]) -> None:
        with self._guard:
            waiting = [pair for run_id in run_ids for pair in self._waiting.get(run_id, ())]
        for loop, event in waiting:
            with suppress(RuntimeError):  # the watcher's loop was closed meanwhile
                loop.call_soon_threadsafe(event.set)

    def ring_all(self) -> None:
        with self._guard:
            run_ids = set(self._waiting)
        self.ring(run_ids)

    @contextmanager
    def listening(self, run_id: str) -> Iterator[asyncio.Event]:
        pair = (asyncio.get_running_loop(), asyncio.Event())
        with self._guard:
            self._waiting.setdefault(run_id, set()).add(pair)
        try:
            yield pair[1]
        finally:
            with self._guard:
                self._waiting[run_id].discard(pair)
                if not self._waiting[run_id]:
                    del self._waiting[run_id]


async def bodies_after(reader: Reader, bell: Bell, run_id: str, after_seq: int) -> AsyncIterator[list[Row]]:
    """Journal rows (body,) after `after_seq`, a batch whenever there are new ones; ends when the reader is closed."""
    seen = after_seq
    with bell.listening(run_id) as woken:
        while not reader.is_closed():
            woken.clear()
            try:
                version = await reader.value(sql.DATA_VERSION)
                rows = await reader.rows(sql.BODIES, (run_id, seen))
                if not rows:
                    await _something_new(reader, woken, version)
            except WfconsoleError:
                if reader.is_closed():
                    return
                raise
            if rows:
                seen += len(rows)
                yield rows


async def _something_new(reader: Reader, woken: asyncio.Event, version: int) -> None:
    while not woken.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await woken.wait()
            return
        reader.check_file()
        if await reader.value(sql.DATA_VERSION) != version:
            return
