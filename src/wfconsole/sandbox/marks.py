"""Marks that are made once and for good: `go` (begin, or void) and `stop` (why we ended it).

They lie in the attempt's `in` folder, which the container can only read. A mark is a finished file that link(2) gives its
name: whoever comes second learns what the first one said, and no crash leaves half a mark. Refuses to know containers.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

GO = "go"
STOP = "stop"
WAKE = "wake"
BEGIN = "go"
VOID = "void"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """`at` is milliseconds since the epoch; `ticks` milliseconds since boot, which no clock step moves."""

    word: str
    at: int
    ticks: int


def now_ms() -> int:
    """Wall time, milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def ticks_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def make(folder: Path, name: str, word: str) -> Mark:
    """Make the mark, or read the one that is there. FileNotFoundError when the folder is gone."""
    fresh = Mark(word=word, at=now_ms(), ticks=ticks_ms())
    draft = folder / f".{name}.{os.getpid()}.{time.monotonic_ns()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    try:
        os.write(descriptor, f"{fresh.word} {fresh.at} {fresh.ticks}\n".encode())
        os.fchmod(descriptor, 0o444)
        os.fsync(descriptor)
        os.link(draft, folder / name)
    except FileExistsError:
        return read(folder, name) or fresh
    finally:
        os.close(descriptor)
        draft.unlink(missing_ok=True)
    return fresh


def read(folder: Path, name: str) -> Mark | None:
    try:
        word, at, ticks = (folder / name).read_text("ascii").split()
    except FileNotFoundError:
        return None
    return Mark(word=word, at=int(at), ticks=int(ticks))


def wake(folder: Path) -> None:
    """Let the runner look at the marks. A runner that has not opened the FIFO yet looks at them when it does."""
    with suppress(OSError):
        descriptor = os.open(folder / WAKE, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"\n")
        finally:
            os.close(descriptor)
