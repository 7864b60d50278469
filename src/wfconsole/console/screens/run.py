"""One run: its timeline and tabs, how it stood at any of its events, and everything that can be done to it.

Owns which part is shown and at which event the picture stands. Refuses to know how pictures are made. The decision that would
surprise: going back in time changes the picture alone; every action still means the run as it is now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from wfconsole.console import feed, run_panes as panes
from wfconsole.console.actions import bindings
from wfconsole.console.cells import CellGrid
from wfconsole.console.lines import LineList
from wfconsole.console.model import RunPicture
from wfconsole.console.pane import TextPane
from wfconsole.console.run_detail import artifact_lines, detail_of, event_lines
from wfconsole.console.run_keys import TABS
from wfconsole.console.screens.run_actions import RunActions
from wfconsole.console.tabs import TabLine
from wfconsole.console.timeline import Chart, Timeline
from wfconsole.domain.plan import Json
from wfconsole.views.bars import Bars
from wfconsole.views.fan_out import cells, counts, next_failure
from wfconsole.views.run_head import head_lines, panel_lines, status_words
from wfconsole.views.run_parts import state_lines
from wfconsole.views.safe_text import safe_text
from wfconsole.views.waits import step_waits, waits
from wfconsole.views.words import word


class RunScreen(RunActions):
    """`step_id`: the step to start on."""

    scope = "run"
    AUTO_FOCUS = "#timeline"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("run")]
    DEFAULT_CSS = """
    RunScreen {
        & #head { height: 2; }
        & #panel, & .part { display: none; }
        & #about, & #waits { height: 1; }
        & .part { height: 1fr; width: 1fr; }
        & #panel.-shown, & .part.-shown { display: block; }
        &.-wide #detail.-beside { display: block; width: 44; border-left: solid $panel; }
        &.-wide #about { display: none; }
        &.-small #head, &.-small #panel, &.-small #about { display: none; }
    }
    """

    def __init__(self, run_id: str, step_id: str | None = None) -> None:
        super().__init__(run_id)
        self._step_id = step_id
        self._bars = Bars()
        self._tab = TABS[0]
        self._at: int | None = None
        self._past: Chart | None = None
        self._open: str | None = None
        self._correlation: str | None = None
        self._panel: bool | None = None

    # frame -------------------------------------------------------------------------------------------------------------

    def body(self) -> ComposeResult:
        yield TextPane(id="head")
        yield TextPane(id="panel")
        yield TabLine(TABS, id="tabs")
        with Horizontal():
            yield Timeline(id="timeline").add_class("part")
            yield LineList(panes.STEPS, id="steps").add_class("part")
            yield LineList(panes.ARTIFACTS, empty="no artifacts yet", id="artifacts").add_class("part")
            yield LineList(panes.EVENTS, empty="reading the journal ...", follows=True, id="events").add_class("part")
            yield TextPane(id="state").add_class("part")
            yield LineList(panes.LINEAGE, id="lineage").add_class("part")
            yield CellGrid(id="grid").add_class("part")
            yield TextPane(id="detail").add_class("part")
        yield TextPane(id="about")
        yield TextPane(id="waits")

    def on_mount(self) -> None:
        for name in ("#head", "#panel", "#about", "#waits"):
            self.query_one(name).can_focus = False
        # Once a second: what runs counts in whole seconds, and only cells that differ are drawn again.
        self.every(max(1.0, self.console_app.settings.frame_seconds), self._tick)
        self._arrange()

    @property
    def heading(self) -> str:
        parent = self.picture.view["lineage"]["parent"] if self.picture is not None else None
        return f"RUN {self.run_id}" + (f" <- {parent}" if parent else "")

    @property
    def headline(self) -> str:
        picture = self.picture
        if picture is None:
            return "opening ..."
        if self._at is not None:
            return f"at event {self._at}/{picture.seq}"
        app = self.console_app
        words = status_words(picture.view, app.now_ms(), ascii_only=app.settings.ascii_only)
        return f"{'driven here  ' if picture.owned_here else ''}{words}"

    def watch_engine(self) -> None:
        app, run_id, here = self.console_app, self.run_id, self.picture is None
        driven = app.engine.driven
        self.stream(lambda door: feed.one_run(door, run_id, app.now_ms, driven.__contains__, sketched=here), self._take)

    def _take(self, picture: RunPicture) -> None:
        first = self.picture is None
        self.picture = picture
        self._bars.take(picture.view)
        self.run_id = picture.run_id
        self._draw()
        if first and self._step_id is not None:
            self.query_one(Timeline).move_to(self._step_id)
            self._open_detail()
        elif first:
            failed = (picture.view["failure"] or {}).get("step_id")
            self.query_one(Timeline).move_to(picture.view["current_step"] or failed or "")

    def _tick(self) -> None:
        picture = self.picture
        if picture is not None and self._at is None and not picture.is_over and self.is_current:
            self._draw()

    # drawing -----------------------------------------------------------------------------------------------------------

    @property
    def chart(self) -> Chart | None:
        """What is shown: the run now, or as it was."""
        if self._past is not None:
            return self._past
        picture = self.picture
        if picture is None:
            return None
        return Chart(picture.view, self._bars, self.console_app.now_ms(), not picture.is_over)

    def _draw(self) -> None:
        chart, picture = self.chart, self.picture
        if chart is None or picture is None:
            return
        view = chart.view
        self.query_one("#head", TextPane).set_lines(head_lines(view))
        panel = panel_lines(view, picture.plan) if picture.whole else []
        self._plate("#panel", panel, 9)
        shown = bool(panel) and self._panel is not False and (self._open is None or self.has_class("-wide"))
        self.query_one("#panel").set_class(shown, "-shown")
        self._fill(chart, picture)
        self._draw_about(chart, picture)
        waiting = waits(view, picture.plan, chart.now) if self._at is None else []
        self._plate("#waits", waiting, 3)
        self.query_one(TabLine).show(self._tab, self.query_one(Timeline).scale if self._tab == "timeline" else "")
        self.refresh_chrome()

    def _plate(self, name: str, lines: list[tuple[str, str]], most: int) -> None:
        """These lines in a pane that is as high as they are, up to `most`."""
        pane = self.query_one(name, TextPane)
        height = max(1, min(most, len(lines)))
        if pane.styles.height is None or pane.styles.height.value != height:
            pane.styles.height = height
        pane.set_lines(lines)

    def _fill(self, chart: Chart, picture: RunPicture) -> None:
        """The part that is shown, and nothing else."""
        view, ascii_only = chart.view, self.console_app.settings.ascii_only
        match self._tab:
            case "timeline":
                self.query_one(Timeline).show(chart)
            case "steps":
                self.query_one("#steps", LineList).set_rows(panes.step_table(view, chart.now, ascii_only=ascii_only))
            case "artifacts":
                self.query_one("#artifacts", LineList).set_rows(panes.artifact_table(view))
            case "events":
                records = picture.records[: self._at] if self._at is not None else picture.records
                self.query_one("#events", LineList).set_rows(panes.event_table(records, view, self._correlation))
            case "state":
                self.query_one("#state", TextPane).set_lines(state_lines(view))
            case _:
                self.query_one("#lineage", LineList).set_rows(panes.lineage_table(view))

    def _draw_about(self, chart: Chart, picture: RunPicture) -> None:
        """The line about the step under the cursor, and its detail or its children where these are shown."""
        step = self.step
        line: list[tuple[str, str]] = []
        if step is not None:
            why = (
                (step["failure"] or {}).get("message")
                or step["reason"]
                or step_waits(step["step_id"], chart.view, picture.plan)
            )
            said = counts(step["children"]) if step["children"] else why
            trace = f"  trace {step['trace_url']}" if step["trace_url"] else ""
            line = (
                [(safe_text(f"{step['step_id']}: {said or word(step['status'])}{trace}"), "muted")]
                if said or trace
                else []
            )
            if step["children"] and self._open == "grid":
                self.query_one(CellGrid).show(cells(step["children"]))
        self.query_one("#about", TextPane).set_lines(line)
        detail = self.query_one("#detail", TextPane)
        if self._open in {None, "step"} and (self._open or self.has_class("-wide")):
            lines = detail_of(step, chart.view, picture.plan, ascii_only=self.console_app.settings.ascii_only)
            detail.set_lines(lines)

    def _arrange(self) -> None:
        """Show the chosen tab, or what is open over it."""
        wide = self.has_class("-wide")
        for name in TABS:
            covered = self._open is not None and not (wide and self._open != "grid")
            self.query_one(f"#{name}").set_class(name == self._tab and not covered, "-shown")
        self.query_one("#grid").set_class(self._open == "grid", "-shown")
        detail = self.query_one("#detail")
        detail.set_class(self._open not in {None, "grid"} and not wide, "-shown")
        detail.set_class(
            self._open != "grid" and (self._open is not None or self._tab in {"timeline", "steps"}), "-beside"
        )

    def on_unmount(self) -> None:
        """A run of many events is not kept by a screen that is gone."""
        self.picture, self._past, self._bars = None, None, Bars()

    def on_resize(self) -> None:
        self.call_after_refresh(self._arrange)
        self.call_after_refresh(self._draw)

    # the cursor --------------------------------------------------------------------------------------------------------

    @property
    def step(self) -> Mapping[str, Json] | None:
        """The step under the cursor, as it is shown."""
        chart = self.chart
        found = self.query_one(f"#{self._tab}", LineList) if self._tab in {"timeline", "steps"} else None
        place = found.place_of(found.key) if found is not None and found.key is not None else None
        if chart is None or place is None or place >= len(chart.view["steps"]):
            return None
        step: Mapping[str, Json] = chart.view["steps"][place]
        return step

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        message.stop()
        chart, picture = self.chart, self.picture
        if chart is not None and picture is not None:
            self._draw_about(chart, picture)
            self.refresh_chrome()

    def on_line_list_selected(self, message: LineList.Selected) -> None:
        message.stop()
        match self._tab:
            case "timeline" | "steps":
                self._open_detail()
            case "artifacts":
                self._read_artifact(int(message.key))
            case "events":
                if self.picture is not None:
                    self._show_text(event_lines(self.picture, int(message.key)), "event")
            case "lineage":
                run_id = message.key.partition("#")[0]
                if run_id and run_id != self.run_id:
                    self.console_app.open_run(run_id)
                else:
                    self.say(
                        "this is the run itself" if run_id else "a reused step: its run is the parent", passing=True
                    )
            case _:
                pass

    def _open_detail(self) -> None:
        step = self.step
        if step is not None and step["children"]:
            self._open = "grid"
            self.query_one(CellGrid).show(cells(step["children"]))
        else:
            self._open = "step"
        self._opened()

    def _opened(self) -> None:
        self._arrange()
        self._draw()
        self.query_one(CellGrid if self._open == "grid" else "#detail").focus()

    def _show_text(self, lines: list[tuple[str, str]], what: str) -> None:
        self.query_one("#detail", TextPane).set_lines(lines, keep_place=False)
        self._open = what
        self._opened()

    @work(exclusive=True, group="artifact")
    async def _read_artifact(self, place: int) -> None:
        chart = self.chart
        if chart is not None and place < len(chart.view["artifacts"]):
            artifact = chart.view["artifacts"][place]
            self._show_text(await artifact_lines(self.console_app.engine, artifact), "artifact")

    # actions -----------------------------------------------------------------------------------------------------------

    def action_tab(self, by: int) -> None:
        self._choose(self.query_one(TabLine).next(by))

    def on_tab_line_chosen(self, message: TabLine.Chosen) -> None:
        message.stop()
        self._choose(message.name)

    def _choose(self, name: str) -> None:
        self._tab, self._open = name, None
        self.say("")
        self._arrange()
        self._draw()
        self.query_one(f"#{name}").focus()

    async def action_leave(self) -> None:
        if self._open is not None:
            self._choose(self._tab)
        elif self._at is not None:
            self.action_scrub_to(0)
        else:
            await self.console_app.action_back()

    def action_scrub(self, by: int) -> None:
        if self.picture is not None:
            self._go_to((self._at or self.picture.seq) + by)

    def action_scrub_to(self, seq: int) -> None:
        """Show the run as it was after event `seq`; 0 shows it as it is."""
        if self.picture is not None:
            self._go_to(seq or self.picture.seq)

    def _go_to(self, seq: int) -> None:
        picture = self.picture
        if picture is None or picture.history is None:
            self.say("the journal is being read", "note", passing=True)
            return
        self._at = None if seq >= picture.seq else max(1, seq)
        self._move_in_time()

    @work(exclusive=True, group="scrub")
    async def _move_in_time(self) -> None:
        """The picture of `_at`, made in a thread; keys that come meanwhile move on from there."""
        at, history = self._at, self.picture.history if self.picture is not None else None
        if at is None or history is None:
            self._past = None
        else:
            now = history.records[at - 1].at

            def make() -> Chart:
                bars = Bars()
                view = history.at(at)
                bars.take(view)
                return Chart(view, bars, now, live=False)

            self._past = await asyncio.to_thread(make)
        self._draw()

    def action_zoom(self, by: int) -> None:
        self.query_one(Timeline).zoom_by(by)
        self._draw()

    def action_pan(self, by: int) -> None:
        self.query_one(Timeline).pan_by(by)

    def action_fit(self) -> None:
        self.query_one(Timeline).fit()
        self._draw()

    def action_failure(self) -> None:
        """The next failed child in an open grid; else the next failed step."""
        chart = self.chart
        if self._open == "grid":
            if not self.query_one(CellGrid).jump():
                self.say("no child failed", passing=True)
            return
        if chart is None or self._tab not in {"timeline", "steps"}:
            return
        found = self.query_one(f"#{self._tab}", LineList)
        place = next_failure([step["status"] for step in chart.view["steps"]], found.cursor)
        if place is None:
            self.say("no step failed", passing=True)
        else:
            found.cursor = place

    def action_correlation(self) -> None:
        picture = self.picture
        if picture is None or self._tab != "events":
            self.say("on the events tab: only events with the same cause as the one under the cursor", passing=True)
            return
        key = self.query_one("#events", LineList).key
        self._correlation = None if self._correlation or key is None else picture.records[int(key) - 1].correlation_id
        self.say(f"caused by {self._correlation}; c shows all again" if self._correlation else "")
        self._draw()

    def action_why(self) -> None:
        self._panel = not (self._panel is not False)
        self._draw()
