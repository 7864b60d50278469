"""Clocks that lie: the wall clock jumps by days, the time since boot is another process's own, the machine was started again."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.crash.disk import DiskSandbox
from tests.crash.owner import create, opened
from tests.crash.test_hang import taken_over
from tests.crash.test_kill import PIN, PLAIN, ROOT, journal, marks, owner, story
from tests.engine.rig import Rig, plan, play, step
from tests.fakes.sandbox import Script
from wfconsole.domain.events import OwnerChanged
from wfconsole.store import check, database, leases
from wfconsole.views.run_view import run_view

DAY_MS = 24 * 3600 * 1000
SHIFTED = ["unshare", "--time", "--boottime", "100000", "--fork", "--kill-child=SIGKILL"]
"""A time namespace in which the machine was started 100,000 seconds earlier."""


class Jumping:
    """Each look at the wall clock finds it set a day forward or back."""

    def __init__(self) -> None:
        self._offsets = itertools.cycle((0, DAY_MS, -DAY_MS, 2 * DAY_MS, -DAY_MS))

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + next(self._offsets)


def spans(document: object) -> Iterator[int]:
    """Every duration of a RunView."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "duration_ms" and value is not None:
                yield value
            yield from spans(value)
    elif isinstance(document, list):
        for each in document:
            yield from spans(each)


def sound(folder: Path) -> None:
    """Each step once, times in the order of the numbers, no duration below nothing."""
    records = journal(folder)
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    times = [record.at for record in records]
    assert times == sorted(times)
    assert min(spans(run_view(records))) >= 0
    assert marks(folder) == [("run-1", name) for name in "abc"]
    engine = DiskSandbox(folder / "engine")
    assert (engine.twice(), engine.left()) == ([], [])
    assert check.verify(folder / database.NAME) == []


def test_fault_25_a_wall_clock_that_jumps_by_days_neither_frees_nor_keeps_a_lease(tmp_path: Path) -> None:
    create(tmp_path, PLAIN, workspace=PIN)

    async def scenario() -> None:
        async with opened(tmp_path, ttl_s=0.6, work_s=1.0) as rig, opened(tmp_path, ttl_s=0.6) as other:
            rig.clock = other.clock = Jumping()  # type: ignore[assignment]
            driving = asyncio.create_task(rig.supervisor.drive("run-1"))
            await rig.disk.begun(1)
            asked = 0
            while not driving.done():
                stolen = await other.leases.acquire("run-1")
                assert stolen is None or driving.done()
                if stolen is not None:
                    await stolen.release()
                asked += 1
                await asyncio.sleep(0.01)
            assert (await driving).status == "succeeded"
            assert asked > 10

    asyncio.run(asyncio.wait_for(scenario(), 30))
    sound(tmp_path)
    assert not [record for record in journal(tmp_path) if isinstance(record.event, OwnerChanged)]


@pytest.mark.parametrize("days", [-1, 1])
def test_fault_25_an_owner_whose_wall_clock_is_a_day_off_takes_a_dead_ones_run_over_at_once(
    tmp_path: Path, days: int
) -> None:
    create(tmp_path, PLAIN, workspace=PIN)
    owner(tmp_path, "--at", "going", "--nth", "2").communicate(timeout=30)

    class Off:
        def now_ms(self) -> int:
            return time.time_ns() // 1_000_000 + days * DAY_MS

    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            rig.clock = Off()  # type: ignore[assignment]
            assert (await rig.supervisor.drive("run-1")).status == "succeeded"

    asyncio.run(asyncio.wait_for(scenario(), 10))  # less than the time of a lease
    sound(tmp_path)


MOMENTS = {
    "the clocks go forward": (1_806_195_599_900, "2027-03-28T01:00:00.000Z"),
    "the clocks go back": (1_824_944_399_900, "2027-10-31T01:00:00.000Z"),
    "leap day": (1_835_395_199_900, "2028-02-29T00:00:00.000Z"),
    "after leap day": (1_835_481_599_900, "2028-03-01T00:00:00.000Z"),
}


