"""`Office.send` in its three ways, `Office.watch`, and what happens when owners come and go in between."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.control.rig import Desk
from tests.engine.rig import ACTOR, Rig, plan, play, step
from tests.fakes.sandbox import Script
from wfconsole.control import office as offices
from wfconsole.domain.events import RunCancelled, RunPausing, RunSucceeded
from wfconsole.domain.facts import AnyFact, CancelRun, PauseRun, ResumeRun
from wfconsole.ports import WfconsoleError


def cancel(fact_id: str = "c1") -> CancelRun:
    return CancelRun(fact_id=fact_id, at=0, actor=ACTOR)


def pause(fact_id: str = "p1") -> PauseRun:
    return PauseRun(fact_id=fact_id, at=0, actor=ACTOR)


async def held(desk: Desk) -> tuple[str, asyncio.Task[None], asyncio.Event]:
    """A run that is driven by this desk and whose step is held."""
    hold = asyncio.Event()
    desk.rig.sandbox.scripts["a"] = Script(hold=hold)
    run_id = await desk.rig.create(plan(step("a")))
    driving = asyncio.create_task(desk.office.drive(run_id))
    await desk.rig.sandbox.begun("a")
    return run_id, driving, hold


def test_a_command_goes_to_the_loop_of_the_run_that_is_driven_here(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def scenario() -> None:
        run_id, driving, hold = await held(desk)
        answer = await desk.office.send(run_id, pause())
        assert answer.owned
        assert isinstance(answer.records[0].event, RunPausing)
        assert await desk.rig.store.pending(run_id) == []
        hold.set()
        await desk.office.send(run_id, ResumeRun(fact_id="r1", at=0, actor=ACTOR))
        await driving

    play(scenario)


def test_a_command_to_another_processs_run_is_answered_by_its_owner(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    other = Desk(tmp_path, desk.rig, "owner-2")

    async def scenario() -> None:
        run_id, driving, _ = await held(desk)
        refused = await other.office.send(run_id, ResumeRun(fact_id="r1", at=0, actor=ACTOR))
        assert refused.refusal is not None
        assert refused.refusal.code == "TRANSITION_REFUSED"
        answer = await other.office.send(run_id, cancel())
        assert answer.owned
        assert answer.refusal is None
        await driving
        assert isinstance((await desk.rig.records(run_id))[-1].event, RunCancelled)

    play(scenario)


def test_a_command_that_was_answered_before_is_answered_the_same_at_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    other = Desk(tmp_path, desk.rig, "owner-2")

    async def scenario() -> None:
        run_id, driving, hold = await held(desk)
        first = await other.office.send(run_id, pause())
        again = await asyncio.wait_for(other.office.send(run_id, pause()), 1)
        assert again.records == first.records
        hold.set()
        await desk.office.send(run_id, cancel())
        await driving

    play(scenario)


def test_a_run_that_nobody_drives_is_decided_here(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def scenario() -> None:
        run_id = await desk.rig.create(plan(step("a")))
        answer = await desk.office.send(run_id, pause())
        assert not answer.owned
        assert answer.refusal is not None
        lock = desk.locks.acquire(run_id)
        assert lock is not None
        lock.release()

    play(scenario)


def test_a_pending_run_that_is_cancelled_ends_and_has_its_bundle(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def scenario() -> None:
        run_id = await desk.rig.create(plan(step("a")))
        answer = await desk.office.send(run_id, cancel())
        assert isinstance(answer.records[-1].event, RunCancelled)
        assert (desk.rig.folder(run_id).bundle / "manifest.json").is_file()

    play(scenario)
    assert desk.rig.sandbox.calls == []


def test_a_run_whose_owner_died_is_cancelled_to_its_end(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    other = Desk(tmp_path, desk.rig, "owner-2")

    async def scenario() -> None:
        run_id, driving, _ = await held(desk)
        driving.cancel()
        await asyncio.gather(driving, return_exceptions=True)
        await other.office.send(run_id, cancel())
        assert isinstance((await desk.rig.records(run_id))[-1].event, RunCancelled)

    play(scenario)
    assert desk.rig.sandbox.containers == {}


def test_an_owner_that_dies_after_the_command_was_posted_leaves_the_deciding_to_the_sender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offices, "TURN_S", 0.01)
    desk = Desk(tmp_path)
    post = desk.rig.store.post

    async def scenario() -> None:
        posted = asyncio.Event()

        async def told(run_id: str, fact: AnyFact) -> None:
            await post(run_id, fact)
            posted.set()

        monkeypatch.setattr(desk.rig.store, "post", told)
        run_id = await desk.rig.create(plan(step("a")))
        lock = desk.locks.acquire(run_id)  # an owner that never looks into its inbox
        assert lock is not None
        sending = asyncio.create_task(desk.office.send(run_id, cancel()))
        await posted.wait()
        lock.release()
        assert isinstance((await sending).records[-1].event, RunCancelled)
        assert await desk.rig.store.pending(run_id) == []

    play(scenario)


def test_an_owner_that_never_answers_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offices, "TURN_S", 0.001)
    desk = Desk(tmp_path)

    async def scenario() -> str:
        run_id = await desk.rig.create(plan(step("a")))
        lock = desk.locks.acquire(run_id)
        assert lock is not None
        with pytest.raises(WfconsoleError) as caught:
            await desk.office.send(run_id, cancel())
        lock.release()
        return caught.value.code

    assert play(scenario) == "STORE_BUSY"


def test_a_command_to_no_run_is_not_found(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with pytest.raises(WfconsoleError) as caught:
        play(lambda: desk.office.send("nobody", cancel()))
    assert caught.value.code == "NOT_FOUND"


async def watched(desk: Desk, run_id: str, after_seq: int = 0) -> list[Any]:
    return [record async for batch in desk.office.watch(run_id, after_seq) for record in batch]


def test_watching_a_run_that_is_over_shows_it_all_and_ends(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    desk = Desk(tmp_path, rig)

    async def scenario() -> None:
        run_id = (await rig.run(plan(step("a")))).run_id
        every = await rig.records(run_id)
        assert await watched(desk, run_id) == list(every)
        assert await watched(desk, run_id, every[-1].seq) == []
        await desk.office.send(run_id, cancel())  # refused, and recorded behind the end
        assert [r.seq for r in await watched(desk, run_id, every[-1].seq)] == [every[-1].seq + 1]

    play(scenario)


def test_watching_ends_with_the_batch_in_which_the_run_ends(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def scenario() -> None:
        run_id, driving, hold = await held(desk)
        seen: list[Any] = []
        begun = asyncio.Event()

        async def look() -> None:
            async for batch in desk.office.watch(run_id):
                seen.extend(batch)
                begun.set()

        looking = asyncio.create_task(look())
        await begun.wait()
        hold.set()
        await looking
        await driving
        assert [record.seq for record in seen] == list(range(1, len(seen) + 1))
        assert any(isinstance(record.event, RunSucceeded) for record in seen)

    play(scenario)


def test_watching_no_run_is_not_found(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with pytest.raises(WfconsoleError) as caught:
        play(lambda: watched(desk, "nobody"))
    assert caught.value.code == "NOT_FOUND"
