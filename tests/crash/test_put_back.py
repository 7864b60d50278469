"""kill -9, and SIGSTOP, of a real owner that keeps the workspace or puts it back after a lost attempt: the next owner ends it.

The container of the first attempt is taken away after it has changed the workspace, so the second begins with putting it back.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crash.disk import DiskSandbox
from tests.crash.owner import asleep, create, finish, opened, until
from tests.crash.test_hang import TTL_S
from tests.crash.test_kill import journal, marks, owner, story
from tests.engine.rig import plan, step
from tests.workspace.test_before import picture
from wfconsole.domain.events import OwnerChanged, RunSucceeded
from wfconsole.engine.signals import BEFORE
from wfconsole.ports import RunFolder, WfconsoleError
from wfconsole.store import check, database

MADE = plan(step("a"))
KEEPING = ("keeping", "kept")
CASES = [
    (point, nth) for point in BEFORE if point not in KEEPING for nth in ((1, 2, 5) if point == "changing" else (1,))
]


def lay(top: Path) -> None:
    """A workspace with a repository in it, as an earlier step may have made one."""
    for name, text in {"kept": "1", "gone": "2", "deep/inner": "3", ".git/HEAD": "ref: one", ".git/o/1": "x"}.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    (top / "empty").mkdir()


def spoil(top: Path) -> None:
    (top / "kept").write_text("spoiled")
    (top / "gone").unlink()
    shutil.rmtree(top / "deep")
    (top / "deep").write_text("a file now")
    (top / "new").mkdir()
    (top / "new/half").write_text("half")
    (top / ".git/HEAD").write_text("ref: two")
    (top / ".git/o/2").write_text("y")
    (top / "empty").rmdir()


@contextmanager
def losing(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """An owner whose first attempt has changed the workspace and is gone."""
    folder.mkdir()
    top = RunFolder(folder / "runs" / "run-1").workspace
    create(folder, MADE)
    lay(top)
    process = owner(folder, "--keep", "--work", "3600", "--ttl", str(TTL_S), "--drive", "run-1", *options)
    engine = DiskSandbox(folder / "engine")
    try:
        asyncio.run(asyncio.wait_for(engine.begun(1), 30))
        spoil(top)
        (container,) = engine.left()
        shutil.rmtree(folder / "engine" / "containers" / container)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is left when nobody disturbs the second attempt."""
    folder: Path = tmp_path_factory.mktemp("twin") / "undisturbed"
    with losing(folder) as process:
        asyncio.run(asyncio.wait_for(DiskSandbox(folder / "engine").begun(2), 30))
        process.kill()
        process.communicate()
    asyncio.run(finish(folder, keep=True))
    return folder


def ends_as(folder: Path, twin: Path) -> None:
    before = folder.parent / "before"
    lay(before)
    assert picture(folder / "runs/run-1/workspace") == picture(before)
    assert picture(twin / "runs/run-1/workspace") == picture(before)
    assert story(journal(folder)) == story(journal(twin))
    assert marks(folder) == marks(twin) == [("run-1", "a")]
    engine = DiskSandbox(folder / "engine")
    assert [each.rpartition(" ")[2] for each in engine.executions()] == ["a#1", "a#2"]
    assert (engine.twice(), engine.left()) == ([], [])
    assert check.verify(folder / database.NAME) == []


@pytest.mark.parametrize(("point", "nth"), CASES)
def test_w2_killed_while_the_workspace_is_put_back_the_next_owner_starts_from_what_it_was(
    twin: Path, tmp_path: Path, point: str, nth: int
) -> None:
    folder = tmp_path / "killed"
    with losing(folder, "--at", point, "--nth", str(nth)) as process:
        assert process.wait(30) == -signal.SIGKILL
        half = picture(folder / "runs/run-1/workspace")
    lay(tmp_path / "whole")
    if (point, nth) == ("changing", 5):
        assert half != picture(tmp_path / "whole"), "killed in the middle"
    asyncio.run(finish(folder, keep=True))
    ends_as(folder, twin)


@pytest.mark.parametrize("point", ["keeping", "kept"])
def test_w2_killed_while_the_workspace_is_kept_the_next_owner_keeps_it(tmp_path: Path, point: str) -> None:
    top = RunFolder(tmp_path / "runs" / "run-1").workspace
    create(tmp_path, MADE)
    lay(top)
    process = owner(tmp_path, "--keep", "--at", point)
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL, err
    asyncio.run(finish(tmp_path, keep=True))
    assert (tmp_path / "runs/run-1/before/a#1.json").exists()
    lay(tmp_path / "whole")
    assert picture(top) == picture(tmp_path / "whole")
    assert marks(tmp_path) == [("run-1", "a")]


@pytest.mark.parametrize("point", ["alone", "changing"])
def test_w2_an_owner_that_stopped_while_it_put_the_workspace_back_changes_nothing_under_the_next_one(
    twin: Path, tmp_path: Path, point: str
) -> None:
    """It has the lock of the workspace, which the next owner waits for."""
    folder = tmp_path / "stopped"

    async def scenario(process: subprocess.Popen[str]) -> None:
        async def drive() -> None:
            async with opened(folder, ttl_s=TTL_S) as rig:
                rig.keep_workspaces()
                await rig.worker(lambda _text: None).run(until_idle=False)

        taking = asyncio.create_task(drive())
        async with opened(folder) as rig:

            async def taken() -> bool:
                return any(isinstance(record.event, OwnerChanged) for record in await rig.store.load("run-1"))

            async def over() -> bool:
                return any(isinstance(record.event, RunSucceeded) for record in await rig.store.load("run-1"))

            await until(taken)
            process.send_signal(signal.SIGCONT)
            await until(over)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)

    with losing(folder, "--at", point, "--signal", "STOP") as process:
        asleep(process, point)
        asyncio.run(asyncio.wait_for(scenario(process), 60))
        assert process.wait(30) == 1
    ends_as(folder, twin)


def test_w2_an_owner_that_wakes_when_the_next_one_is_through_puts_nothing_back(tmp_path: Path) -> None:
    """It had asked whose the run is, and was stopped before it had the lock of the workspace."""
    folder = tmp_path / "stopped"
    result = folder / "runs/run-1/workspace/result"
    with losing(folder, "--at", "putting_back", "--signal", "STOP") as process:
        asleep(process, "putting_back")

        async def scenario() -> None:
            async with opened(folder, ttl_s=TTL_S) as rig:
                rig.keep_workspaces()

                async def through() -> bool:
                    try:
                        return (await rig.supervisor.drive("run-1")).is_terminal
                    except WfconsoleError:  # its time has not run out yet
                        return False

                await until(through)

        asyncio.run(asyncio.wait_for(scenario(), 60))
        result.write_text("of the second attempt")
        process.send_signal(signal.SIGCONT)
        assert process.wait(30) == 1
    assert result.read_text() == "of the second attempt"
