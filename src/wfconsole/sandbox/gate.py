"""The gate of starts, stops and removals: two a core, shared by all processes of the account.

Engines of some versions deadlock when some twenty starts and removals overlap; the gate costs no throughput. Slots are
flocks in a folder named by the engine's id, so a process that dies gives its slot back by itself. Refuses to know who
passes.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from wfconsole.ports import WfconsoleError

PER_CORE = 2
LONGEST_S = 120.0


class Gate:
    """``async with gate.slot(engine_id)``; waits for a free slot, SANDBOX_UNAVAILABLE after two minutes."""

    def __init__(self, folder: Path, *, slots: int | None = None, longest: float = LONGEST_S) -> None:
        self._folder = folder
        self._slots = slots or PER_CORE * (os.cpu_count() or 1)
        self._longest = longest

    @asynccontextmanager
    async def slot(self, engine_id: str) -> AsyncIterator[None]:
        folder = self._folder / re.sub(r"[^A-Za-z0-9]", "-", engine_id)
        folder.mkdir(parents=True, exist_ok=True)
        held = await self._acquire(folder)
        try:
            yield
        finally:
            os.close(held)  # which unlocks

    async def _acquire(self, folder: Path) -> int:
        until = time.monotonic() + self._longest
        while True:
            for number in range(self._slots):
                held = _try_lock(folder / f"slot-{number}")
                if held is not None:
                    return held
            if time.monotonic() > until:
                raise WfconsoleError(
                    "SANDBOX_UNAVAILABLE",
                    f"no free slot to start or stop a container within {self._longest:.0f} s",
                    f"another process holds all of {folder}: see `fuser` of its files",
                )
            await asyncio.sleep(random.uniform(0.005, 0.025))  # noqa: S311  # jitter, no secret


def _try_lock(path: Path) -> int | None:
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return None
    except BaseException:
        os.close(held)
        raise
    return held
