"""Locks that say whether a run has a living owner: one flock a run, freed by the kernel with its process.

Refuses to know what owning means. Works on one host and a local file system, which is all that a store without a server promises.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class FileLock:
    """A held lock; the file stays, only the lock goes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Idempotent."""
        if self._descriptor is not None:
            # A child that is being forked holds the descriptor, too, until its exec: closing ours alone would not free the lock.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None


class FileLocks:
    """Locks in `folder`, one file a run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def acquire(self, run_id: str) -> FileLock | None:
        """The lock, or None when somebody holds it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._folder / f"{run_id}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return FileLock(descriptor)
