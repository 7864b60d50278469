"""The retry dialog: what failed, what the recipe allows, what would be run, and the start of a new run with the same inputs.

Owns that "the same" is meant: a recipe that would compile to another digest by now is not started from here. Refuses to plan the
reuse of steps: rows come from the view model (`views.retry_plan`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType

from wfconsole.console import feed
from wfconsole.console.actions import act, bindings, register
from wfconsole.console.background import told
from wfconsole.console.chrome import StatusLine
from wfconsole.console.evidence import EvidencePane
from wfconsole.console.lines import Cell, Column, LineList, Row
from wfconsole.console.screens.board import Board
from wfconsole.control.door import Door, InvalidRequestError, RunRequest
from wfconsole.domain.closing import run_again
from wfconsole.domain.evolve import fold
from wfconsole.ports import WfconsoleError
from wfconsole.views.evidence import Told
from wfconsole.views.retry_plan import RetryOffer, Way, changed_recipe, retry_offer, summary

register(
    act("retry.start", "ctrl+s,enter", "start a new run", "Start the whole run anew with the same inputs", "start",
        changes=True, refused_by="start"),
    act("retry.run", "o", "run", "Open the run that is retried", "open_run"),
)  # fmt: skip

_ACTIONS = {"reuse": ("=", "paused"), "run": ("+", "running")}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPicture:
    """A run as far as retrying it needs it. `request` starts the same again; `pinned` is the digest of its recipe."""

    offer: RetryOffer
    recipe: str
    inputs: Mapping[str, Any]
    project: str | None
    pinned: str


async def retry_feed(door: Door, run_id: str, now_ms: Callable[[], int]) -> AsyncIterator[RetryPicture]:
    """What can be done about the run, anew as its journal grows. Raises NOT_FOUND."""
    async for picture in feed.one_run(door, run_id, now_ms, lambda _run: False):
        view, plan = picture.view, picture.plan
        origin, state = plan.recipe.origin, fold(picture.records)
        assert state is not None  # noqa: S101 - the picture is of a run that was created
        yield RetryPicture(
            offer=retry_offer(view, plan.manual_retry, run_again(state)),
            recipe=origin.removeprefix("path:") if origin.startswith("path:") else plan.recipe.name,
            inputs={name: value for name, value in view["inputs"].items() if value is not None},
            project=view["project"],
            pinned=plan.recipe.digest,
        )


class RetryScreen(Board):
    """Retry of one run that is over."""

    scope = "retry"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("retry")]
    AUTO_FOCUS = "#steps"
    DEFAULT_CSS = """
    RetryScreen {
        & #about { height: 1; }
        & #ways { height: 1; margin: 1 0; }
        & #steps { height: 1fr; }
    }
    """

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self.picture: RetryPicture | None = None
        self.changed = ""
        self.checked = False

    @property
    def heading(self) -> str:
        return f"RETRY {self.run_id}"

    @property
    def headline(self) -> str:
        return "opening ..." if self.picture is None else summary(self.picture.offer.steps)

    def copies(self) -> list[tuple[str, str]]:
        command = None if self.picture is None else self.picture.offer.command
        return [*([("command line", command)] if command else []), ("run id", self.run_id)]

    def body(self) -> ComposeResult:
        yield EvidencePane(id="about")
        yield EvidencePane(id="ways")
        yield LineList((Column("", 1), Column("ACTION", 6), Column("STEP", 28), Column("REASON")), id="steps")
        yield StatusLine(id="status")

    def on_mount(self) -> None:
        for name in ("#about", "#ways"):
            self.query_one(name).can_focus = False

    def watch_engine(self) -> None:
        now_ms = self.console_app.wiring.now_ms
        self.stream(lambda door: retry_feed(door, self.run_id, now_ms), self._show)

    def _show(self, picture: RetryPicture) -> None:
        self.picture = picture
        offer = picture.offer
        # A recipe's reason can be long; the box is as tall as it needs.
        self._fill("#about", [*offer.head, Told("command", offer.command)] if offer.command else list(offer.head))
        self._fill("#ways", [_way(way) for way in offer.ways])
        rows = [
            Row(
                step.step_id,
                (Cell(mark, role), Cell(step.action, role), Cell(step.step_id), Cell(step.reason, "muted")),
            )
            for step in offer.steps
            for mark, role in [_ACTIONS.get(step.action, ("?", "text"))]
        ]
        self.query_one("#steps", LineList).set_rows(rows)
        if offer.allowed and not self.checked:
            self._check()
        self._say_status()

    def _fill(self, name: str, lines: list[Told]) -> None:
        pane = self.query_one(name, EvidencePane)
        pane.set_lines(lines)
        pane.styles.height = min(pane.height_of(self.size.width), 10)

    def _say_status(self) -> None:
        line = self.query_one("#status", StatusLine)
        refused = self.refusals().get("start", "")
        if refused:
            line.show(f"start is off: {refused}", "note")
        elif not self.checked:
            line.show("comparing the recipe ...")
        else:
            line.show("the recipe is the one that the run pinned; enter starts a new run", "succeeded")
        self.refresh_chrome()

    def refusals(self) -> dict[str, str]:
        if self.picture is None:
            return {"start": "the run is not read yet"}
        refused = self.picture.offer.ways[0].refused or self.changed
        return {"start": refused} if refused else {}

    @work(exclusive=True, group="check")
    async def _check(self) -> None:
        """Is it still the same recipe?"""
        await self._compare()
        self._say_status()

    async def _compare(self) -> None:
        picture = self.picture
        if picture is None:
            return
        request = self._request(picture)
        try:
            prepared = await self.console_app.engine.call(lambda door: door.prepare(request))
            self.changed = changed_recipe(picture.pinned, prepared.plan.recipe.digest)
        except InvalidRequestError as error:
            first = f": {error.problems[0].message}" if error.problems else ""
            self.changed = f"{error.message}{first}"
        except WfconsoleError as error:
            self.changed = told(error)
        self.checked = True

    def _request(self, picture: RetryPicture) -> RunRequest:
        return RunRequest(
            recipe=picture.recipe, actor=self.console_app.wiring.actor(), values=picture.inputs, project=picture.project
        )

    def on_line_list_selected(self) -> None:
        if not self.console_app.settings.read_only:
            self.action_start()

    def action_start(self) -> None:
        if self.allowed("start"):
            self._start()

    @work(exclusive=True, group="start")
    async def _start(self) -> None:
        await self._compare()  # it can have changed while the dialog stood open
        self._say_status()
        if self.picture is None or not self.allowed("start"):
            return
        app = self.console_app
        try:
            run_id = await app.start_run(self._request(self.picture))
        except WfconsoleError as error:
            self.say(told(error), "error")
            return
        app.pop_screen()
        app.open_run(run_id)

    def action_open_run(self) -> None:
        self.console_app.open_run(self.run_id)


def _way(way: Way) -> Told:
    """``(*)`` can be chosen, ``(-)`` cannot."""
    if way.refused:
        return Told("(-)", f"{way.name}: {way.refused}", "muted")
    return Told("(*)", way.name, "succeeded")
