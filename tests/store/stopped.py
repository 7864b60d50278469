"""Processes that have the write lock of a store: an owner that stops itself inside a transaction, and others that are nobody's.

    python -m tests.store.stopped FOLDER --nth N --ttl S

drives `run-1` in FOLDER and stops itself at the COMMIT of its Nth transaction that adds to the journal.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.crash.owner import opened, put

ROOT = Path(__file__).parents[2]
INSIDE = "inside"

HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
sys.stdin.readline()
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""


def await_stop(process: subprocess.Popen[str]) -> None:
    """Until that child of ours is stopped, and not only told to be."""
    found = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    assert found is not None
    assert found.si_code == os.CLD_STOPPED


@contextmanager
def holding(
    path: Path, *, stopped: bool, before: Callable[[int], None] = lambda _pid: None
) -> Iterator[subprocess.Popen[str]]:
    """A process inside BEGIN IMMEDIATE that drives nothing; `before` is given its pid when it has not begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        before(process.pid)
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "held\n"
        if stopped:
            process.send_signal(signal.SIGSTOP)
            await_stop(process)
        yield process
    finally:
        process.kill()
        process.stdout.close()
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()


@contextmanager
def owner_inside(folder: Path, *, nth: int, ttl_s: float) -> Iterator[subprocess.Popen[str]]:
    """An owner of `run-1` that has stopped inside a transaction."""
    argv = [sys.executable, "-m", "tests.store.stopped", str(folder), "--nth", str(nth), "--ttl", str(ttl_s)]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{INSIDE}\n"
        await_stop(process)
        yield process
    finally:
        process.kill()
        process.communicate()


async def _drive(options: argparse.Namespace) -> None:
    async with opened(options.folder, ttl_s=options.ttl) as rig:
        writing, written = [False], [0]

        def look(statement: str) -> None:
            writing[0] = writing[0] or statement.startswith("INSERT INTO journal")
            if statement == "COMMIT":
                written[0] += writing[0]
                if writing[0] and written[0] == options.nth:
                    put(INSIDE)
                    os.kill(os.getpid(), signal.SIGSTOP)
                writing[0] = False

        rig.store._writer._db.set_trace_callback(look)
        await rig.supervisor.drive("run-1")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nth", type=int, required=True)
    parser.add_argument("--ttl", type=float, required=True)
    asyncio.run(_drive(parser.parse_args()))
