"""The runs: newest first, found by a filter, sorted by what one looks for, with a summary beside them where there is room.

Owns the cursor, the filter and the order of the list. Refuses to know a run's journal: rows and summary are made from the
list.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from wfconsole.console.actions import act, bindings, register
from wfconsole.console.filtering import FilterLine, parse_filter
from wfconsole.console.lines import Cell, LineList, Row, columns
from wfconsole.console.model import RunList, listed
from wfconsole.console.pane import TextPane
from wfconsole.console.screens.board import Board
from wfconsole.views.run_rows import COLUMNS, SORTS, run_cells, run_lines, sort_key
from wfconsole.views.words import plural

if TYPE_CHECKING:
    from wfconsole.control.door import Door
    from wfconsole.domain.plan import Json

PAGE = 200
_WIDE = 100
_WIDTHS = (6, 6, 11, 16, 18, None)

register(
    act("runs.open", "", "open", "Open the run under the cursor", "open", shown=False),
    act("runs.review", "a", "review", "Review the gate that this run waits at", "review"),
    act("runs.log", "l", "log", "Show the run's log", "log", shown=False),
    act("runs.retry", "r", "retry", "Retry the run", "retry", changes=True),
    act(
        "runs.pause", "p", "pause", "Start nothing more in the run; what is under way ends first", "pause", changes=True
    ),
    act("runs.resume", "R", "resume", "Let a paused run go on", "resume", changes=True, shown=False),
    act("runs.cancel", "x", "cancel", "End the run, with a reason", "cancel", changes=True),
    act(
        "runs.delete",
        "delete,X",
        "delete",
        "Delete the run; its id has to be typed",
        "delete",
        changes=True,
        shown=False,
    ),
    act("runs.filter", "slash", "filter", "Filter the list: words, !word, or an expression", "filter"),
    act("runs.sort", "s", "sort", "Sort by age, state, recipe, time taken", "sort", shown=False),
    act("runs.reverse", "S", "reverse", "Turn the order around", "reverse", shown=False),
    act("runs.freeze", "space", "freeze", "Hold the list still, or let it move again", "freeze", shown=False),
    act("runs.more", "M", "more", "Load older runs", "more", shown=False),
)


def _newest(door: Door, limit: int) -> AsyncIterator[RunList]:
    """Imported on the engine's thread, after the first picture."""
    from wfconsole.console import feed

    return feed.run_list(door, limit)


