"""Threads for calls that block: daemon threads made when needed, reused when idle.

Refuses to know what is called. Not `concurrent.futures`: its threads are joined at exit, so one call that waits for a
container would hold the whole process after a second Ctrl-C.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")
IDLE_S = 30.0


class Threads:
    """Runs blocking functions; at most `limit` at once, the rest wait in order."""

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._busy = 0

    async def call(self, function: Callable[[], T], *, deadline: float) -> T:
        """The function's result or its exception; TimeoutError after `deadline` seconds (the thread is left to itself)."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def job() -> None:
            try:
                result = function()
            except Exception as error:  # noqa: BLE001  # it is raised where the call is awaited
                _tell(loop, future, error=error)
            else:
                _tell(loop, future, result=result)

        self._submit(job)
        return await asyncio.wait_for(future, deadline)

    def _submit(self, job: Callable[[], None]) -> None:
        with self._lock:
            self._busy += 1
            grow = self._busy > self._threads and self._threads < self._limit
            self._threads += grow
            self._jobs.put(job)
        if grow:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=IDLE_S)
            except Empty:
                with self._lock:
                    if self._jobs.empty():
                        self._threads -= 1
                        return
                continue
            job()
            with self._lock:
                self._busy -= 1


def _tell(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[T],
    *,
    result: T | None = None,
    error: Exception | None = None,
) -> None:
    def settle() -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # None only where T allows it

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:
        return  # the loop is closed: nobody waits for this any more
