"""A whole process that drives runs: real store, real leases, a sandbox on disk; it can be told where to kill or to stop itself.

    python -m tests.crash.owner FOLDER [--at POINT] [--nth N] [--signal KILL|STOP] [--ttl S] [--work S] [--drive RUN]

Says on stdout what its worker says, on stderr what it found of runs that it took over.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.crash.disk import DiskSandbox
from tests.engine.rig import Rig, admit, evaluate
from wfconsole.control.office import Office, OfficePorts
from wfconsole.control.starting import StartPorts
from wfconsole.domain.plan import Plan
from wfconsole.engine.clock import SystemClock
from wfconsole.engine.succession import with_successor
from wfconsole.engine.supervisor import Supervisor
from wfconsole.engine.worker import Worker
from wfconsole.store import database
from wfconsole.store.artifacts import DiskArtifacts
from wfconsole.store.leases import Leases
from wfconsole.store.locks import FileLocks
from wfconsole.store.sqlite import SqliteStore


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def put(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Until another process has made it so."""
    while not await holds():  # noqa: ASYNC110  what another process does sets no event here
        await asyncio.sleep(0.01)


class DiskRig(Rig):
    """A rig over a state folder that other processes use too."""

    store: SqliteStore  # type: ignore[assignment]
    leases: Leases

    def __init__(
        self, tmp: Path, *, ttl_s: float = 15.0, work_s: float = 0.02, tell: Callable[[str], None] = say
    ) -> None:
        super().__init__(tmp)
        self.clock = SystemClock()  # type: ignore[assignment]
        self.store = SqliteStore.open(tmp)
        self.disk = self.sandbox = DiskSandbox(tmp / "engine", work_s=work_s)  # type: ignore[assignment]
        self.leases = Leases(self.store, FileLocks(tmp / "locks"), tmp / "owners", ttl_s=ttl_s)
        self.supervisor = Supervisor(f"{os.getpid()}", self.leases, self.ports, None, tell)
        self.leases.on_hint(self.supervisor.nudge)

    def office(self) -> Office:
        """The door to the same folder."""
        start = StartPorts(
            store=self.store, workspaces=self.workspaces, clock=self.clock, folder=self.folder,
            compile=lambda _name: None, evaluate_with=lambda _files: evaluate,  # type: ignore[arg-type,return-value]
        )  # fmt: skip

        async def seal(_run_id: str) -> None: ...

        ports = OfficePorts(
            start=start,
            artifacts=DiskArtifacts(self.tmp / "artifacts"),
            driving=self.supervisor,
            acquire=self.leases.acquire,
            evaluate_of=lambda _run_id: evaluate,
            seal=seal,
            admit=admit,
            close=self.close,
            complete=lambda commit: with_successor(self.store, commit),
            hint=self.leases.hint,
            lift=self.leases.lift,
        )
        return Office(ports)

    def worker(self, tell: Callable[[str], None] = put) -> Worker:
        return Worker(
            self.store, lambda run_id: self.supervisor.drive(run_id, until_waiting=True), tell, self.leases.not_let_go
        )

    async def close(self) -> None:
        await self.leases.close()
        await self.store.close()


@asynccontextmanager
async def opened(tmp: Path, *, ttl_s: float = 15.0, work_s: float = 0.02) -> AsyncIterator[DiskRig]:
    """A rig in this process, closed at the end."""
    rig = DiskRig(tmp, ttl_s=ttl_s, work_s=work_s)
    try:
        yield rig
    finally:
        await rig.close()


async def finish(tmp: Path, *, ttl_s: float = 15.0, work_s: float = 0.02) -> None:
    """Drive everything as far as it goes without a person."""
    async with opened(tmp, ttl_s=ttl_s, work_s=work_s) as rig:
        await rig.worker(lambda _text: None).run(until_idle=True)


def create(tmp: Path, made: Plan, run_id: str = "run-1", **more: Any) -> None:
    """A run that nobody has driven yet."""

    async def work() -> None:
        async with opened(tmp) as rig:
            await rig.create(made, run_id=run_id, **more)

    asyncio.run(work())


_HANG = """
import os, signal, sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
store.execute("BEGIN IMMEDIATE")
os.kill(os.getppid(), signal.SIGSTOP)
store.execute("ROLLBACK")
"""


def hang(path: Path) -> None:
    """Stop this process between two transactions: inside one it would keep the file's lock for as long as it sleeps."""
    subprocess.run([sys.executable, "-c", _HANG, str(path)], check=True)


async def _run(options: argparse.Namespace) -> None:
    async with opened(options.folder, ttl_s=options.ttl, work_s=options.work) as rig:
        left = [options.nth]

        def die(point: str, _subject: str) -> None:
            if point == options.at:
                left[0] -= 1
                if left[0] == 0:
                    put(point)
                    if options.signal == "STOP":
                        hang(options.folder / database.NAME)
                    else:
                        os.kill(os.getpid(), signal.Signals[f"SIG{options.signal}"])

        rig.signals.arm(die)
        if options.drive is not None:
            await rig.supervisor.drive(options.drive)
        else:
            await rig.worker(put).run(until_idle=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--at")
    parser.add_argument("--nth", type=int, default=1)
    parser.add_argument("--signal", default="KILL")
    parser.add_argument("--ttl", type=float, default=15.0)
    parser.add_argument("--work", type=float, default=0.02)
    parser.add_argument("--drive")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
