"""The parts of the run screen: its tabs, what they open, fan-outs, wide and small terminals, zoom."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from textual.widget import Widget

from tests.console.rig import WIDE, Rig, screen_text, until
from tests.console.test_run import broken, opened, play, running, see
from tests.fakes.gates import decide, gated
from tests.fakes.journals import OK
from wfconsole.console.app import Console
from wfconsole.console.cells import CellGrid
from wfconsole.console.chrome import TitleBar
from wfconsole.console.lines import Cell, LazyRows, LineList, Row
from wfconsole.console.model import RunPicture
from wfconsole.console.pane import TextPane
from wfconsole.console.timeline import Timeline
from wfconsole.domain.records import ArtifactRecord


def test_tabs_show_steps_artifacts_events_state_and_lineage(rig: Rig) -> None:
    rig.desk.door.add(broken())

    async def scenario(app: Console, pilot: Any) -> None:
        await opened(app, pilot)
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: see(app, "EXIT STEP"))
        assert see(app, "STEP_FAILED: 2")
        await pilot.press("tab", "right_square_bracket")
        await until(pilot, lambda: see(app, "SEQ TIME"))
        assert see(app, "run_failed")
        await pilot.press("tab")
        await until(pilot, lambda: see(app, "inputs"))
        await pilot.press("tab")
        await until(pilot, lambda: see(app, "this run"))
        await pilot.press("tab")
        await until(pilot, lambda: see(app, "[timeline]"))
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: see(app, "[lineage]"))

    play(rig, scenario)


def test_events_open_their_payload_and_are_filtered_by_their_cause(rig: Rig) -> None:
    journal = broken()
    rig.desk.door.add(journal)

    async def scenario(app: Console, pilot: Any) -> None:
        screen = await opened(app, pilot)
        screen._choose("events")
        events = screen.query_one("#events", LineList)
        await until(pilot, lambda: len(events.rows) == len(journal.records))
        await pilot.press("g", "enter")
        await until(pilot, lambda: see(app, '"type": "run_created"') or see(app, '"correlation_id": "start"'))
        await pilot.press("escape", "c")
        want = [str(record.seq) for record in journal.records if record.correlation_id == "start"]
        await until(pilot, lambda: [row.key for row in events.rows] == want)
        await pilot.press("c")
        await until(pilot, lambda: len(events.rows) == len(journal.records))

    play(rig, scenario)


def test_a_diff_artifact_is_coloured_by_its_prefixes_and_says_where_it_lies(rig: Rig) -> None:
    data = b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\x1b[2J\n+new\n"
    sha256, size = asyncio.run(rig.desk.door.artifacts.put_bytes(data))
    journal = running()
    record = ArtifactRecord(
        artifact_id="unit#1/diff.patch",
        step_id="unit",
        attempt=1,
        name="diff.patch",
        kind="diff",
        sha256=sha256,
        bytes=size,
    )
    journal.end(journal.open[0], {**OK, "artifacts": (record,)})
    rig.desk.door.add(journal)

    async def scenario(app: Console, pilot: Any) -> None:
        screen = await opened(app, pilot)
        screen._choose("artifacts")
        await until(pilot, lambda: see(app, "diff.patch"))
        screen.query_one("#artifacts", LineList).move_to("1")
        await pilot.press("enter")
        detail = screen.query_one("#detail", TextPane)
        await until(pilot, lambda: len(detail.lines) > 5)
        roles = dict(detail.lines)
        assert roles["+new"] == "diff-add"
        assert roles["-old␛[2J"] == "diff-del"
        assert roles["@@ -1 +1 @@"] == "diff-hunk"
        assert any(text.startswith("file  ") and sha256 in text for text, _ in detail.lines)

    play(rig, scenario)


def fan_out(picture: RunPicture) -> RunPicture:
    """The same run whose step `unit` is a fan-out of ten thousand: its data exists before maps do."""
    children = {"total": 10_000, "succeeded": 5000, "failed": 3, "running": 20, "tolerance": 5}
    steps = [{**item, "children": children} if item["step_id"] == "unit" else item for item in picture.view["steps"]]
    return replace(picture, view={**picture.view, "steps": steps})


def test_a_fan_out_is_one_row_with_counts_and_a_grid_of_its_children(rig: Rig) -> None:
    rig.desk.door.add(running())

    async def scenario(app: Console, pilot: Any) -> None:
        screen = await opened(app, pilot)
        assert screen.picture is not None
        screen.stop_streams()
        screen._take(fan_out(screen.picture))
        await until(pilot, lambda: see(app, "5003/10000"))
        assert see(app, "unit x10000")
        assert see(app, "5000 succeeded  3 failed (5 allowed)  20 running  4977 pending")
        await pilot.press("enter")
        grid = screen.query_one(CellGrid)
        await until(pilot, lambda: grid.has_focus and len(grid.statuses) == 10_000)
        await pilot.press("e")
        await until(pilot, lambda: grid.statuses[grid.cursor] == "failed")
        first = grid.cursor
        await pilot.press("e")
        await until(pilot, lambda: grid.cursor == first + 1)
        assert see(app, "✗✗✗▸")
        await pilot.press("escape")
        await until(pilot, lambda: see(app, "unit x10000"))

    play(rig, scenario)


def test_wide_screens_show_the_step_beside_the_timeline(rig: Rig) -> None:
    rig.desk.door.add(broken())

    async def scenario(app: Console, pilot: Any) -> None:
        screen = await opened(app, pilot)
        screen.query_one(Timeline).move_to("unit")
        await until(pilot, lambda: see(app, "attempt 3  failed"))
        assert any("lint" in line for line in screen_text(app))

    play(rig, scenario, size=WIDE)


@pytest.mark.parametrize("size", [(1, 1), (20, 5), (40, 12)])
def test_small_terminals_show_one_part_and_never_crash(rig: Rig, size: tuple[int, int]) -> None:
    rig.desk.door.add(broken())

    async def scenario(app: Console, pilot: Any) -> None:
        await opened(app, pilot)
        await pilot.press("tab", "tab", "tab", "tab", "tab", "tab", "enter", "comma", "plus", "right", "escape")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: see(app, "[timeline]"))

    play(rig, scenario, size=size)


def test_open_lands_on_the_step(rig: Rig) -> None:
    rig.desk.door.add(broken())

    async def scenario(app: Console, pilot: Any) -> None:
        await opened(app, pilot, "unit")
        await until(pilot, lambda: see(app, "attempt 3  failed"))

    play(rig, scenario)


def test_zoom_pan_and_fit(rig: Rig) -> None:
    journal = gated()
    decide(journal, "approve")
    rig.desk.door.add(journal)

    async def scenario(app: Console, pilot: Any) -> None:
        screen = await opened(app, pilot)
        line = screen.query_one(Timeline)
        assert line.axis is not None
        before = line.axis.scale
        await pilot.press("plus", "plus", "plus")
        await until(pilot, lambda: line.axis is not None and line.axis.scale < before)
        assert line._left is None
        await pilot.press("left", "left")
        await until(pilot, lambda: line._left is not None and line._left > 0)
        await pilot.press("right", "right", "right")
        await until(pilot, lambda: line._left is None)
        await pilot.press("f")
        await until(pilot, lambda: line.axis is not None and line.axis.scale == before and line._left is None)

    play(rig, scenario)


def test_a_picture_that_looks_the_same_draws_nothing_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.desk.door.add(running())

    async def scenario(app: Console, pilot: Any) -> None:
        screen = await opened(app, pilot)
        screen.stop_streams()
        await pilot.pause()
        drawn: list[Widget] = []
        real = Widget.refresh

        def refresh(self: Widget, *regions: Any, **more: Any) -> Widget:
            drawn.append(self)
            return real(self, *regions, **more)

        monkeypatch.setattr(Widget, "refresh", refresh)
        screen._draw()
        assert drawn == []
        rig.desk.now += 1000
        screen._draw()
        assert {type(one) for one in drawn} == {Timeline, TextPane, TitleBar}

    play(rig, scenario)


def test_ten_thousand_rows_are_made_when_they_are_looked_at() -> None:
    made: list[int] = []

    def make(at: int) -> Row:
        made.append(at)
        return Row(str(at), (Cell(str(at)),))

    rows = LazyRows(10_000, make, lambda key: int(key) if key.isdecimal() else None)
    assert (len(rows), rows[9_999].key, rows[-1].key, [row.key for row in rows[3:5]]) == (
        10_000,
        "9999",
        "9999",
        ["3", "4"],
    )
    assert made == [9_999, 3, 4]
    with pytest.raises(IndexError):
        rows[10_000]


def test_the_lineage_opens_the_relatives_of_a_run(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.desk.door.add(broken())
    gone_to: list[str] = []

    async def scenario(app: Console, pilot: Any) -> None:
        screen = await opened(app, pilot)
        assert screen.picture is not None
        screen.stop_streams()
        lineage = {"root": "r0", "parent": "r1", "retried_from": "unit", "reused": ["lint"], "successors": ["r3"]}
        screen._take(replace(screen.picture, view={**screen.picture.view, "lineage": lineage}))
        assert see(app, "<- r1")
        monkeypatch.setattr(app, "open_run", gone_to.append)
        screen._choose("lineage")
        await until(pilot, lambda: see(app, "goes on from step unit"))
        table = screen.query_one("#lineage", LineList)
        for row in table.rows:
            table.move_to(row.key)
            await pilot.press("enter")
        await until(pilot, lambda: gone_to == ["r0", "r1", "r3"])

    play(rig, scenario)
