"""kill -9 of an owner whose run is over and whose containers are not gone yet: the next process removes them.

    python -m tests.crash.test_leavings FOLDER

drives `run-1` and dies when its end is recorded; nothing was removed then, because `remove` is held back.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.crash.disk import DiskSandbox
from tests.crash.owner import create, finish, opened
from tests.crash.test_kill import PIN, PLAIN, ROOT, journal
from wfconsole.domain.events import RunSucceeded
from wfconsole.ports import SandboxHandle


class NeverRemoving(DiskSandbox):
    """Whoever removes a container of it waits until it is killed."""

    async def remove(self, handle: SandboxHandle) -> None:
        await asyncio.Event().wait()


async def _drive_and_die(folder: Path) -> None:
    async with opened(folder) as rig:
        rig.disk = rig.sandbox = NeverRemoving(folder / "engine")  # type: ignore[assignment]

        def die(point: str, _subject: str) -> None:
            if point == "sealing":  # the run's end was committed
                os.kill(os.getpid(), signal.SIGKILL)

        rig.signals.arm(die)
        await rig.supervisor.drive("run-1")


def not_let_go(folder: Path) -> list[str]:
    """What the next process is told of."""

    async def ask() -> list[str]:
        async with opened(folder) as rig:
            return await rig.leases.not_let_go()

    return asyncio.run(ask())


def test_the_next_process_removes_what_an_owner_left_that_died_after_the_end_of_its_run(tmp_path: Path) -> None:
    create(tmp_path, PLAIN, workspace=PIN)
    argv = [sys.executable, "-m", "tests.crash.test_leavings", str(tmp_path)]
    died = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL, died
    told = journal(tmp_path)
    assert isinstance(told[-1].event, RunSucceeded)
    engine = DiskSandbox(tmp_path / "engine")
    assert len(engine.left()) == len(engine.executions()) == 3
    assert not_let_go(tmp_path) == ["run-1"]
    asyncio.run(asyncio.wait_for(finish(tmp_path), 60))
    assert engine.left() == []
    assert not_let_go(tmp_path) == []
    assert journal(tmp_path) == told
    assert (len(engine.executions()), engine.twice()) == (3, [])


if __name__ == "__main__":
    asyncio.run(_drive_and_die(Path(sys.argv[1])))
