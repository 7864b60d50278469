"""Hints between processes: a datagram that names a run whose inbox has something. The database stays the truth.

Owns one socket a process. Refuses to promise anything: a hint that is lost costs the time until the next look, one too many a
look. Sockets are bound through a descriptor of their folder, since a path of one may have 107 bytes only.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MAX_BYTES = 512
MAX_A_TURN = 256
"""How many are read at once: whoever floods the socket must not hold the loop."""


class Hearing:
    """The hints that come to this process; `place` is the name of its socket, None before `open`."""

    def __init__(self, folder: Path, owner: str) -> None:
        self.listener: Callable[[str], None] | None = None
        self.place: str | None = None
        self._folder = folder
        self._owner = owner
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> str | None:
        """Listen on this loop; the socket's name, or None where none can be had: then only the inbox is looked at."""
        if self._socket is not None or self.listener is None:
            return self.place
        hearing = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        name = f"{self._owner}.sock"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _reachable(self._folder) as folder:
                hearing.bind(f"{folder}/{name}")
        except OSError:
            hearing.close()
            return None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(hearing.fileno(), self._hear)
        self._socket, self.place = hearing, name
        return name

    def send(self, place: str, run_id: str) -> None:
        """Tell the process that listens at `place`; whether it hears is not known."""
        sending = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        with sending, suppress(OSError), _reachable(self._folder) as folder:
            sending.sendto(run_id.encode()[:MAX_BYTES], f"{folder}/{Path(place).name}")

    def close(self) -> None:
        """Idempotent."""
        if self._socket is not None:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            (self._folder / f"{self._owner}.sock").unlink(missing_ok=True)
            self._socket = self.place = None

    def _hear(self) -> None:
        for _ in range(MAX_A_TURN):
            try:
                data = self._socket.recv(MAX_BYTES) if self._socket is not None else b""
            except OSError:
                return
            if self.listener is not None and data:
                self.listener(data.decode("utf-8", "replace"))


@contextmanager
def _reachable(folder: Path) -> Iterator[str]:
    """A short path to `folder`, for as long as the context is open."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
