"""The frame: what is said above the keys is read in full, for as long as it is true; no text hides behind a scroll bar."""

from __future__ import annotations

import asyncio

import pytest
from textual.screen import Screen

from tests.console.rig import Rig, screen_text, until
from wfconsole.console.chrome import Note
from wfconsole.console.lines import Cell, Column, LineList, Row
from wfconsole.console.pane import TextPane

LONG = "TEMPLATE_MISSING: " + "there is no image for it on this machine " * 3 + "- wfconsole templates build python"


def test_a_long_note_stands_on_several_lines_above_the_keys_and_gives_them_back(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            keys = screen_text(app)[-1]
            app.say(LONG, "error")
            await until(pilot, lambda: any("templates build python" in line for line in screen_text(app)))
            said = [line.strip() for line in screen_text(app)[-4:-1]]
            assert " ".join(said) == LONG
            assert screen_text(app)[-1] == keys
            app.say("short")
            await until(pilot, lambda: screen_text(app)[-2].strip() == "short")
            assert screen_text(app)[-3] == ""
            app.say(LONG * 9)
            await until(pilot, lambda: app.screen.query_one(Note).size.height == 3)
            await until(pilot, lambda: screen_text(app)[-2].endswith("…"))

    asyncio.run(scenario())


def test_a_small_screen_keeps_its_lines_for_what_it_shows(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.open(size=(60, 12)) as (app, pilot):
            app.say(LONG, "error")
            await until(pilot, lambda: screen_text(app)[-2].endswith("…"))
            assert app.screen.query_one(Note).size.height == 1
            await pilot.resize_terminal(80, 24)
            app.say("60x12: one pane")
            await pilot.resize_terminal(60, 12)
            await until(pilot, lambda: "60x12: one pane; 80x24 shows all" in screen_text(app)[-2])
            await pilot.resize_terminal(80, 24)
            await until(pilot, lambda: screen_text(app)[-2] == "")

    asyncio.run(scenario())


def test_why_a_key_did_nothing_goes_with_the_next_key_and_other_words_stay(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            await pilot.press("q")
            assert app.screen.query_one(Note).text == "ctrl+q leaves the console"
            await pilot.press("j")
            assert app.screen.query_one(Note).text == ""
            app.say("something that lasts")
            await pilot.press("j")
            assert app.screen.query_one(Note).text == "something that lasts"

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["list", "pane"])
def test_what_does_not_fit_beside_the_scroll_bar_is_marked_as_cut(rig: Rig, kind: str) -> None:
    text = "0123456789" * 20

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            made = LineList((Column("X"),)) if kind == "list" else TextPane()
            await app.push_screen(Screen())  # the runs would be shown in any list that is there
            await app.screen.mount(made)
            if isinstance(made, LineList):
                made.set_rows([Row(str(at), (Cell(text),)) for at in range(100)])
            else:
                made.styles.height = "1fr"
                made.set_lines([(text, "text")] * 100)
            await until(pilot, lambda: made.show_vertical_scrollbar)
            await pilot.pause()
            drawn = made.render_line(2).text
            assert drawn.rstrip().endswith("…")
            assert len(drawn.rstrip()) <= made.scrollable_content_region.width < made.size.width

    asyncio.run(scenario())
