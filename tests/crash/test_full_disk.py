"""A state folder on a disk of three megabytes that fills up: the run stays, can be read, and goes on when there is room."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.crash.owner import DiskRig, create, opened
from tests.crash.test_kill import PIN, PLAIN, marks
from tests.scenarios.cli import Wfconsole
from tests.store.test_faults_space import fill, tmpfs
from wfconsole.ports import WfconsoleError
from wfconsole.store import check, database

SIZE = 3 * 1024 * 1024


async def refused(rig: DiskRig) -> None:
    with pytest.raises(WfconsoleError) as caught:
        await rig.supervisor.drive("run-1")
    assert (caught.value.code, caught.value.details["fault"]) == ("DISK_FULL", "disk_full")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in (folder / "artifacts").rglob("*") if path.is_file()}


@pytest.mark.parametrize("when", ["before it begins", "while steps run"])
def test_fault_21_a_run_on_a_full_disk_stays_can_be_read_and_goes_on_when_there_is_room(
    tmp_path: Path, when: str
) -> None:
    with tmpfs(tmp_path / "small", SIZE) as folder:
        create(folder, PLAIN, workspace=PIN)
        before = files(folder)

        async def scenario() -> None:
            async with opened(folder, work_s=0.5) as rig:
                if when == "before it begins":
                    filler = fill(folder)
                    await refused(rig)
                else:
                    driving = asyncio.create_task(refused(rig))
                    await rig.disk.begun(2)
                    filler = fill(folder)
                    await driving
                known = len(await rig.store.load("run-1"))
                assert files(folder) == before, "no half artifact"
                view = Wfconsole(folder).show("run-1")
                assert view["status"] == ("pending" if when == "before it begins" else "running")
                await refused(rig)
                assert len(await rig.store.load("run-1")) == known
                filler.unlink()
                assert (await rig.supervisor.drive("run-1")).status == "succeeded"
                assert [each.rpartition(" ")[2] for each in rig.disk.executions()] == ["a#1", "b#1", "c#1"]
                assert (rig.disk.twice(), rig.disk.left()) == ([], [])

        asyncio.run(asyncio.wait_for(scenario(), 60))
        assert marks(folder) == [("run-1", name) for name in "abc"]
        assert check.verify(folder / database.NAME) == []


def test_fault_21_on_a_full_disk_other_commands_read_and_record_from_the_reserve(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", 24 * 1024 * 1024) as folder:
        create(folder, PLAIN, workspace=PIN)
        wf = Wfconsole(folder)
        fill(folder)
        assert wf.show("run-1")["status"] == "pending"
        assert [run["run_id"] for run in wf.run("runs", "--json").json["runs"]] == ["run-1"]
        assert wf.run("pause", "run-1", "--json").error["code"] == "TRANSITION_REFUSED"
        assert wf.run("cancel", "run-1", "--json").code == 0
        assert wf.show("run-1")["status"] == "cancelled"
        assert check.verify(folder / database.NAME) == []


def test_fault_21_on_a_full_disk_without_a_reserve_commands_exit_5_and_change_nothing(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", SIZE) as folder:
        create(folder, PLAIN, workspace=PIN)
        wf = Wfconsole(folder)
        filler = fill(folder)
        for command in ("show", "cancel"):
            full = wf.run(command, "run-1", "--json")
            assert (full.code, full.error["code"]) == (5, "DISK_FULL")
        filler.unlink()
        assert wf.show("run-1")["status"] == "pending"
        assert wf.run("cancel", "run-1", "--json").code == 0
