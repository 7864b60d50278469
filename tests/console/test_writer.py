"""What is written to a terminal: in order, never waited for, left out when nobody reads, given up when it is gone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from wfconsole.console.terminal import BEHIND, Writer


class Pipe:
    """The writer's terminal, read by the test; `lost` and `caught_up` say what the writer told."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.lost, self.caught_up = threading.Event(), threading.Event()
        self.writer = Writer(self.writing, self.lost.set, self.caught_up.set)
        self.writer.start()

    def read(self, wanted: bytes) -> bytes:
        """Everything up to where it ends with this."""
        found = b""
        while not found.endswith(wanted):
            found += os.read(self.reading, 65536)
        return found

    def hang_up(self) -> None:
        os.close(self.reading)
        self.reading = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    if made.reading >= 0:
        made.hang_up()
    made.writer.close(5)
    os.close(made.writing)


def test_everything_comes_in_order_and_the_end_waits_for_it(pipe: Pipe) -> None:
    for number in range(100):
        pipe.writer.write(f"{number},")
    assert pipe.writer.close(5)
    os.set_blocking(pipe.reading, False)
    assert os.read(pipe.reading, 65536) == b"".join(b"%d," % number for number in range(100))


def test_a_terminal_that_is_not_read_costs_pictures_and_nothing_else(pipe: Pipe) -> None:
    picture = "x" * 10_000
    for _ in range(200):  # 2 MB at once, and nobody waits
        pipe.writer.write(picture)
    pipe.writer.write("\x1b]2;kept\x07")
    pipe.writer.write(picture)
    found = pipe.read(b"\x1b]2;kept\x07")
    assert len(found) < BEHIND * 3
    assert pipe.caught_up.wait(5)
    pipe.writer.write("whole")
    assert pipe.read(b"whole") == b"whole"
    assert not pipe.lost.is_set()


def test_what_gives_the_terminal_back_is_never_left_out(pipe: Pipe) -> None:
    for _ in range(200):
        pipe.writer.write("x" * 10_000)
    pipe.writer.leaving()
    pipe.writer.write("\x1b[?1049l")
    assert pipe.read(b"\x1b[?1049l").endswith(b"x\x1b[?1049l")


def test_a_terminal_that_is_gone_is_told_once_and_takes_no_more(pipe: Pipe) -> None:
    pipe.hang_up()
    pipe.writer.write("x")
    assert pipe.lost.wait(5)
    pipe.writer.write("y" * 100_000)
    assert pipe.writer.close(5)


def test_leaving_a_terminal_that_is_not_read_does_not_wait_for_ever(pipe: Pipe) -> None:
    pipe.writer.write("x" * 1_000_000)
    assert not pipe.writer.close(0.05)
