"""A run that cannot be driven is set aside after three attempts; the others go on; `resume` takes it back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.crash.owner import DiskRig, create, opened
from tests.engine.rig import ACTOR, plan, step
from wfconsole.domain.evolve import fold
from wfconsole.domain.facts import ResumeRun
from wfconsole.engine.local import LocalPorts
from wfconsole.ports import WfconsoleError

POISONED = "run-bad"


class Poison:
    """Ports that cannot be had for one run, as often as it is asked for, until it is cured."""

    def __init__(self, rig: DiskRig) -> None:
        self.tried = 0
        self.cured = False
        self._ports = rig.ports
        rig.supervisor._ports_of = self.ports

    def ports(self, run_id: str) -> LocalPorts:
        if run_id == POISONED and not self.cured:
            self.tried += 1
            raise ValueError("this journal makes no sense")
        return self._ports(run_id)


async def status(rig: DiskRig, run_id: str) -> str:
    state = fold(await rig.store.load(run_id))
    assert state is not None
    return state.status


def test_a_poisoned_run_is_set_aside_after_three_attempts_and_the_others_go_on(tmp_path: Path) -> None:
    for run_id in ("run-1", POISONED, "run-2"):
        create(tmp_path, plan(step("a")), run_id)

    async def scenario() -> None:
        said: list[str] = []
        for _ in range(2):  # the count is the database's, not a process's
            async with opened(tmp_path) as rig:
                poison = Poison(rig)
                with pytest.raises(ValueError, match="no sense"):
                    await rig.supervisor.drive(POISONED)
                assert poison.tried == 1
        async with opened(tmp_path) as rig:
            poison = Poison(rig)
            await rig.worker(said.append).run(until_idle=True)
            assert poison.tried == 1
            assert [await status(rig, name) for name in ("run-1", "run-2", POISONED)] == [
                "succeeded", "succeeded", "pending",
            ]  # fmt: skip
            (line,) = [line for line in said if POISONED in line]
            assert "RUN_QUARANTINED" in line
            assert "ValueError: this journal makes no sense" in line
            with pytest.raises(WfconsoleError) as caught:
                await rig.supervisor.drive(POISONED)
            assert (caught.value.code, poison.tried) == ("RUN_QUARANTINED", 1)
            assert caught.value.hint.endswith(f"wfconsole resume {POISONED}")
            answer = await rig.office().send(POISONED, ResumeRun(fact_id="r", at=rig.clock.now_ms(), actor=ACTOR))
            assert answer.refusal is None
            poison.cured = True
            assert (await rig.supervisor.drive(POISONED)).status == "succeeded"

    asyncio.run(asyncio.wait_for(scenario(), 30))


@pytest.mark.parametrize("code", ["STORE_BUSY", "DISK_FULL", "SANDBOX_UNAVAILABLE"])
def test_what_keeps_every_run_from_going_on_is_not_held_against_one(tmp_path: Path, code: str) -> None:
    create(tmp_path, plan(step("a")))

    async def scenario() -> None:
        async with opened(tmp_path) as rig:

            def broken(_run_id: str) -> LocalPorts:
                raise WfconsoleError(code, "not now")

            rig.supervisor._ports_of = broken
            for _ in range(4):
                with pytest.raises(WfconsoleError, match="not now"):
                    await rig.supervisor.drive("run-1")
            assert await rig.leases.setbacks("run-1") == (0, None)

    asyncio.run(asyncio.wait_for(scenario(), 30))
