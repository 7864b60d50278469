"""The sandbox templates: what each is locked to, what is there, and whether they are the same.

Owns nothing but the choice. Looking at images talks to Docker, so it happens on the engine's loop, when shown or asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from wfconsole.console.actions import act, bindings, register
from wfconsole.console.background import told
from wfconsole.console.lines import Cell, Column, LineList, Row
from wfconsole.console.pane import TextPane
from wfconsole.console.screens.board import Board
from wfconsole.control.door import Door
from wfconsole.ports import WfconsoleError
from wfconsole.views.event_rows import pretty
from wfconsole.views.words import glyph, plural

register(
    act("templates.check", "r", "re-check", "Compare the images with their locks again", "check"),
    act("templates.build", "b", "build", "Build the template's image and its lock", "build", changes=True),
    act(
        "templates.whole",
        "t",
        "all",
        "Show all that is known of this template, or its drift alone",
        "whole",
        shown=False,
    ),
)

_GLYPH = {"ok": "succeeded", "missing": "failed", "drift": "failed"}


def template_cells(document: Mapping[str, Any], *, ascii_only: bool) -> tuple[Cell, ...]:
    """Name, state, image, what drift does."""
    state = str(document["state"])
    mark = "~" if state == "drift" else glyph(_GLYPH.get(state, "pending"), ascii_only=ascii_only)
    image = str(document.get("image_id") or "-").removeprefix("sha256:")[:12]
    locked = str((document.get("lock") or {}).get("image_id") or document.get("locked") or "-").removeprefix("sha256:")[
        :12
    ]
    drift = document.get("drift") or {}
    policy = (
        f"{drift.get('on_mismatch', '')} {drift.get('fallback_template') or ''}".strip()
        if isinstance(drift, dict)
        else ""
    )
    role = {"ok": "succeeded", "drift": "drift"}.get(state, "failed")
    return (
        Cell(f"{mark} {state}", role),
        Cell(str(document["name"])),
        Cell(locked, "muted"),
        Cell(image, "muted"),
        Cell(policy, "muted"),
    )


def drift_lines(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Field by field what differs, and what to do."""
    found = document.get("differences") or []
    if not found:
        said = document.get("message") or f"{document['name']}: {document['state']}"
        return [(str(said), "text"), *([(str(document["hint"]), "note")] if document.get("hint") else [])]
    lines = [(f"{plural(len(found), 'field')} differ from the lock", "drift")]
    for one in found:
        lines += [
            (f"  {one['field']}", "header"),
            (f"    expected  {one['expected']}", "muted"),
            (f"    observed  {one['observed']}", "failed"),
        ]
    return lines


class TemplatesScreen(Board):
    scope = "templates"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("templates")]
    DEFAULT_CSS = "TemplatesScreen { & #detail { height: 50%; border-top: solid $panel; } }"
    _COLUMNS = (
        Column("STATE", 10),
        Column("TEMPLATE", 20),
        Column("LOCKED TO", 13),
        Column("THERE", 13),
        Column("ON DRIFT"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, Mapping[str, Any]] = {}
        self._whole = False
        self._building = False

    def body(self) -> ComposeResult:
        with Vertical():
            yield LineList(self._COLUMNS, empty="looking at the templates ...", id="templates")
            yield TextPane(id="detail")

    @property
    def headline(self) -> str:
        drifted = sum(document["state"] == "drift" for document in self._found.values())
        return f"{plural(len(self._found), 'template')}  {drifted} drifted" if self._found else ""

    def watch_engine(self) -> None:
        self.background(self._look, "templates")

    async def _look(self) -> None:
        wiring = self.console_app.wiring

        async def read(_: Door) -> Sequence[Mapping[str, Any]]:
            listed = {str(one["name"]): dict(one) for one in await wiring.templates().list()}
            for checked in await wiring.templates().check(None):
                listed.setdefault(str(checked["name"]), {}).update(checked)
            return list(listed.values())

        try:
            found = await self.console_app.engine.call(read)
        except WfconsoleError as error:
            self.query_one(LineList).say_empty(told(error))
            self.say(told(error), "error")
            return
        self._found = {str(document["name"]): document for document in found}
        ascii_only = self.console_app.settings.ascii_only
        rows = [Row(name, template_cells(document, ascii_only=ascii_only)) for name, document in self._found.items()]
        self.query_one(LineList).set_rows(rows)
        self._detail()
        self.refresh_chrome()

    def _detail(self) -> None:
        document = self._found.get(self.query_one(LineList).key or "")
        if document is not None:
            lines = [(line, "text") for line in pretty(dict(document))] if self._whole else drift_lines(document)
            self.query_one("#detail", TextPane).set_lines(lines, keep_place=False)

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        message.stop()
        self._detail()

    def on_line_list_selected(self, message: LineList.Selected) -> None:
        message.stop()
        self.action_whole()

    def copies(self) -> list[tuple[str, str]]:
        name = self.query_one(LineList).key
        document = self._found.get(name or "")
        if document is None:
            return []
        image = str(document.get("image_id") or "")
        return [
            ("image id", image),
            ("check", f"wfconsole templates check {name}"),
            ("build", f"wfconsole templates build {name}"),
        ]

    def action_check(self) -> None:
        self.say("comparing ...")
        self.watch_engine()

    def action_whole(self) -> None:
        self._whole = not self._whole
        self._detail()

    def action_build(self) -> None:
        name = self.query_one(LineList).key
        if name is None or self._building:
            why = "a template is being built already" if self._building else "there is no template here"
            self.say(why, "note", passing=True)
            return
        self.background(partial(self._build, name), "build")

    async def _build(self, name: str) -> None:
        wiring, app = self.console_app.wiring, self.console_app
        self._building = True

        async def build(_: Door) -> Mapping[str, Any]:
            return await wiring.templates().build(
                name, lambda line: app.from_engine(lambda: self.say(f"{name}: {line}"))
            )

        try:
            await app.engine.call(build)
        except WfconsoleError as error:
            self.say(told(error), "error")
        else:
            self.say(f"{name} is built and locked")
            self.watch_engine()
        finally:
            self._building = False
