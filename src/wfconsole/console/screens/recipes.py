"""The recipes that can be launched from here, with what each one is and wants.

Owns nothing but the choice. Reading recipes means compiling them, so it happens in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from wfconsole.console.actions import act, bindings, register
from wfconsole.console.background import told
from wfconsole.console.filtering import FilterLine, parse_filter
from wfconsole.console.lines import Cell, Column, LineList, Row
from wfconsole.console.pane import TextPane
from wfconsole.console.screens.board import Board
from wfconsole.control.wiring import RecipeInfo
from wfconsole.ports import WfconsoleError
from wfconsole.views.words import plural, value_text

register(
    act(
        "recipes.launch",
        "n",
        "launch",
        "Fill in the inputs and start a run (enter does it, too)",
        "launch",
        changes=True,
    ),
    act("recipes.filter", "slash", "filter", "Filter the list", "filter"),
    act("recipes.text", "t", "text", "Show the recipe as it is written, or what it wants", "text"),
    act("recipes.reload", "ctrl+r", "reload", "Read the recipes again", "reload", shown=False),
)


def recipe_lines(info: RecipeInfo) -> list[tuple[str, str]]:
    """What a recipe is, wants and does, as (text, role) lines."""
    lines = [
        (f"{info.name}@{info.version}", "title"), (info.description, "text"), ("", "text"),
        (f"from    {info.origin}  {info.path}", "muted"), (f"digest  {info.digest[:16]}", "muted"),
    ]  # fmt: skip
    lines += [(f"hides   {path}", "note") for path in info.shadows]
    lines += [("", "text"), ("inputs", "header")] if info.inputs else []
    lines += [(_input_line(spec), "text") for spec in info.inputs]
    lines += [("", "text"), (plural(len(info.steps), "step"), "header")]
    for step in info.steps:
        after = f"  after {', '.join(step['needs'])}" if step["needs"] else ""
        lines.append((f"  {step['step_id']}  {step['kind']}{after}", "text"))
    return lines


def _input_line(spec: Mapping[str, object]) -> str:
    rest = "required" if spec["required"] else f"default {value_text(spec['default'], limit=40)}"
    return f"  {spec['name']}  {spec['type']}  {rest}  {spec.get('description') or ''}".rstrip()


class RecipesScreen(Board):
    scope = "recipes"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("recipes")]
    DEFAULT_CSS = """
    RecipesScreen {
        & #detail { display: none; width: 1fr; border-left: solid $panel; }
        &.-wide #detail { display: block; }
        &.-text #detail { display: block; }
        &.-narrow.-text #recipes { display: none; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._found: tuple[RecipeInfo, ...] = ()
        self._whole: dict[str, RecipeInfo] = {}
        self._typed = ""
        self._as_text = False

    def body(self) -> ComposeResult:
        yield FilterLine("words, !word")
        with Horizontal():
            columns = (Column("RECIPE", 22), Column("VERSION", 9), Column("FROM", 9), Column("WHAT IT DOES"))
            yield LineList(columns, empty="reading recipes ...", id="recipes")
            yield TextPane(id="detail")

    @property
    def headline(self) -> str:
        return plural(len(self._found), "recipe") if self._found else ""

    def watch_engine(self) -> None:
        self.background(self._read, "recipes")

    async def _read(self) -> None:
        try:
            self._found = tuple(await asyncio.to_thread(self.console_app.wiring.recipes().list))
        except WfconsoleError as error:
            self.say(told(error), "error")
        self._whole.clear()
        self._show()

    def _show(self) -> None:
        keep = parse_filter(self._typed)
        rows = []
        for info in self._found:
            cells = (info.name, info.version, info.origin, info.description)
            if keep({}, " ".join(cells)):
                rows.append(
                    Row(
                        info.name,
                        tuple(Cell(text, "muted" if at in {1, 2} else "text") for at, text in enumerate(cells)),
                    )
                )
        found = self.query_one(LineList)
        found.say_empty("no recipe fits this filter" if self._typed else "no recipes found")
        found.set_rows(rows)
        self._detail()
        self.refresh_chrome()

    def _detail(self) -> None:
        name = self.query_one(LineList).key
        if name is not None and (self.has_class("-wide") or self.has_class("-text")):
            self.background(partial(self._describe, name), "detail")

    async def _describe(self, name: str) -> None:
        if name not in self._whole:
            try:
                self._whole[name] = await asyncio.to_thread(self.console_app.wiring.recipes().show, name)
            except WfconsoleError as error:
                lines = [(error.code, "failed"), (error.message, "text"), (error.hint, "note")]
                problems = error.details.get("problems") or []
                lines += [(f"  {one['where']}: {one['message']}", "text") for one in problems]
                self.query_one("#detail", TextPane).set_lines(lines, keep_place=False)
                return
        info = self._whole[name]
        lines = [(line, "text") for line in info.text.splitlines()] if self._as_text else recipe_lines(info)
        self.query_one("#detail", TextPane).set_lines(lines, keep_place=False)

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        message.stop()
        self._detail()

    def on_line_list_selected(self, message: LineList.Selected) -> None:
        message.stop()
        self.action_launch()

    def on_filter_line_filtered(self, message: FilterLine.Filtered) -> None:
        message.stop()
        self._typed = message.typed.strip()
        self._show()

    def copies(self) -> list[tuple[str, str]]:
        name = self.query_one(LineList).key
        info = next((one for one in self._found if one.name == name), None)
        if info is None:
            return []
        return [("name", info.name), ("command", f"wfconsole run {info.name}"), ("path", info.path)]

    def action_launch(self) -> None:
        name = self.query_one(LineList).key
        if name is None:
            return
        if self.console_app.settings.read_only:
            self.say("this console is read-only", "note", passing=True)
        else:
            self.console_app.open_launch(name)

    def action_filter(self) -> None:
        self.query_one(FilterLine).open()

    def action_text(self) -> None:
        """What it wants, how it is written, and on a narrow screen back to the list."""
        if not self.has_class("-text") and not self.has_class("-wide"):
            self.add_class("-text")
            self._as_text = False
        elif not self._as_text:
            self.add_class("-text")
            self._as_text = True
        else:
            self.remove_class("-text")
            self._as_text = False
        self._detail()

    def action_reload(self) -> None:
        self.watch_engine()