class RunsScreen(Board):
    scope = "runs"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("runs")]
    DEFAULT_CSS = """
    RunsScreen {
        & #summary { display: none; width: 44; border-left: solid $panel; }
        &.-wide #summary { display: block; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._list: RunList | None = None
        self._shown: dict[str, Mapping[str, Json]] = {}
        self._typed = ""
        self._sort = 0
        self._reversed = False
        self._frozen = False
        self._limit = PAGE

    def body(self) -> ComposeResult:
        yield FilterLine()
        with Horizontal():
            yield LineList(columns(COLUMNS, _WIDTHS, right=(0, 1)), empty="opening the store ...", id="runs")
            yield TextPane(id="summary")

    def on_mount(self) -> None:
        glance = self.console_app.wiring.glance(PAGE)
        if glance is not None:  # the first picture has the runs in it; the store opens after that
            self._list = listed(glance, PAGE)
            self._show()
        self.call_after_refresh(self.console_app.engine.go)
        # Once a second: ages count in whole seconds, and a row repaints only the cells that differ.
        self.every(max(1.0, self.console_app.settings.frame_seconds), self._tick)

    @property
    def headline(self) -> str:
        found = self._list
        if found is None:
            return "opening ..."
        held = "  HELD" if self._frozen else ""
        runs = plural(len(self._shown), "run") if self._typed else plural(len(found.rows), "run")
        more = "" if found.whole else "+"
        return f"{runs}{more}  {found.active} active  {found.waiting} need you{held}"

    def watch_engine(self) -> None:
        limit = self._limit
        self.stream(lambda door: _newest(door, limit), self._take)

    def _take(self, found: RunList) -> None:
        if self._frozen:
            return
        self._list = found
        self._show()
        self.console_app.tell_waiting(found)

    def _tick(self) -> None:
        """Ages go on; a run that is over ages too, by the minute."""
        if self._list is not None and not self._frozen and self.is_current:
            self._show()

    def _show(self) -> None:
        assert self._list is not None  # noqa: S101 - callers have looked
        now, ascii_only = self.console_app.now_ms(), self.console_app.settings.ascii_only
        keep, by = parse_filter(self._typed), SORTS[self._sort]
        rows: list[tuple[Mapping[str, Json], Row]] = []
        for view in self._list.rows:
            cells = run_cells(view, now, ascii_only=ascii_only)
            if not self._typed or keep(view, " ".join(text for text, _ in cells)):
                rows.append((view, Row(view["run_id"], tuple(Cell(*cell) for cell in cells))))
        rows.sort(key=lambda pair: sort_key(pair[0], by, now), reverse=self._reversed)
        self._shown = {row.key: view for view, row in rows}
        found = self.query_one(LineList)
        found.say_empty("no run fits this filter" if self._typed else "no runs yet: 3 shows the recipes")
        found.set_rows([row for _, row in rows])
        self._summarize()
        self.refresh_chrome()

    @property
    def chosen(self) -> Mapping[str, Json] | None:
        key = self.query_one(LineList).key
        return self._shown.get(key) if key else None

    def _summarize(self) -> None:
        view = self.chosen
        if view is None or not self.has_class("-wide"):
            return
        settings = self.console_app.settings
        lines = run_lines(view, self.console_app.now_ms(), ascii_only=settings.ascii_only)
        self.query_one("#summary", TextPane).set_lines(lines)

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        message.stop()
        self._summarize()
        self.refresh_chrome()

    def on_line_list_selected(self, message: LineList.Selected) -> None:
        message.stop()
        self.console_app.open_run(message.key)

    def on_filter_line_filtered(self, message: FilterLine.Filtered) -> None:
        message.stop()
        self._typed = message.typed.strip()
        if self._list is not None:
            self._show()

    def copies(self) -> list[tuple[str, str]]:
        view = self.chosen
        if view is None:
            return []
        run_id = str(view["run_id"])
        return [("run id", run_id), ("command", f"wfconsole show {run_id}"), ("watch", f"wfconsole watch {run_id}")]

    def refusals(self) -> Mapping[str, str]:
        view = self.chosen
        if view is None:
            return dict.fromkeys(("review", "retry", "pause", "resume", "cancel", "log"), "there is no run here")
        found: dict[str, str] = {}
        if not view.get("waiting_for"):
            found["review"] = f"run {view['run_id']} waits for nobody"
        return found

    # actions -----------------------------------------------------------------------------------------------------------

    def action_open(self) -> None:
        self.query_one(LineList).action_select()

    def action_review(self) -> None:
        view = self.chosen
        if view is not None and self.allowed("review"):
            self.console_app.review(str(view["run_id"]))

    def action_log(self) -> None:
        view = self.chosen
        if view is not None:
            self.console_app.open_log(str(view["run_id"]), None)

    def action_retry(self) -> None:
        view = self.chosen
        if view is not None and self.allowed("retry"):
            self.console_app.open_retry(str(view["run_id"]))

    async def action_pause(self) -> None:
        from wfconsole.domain.facts import PauseRun

        view = self.chosen
        if view is not None:
            await self.console_app.command(
                str(view["run_id"]), lambda i, at, who: PauseRun(fact_id=i, at=at, actor=who)
            )

    async def action_resume(self) -> None:
        from wfconsole.domain.facts import ResumeRun

        view = self.chosen
        if view is not None:
            await self.console_app.command(
                str(view["run_id"]), lambda i, at, who: ResumeRun(fact_id=i, at=at, actor=who)
            )

    def action_cancel(self) -> None:
        view = self.chosen
        if view is not None:
            self.console_app.confirm_cancel(str(view["run_id"]))

    def action_delete(self) -> None:
        view = self.chosen
        if view is not None:
            from wfconsole.console.screens.deleting import confirm_delete

            confirm_delete(self.console_app, str(view["run_id"]))

    def action_filter(self) -> None:
        self.query_one(FilterLine).open()

    def action_sort(self) -> None:
        self._sort = (self._sort + 1) % len(SORTS)
        self._show()
        self.say(f"sorted by {SORTS[self._sort]}")

    def action_reverse(self) -> None:
        self._reversed = not self._reversed
        self._show()

    def action_freeze(self) -> None:
        self._frozen = not self._frozen
        self.say("the list is held still; space lets it move" if self._frozen else "")
        self.refresh_chrome()
        if not self._frozen:
            self.on_screen_resume()

    def action_more(self) -> None:
        self._limit *= 5
        self.on_screen_resume()
