"""The diff part of a card: the files, the lines of one of them, and where both are read from.

Owns that the complete diff is read where it is stored, and that the card's own sample is shown when it cannot be, which then
is said and does not count as shown. Refuses to know gates. Large files are read in a thread: the picture waits, keys do not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from textual import work
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.message import Message

from wfconsole.console.diff import DiffView
from wfconsole.console.evidence import EvidencePane
from wfconsole.console.lines import Cell, Column, LineList, Row
from wfconsole.console.patch import SMALL, Changed, FileText, Patch, load, sampled
from wfconsole.console.root import console_of
from wfconsole.control.door import Door
from wfconsole.domain.plan import Json
from wfconsole.ports import WfconsoleError
from wfconsole.views.evidence import Told
from wfconsole.views.words import plural

WIDE = 100
_ROLES = {"A": "diff-add", "D": "diff-del"}


class DiffPane(Container):
    """Files beside the lines when the screen is wide, else above them. Posts `Opened` when the diff is on the screen."""

    DEFAULT_CSS = """
    DiffPane {
        height: 1fr; width: 1fr; layout: vertical;
        & #beside { height: auto; width: 1fr; }
        & #files { height: 3; width: 1fr; }
        & #facts { display: none; }
        &.-beside { layout: horizontal; }
        &.-beside #beside { height: 1fr; width: 36; border-right: solid $panel; }
        &.-beside #files { height: 1fr; }
        &.-beside #facts { display: block; height: auto; max-height: 14; border-top: solid $panel; }
    }
    """

    class Opened(Message):
        """The diff was read and is drawn."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.patch: Patch | None = None
        self.at = 0
        self.is_open = False
        self._asked: Mapping[str, Json] | None = None
        self._chosen_side: bool | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="beside"):
            yield LineList((Column("", 2), Column("", 11), Column("", None)), header=False, id="files")
            yield EvidencePane(id="facts")
        yield DiffView(id="lines")

    @property
    def view(self) -> DiffView:
        return self.query_one("#lines", DiffView)

    def focus_view(self) -> None:
        self.view.focus()

    def forget(self) -> None:
        """What was read is not what the card shows now."""
        self.patch, self.is_open, self._asked, self.at = None, False, None, 0

    def open(self, diff: Mapping[str, Json], width: int, facts: Sequence[Told] = ()) -> None:
        """Show this diff; the same one again keeps its place. `facts` stand below the files where there is room."""
        self.set_class(width >= WIDE, "-beside")
        pane = self.query_one("#facts", EvidencePane)
        pane.set_lines([Told("", f"{fact.label} {fact.text}", fact.role) for fact in facts])
        pane.styles.height = pane.height_of(34) + 1
        self.view.set_side(width >= WIDE if self._chosen_side is None else self._chosen_side and width >= WIDE)
        files = self.query_one("#files")
        files.styles.height = None if width >= WIDE else min(5, max(1, len(diff.get("files") or ())))
        if diff == self._asked:
            return
        self.forget()
        self._asked = diff
        self.view.show(None, None, "reading the diff ...")
        self._read(diff)

    @work(exclusive=True, group="diff")
    async def _read(self, diff: Mapping[str, Json]) -> None:
        artifact = diff.get("artifact") or {}
        sha256 = artifact.get("sha256")
        note = ""
        if not sha256:
            self._take(sampled(diff), note)
            return
        engine = console_of(self).engine

        async def where(door: Door) -> Path:
            return door.artifacts.path(sha256)

        try:
            path = await engine.call(where)
            self._take(await asyncio.to_thread(load, path, sha256), note)
        except (WfconsoleError, OSError) as error:
            self._take(sampled(diff), error.message if isinstance(error, WfconsoleError) else str(error), whole=False)

    def _take(self, patch: Patch, note: str, *, whole: bool = True) -> None:
        self.patch = patch
        rows = [Row(str(at), _cells(changed)) for at, changed in enumerate(patch.files)]
        self.query_one("#files", LineList).set_rows(rows)
        self.show_file(0)
        if whole:
            self.is_open = True
            self.post_message(self.Opened())
        else:
            console_of(self).say(f"the complete diff is not here: {note}", "error")

    def show_file(self, at: int) -> None:
        """Show one file's lines."""
        if self.patch is None or not self.patch.files:
            self.view.show(None, None, "nothing changed")
            return
        self.at = max(0, min(at, len(self.patch.files) - 1))
        changed = self.patch.files[self.at]
        self.query_one("#files", LineList).move_to(str(self.at))
        if not changed.spans:
            self.view.show(changed, None, changed.note)
        elif changed.bytes <= SMALL:
            self.view.show(changed, self.patch.open(self.at))
        else:
            self.view.show(changed, None, f"reading {changed.bytes} bytes ...")
            self._read_file(self.patch, self.at)

    @work(exclusive=True, group="file")
    async def _read_file(self, patch: Patch, at: int) -> None:
        text: FileText = await asyncio.to_thread(patch.open, at)
        if self.patch is patch and self.at == at:
            self.view.show(patch.files[at], text)

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        message.stop()
        if int(message.key) != self.at:
            self.show_file(int(message.key))

    def on_line_list_selected(self, message: LineList.Selected) -> None:
        message.stop()
        self.focus_view()

    def move(self, by: int) -> str:
        """Go to another file; which of how many it is."""
        if self.patch is None or not self.patch.files:
            return "nothing changed"
        at = self.at + by
        if 0 <= at < len(self.patch.files):
            self.show_file(at)
        return f"file {self.at + 1} of {len(self.patch.files)}"

    def hunk(self, by: int) -> str:
        return self.view.hunk(by) or "no hunk in this file"

    def toggle_side(self, width: int) -> str:
        """Old and new beside each other, where there is room."""
        if width < WIDE:
            return f"side by side wants {plural(WIDE, 'column')}; here are {width}"
        self._chosen_side = not self.view.side
        self.view.set_side(self._chosen_side)
        return "old | new" if self.view.side else "one under another"

    def pan(self, by: int) -> None:
        self.view.shift(by)


def _cells(changed: Changed) -> tuple[Cell, ...]:
    counts = f"+{changed.added} -{changed.removed}"
    return Cell(changed.mark, _ROLES.get(changed.mark, "text")), Cell(counts, "muted"), Cell(changed.name)
