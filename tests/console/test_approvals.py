"""The inbox: what waits, over all runs."""

from __future__ import annotations

import asyncio
from typing import cast

from tests.console.rig import WIDE, Rig, screen_text, until
from tests.fakes.gates import approval, gated, question
from tests.fakes.journals import Journal, plan, step
from wfconsole.console.screens.approvals import ApprovalsScreen
from wfconsole.console.screens.board import Board
from wfconsole.console.screens.card import CardScreen
from wfconsole.domain.records import FailureCause

OTHER, THIRD = "01JZ8Q4V7M3K9T2B6W5X0YHRCE", "01JZ8Q4V7M3K9T2B6W5X0YHRCF"


def incomplete(run_id: str) -> Journal:
    journal = Journal(plan(step("build"), approval("gate", "build")), run_id=run_id)
    journal.take()
    journal.end(journal.open[0], {"outcome": "succeeded", "exit_code": 0})
    cause = FailureCause(code="CONTEXT_INCOMPLETE", message="diff: There is no workspace", hint="mend the recipe")
    journal.end(journal.open[0], {"outcome": "errored", "cause": cause, "commands": ()})
    return journal


def asking(run_id: str) -> Journal:
    journal = Journal(plan(question("ask", choices=("a", "b"), timeout_ms=60_000, prompt="Where to?")), run_id=run_id)
    journal.take()
    journal.ready(journal.open[0], {})
    return journal


def test_what_waits_in_all_runs_the_most_urgent_first(rig: Rig) -> None:
    for journal in (gated(), incomplete(OTHER), asking(THIRD)):
        rig.desk.door.add(journal)
    rig.desk.now = gated().now

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            await pilot.press("2")
            await until(pilot, lambda: any("2 to decide  1 incomplete" in line for line in screen_text(app)))
            lines = screen_text(app)
            rows = [line for line in lines if "gate" in line[36:60] or "ask#1" in line]
            assert [
                "Where to?" in rows[0],
                "Ship it?" in rows[1],
                "! incomplete CONTEXT_INCOMPLETE" in " ".join(rows[2].replace(" gate ", " ").split()),
            ] == [True] * 3
            assert "! high" in rows[1]
            await pilot.press("G")
            await until(pilot, lambda: any("hint" in line and "mend the recipe" in line for line in screen_text(app)))
            assert any("decides" in line and "nobody yet" in line for line in screen_text(app))

    asyncio.run(scenario())


def test_enter_opens_the_card_also_of_a_gate_that_cannot_open(rig: Rig) -> None:
    rig.desk.door.add(incomplete(OTHER))

    async def scenario() -> None:
        async with rig.open(size=WIDE) as (app, pilot):
            await pilot.press("2")
            await until(pilot, lambda: any("CONTEXT_INCOMPLETE" in line for line in screen_text(app)))
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, CardScreen) and app.screen.picture is not None)
            assert isinstance(app.screen, CardScreen)
            assert (app.screen.run_id, app.screen.ref) == (OTHER, "gate")

    asyncio.run(scenario())


def test_a_decision_elsewhere_takes_the_entry_away(rig: Rig) -> None:
    from tests.fakes.gates import decide

    journal = gated()
    rig.desk.door.add(journal)

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            await pilot.press("2")
            await until(pilot, lambda: any("1 to decide" in line for line in screen_text(app)))
            decide(journal, "reject", reason="no")
            await app.engine.call(lambda _door: rig.desk.door._sync(journal.state.run_id))  # type: ignore[union-attr]
            await until(pilot, lambda: any("nothing waits for a person" in line for line in screen_text(app)))

    asyncio.run(scenario())


def test_a_hostile_title_stays_in_its_cell(rig: Rig) -> None:
    title = "\x1b[2J\x1b]52;c;eA==\x07[red]x[/]\n wfconsole  APPROVALS   9 to decide \u202e"
    rig.desk.door.add(gated(step("build"), approval("gate", "build", title=title)))

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            await pilot.press("2")
            await until(pilot, lambda: any("1 to decide" in line for line in screen_text(app)))
            for place, line in enumerate(screen_text(app)):
                assert not any(char in line for char in "\x1b\x07\u202e")
                assert place == 0 or not line.startswith(" wfconsole")

    asyncio.run(scenario())


def test_a_covered_screen_does_not_tick(rig: Rig) -> None:
    rig.desk.door.add(gated())
    below: list[int] = []
    above: list[int] = []

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            await pilot.press("2")
            await until(pilot, lambda: any("1 to decide" in line for line in screen_text(app)))
            inbox = app.screen
            assert isinstance(inbox, ApprovalsScreen)
            inbox.every(0.01, lambda: below.append(1))
            await until(pilot, lambda: len(below) > 2)
            await pilot.press("enter")
            await until(pilot, lambda: app.screen is not inbox)
            count = len(below)
            cast("Board", app.screen).every(0.01, lambda: above.append(1))
            await until(pilot, lambda: len(above) > 5)
            assert len(below) == count

    asyncio.run(scenario())
