from __future__ import annotations

import asyncio
from typing import Any

from tests.console.rig import Rig, screen_text, until
from tests.fakes.journals import OK, Journal, failed, plan, step
from wfconsole.console.lines import LineList
from wfconsole.console.screens.templates import drift_lines, template_cells


def _text(app: Any) -> str:
    return "\n".join(screen_text(app))


def test_the_newest_events_of_all_runs_are_followed(rig: Rig) -> None:
    for letter in "ab":
        journal = Journal(plan(step("lint")), run_id=f"01{letter * 14}", workflow_id=letter)
        journal.play(lambda *_: failed("ruff found 3 issues", code="CHECK_FAILED"))
        rig.desk.door.add(journal)

    async def scenario() -> None:
        async with rig.open(size=(160, 30)) as (app, pilot):
            await pilot.press("5")
            await until(pilot, lambda: "CHECK_FAILED: ruff found 3 issues" in _text(app))
            rows = app.screen.query_one(LineList)
            assert rows.cursor == len(rows.rows) - 1
            total = len(rows.rows)
            await pilot.press("slash", *"01aaaa", "enter")
            await until(pilot, lambda: len(rows.rows) == total // 2)
            await pilot.press("p")
            await until(pilot, lambda: '"correlation_id":' in _text(app))
            await pilot.press("c")
            await until(pilot, lambda: 0 < len(rows.rows) < total // 2)
            await pilot.press("c", "enter")
            await until(pilot, lambda: app.board is not None and app.board.scope == "run")

    asyncio.run(scenario())


def test_the_newest_event_is_on_the_screen_from_the_first_picture_on(rig: Rig) -> None:
    for place in range(12):
        journal = Journal(plan(step("lint")), run_id=f"01{place:014}", workflow_id=str(place))
        journal.play(lambda *_: OK)
        rig.desk.door.add(journal)

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            await pilot.press("5")
            await until(pilot, lambda: len(app.screen.query_one(LineList).rows) > 30)
            await until(pilot, lambda: any(line.startswith(">") for line in screen_text(app)))

    asyncio.run(scenario())


def test_an_event_about_an_artifact_says_which(rig: Rig) -> None:
    journal = Journal(plan(step("lint")), run_id="01" + "a" * 14)
    journal.play(lambda *_: OK)
    rig.desk.door.add(journal)

    async def scenario() -> None:
        async with rig.open(size=(120, 30)) as (app, pilot):
            await pilot.press("5")
            await until(pilot, lambda: "artifact_recorded" in _text(app))
            (line,) = [line for line in screen_text(app) if "artifact_recorded" in line and "lint" in line]
            assert line.endswith("none: the run step declares no artifacts")
            assert any("run_created" in line and line.endswith("quality-gate@1.0.0") for line in screen_text(app))

    asyncio.run(scenario())


def test_templates_show_what_differs_field_by_field(rig: Rig) -> None:
    rig.desk.templates.state = "drift"

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            await pilot.press("4")
            await until(pilot, lambda: "1 template  1 drifted" in screen_text(app)[0])
            await until(pilot, lambda: "expected  a" in _text(app))
            assert "~ drift" in _text(app)
            assert "observed  b" in _text(app)
            rig.desk.templates.state = "ok"
            await pilot.press("r")
            await until(pilot, lambda: "✓ ok" in _text(app))
            await pilot.press("b")
            await until(pilot, lambda: "python is built and locked" in _text(app))

    asyncio.run(scenario())


def test_a_template_that_is_missing_says_what_to_do() -> None:
    document = {
        "name": "node",
        "state": "missing",
        "image_id": None,
        "message": "never built",
        "hint": "wfconsole templates build node",
    }
    assert [cell.text for cell in template_cells(document, ascii_only=True)][:2] == ["x missing", "node"]
    assert ("wfconsole templates build node", "note") in drift_lines(document)
