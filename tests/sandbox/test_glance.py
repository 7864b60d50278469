"""Inspections without the SDK: whatever answers, it is the object, Missing, or an OSError; never half an object."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wfconsole.sandbox.engine import Missing
from wfconsole.sandbox.glance import glance


@contextmanager
def answering(tmp_path: Path, *answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A socket at which each connection is given the next answer, then closed; and what was asked there."""
    path, asked = str(tmp_path / "s"), list[bytes]()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def give(connection: socket.socket, answer: bytes) -> None:
            with connection:
                connection.sendall(answer)

        def serve() -> None:
            givers = []
            for answer in answers:
                connection, _ = listener.accept()
                asked.append(connection.recv(65536))
                givers.append(threading.Thread(target=give, args=(connection, answer)))
                givers[-1].start()
            for giver in givers:
                giver.join(10)

        thread = threading.Thread(target=serve)
        thread.start()
        yield path, asked
        thread.join(10)


def ok(value: object) -> bytes:
    return b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + json.dumps(value).encode()


def test_two_are_asked_before_the_first_is_read(tmp_path: Path) -> None:
    large = {"Id": "x" * 300_000}
    with answering(tmp_path, ok(large), ok({"Id": "c"})) as (path, asked), glance(path, "1.41") as ask:
        image, container = ask.ask_image("wfconsole/x:latest"), ask.ask_container("abc")
        assert container() == {"Id": "c"}
        assert image() == large
    assert asked[0].startswith(b"GET /v1.41/images/wfconsole/x:latest/json HTTP/1.0\r\n")
    assert asked[1].startswith(b"GET /v1.41/containers/abc/json HTTP/1.0\r\n")


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    with (
        answering(tmp_path, b'HTTP/1.0 404 Not Found\r\n\r\n{"message":"no"}') as (path, _),
        glance(path, "1.41") as ask,
        pytest.raises(Missing),
    ):
        ask.image("x")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "no answer"),
        (b"SSH-2.0-hello\r\n\r\n", "no answer"),
        (b"HTTP/1.0 500 Internal\r\n\r\nbroken", "500 broken"),
        (ok({"Id": "abc"})[:-3], "half an answer"),
        (b"HTTP/1.0 200 OK\r\n\r\n", "half an answer"),
    ],
)
def test_anything_else_is_an_error_of_the_connection(tmp_path: Path, answer: bytes, told: str) -> None:
    with answering(tmp_path, answer) as (path, _), glance(path, "1.41") as ask, pytest.raises(OSError, match=told):
        ask.container("x")
