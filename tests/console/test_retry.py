"""The retry dialog and the intervention panel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from textual.pilot import Pilot

from tests.console.rig import Rig, screen_text, until
from tests.fakes.journals import RUN_ID, Journal, failed, plan, step
from wfconsole.console.app import Console
from wfconsole.console.chrome import Note
from wfconsole.console.screens.intervene import InterveneScreen
from wfconsole.console.screens.retry import RetryScreen
from wfconsole.views.intervention import Change, Proposal

ALLOWED = {"run": "allow", "step": "deny", "reason": "data moves on", "reuse": "trusted"}


def failing(manual_retry: Any = None) -> Journal:
    made = plan(step("fetch"), step("transform", "fetch"), manual_retry=manual_retry or ALLOWED)
    journal = Journal(made, inputs={"repo": "."})
    journal.play(lambda name, _n: failed("header changed") if name == "transform" else {"outcome": "succeeded"})
    return journal


@asynccontextmanager
async def dialog(rig: Rig, journal: Journal) -> AsyncIterator[tuple[Console, Pilot[None], RetryScreen]]:
    assert journal.state is not None
    rig.desk.door.journals[RUN_ID] = journal
    await rig.desk.door._sync(RUN_ID)
    rig.desk.door.plan = journal.state.plan
    async with rig.open() as (app, pilot):
        app.open_retry(RUN_ID)
        await until(pilot, lambda: isinstance(app.screen, RetryScreen) and app.screen.picture is not None)
        assert isinstance(app.screen, RetryScreen)
        yield app, pilot, app.screen


def test_a_failed_run_is_started_anew_with_the_same_inputs(rig: Rig) -> None:
    async def scenario() -> None:
        async with dialog(rig, failing()) as (app, pilot, screen):
            await until(pilot, lambda: screen.checked)
            await pilot.pause()
            text = "\n".join(screen_text(app))
            assert "STEP_FAILED at transform: header changed" in text
            assert "wfconsole run quality-gate -i repo=." in text
            assert "from step transform: the recipe does not allow a retry of a step:" in text
            await pilot.press("enter")
            await until(pilot, lambda: len(rig.desk.door.journals) == 2)

    asyncio.run(scenario())
    request = rig.desk.door.requests[-1]
    assert (request.recipe, request.values) == ("quality-gate", {"repo": "."})


def test_a_recipe_that_changed_is_not_started_as_if_it_were_the_same(rig: Rig) -> None:
    async def scenario() -> None:
        journal = failing()
        async with dialog(rig, journal) as (_, pilot, screen):
            await until(pilot, lambda: screen.checked)
            made = rig.desk.door.plan
            rig.desk.door.plan = replace(made, recipe=replace(made.recipe, digest="ee" * 32))
            await pilot.press("enter")
            want = "the recipe has changed since: the run pinned d1d1d1d1d1d1, it would be eeeeeeeeeeee now"
            await until(pilot, lambda: screen.query_one(Note).text == want)

    asyncio.run(scenario())
    assert len(rig.desk.door.journals) == 1


def test_a_retry_that_the_recipe_denies_says_so(rig: Rig) -> None:
    async def scenario() -> None:
        async with dialog(rig, failing({**ALLOWED, "run": "deny"})) as (app, pilot, screen):
            await pilot.press("enter")
            assert screen.query_one(Note).text == "the recipe does not allow a retry of the run: data moves on"
            assert not any("wfconsole run" in line for line in screen_text(app))

    asyncio.run(scenario())
    assert rig.desk.door.requests == []


def test_a_run_that_goes_on_cannot_be_retried(rig: Rig) -> None:
    async def scenario() -> None:
        journal = Journal(plan(step("fetch")))
        journal.take()
        async with dialog(rig, journal) as (_, pilot, screen):
            await pilot.press("enter")
            assert screen.query_one(Note).text == f"run {RUN_ID} is not over: running"

    asyncio.run(scenario())


def test_an_intervention_is_drawn_and_cannot_be_applied(rig: Rig) -> None:
    change = Change(op="replace", path="/exclude", before=[], after=["vendor/**"])
    proposal = Proposal(run_id=RUN_ID, step_id="types", instruction="skip generated files\x1b[2J", changes=(change,))

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.push_screen(InterveneScreen(proposal))
            await until(pilot, lambda: any('~ /exclude  [] -> ["vendor/**"]' in line for line in screen_text(app)))
            await pilot.press("ctrl+s")
            assert app.screen.query_one(Note).text == "wfconsole intervene is not available in this version"

    asyncio.run(scenario())
