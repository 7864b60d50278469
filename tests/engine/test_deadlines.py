"""A decision that was posted before its gate's deadline counts, however late the run's owner comes to look; no other does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.engine.rig import ACTOR, Rig, plan, play, step
from tests.fakes.gates import approval
from tests.fakes.sandbox import Script
from wfconsole.domain.decision import decision_payload
from wfconsole.domain.events import ApprovalRequested
from wfconsole.domain.facts import DecideGate, PauseRun
from wfconsole.engine import local

LIFE_MS = 60_000


async def opened(rig: Rig) -> ApprovalRequested:
    while True:
        for record in await rig.records():
            if isinstance(record.event, ApprovalRequested):
                return record.event
        await asyncio.sleep(0)


def decision(asked: ApprovalRequested, at: int) -> DecideGate:
    payload = decision_payload(
        run_id="run-1", gate_id=asked.gate_id, choice="approve", reason=None, answer=None,
        context_digest=asked.context_digest, plan_digest="0" * 64, actor="ann@desk", at=at, nonce="n" * 32, seen_seq=99,
        seen_hash="ab" * 32,
    )  # fmt: skip
    return DecideGate(fact_id="d1", at=at, actor=ACTOR, payload=payload, signature="signed")


@pytest.mark.parametrize(("early_ms", "status"), [(1, "granted"), (0, "expired")])
def test_st_wf_006_1_an_owner_that_comes_late_takes_what_was_posted_in_time(
    tmp_path: Path, early_ms: int, status: str
) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> str:
        run_id = await rig.create(plan(approval("gate", timeout_ms=LIFE_MS)))
        state = await rig.supervisor.drive(run_id, until_waiting=True)
        asked = await opened(rig)
        await rig.store.post(run_id, decision(asked, asked.expires_at - early_ms))
        rig.clock.now = asked.expires_at + 5_000
        state = await rig.new_owner("owner-2").drive(run_id)
        return state.gates[asked.gate_id].status

    assert play(scenario) == status


@pytest.mark.parametrize(("early_ms", "status"), [(1, "granted"), (0, "expired")])
def test_st_wf_006_1_whatever_wakes_a_slow_owner_first_it_looks_into_the_inbox_before_it_expires_a_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, early_ms: int, status: str
) -> None:
    monkeypatch.setattr(local, "INBOX_POLL_S", 3600.0)  # it would not look by itself
    rig = Rig(tmp_path)

    async def scenario() -> str:
        rig.sandbox.scripts["beside"] = Script(hold=asyncio.Event())
        run_id = await rig.create(plan(step("beside"), approval("gate", timeout_ms=LIFE_MS)))
        driving = asyncio.create_task(rig.supervisor.drive(run_id, until_waiting=True))
        asked = await opened(rig)
        await rig.sandbox.begun("beside")
        await rig.store.post(run_id, decision(asked, asked.expires_at - early_ms))
        rig.clock.now = asked.expires_at + 5_000
        await rig.deliver(run_id, PauseRun(fact_id="p1", at=rig.clock.now, actor=ACTOR))
        held = rig.sandbox.scripts["beside"].hold
        assert held is not None
        held.set()
        state = await driving
        return state.gates[asked.gate_id].status

    assert play(scenario) == status


def test_a_clock_that_is_set_back_neither_expires_a_gate_nor_gives_it_more_time(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> list[tuple[str, int]]:
        run_id = await rig.create(plan(approval("gate", timeout_ms=LIFE_MS)))
        await rig.supervisor.drive(run_id, until_waiting=True)
        asked = await opened(rig)
        found = []
        for now in (asked.expires_at - 3_600_000, asked.expires_at - 1, asked.expires_at - 7_200_000, asked.expires_at):
            rig.clock.now = now
            state = await rig.new_owner(f"owner-{now}").drive(run_id, until_waiting=True)
            gate = state.gates[asked.gate_id]
            found.append((gate.status, gate.asked.expires_at - asked.expires_at))
        return found

    assert play(scenario) == [("open", 0), ("open", 0), ("open", 0), ("expired", 0)]


def test_a_clock_that_was_set_back_while_the_card_was_made_leaves_the_gate_its_whole_time(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> tuple[str, int]:
        rig.clock.now += 3_600_000
        run_id = await rig.create(plan(approval("gate", timeout_ms=LIFE_MS)))
        last = rig.clock.now
        rig.clock.now -= 3_600_000
        state = await rig.supervisor.drive(run_id, until_waiting=True)
        asked = await opened(rig)
        return state.gates[asked.gate_id].status, asked.expires_at - last

    assert play(scenario) == ("open", LIFE_MS)
