"""The newest events of all runs as they are committed, by any process.

Owns the follow state: it stays with the end until one moves away, and again once one is back there.
"""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from wfconsole.console import feed
from wfconsole.console.actions import act, bindings, register
from wfconsole.console.filtering import FilterLine
from wfconsole.console.lines import Cell, LineList, Row, columns
from wfconsole.console.pane import TextPane
from wfconsole.console.screens.board import Board
from wfconsole.domain.codec import wire
from wfconsole.domain.events import Record
from wfconsole.views.event_rows import COLUMNS, event_cells, pretty
from wfconsole.views.words import plural

NEWEST = 500
_WIDTHS = (12, 16, 5, 19, 12, None)

register(
    act("events.filter", "slash", "filter", "Filter: words, !word (a run id, a step, an event)", "filter"),
    act("events.cause", "c", "same cause", "Only events with the correlation id of this one, or all again", "cause"),
    act("events.payload", "p", "payload", "Show or hide the whole event", "payload"),
    act("events.follow", "f", "follow", "Go to the newest event and stay there", "follow"),
    act("events.more", "M", "more", "Load older events", "more", shown=False),
)


class EventsScreen(Board):
    scope = "events"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("events")]
    DEFAULT_CSS = """
    EventsScreen {
        & #payload { display: none; height: 40%; border-top: solid $panel; }
        &.-payload #payload { display: block; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._events: tuple[tuple[str, Record], ...] = ()
        self._by_key: dict[str, tuple[str, Record]] = {}
        self._typed, self._cause = "", ""
        self._limit = NEWEST

    def body(self) -> ComposeResult:
        yield FilterLine("words, !word")
        with Vertical():
            yield LineList(columns(COLUMNS, _WIDTHS, right=(2,)), empty="no events yet", follows=True, id="events")
            yield TextPane(id="payload")

    @property
    def headline(self) -> str:
        more = "+" if len(self._events) >= self._limit else ""
        cause = f"  cause {self._cause[:12]}" if self._cause else ""
        return f"{plural(len(self._by_key), 'event')}{more}{cause}"

    def watch_engine(self) -> None:
        limit = self._limit
        self.stream(lambda door: feed.newest_events(door, limit), self._take)

    def _take(self, found: tuple[tuple[str, Record], ...]) -> None:
        self._events = found
        self._show()

    def _show(self) -> None:
        words = self._typed.lower().split()
        rows: list[Row] = []
        self._by_key = {}
        for run_id, record in self._events:
            if self._cause and record.correlation_id != self._cause:
                continue
            cells = event_cells(run_id, record)
            text = " ".join(cell for cell, _ in cells).lower()
            if all((word[1:] not in text) if word[:1] == "!" and word[1:] else word in text for word in words):
                key = f"{run_id}#{record.seq}"
                self._by_key[key] = (run_id, record)
                rows.append(Row(key, tuple(Cell(*cell) for cell in cells)))
        self.query_one(LineList).set_rows(rows)
        self._detail()
        self.refresh_chrome()

    @property
    def chosen(self) -> tuple[str, Record] | None:
        return self._by_key.get(self.query_one(LineList).key or "")

    def _document(self) -> object:
        found = self.chosen
        return None if found is None else wire(found[1], run_id=found[0], name="", version="")

    def _detail(self) -> None:
        if self.has_class("-payload") and self.chosen is not None:
            lines = [(line, "text") for line in pretty(self._document())]
            self.query_one("#payload", TextPane).set_lines(lines, keep_place=False)

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        message.stop()
        self._detail()

    def on_line_list_selected(self, message: LineList.Selected) -> None:
        message.stop()
        if self.chosen is not None:
            self.console_app.open_run(self.chosen[0])

    def on_filter_line_filtered(self, message: FilterLine.Filtered) -> None:
        message.stop()
        self._typed = message.typed.strip()
        self._show()

    def copies(self) -> list[tuple[str, str]]:
        found = self.chosen
        if found is None:
            return []
        whole = "\n".join(pretty(self._document()))
        return [("event", whole), ("run id", found[0]), ("command", f"wfconsole events {found[0]}")]

    def action_filter(self) -> None:
        self.query_one(FilterLine).open()

    def action_cause(self) -> None:
        found = self.chosen
        self._cause = "" if self._cause or found is None else found[1].correlation_id
        self._show()

    def action_payload(self) -> None:
        self.toggle_class("-payload")
        self._detail()

    def action_follow(self) -> None:
        self.query_one(LineList).action_edge(1)

    def action_more(self) -> None:
        self._limit *= 4
        self.on_screen_resume()
