"""`ports.owning.Holds` by nothing but lock files: for engines whose store is in memory, where nobody can hang."""

from __future__ import annotations

from wfconsole.ports.owning import Lease
from wfconsole.store.locks import FileLock, FileLocks


class LockHold:
    """Held for as long as the lock is."""

    lease: Lease | None = None
    crashed: str | None = None
    lost = False

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    def moment(self) -> float:
        return 0.0

    def confirm(self, asked: float) -> None: ...

    async def is_mine(self) -> bool:
        return not self.lost

    async def release(self, setback: str | None = None) -> None:
        self._lock.release()


class LockHolds:
    """One lock file a run in `locks`; setbacks are not counted."""

    def __init__(self, locks: FileLocks) -> None:
        self._locks = locks

    async def acquire(self, run_id: str, *, listens: bool = False) -> LockHold | None:
        lock = self._locks.acquire(run_id)
        return None if lock is None else LockHold(lock)

    async def setbacks(self, run_id: str) -> tuple[int, str | None]:
        return 0, None
