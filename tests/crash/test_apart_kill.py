"""kill -9 of a real owner at every named point of steps with a workspace of their own: the run ends as its twin."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from pathlib import Path

import pytest

from tests.crash.disk import DiskSandbox
from tests.crash.owner import asleep, create, finish, opened, until
from tests.crash.test_hang import TTL_S
from tests.crash.test_kill import journal, marks, owner, story
from tests.engine.rig import plan, step
from tests.workspace.test_before import picture
from wfconsole.engine.signals import APART
from wfconsole.ports import WfconsoleError
from wfconsole.store import check, database

MADE = plan(
    step("a", isolation="per_step"), step("b", isolation="per_step"), step("c", needs=["a", "b"], isolation="per_step")
)
CASES = [(point, nth) for point in (*APART, "attempt_ended", "committed") for nth in (1, 2, 3)]


def prepare(folder: Path) -> Path:
    """A run over a workspace with a file; each step adds one of its own. Where the workspace is."""
    folder.mkdir()
    create(folder, MADE)
    DiskSandbox(folder / "engine").writing.touch()
    top = folder / "runs/run-1/workspace"
    top.mkdir(parents=True)
    (top / "base").write_text("1")
    return top


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves that nobody disturbs."""
    folder: Path = tmp_path_factory.mktemp("twin") / "undisturbed"
    prepare(folder)
    asyncio.run(finish(folder))
    return folder


@pytest.mark.parametrize(("point", "nth"), CASES)
def test_exec_block_13_killed_beside_a_workspace_of_its_own_a_step_is_applied_once(
    twin: Path, tmp_path: Path, point: str, nth: int
) -> None:
    folder = tmp_path / "killed"
    top = prepare(folder)
    process = owner(folder, "--at", point, "--nth", str(nth))
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL, err
    asyncio.run(finish(folder))
    assert picture(top) == picture(twin / "runs/run-1/workspace")
    assert sorted(picture(top)) == ["a", "b", "base", "c"]
    assert story(journal(folder)) == story(journal(twin))
    assert marks(folder) == marks(twin) == [("run-1", name) for name in "abc"]
    engine = DiskSandbox(folder / "engine")
    assert engine.executions() == DiskSandbox(twin / "engine").executions()
    assert (engine.twice(), engine.left()) == ([], [])
    assert len(list((folder / "runs/run-1/applied").glob("*.done"))) == 3
    assert check.verify(folder / database.NAME) == []


def test_every_point_is_met(tmp_path: Path) -> None:
    met: set[str] = set()

    async def look() -> None:
        async with opened(tmp_path / "state") as rig:
            rig.signals.arm(lambda point, _subject: met.add(point))
            await rig.worker(lambda _text: None).run(until_idle=True)

    prepare(tmp_path / "state")
    asyncio.run(look())
    assert set(APART) <= met


def test_an_owner_that_wakes_when_the_next_one_is_through_applies_nothing(tmp_path: Path) -> None:
    """It had asked whose the run is, and was stopped before it had the lock of the workspace."""
    folder = tmp_path / "stopped"
    top = prepare(folder)
    process = owner(folder, "--at", "applying", "--signal", "STOP", "--ttl", str(TTL_S), "--drive", "run-1")

    async def scenario() -> None:
        async with opened(folder, ttl_s=TTL_S) as rig:

            async def through() -> bool:
                try:
                    return (await rig.supervisor.drive("run-1")).is_terminal
                except WfconsoleError:  # its time has not run out yet
                    return False

            await until(through)

    try:
        asleep(process, "applying")
        asyncio.run(asyncio.wait_for(scenario(), 60))
        for name in "ab":
            (top / name).unlink()  # as a later step may
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 1, err
    finally:
        process.kill()
    assert sorted(picture(top)) == ["base", "c"]
    assert not list((folder / "runs/run-1/applied").glob("*.pending"))


def test_a_second_kill_while_the_first_is_made_up_for_changes_nothing(twin: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    top = prepare(folder)
    for point in ("applying", "applied", "committed"):
        process: subprocess.Popen[str] = owner(folder, "--at", point)
        _, err = process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL, err
    asyncio.run(finish(folder))
    assert picture(top) == picture(twin / "runs/run-1/workspace")
    assert story(journal(folder)) == story(journal(twin))
