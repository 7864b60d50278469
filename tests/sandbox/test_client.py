"""Connections that fail leave no socket behind, not even while the error and its traceback are still held."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from docker.errors import DockerException

from tests.fakes.images import ensure_busybox_test
from wfconsole.sandbox.client import LocalClient

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
Say = Callable[[socket.socket], None]


def sockets() -> list[str]:
    links = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            links.append(os.readlink(f"/proc/self/fd/{number}"))
    return sorted(link for link in links if link.startswith("socket:"))


def client(path: Path, timeout: float = 1) -> LocalClient:
    return LocalClient(base_url=f"unix://{path}", version="auto", timeout=timeout)


def test_a_connect_that_is_refused_leaves_no_socket(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(tmp_path / "dead.sock"))
    before = sockets()
    with pytest.raises(DockerException) as caught:
        client(tmp_path / "dead.sock")
    assert "Connection refused" in str(caught.value)
    assert sockets() == before


def test_a_connect_that_times_out_leaves_no_socket(tmp_path: Path) -> None:
    """A full backlog: the kernel keeps the connect waiting."""
    path = tmp_path / "full.sock"
    with closing(socket.socket(socket.AF_UNIX)) as server, closing(socket.socket(socket.AF_UNIX)) as queued:
        server.bind(str(path))
        server.listen(0)
        queued.connect(str(path))
        before = sockets()
        with pytest.raises(DockerException):
            client(path, timeout=0.2)
        assert sockets() == before


@contextmanager
def engine(path: Path, say: Say) -> Iterator[None]:
    """Takes one connection and holds its end until the block is left."""
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(path))
        server.listen(1)
        thread = threading.Thread(target=_serve, args=(server, say))
        thread.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _serve(server: socket.socket, say: Say) -> None:
    taken, _ = server.accept()
    with taken:
        taken.recv(65536)
        say(taken)
        while taken.recv(65536):  # until the other side hangs up
            pass


@pytest.mark.parametrize(
    "say",
    [
        pytest.param(lambda taken: taken.sendall(ANSWER % (2, b"{}")), id="no version"),
        pytest.param(lambda taken: taken.sendall(b"HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n"), id="refusal"),
        pytest.param(lambda taken: taken.sendall(b"nonsense\r\n\r\n"), id="no HTTP"),
        pytest.param(lambda taken: taken.sendall(ANSWER % (90, b"{")), id="half an answer"),
        pytest.param(lambda taken: None, id="silence"),
    ],
)
def test_an_engine_that_answers_wrongly_leaves_no_socket(tmp_path: Path, say: Say) -> None:
    """The server sees the hang-up although error and traceback are alive: its thread ends."""
    path = tmp_path / "odd.sock"
    hung_up = threading.Event()

    def then_notice(taken: socket.socket) -> None:
        say(taken)
        while taken.recv(65536):
            pass
        hung_up.set()

    with engine(path, then_notice):
        with pytest.raises((DockerException, OSError)) as caught:
            client(path)
        assert hung_up.wait(10), caught


@pytest.mark.engine
def test_it_asks_a_real_engine_and_closes(busybox_test: Any) -> None:
    before = sockets()
    real = client(Path("/var/run/docker.sock"))
    assert ensure_busybox_test(real).startswith("sha256:")
    assert len(sockets()) == len(before) + 1
    real.close()
    assert sockets() == before
