"""Several inspections at once, without the SDK's session: a fifth of its time, on the path of every attempt.

Owns nothing but the asking: each question has a connection of its own, so that the engine works on all of them together. Refuses
everything that changes something. What would surprise: HTTP/1.0, where an answer simply lasts until the engine closes the
connection; one that was cut off is no JSON, and like every answer that is none of the engine's an OSError, which
`engine.Engine.call` translates.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from wfconsole.sandbox import engine as engine_module
from wfconsole.sandbox.engine import Missing

Answer = Callable[[], dict[str, Any]]
"""Waits for what was asked. Raises Missing."""
CHUNK = 65536
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


class Glance:
    """Questions to the engine; `version` is the API's, like ``1.41``. Its connections are closed by `glance`."""

    def __init__(self, socket_path: str, version: str, connections: ExitStack) -> None:
        self._socket_path = socket_path
        self._version = version
        self._connections = connections

    def image(self, reference: str) -> dict[str, Any]:
        """Raises Missing."""
        return self.ask_image(reference)()

    def container(self, reference: str) -> dict[str, Any]:
        """Raises Missing."""
        return self.ask_container(reference)()

    def ask_image(self, reference: str) -> Answer:
        return self._ask(f"images/{reference}/json")

    def ask_container(self, reference: str) -> Answer:
        return self._ask(f"containers/{reference}/json")

    def _ask(self, path: str) -> Answer:
        connection = self._connections.enter_context(socket.socket(socket.AF_UNIX))
        connection.settimeout(engine_module.CALL_S)
        connection.connect(self._socket_path)
        connection.sendall(f"GET /v{self._version}/{path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        return lambda: _answer(connection, path)


def _answer(connection: socket.socket, path: str) -> dict[str, Any]:
    data = b"".join(iter(lambda: connection.recv(CHUNK), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    status = _STATUS.match(head)
    if status is None:
        raise OSError(f"no answer to GET {path}: {data[:100]!r}")
    if status[1] == b"404":
        raise Missing(path)
    if status[1] != b"200":
        raise OSError(f"GET {path}: {status[1].decode()} {body[:200].decode('utf-8', 'replace')}")
    try:
        found: dict[str, Any] = json.loads(body)
    except ValueError as error:
        raise OSError(f"half an answer to GET {path}: {error}") from error
    return found


@contextmanager
def glance(socket_path: str, version: str) -> Iterator[Glance]:
    """A few questions."""
    with ExitStack() as connections:
        yield Glance(socket_path, version, connections)
