"""The operator is told of an expiry once it is on record, before the run ends, by whichever owner there is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.rig import Rig, plan, play
from tests.fakes.gates import approval
from wfconsole.domain.events import EventChannelFailed, NotificationSent, Record
from wfconsole.engine.local import LocalPorts

LIFE_MS = 60_000


class TellingRig(Rig):
    """A rig whose hook waits for `go`; `said` is what goes wrong with it."""

    def __init__(self, tmp: Path) -> None:
        super().__init__(tmp)
        self.told: list[Record] = []
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.said: str | None = None
        self.breaks = False

    def ports(self, run_id: str) -> LocalPorts:
        async def tell(_run_id: str, record: Record) -> str | None:
            self.told.append(record)
            self.begun.set()
            await self.go.wait()
            if self.breaks:
                raise RuntimeError("a bug")
            return self.said

        return replace(super().ports(run_id), tell=tell)


async def late(rig: Rig) -> str:
    """A run whose gate nobody decided in time, and which nobody drives."""
    run_id = await rig.create(plan(approval("gate", timeout_ms=LIFE_MS, on_timeout="cancel_and_notify")))
    await rig.supervisor.drive(run_id, until_waiting=True)
    rig.clock.now += 2 * LIFE_MS
    return run_id


def test_a_hook_that_an_owner_died_over_is_called_again_by_the_next_and_recorded_once(tmp_path: Path) -> None:
    rig = TellingRig(tmp_path)

    async def scenario() -> tuple[str, list[str]]:
        run_id = await late(rig)
        first = asyncio.create_task(rig.new_owner("owner-2").drive(run_id))
        await rig.begun.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        rig.go.set()
        state = await rig.new_owner("owner-3").drive(run_id)
        return state.status, await rig.types()

    status, types = play(scenario)
    assert status == "cancelled"
    assert [record.seq for record in rig.told] == [rig.told[0].seq] * 2
    assert types.count("notification_sent") == 1
    assert types.index("approval_expired") < types.index("notification_sent") < types.index("run_cancelled")


@pytest.mark.parametrize(("breaks", "words"), [(False, "hook ended with 3"), (True, "RuntimeError: a bug")])
def test_a_hook_that_fails_is_on_record_and_holds_nothing_up(tmp_path: Path, breaks: bool, words: str) -> None:
    rig = TellingRig(tmp_path)
    rig.said, rig.breaks = "hook ended with 3", breaks

    async def scenario() -> list[Record]:
        rig.go.set()
        assert (await rig.new_owner("owner-2").drive(await late(rig))).status == "cancelled"
        return list(await rig.records())

    events = [record.event for record in play(scenario)]
    (failed,) = [event for event in events if isinstance(event, EventChannelFailed)]
    assert (failed.error, failed.gate_id) == (words, "gate#1")
    assert not [event for event in events if isinstance(event, NotificationSent)]
