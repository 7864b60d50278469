"""Running one tool: the only place that starts processes.

Owns process groups, time limits and the environment that a tool sees. It refuses to judge exit codes. The one decision
that would surprise: a tool's output goes to a file and only its end is read back, so a test suite that prints a
gigabyte costs disk and no memory; and whatever a tool left running is killed when it ends.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_TAIL_BYTES = 64 * 1024
_PRIVATE = ("WFCONSOLE_OUTPUT",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a process ended. `exit_code` is negative for a signal, None when the time limit struck; times in seconds."""

    exit_code: int | None
    output: str
    seconds: float
    cpu_seconds: float

    @property
    def timed_out(self) -> bool:
        """Whether the time limit ended it."""
        return self.exit_code is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Where one check works: the repository as given, a folder that is thrown away, and seconds to live."""

    workspace: Path
    scratch: Path
    limit_s: float = 480.0

    def folder(self, name: str) -> Path:
        """Return an existing folder in the scratch space."""
        path = self.scratch / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def out(self) -> Path:
        """The folder whose files become artifacts."""
        return self.folder("out")


def module(name: str) -> list[str]:
    """Return the argv that runs a tool without letting the repository near its imports."""
    return [sys.executable, "-I", "-m", name]


def run(room: Room, argv: list[str], *, cwd: Path, env: dict[str, str] | None = None) -> Ran:
    """Run `argv` to its end or the time limit; stdout and stderr come back as one text, its last 64 KiB."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with (room.folder("logs") / f"{time.monotonic_ns()}.log").open("w+b") as log:
        process = subprocess.Popen(
            argv, cwd=cwd, env=_environment(room, env or {}), stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        exit_code = _wait(process, room.limit_s)
        output = _tail(log)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Ran(
        exit_code=exit_code,
        output=output,
        seconds=time.monotonic() - started,
        cpu_seconds=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    )


def _wait(process: subprocess.Popen[bytes], limit_s: float) -> int | None:
    try:
        return process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment(room: Room, extra: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _PRIVATE and name != "PYTHONPATH"}
    return kept | {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
        "TMPDIR": str(room.folder("tmp")),
        "NO_COLOR": "1",
    } | extra  # fmt: skip


def _tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _TAIL_BYTES))
    return log.read().decode("utf-8", errors="replace")
