"""A whole process that drives runs: real store, real leases, a sandbox on disk; it can be told where to kill or to stop itself.

    python -m tests.crash.owner FOLDER [--at POINT] [--nth N] [--signal KILL|STOP] [--ttl S] [--work S] [--drive RUN]
        [--smtp PORT [--letter S]] [--keep]

Says on stdout what its worker says, on stderr what it found of runs that it took over.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.crash.disk import DiskSandbox
from tests.engine.rig import Rig, admit, evaluate
from wfconsole.control.office import Office, OfficePorts
from wfconsole.control.starting import StartPorts
from wfconsole.delivery.mailer import SmtpMailer
from wfconsole.domain.plan import Plan
from wfconsole.engine.before import Anew
from wfconsole.engine.bundle import sealer
from wfconsole.engine.clock import SystemClock
from wfconsole.engine.effects import effect_runner
from wfconsole.engine.local import LocalPorts
from wfconsole.engine.quarantine import setter_aside
from wfconsole.engine.succession import with_successor
from wfconsole.engine.supervisor import Supervisor
from wfconsole.engine.worker import Worker
from wfconsole.ports.delivery import SmtpConnection
from wfconsole.steps.email import EmailPorts
from wfconsole.store import database
from wfconsole.store.artifacts import DiskArtifacts
from wfconsole.store.leases import Leases
from wfconsole.store.locks import FileLocks
from wfconsole.store.sqlite import SqliteStore
from wfconsole.views.run_view import run_view
from wfconsole.workspace.before import GitBefore
from wfconsole.workspace.collect import FileCollector


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
        self,
        tmp: Path,
        *,
        ttl_s: float = 15.0,
        work_s: float = 0.02,
        tell: Callable[[str], None] = say,
        smtp: int | None = None,
    ) -> None:
        super().__init__(tmp)
        self.clock = SystemClock()  # type: ignore[assignment]
        self.store = SqliteStore.open(tmp)
        self.disk = self.sandbox = DiskSandbox(tmp / "engine", work_s=work_s)  # type: ignore[assignment]
        self.leases = Leases(self.store, FileLocks(tmp / "locks"), tmp / "owners", ttl_s=ttl_s)
        self.supervisor = Supervisor(
            f"{os.getpid()}", self.leases, self.ports, None, tell, setter_aside(self.store, self.clock)
        )
        self.leases.on_hint(self.supervisor.nudge)
        if smtp is not None:
            self.outside = effect_runner(posting(tmp, smtp), self.folder)

    def ports(self, run_id: str) -> LocalPorts:
        """With bundles that are written."""
        return replace(super().ports(run_id), seal=sealer(self.store, self.folder, run_view))

    def keep_workspaces(self) -> None:
        """Before each attempt that may change one, as the program does."""
        self.anew = Anew(before=GitBefore(), load=self.store.load)

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


def posting(tmp: Path, port: int, letter_s: float = 20.0) -> EmailPorts:
    """Letters by the connection ``mail`` to a server on this host; each may take so long."""
    mail = SmtpConnection(host="127.0.0.1", port=port, sender="flow@example.org", tls="none", timeout_s=letter_s)
    artifacts = DiskArtifacts(tmp / "artifacts")
    return EmailPorts(
        mailer=SmtpMailer({"mail": mail}),
        artifacts=artifacts,
        collector=FileCollector(artifacts=artifacts),
        clock=SystemClock(),
    )


@asynccontextmanager
async def opened(
    tmp: Path, *, ttl_s: float = 15.0, work_s: float = 0.02, smtp: int | None = None
) -> AsyncIterator[DiskRig]:
    """A rig in this process, closed at the end."""
    rig = DiskRig(tmp, ttl_s=ttl_s, work_s=work_s, smtp=smtp)
    try:
        yield rig
    finally:
        await rig.close()


async def finish(tmp: Path, *, ttl_s: float = 15.0, work_s: float = 0.02, keep: bool = False) -> None:
    """Drive everything as far as it goes without a person."""
    async with opened(tmp, ttl_s=ttl_s, work_s=work_s) as rig:
        if keep:
            rig.keep_workspaces()
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


def asleep(process: subprocess.Popen[str], point: str) -> None:
    """Wait until a process that says `point` has been stopped; a SIGCONT that comes before the SIGSTOP would be lost."""
    assert process.stdout is not None
    assert process.stdout.readline() == f"{point}\n"
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert process.poll() is None
        time.sleep(0.01)


async def _run(options: argparse.Namespace) -> None:
    async with opened(options.folder, ttl_s=options.ttl, work_s=options.work, smtp=options.smtp) as rig:
        if options.keep:
            rig.keep_workspaces()
        if options.smtp is not None:
            rig.outside = effect_runner(posting(options.folder, options.smtp, options.letter), rig.folder)
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
    parser.add_argument("--smtp", type=int)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--letter", type=float, default=20.0)
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
