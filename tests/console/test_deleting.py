"""Deleting from the console: counted first, the id typed, refused in the words of the command line."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.console.rig import Rig, screen_text, until
from tests.fakes.journals import Journal, plan, step
from wfconsole.console.lines import LineList
from wfconsole.control.removal import Preview, Receipt
from wfconsole.ports import WfconsoleError

RUN = "01hhhhhhhhhhhhhh"
COUNTS = {"runs": 1, "steps": 1, "artifacts": 2}


class FakeCleaning:
    """Removes what the test says; remembers who asked."""

    def __init__(self) -> None:
        self.refusal: WfconsoleError | None = None
        self.deleted: list[tuple[str, ...]] = []
        self.closed = 0

    async def preview(self, ref: str, *, cascade: bool) -> Preview:
        assert not cascade
        if self.refusal is not None:
            raise self.refusal
        return Preview(run_ids=(ref,), counts=COUNTS, bytes=4096)

    async def delete(self, preview: Preview, actor: Any) -> Receipt:
        assert actor.user == "ann"
        self.deleted.append(preview.run_ids)
        return Receipt(run_ids=preview.run_ids, counts=preview.counts, bytes=4096, freed=4096)

    async def close(self) -> None:
        self.closed += 1


def _rig(rig: Rig, monkeypatch: Any) -> FakeCleaning:
    from dataclasses import replace

    cleaning = FakeCleaning()

    async def opened() -> Any:
        return cleaning

    wiring = rig.desk.wiring
    monkeypatch.setattr(rig.desk, "wiring", lambda: replace(wiring(), cleaning=opened))
    journal = Journal(plan(step("a")), run_id=RUN)
    journal.play()
    rig.desk.door.add(journal)
    return cleaning


def _text(app: Any) -> str:
    return "\n".join(screen_text(app))


def test_rw_delete_nothing_goes_before_the_id_was_typed(rig: Rig, monkeypatch: Any) -> None:
    cleaning = _rig(rig, monkeypatch)

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            await until(pilot, lambda: app.screen.query_one(LineList).move_to(RUN))
            await pilot.press("X")
            await until(pilot, lambda: "1 run, 1 step, 2 artifacts; 4.0 KiB on disk" in _text(app))
            await pilot.press(*"yes", "enter")
            await until(pilot, lambda: f"type {RUN} to confirm" in _text(app))
            assert cleaning.deleted == []
            await pilot.press("backspace", "backspace", "backspace", *RUN, "enter")
            await until(pilot, lambda: "freed on disk: 4.0 KiB" in _text(app))
            assert cleaning.deleted == [(RUN,)]
            await until(pilot, lambda: cleaning.closed == 2)

    asyncio.run(scenario())


def test_rw_delete_a_refusal_is_said_and_esc_leaves_everything(rig: Rig, monkeypatch: Any) -> None:
    cleaning = _rig(rig, monkeypatch)

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            await until(pilot, lambda: app.screen.query_one(LineList).move_to(RUN))
            await pilot.press("X")
            await until(pilot, lambda: app.board is None)
            await pilot.press("escape")
            await until(pilot, lambda: app.board is not None)
            cleaning.refusal = WfconsoleError("TRANSITION_REFUSED", f"run {RUN} is not over", f"wfconsole cancel {RUN}")
            await pilot.press("X")
            await until(pilot, lambda: f"run {RUN} is not over" in _text(app))
            assert cleaning.deleted == []
            assert cleaning.closed == 2

    asyncio.run(scenario())