@pytest.fixture(params=["Europe/Berlin", "America/St_Johns", "UTC"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("moment", MOMENTS)
def test_fault_25_no_zone_and_no_odd_day_changes_a_time_or_a_duration(tmp_path: Path, moment: str) -> None:
    begins, ends = MOMENTS[moment]

    async def scenario() -> dict[str, object]:
        rig, hold = Rig(tmp_path), asyncio.Event()
        rig.clock.now = begins
        rig.sandbox.scripts["a"] = Script(hold=hold)
        driving = asyncio.create_task(rig.run(plan(step("a"))))
        await rig.sandbox.begun("a")
        rig.clock.now += 100
        hold.set()
        assert (await driving).status == "succeeded"
        return dict(run_view(await rig.records()))

    view = play(scenario)
    assert (view["finished_at"], view["duration_ms"]) == (ends, 100)


@contextmanager
def shifted(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """An owner in a time namespace of its own."""
    if subprocess.run([*SHIFTED, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody make a time namespace")
    argv = [*SHIFTED, sys.executable, "-m", "tests.crash.owner", str(folder), *options]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_fault_25_a_process_that_sees_another_time_since_boot_does_not_take_a_live_owners_run(tmp_path: Path) -> None:
    create(tmp_path, PLAIN, workspace=PIN)

    async def scenario() -> None:
        async with opened(tmp_path, work_s=600) as rig:
            driving = asyncio.create_task(rig.supervisor.drive("run-1"))
            await rig.disk.begun(2)
            with shifted(tmp_path, "--drive", "run-1") as process:
                _, err = await asyncio.to_thread(process.communicate, timeout=30)
            assert process.returncode == 1
            assert "another process" in err
            assert not driving.done()
            assert not [each for each in await rig.store.load("run-1") if isinstance(each.event, OwnerChanged)]
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_fault_25_a_run_of_a_hung_owner_that_saw_another_time_since_boot_is_not_stuck(tmp_path: Path) -> None:
    create(tmp_path, PLAIN, workspace=PIN)
    told: list[str] = []

    options = ("--at", "going", "--signal", "STOP", "--ttl", "0.6", "--drive", "run-1")
    with shifted(tmp_path, *options) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "going\n"
        taken_over(tmp_path, told)
    sound(tmp_path)
    assert "(hung)" in told[0]


def test_fault_26_after_a_reboot_leases_hold_nothing_and_what_is_gone_is_done_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(tmp_path, PLAIN, workspace=PIN)
    died = owner(tmp_path, "--at", "waited", "--work", "0.5")
    died.communicate(timeout=30)
    assert died.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(tmp_path / database.NAME)) as db, db:
        # the boot's clock began anew, so the old row seems to hold for days; and no lock file tells that its owner is dead
        db.execute("UPDATE owners SET expires = expires + ?", (100 * DAY_MS,))
        db.execute("UPDATE leases SET locked = 0")
    assert asyncio.run(refused(tmp_path)), "within one boot it would be another process's"
    for place in (tmp_path / "engine" / "containers").iterdir():
        shutil.rmtree(place)
    monkeypatch.setattr(leases.Process, "__init__", next_boot(leases.Process.__init__))

    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            assert (await rig.supervisor.drive("run-1")).status == "succeeded"

    asyncio.run(asyncio.wait_for(scenario(), 30))
    told = story(journal(tmp_path))
    assert [line for name in "ab" for line in told[name] if "attempt_abandoned" in line] == [
        "attempt_abandoned 1",
        "attempt_abandoned 1",
    ]
    sound(tmp_path)


async def refused(folder: Path) -> bool:
    async with opened(folder) as rig:
        return await rig.leases.acquire("run-1") is None


def next_boot(init: object) -> object:
    def made(self: object, **more: object) -> None:
        init(self, **{"boot": "the next one", **more})  # type: ignore[operator]

    return made
