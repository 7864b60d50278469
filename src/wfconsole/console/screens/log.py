"""A log: followed, searched, filtered, from the bytes on disk; of one attempt of a step, or of all steps of a run.

Owns the follow state: moving away from the end stops following, coming back to it goes on. Reading and searching happen in a
thread.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from wfconsole.console.actions import act, bindings, register
from wfconsole.console.background import told
from wfconsole.console.filtering import FilterLine
from wfconsole.console.log_view import LogBook, LogView, Section, error_pattern
from wfconsole.console.screens.board import Board
from wfconsole.console.screens.dialog import ConfirmDialog
from wfconsole.control.door import Door
from wfconsole.control.log_files import open_beneath
from wfconsole.control.log_lines import LogFile, compiled
from wfconsole.control.log_parts import STREAMS, LogIndex, LogPart, Wanted
from wfconsole.control.log_times import LogTimes, read_times
from wfconsole.ports import RunFolder, WfconsoleError
from wfconsole.views.words import plural, size

register(
    act("log.find", "slash", "find", "Find: a regular expression or plain text", "find"),
    act("log.next", "n", "next", "Next place that fits", "again(1)", shown=False),
    act("log.previous", "N", "previous", "Place before that fits", "again(-1)", shown=False),
    act("log.filter", "ampersand", "filter", "Show only lines that fit; empty shows all again", "keep"),
    act("log.error", "e", "error", "Jump to the next line that speaks of an error", "error(1)"),
    act("log.error_before", "E", "error before", "Jump to the error before", "error(-1)", shown=False),
    act("log.follow", "f", "follow", "Go to the end and stay there", "follow"),
    act("log.time", "t", "time", "Show about when each line was written", "time", shown=False),
    act("log.wrap", "w", "wrap", "Wrap long lines, or cut them", "wrap"),
    act("log.stream", "s", "stream", "stdout and stderr, stdout alone, stderr alone", "stream"),
    act("log.attempts", "A", "attempts", "All attempts, or the last one alone", "attempts", shown=False),
    act("log.save", "o", "save", "Save what is shown to a file", "save"),
    act("log.down", "down,j", "down", "A line down", "move(1)", shown=False, palette=False),
    act("log.up", "up,k", "up", "A line up", "move(-1)", shown=False, palette=False),
    act("log.page_down", "pagedown,ctrl+f", "page down", "A page down", "page(1)", shown=False, palette=False),
    act("log.page_up", "pageup,ctrl+b", "page up", "A page up", "page(-1)", shown=False, palette=False),
    act("log.first", "home,g", "first", "The first line", "first", shown=False, palette=False),
    act("log.last", "end,G", "last", "The last line", "follow", shown=False, palette=False),
    act("log.left", "left,h", "left", "To the left", "pan(-1)", shown=False, palette=False),
    act("log.right", "right,L", "right", "To the right", "pan(1)", shown=False, palette=False),
)  # fmt: skip

_GROW = 32 << 20
_POLL_SECONDS = 0.25
_PAN = 20
_SHOWS: tuple[tuple[str, ...], ...] = (STREAMS, ("stdout",), ("stderr",))


class LogScreen(Board):
    """The log of `step_id` (a step, a group, None for all), of `attempt` or of the last one."""

    scope = "log"
    AUTO_FOCUS = "LogView"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("log")]

    def __init__(self, run_id: str, step_id: str | None = None, attempt: int | None = None) -> None:
        super().__init__()
        self._run_id, self._step_id, self._attempt = run_id, step_id, attempt
        self._every = False
        self._shows = 0
        self._follow = True
        self._is_over = False
        self._asking: Callable[[str], None] = self._search
        self._found = ""
        self._kept = ""
        self._folder: RunFolder | None = None

    @property
    def heading(self) -> str:
        attempt = f"#{self._attempt}" if self._attempt is not None else ""
        streams = "+".join(_SHOWS[self._shows])
        return f"LOG {self._run_id}/{self._step_id or ''}{attempt}  {streams}"

    @property
    def headline(self) -> str:
        views = self.query(LogView)
        book = views.first().book if views else LogBook()
        lines = sum(section.count for section in book.sections)
        bytes_ = sum(section.file.size for section in book.sections)
        kept = f"  & {self._kept}" if self._kept else ""
        state = "FOLLOW" if self._follow and not self._is_over else "END" if self._is_over else "HELD"
        return f"{plural(lines, 'line')}  {size(bytes_)}{kept}  {state}"

    def body(self) -> ComposeResult:
        yield FilterLine("")
        yield LogView()

    @property
    def _view(self) -> LogView:
        return self.query_one(LogView)

    def watch_engine(self) -> None:
        self.stream(self._parts, self._take)
        self.background(self._grow_for_ever, "grow")

    def on_screen_suspend(self) -> None:
        super().on_screen_suspend()
        self.workers.cancel_group(self, "grow")

    async def _parts(self, door: Door) -> AsyncIterator[tuple[RunFolder, tuple[LogPart, ...], bool]]:
        """On the engine's loop: the files that there are, anew when the journal has grown."""
        folder = door.folder(self._run_id)
        index = LogIndex(folder)
        _, records = await door.records(self._run_id)
        index.add(records)
        changes = door.store.changes(self._run_id, len(records))
        while True:
            wanted = Wanted(
                step=self._step_id, attempt=self._attempt, streams=_SHOWS[self._shows], every_attempt=self._every
            )
            yield folder, tuple(index.parts(wanted)), index.view.is_over
            index.add(await anext(changes))

    def _take(self, found: tuple[RunFolder, tuple[LogPart, ...], bool]) -> None:
        self._folder, parts, self._is_over = found
        book = self._view.book
        known = {section.key: section for section in book.sections}
        several = len({part.step_id for part in parts}) > 1
        book.sections = [known.get(part.path) or self._section(part, several=several) for part in parts]
        self._changed()

    def _section(self, part: LogPart, *, several: bool) -> Section:
        assert self._folder is not None  # noqa: S101 - it comes with the parts
        open_file = partial(open_beneath, self._folder.root, part.path)
        step = f"{part.step_id}#{part.attempt}  " if several or self._every else ""
        title = f"{step}command {part.command + 1}  {part.stream}"
        return Section(key=part.path, title=title, file=LogFile(open_file), is_error=part.stream == "stderr")

    async def _grow_for_ever(self) -> None:
        """Look for new bytes; a huge file is indexed in slices, its first page shown before the rest is known."""
        while True:
            more = False
            for section in list(self._view.book.sections):
                try:
                    grown = await asyncio.to_thread(section.file.grow, _GROW if section.file.size else 1 << 18)
                except WfconsoleError as error:
                    if not section.failed:
                        section.failed = told(error)
                        self._changed()
                    continue
                more = more or grown
                if grown and self._view.with_times and self._folder is not None:
                    section.times = await asyncio.to_thread(_times_of, self._folder, section.key)
                if grown and self._kept:
                    await self._filter_section(section)
            if more:
                self._changed()
            elif self._is_over:
                return
            else:
                await asyncio.sleep(_POLL_SECONDS)

    def _changed(self) -> None:
        view = self._view
        if self._follow and (not self._is_over or view.top == 0):
            view.go_end() if not view.at_end else view.changed()
        else:
            view.changed()
        self.refresh_chrome()

    def on_log_view_moved(self, message: LogView.Moved) -> None:
        message.stop()
        self.refresh_chrome()

    # asking ------------------------------------------------------------------------------------------------------------

    def action_find(self) -> None:
        self._ask("find: a regular expression or text", self._search)

    def action_keep(self) -> None:
        self._ask("show only lines with: a regular expression or text", self._filter)

    def _ask(self, placeholder: str, then: Callable[[str], None]) -> None:
        self._asking = then
        line = self.query_one(FilterLine)
        line.placeholder = placeholder
        line.value = ""
        line.open()

    def on_filter_line_filtered(self, message: FilterLine.Filtered) -> None:
        message.stop()  # acted upon when it is complete

    def on_filter_line_done(self, message: FilterLine.Done) -> None:
        message.stop()
        self.query_one(FilterLine).remove_class("-open")
        self._view.focus()
        if message.typed is not None:
            self._asking(message.typed)

    def _search(self, typed: str) -> None:
        self._found = typed
        self._view.pattern = compiled(typed) if typed else None
        if typed:
            self.action_again(1)
        else:
            self._view.changed()

    def action_again(self, way: int) -> None:
        if not self._found:
            self.say("nothing was searched for: / does", passing=True)
            return
        self._follow = False
        self.background(partial(self._jump, compiled(self._found), way, self._found), "jump")

    def action_error(self, way: int) -> None:
        self._follow = False
        self.background(partial(self._jump, error_pattern(), way, "an error"), "jump")

    async def _jump(self, pattern: object, way: int, what: str) -> None:
        view = self._view
        start = view.current if view.current is not None else view.top - 1
        row = await asyncio.to_thread(_next_row, view.book, pattern, start, way)
        if row is None:
            self.say(f"{what}: nothing {'below' if way > 0 else 'above'}", "note", passing=True)
        else:
            self.say("")
            view.go_to(row)

    def _filter(self, typed: str) -> None:
        self._kept = typed
        self.background(self._refilter, "filter")

    async def _refilter(self) -> None:
        for section in self._view.book.sections:
            if self._kept:
                await self._filter_section(section)
            else:
                section.kept = None
        self._view.top = min(self._view.top, self._view.bottom)
        self._changed()

    async def _filter_section(self, section: Section) -> None:
        pattern, before = compiled(self._kept), section.kept or ()
        first = before[-1] + 1 if before else 0
        section.kept = [*before, *await asyncio.to_thread(lambda: list(section.file.matching(pattern, first=first)))]

    # keys --------------------------------------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        self._view.move(by)
        self._held()

    def action_page(self, by: int) -> None:
        self._view.move(by * max(1, self._view.size.height - 1))
        self._held()

    def _held(self) -> None:
        """Following stops when one moves away from the end, and goes on when one is back there."""
        self._follow = self._view.at_end
        self.refresh_chrome()

    def action_first(self) -> None:
        self._view.top = 0
        self._held()

    def action_follow(self) -> None:
        self._follow = True
        self._view.go_end()
        self.refresh_chrome()

    def action_wrap(self) -> None:
        view = self._view
        was_end = view.at_end
        view.wrap = not view.wrap
        view.top = view.bottom if was_end else min(view.top, view.bottom)

    def action_time(self) -> None:
        self._view.with_times = not self._view.with_times
        if self._view.with_times:
            self.background(self._read_times, "times")

    async def _read_times(self) -> None:
        """Of every stream that is shown: from beside the log, or while it runs from where its owner notes them."""
        folder = self._folder
        if folder is None:
            return
        for section in list(self._view.book.sections):
            section.times = await asyncio.to_thread(_times_of, folder, section.key)
        if not any(section.times for section in self._view.book.sections):
            self.say("nobody noted when these lines were written", "note", passing=True)
        self._view.changed()

    def action_pan(self, way: int) -> None:
        self._view.left = max(0, self._view.left + way * _PAN)

    def action_stream(self) -> None:
        self._shows = (self._shows + 1) % len(_SHOWS)
        self.on_screen_resume()

    def action_attempts(self) -> None:
        self._every = not self._every
        self._attempt = None
        self.say("all attempts" if self._every else "the last attempt")
        self.on_screen_resume()

    def copies(self) -> list[tuple[str, str]]:
        view = self._view
        row = view.current if view.current is not None else view.top
        page = [line.decode(errors="replace") for line in view.book.lines(view.top, view.size.height)]
        one = [line.decode(errors="replace") for line in view.book.lines(row, 1)]
        words = ["wfconsole", "logs", self._run_id, *([self._step_id] if self._step_id else [])]
        found = [("page", "\n".join(page)), ("command", shlex.join(words))]
        if self._folder is not None and view.book.sections:
            place = view.book.find(view.top)
            found.append(("path", str(self._folder.root / (place[0] if place else view.book.sections[0]).key)))
        return [("line", one[0]), *found] if one else found

    def action_save(self) -> None:
        name = f"{self._run_id}-{(self._step_id or 'all').replace('/', '.')}.log"

        def save(path: str | None) -> None:
            if path is not None:
                self.background(partial(self._save, Path(path or name).expanduser()), "save")

        self.app.push_screen(
            ConfirmDialog("Save the log", (f"to {name}, or the path that you type",), ask="path"), save
        )

    async def _save(self, path: Path) -> None:
        try:
            count = await asyncio.to_thread(_write, path, self._view.book)
        except OSError as error:
            self.say(f"cannot save: {error}", "error")
        else:
            self.say(f"{plural(count, 'line')} saved to {path}")


