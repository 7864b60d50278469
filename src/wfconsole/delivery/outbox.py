"""The outbox of one step: what is to be sent, who sends it, and what became of it, as files that outlive every process.

Owns the names of the files, their order on disk and the lock. Refuses to know SMTP and wfconsole: the sending program imports
this and the standard library. The decision that would surprise: the lock is taken before the sender is started and inherited
by it, so from the claim to the sender's end there is no moment at which a second sender could begin.

- ``message.eml``, ``request.json``: on disk before a sender starts.
- ``sender.json``: its process id, valid for as long as the lock is held.
- ``transmitting``: written right before the end mark of the message; without it the server cannot have taken the message.
- ``accepted``, ``refused``: the server's answer, or why there is none.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MESSAGE, REQUEST, SENDER = "message.eml", "request.json", "sender.json"
TRANSMITTING, ACCEPTED, REFUSED = "transmitting", "accepted", "refused"


@dataclass(frozen=True, slots=True)
class Outbox:
    """One folder; every method is blocking and short."""

    folder: Path

    def lock(self) -> int | None:
        """A descriptor that holds the outbox, also in processes that inherit it; None while somebody else has it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def put(self, name: str, data: bytes) -> None:
        """Whole or not at all, and on disk when this returns."""
        partial = self.folder / f".{name}.partial"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(descriptor)
        partial.replace(self.folder / name)
        self._settle()

    def note(self, name: str, **values: Any) -> None:
        self.put(name, json.dumps(values, sort_keys=True).encode())

    def read(self, name: str) -> dict[str, Any] | None:
        """What was noted, or None."""
        try:
            found: dict[str, Any] = json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            return None
        return found

    def clear(self, *names: str) -> None:
        for name in names:
            (self.folder / name).unlink(missing_ok=True)
        self._settle()

    def _settle(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
