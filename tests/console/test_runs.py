from __future__ import annotations

import asyncio

import pytest

from tests.console.rig import NARROW, WIDE, Rig, screen_text, until
from tests.fakes.journals import Journal, failed, plan, step
from wfconsole.console.lines import LineList
from wfconsole.domain.facts import CancelRun, PauseRun


def _runs(rig: Rig) -> tuple[str, str]:
    """Ids of a pending run and of one that has failed."""
    pending = rig.desk.door.add(Journal(plan(step("lint")), run_id="01aaaaaaaaaaaaaa", workflow_id="one"))
    over = Journal(plan(step("lint"), step("unit", "lint")), run_id="01bbbbbbbbbbbbbb", workflow_id="two")
    over.play(lambda *_: failed("ruff found 3 issues", code="CHECK_FAILED"))
    return pending, rig.desk.door.add(over)


def _line(lines: list[str], part: str) -> str:
    return next((line for line in lines if part in line), "")


def test_runs_are_listed_with_age_progress_glyph_word_and_cause(rig: Rig) -> None:
    pending, over = _runs(rig)

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            await until(pilot, lambda: bool(_line(screen_text(app), over)))
            lines = screen_text(app)
            assert lines[0].startswith(" wfconsole  RUNS")
            assert "2 runs  1 active  0 need you" in lines[0]
            assert "· pending" in _line(lines, pending)
            assert "0/1" in _line(lines, pending)
            assert "✗ failed" in _line(lines, over)
            assert "CHECK_FAILED lint" in _line(lines, over)

    asyncio.run(scenario())


def test_ascii_glyphs_where_the_terminal_has_no_others(rig: Rig) -> None:
    _, over = _runs(rig)

    async def scenario() -> None:
        async with rig.open(ascii_only=True) as (app, pilot):
            await until(pilot, lambda: bool(_line(screen_text(app), over)))
            assert "x failed" in _line(screen_text(app), over)
            assert all(line.isascii() for line in screen_text(app)[1:-2] if over in line)

    asyncio.run(scenario())


def test_a_run_started_elsewhere_appears_by_itself(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            await until(pilot, lambda: "0 runs" in screen_text(app)[0])
            journal = Journal(plan(step("lint")), run_id="01cccccccccccccc")
            rig.desk.door.journals["01cccccccccccccc"] = journal
            await app.engine.call(lambda _: rig.desk.door._sync("01cccccccccccccc"))
            await until(pilot, lambda: bool(_line(screen_text(app), "01cccccccccccccc")), seconds=2)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("typed", "stays"), [("check_failed", 1), ("!failed", 0), ("status = failed", 1), ("zzz", None)]
)
def test_the_filter_takes_words_and_expressions(rig: Rig, typed: str, stays: int | None) -> None:
    ids = _runs(rig)

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            await until(pilot, lambda: "2 runs" in screen_text(app)[0])
            await pilot.press("slash", *typed)
            rows = app.screen.query_one(LineList)
            await until(pilot, lambda: [row.key for row in rows.rows] == ([] if stays is None else [ids[stays]]))
            if stays is None:
                assert "no run fits this filter" in "\n".join(screen_text(app))
            await pilot.press("escape")
            await until(pilot, lambda: len(rows.rows) == 2)

    asyncio.run(scenario())


def test_a_cancel_needs_two_steps_and_can_be_left(rig: Rig) -> None:
    pending, over = _runs(rig)

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            rows = app.screen.query_one(LineList)
            await until(pilot, lambda: rows.move_to(pending))
            await pilot.press("x")
            await until(pilot, lambda: "Cancel run" in "\n".join(screen_text(app)))
            await pilot.press("escape")
            await until(pilot, lambda: app.board is not None)
            assert rig.desk.door.sent == []
            await pilot.press("x")
            await until(pilot, lambda: app.board is None)
            await pilot.press(*"wrong branch", "enter")
            await until(pilot, lambda: bool(rig.desk.door.sent))
            (fact,) = rig.desk.door.sent
            assert isinstance(fact, CancelRun)
            assert fact.reason == "wrong branch"
            assert over

    asyncio.run(scenario())


def test_a_refused_key_says_why_in_the_words_of_the_run(rig: Rig) -> None:
    _, over = _runs(rig)

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            rows = app.screen.query_one(LineList)
            await until(pilot, lambda: rows.move_to(over))
            await pilot.press("p")
            await until(pilot, lambda: f"run {over} is over: failed" in "\n".join(screen_text(app)))
            assert isinstance(rig.desk.door.sent[-1], PauseRun)

    asyncio.run(scenario())


def test_read_only_offers_nothing_that_changes_anything(rig: Rig) -> None:
    pending, _ = _runs(rig)

    async def scenario() -> None:
        async with rig.open(read_only=True) as (app, pilot):
            rows = app.screen.query_one(LineList)
            await until(pilot, lambda: rows.move_to(pending))
            assert " RO  " in screen_text(app)[0]
            assert "cancel" not in screen_text(app)[-1]
            await pilot.press("x", "p", "r")
            await pilot.pause()
            assert app.board is not None
            assert rig.desk.door.sent == []

    asyncio.run(scenario())


def test_above_100_columns_the_run_under_the_cursor_is_told_beside(rig: Rig) -> None:
    _, over = _runs(rig)

    async def scenario() -> None:
        async with rig.open(size=WIDE) as (app, pilot):
            await until(pilot, lambda: app.screen.query_one(LineList).move_to(over))
            await until(pilot, lambda: "CHECK_FAILED: ruff found 3 issues" in "\n".join(screen_text(app)))
            await pilot.resize_terminal(*NARROW)
            await until(pilot, lambda: "ruff found 3 issues" not in "\n".join(screen_text(app)))

    asyncio.run(scenario())


def test_hostile_names_are_shown_and_obeyed_by_nothing(rig: Rig) -> None:
    from dataclasses import replace

    from wfconsole.domain.plan import RecipeRef

    recipe = RecipeRef(
        name="a[@click=app.exit]x[/]\x1b]52;c;ZXZpbA==\x07", version="1\u202e", digest="d1" * 32, origin="x"
    )
    rig.desk.door.add(Journal(replace(plan(step("lint")), recipe=recipe), run_id="01dddddddddddddd"))

    async def scenario() -> None:
        async with rig.open(size=(160, 30)) as (app, pilot):
            await until(pilot, lambda: bool(_line(screen_text(app), "01dddddddddddddd")))
            text = "\n".join(screen_text(app))
            assert "\x1b" not in text
            assert "\x07" not in text
            assert "\u202e" not in text
            assert "a[@click=app.exit]x" in text

    asyncio.run(scenario())


@pytest.mark.parametrize("size", [(1, 1), (20, 5), (79, 23)])
def test_a_small_terminal_is_no_crash(rig: Rig, size: tuple[int, int]) -> None:
    _runs(rig)

    async def scenario() -> None:
        async with rig.open(size=size) as (app, pilot):
            await pilot.press("down", "up", "question_mark")
            await pilot.resize_terminal(80, 24)
            await pilot.resize_terminal(*size)
            await pilot.press("escape")
            assert app.is_running

    asyncio.run(scenario())