def _times_of(folder: RunFolder, path: str) -> LogTimes:
    """`path` is that of the log, ``bundle/logs/STEP/N/I.STREAM`` beneath the run's folder."""
    *_, step, attempt, name = path.split("/")
    live = f"attempts/{step}/{attempt}/in/times/{name}"
    try:
        found = open_beneath(folder.root, f"{path}.times") or open_beneath(folder.root, live)
    except WfconsoleError:
        return LogTimes()
    return read_times(found)


def _next_row(book: LogBook, pattern: object, start: int, way: int) -> int | None:
    """The next row after (or before) `start` whose line matches, over all sections."""
    import re

    assert isinstance(pattern, re.Pattern)  # noqa: S101
    sections = book.sections if way > 0 else list(reversed(book.sections))
    place = book.find(max(0, start)) if start >= 0 else None
    reached = place is None
    for section in sections:
        first = 0 if way > 0 else section.file.shown_lines
        if not reached:
            if place is None or section is not place[0]:
                continue
            reached = True
            line = place[1] - 1 if section.kept is None else (section.kept[place[1] - 1] if place[1] else -1)
            first = line + 1 if way > 0 else max(0, line)
        found = section.file.search(pattern, first, backward=way < 0)
        if found is not None:
            return book.row_of(section, found)
    return None


def _write(path: Path, book: LogBook) -> int:
    """All lines of the book, under their titles; never over a file that is there."""
    count = 0
    with path.open("xb") as file:
        for section in book.sections:
            file.write(f"== {section.title}\n".encode())
            for first in range(0, section.count, 10_000):
                lines = book.lines(book.row_of(section, first), 10_000)[: section.count - first]
                file.write(b"".join(line + b"\n" for line in lines))
                count += len(lines)
    return count
