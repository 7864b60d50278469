from __future__ import annotations

import asyncio
from typing import Any

from textual.widgets import Input

from tests.console.rig import NARROW, WIDE, Rig, screen_text, until
from tests.fakes.journals import plan, step
from wfconsole.console.screens.launch import command_line
from wfconsole.control.door import Problem


def _text(app: Any) -> str:
    return "\n".join(screen_text(app))


def test_recipes_are_listed_and_the_form_is_opened(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            await pilot.press("3")
            await until(pilot, lambda: "quality-gate" in _text(app))
            assert "Eight checks" in _text(app)
            await pilot.press("enter")
            await until(pilot, lambda: "LAUNCH  quality-gate@1.0.0" in _text(app))
            assert "repo  path, required  What to check" in _text(app)

    asyncio.run(scenario())


def test_above_100_columns_inputs_and_steps_stand_beside_the_list(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.open(size=WIDE) as (app, pilot):
            await pilot.press("3")
            await until(pilot, lambda: "unit  run  after lint" in _text(app))
            await pilot.press("t")
            await until(pilot, lambda: "recipe: quality-gate" in _text(app))
            await pilot.resize_terminal(*NARROW)

    asyncio.run(scenario())


def test_what_is_wrong_is_said_as_one_types_and_nothing_starts(rig: Rig) -> None:
    rig.desk.door.problems = [Problem(code="INPUT_MISSING", message="the input repo is required", where="repo")]

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.open_launch("quality-gate")
            await until(pilot, lambda: "! the input repo is required" in _text(app))
            assert "1 problem" in screen_text(app)[0]
            await pilot.press("ctrl+s")
            await pilot.pause()
            assert rig.desk.door.journals == {}
            rig.desk.door.problems = []
            await pilot.press(*"/src")
            await until(pilot, lambda: "ready" in screen_text(app)[0])
            assert "$ wfconsole run quality-gate -i repo=/src" in _text(app)

    asyncio.run(scenario())


def test_a_start_opens_the_run_that_this_console_drives(rig: Rig) -> None:
    rig.desk.door.plan = plan(step("lint"))

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.open_launch("quality-gate")
            await until(pilot, lambda: isinstance(app.focused, Input))
            await pilot.press(*"/src", "ctrl+s")
            await until(pilot, lambda: bool(rig.desk.door.journals))
            (run_id,) = rig.desk.door.journals
            await until(pilot, lambda: screen_text(app)[0].startswith(" wfconsole  RUN"))
            state = rig.desk.door.journals[run_id]
            await until(pilot, lambda: state.state is not None and state.state.status == "succeeded")
            assert rig.desk.door.requests[-1].inputs == {"repo": "/src"}
            assert rig.desk.door.requests[-1].actor.user == "ann"

    asyncio.run(scenario())


def test_a_dry_run_shows_the_steps_and_creates_nothing(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.open_launch("quality-gate")
            await until(pilot, lambda: isinstance(app.focused, Input))
            await pilot.press("f5")
            await until(pilot, lambda: "Nothing was created" in _text(app))
            assert "unit  run  after lint" in _text(app)
            await pilot.press("escape", "escape")
            await until(pilot, lambda: app.board is not None and app.board.scope == "runs")
            assert rig.desk.door.journals == {}

    asyncio.run(scenario())


def test_a_recipe_that_is_not_there_says_so(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.open_launch("nope")
            await until(pilot, lambda: "RECIPE_NOT_FOUND: no recipe nope" in _text(app))

    asyncio.run(scenario())


def test_the_command_line_means_the_same_as_the_form() -> None:
    assert (
        command_line("q", {"a": "x y", "b": "@home", "c": "$(rm)"})
        == "wfconsole run q -i 'a=x y' -i b=@@home -i 'c=$(rm)'"
    )
