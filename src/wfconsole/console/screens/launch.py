"""The form of a recipe: its inputs, what is wrong with them as one types, and the command line that would do the same.

Owns the form. What is wrong is said by the same `prepare` that a run goes through, so form and command line cannot differ.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Input, Static

from wfconsole.console.actions import act, bindings, register
from wfconsole.console.background import told
from wfconsole.console.screens.board import Board
from wfconsole.console.screens.dialog import ChoiceDialog
from wfconsole.console.text import safe
from wfconsole.control.door import Door, InvalidRequestError, Prepared, RunRequest
from wfconsole.control.wiring import RecipeInfo
from wfconsole.domain.plan import StepPlan
from wfconsole.ports import WfconsoleError
from wfconsole.views.words import plural, value_text

register(
    act("launch.start", "ctrl+s", "start", "Start the run", "start", changes=True, priority=True),
    act(
        "launch.copy",
        "ctrl+y",
        "copy command",
        "Copy the command line that would do the same",
        "copy_command",
        priority=True,
    ),
    act("launch.dry", "f5", "dry run", "Show the steps that would run; nothing is created", "dry_run"),
    act("launch.leave", "escape", "back", "Back; nothing is created", "leave", priority=True),
)

_WAIT_SECONDS = 0.15


def command_line(recipe: str, values: Mapping[str, str]) -> str:
    """The command that starts the same run."""
    given = [word for name, value in values.items() for word in ("-i", f"{name}={_at(value)}")]
    return shlex.join(["wfconsole", "run", recipe, *given])


def _at(value: str) -> str:
    """A leading @ would name a file."""
    return f"@{value}" if value.startswith("@") else value


class InputRow(Static):
    """One input: what it is called and takes, the field, and below it what is wrong."""

    DEFAULT_CSS = """
    InputRow {
        height: auto; padding: 0 1; margin-bottom: 1;
        & Static { height: auto; }
        & Input { border: none; height: 1; padding: 0 1; background: $surface; }
        & Input:focus { background: $panel; }
        & .problem { display: none; }
        & .problem.-wrong { display: block; color: $error; text-style: bold; }
    }
    """

    def __init__(self, spec: Mapping[str, Any], value: str) -> None:
        super().__init__()
        self.spec = spec
        self._value = value

    def compose(self) -> ComposeResult:
        spec = self.spec
        rest = "required" if spec["required"] else "optional"
        choices = spec.get("choices") or []
        one_of = f"  one of {', '.join(value_text(choice) for choice in choices)}" if choices else ""
        label = safe(f"{spec['name']}", "bold")
        label.append_text(safe(f"  {spec['type']}, {rest}{one_of}  {spec.get('description') or ''}", "dim"))
        label.no_wrap = False
        yield Static(label, markup=False)
        hint = "" if spec["required"] or spec["default"] is None else f"default {value_text(spec['default'], limit=60)}"
        yield Input(self._value, placeholder=hint, compact=True, select_on_focus=False)
        yield Static("", classes="problem", markup=False)

    @property
    def value(self) -> str:
        return self.query_one(Input).value

    def tell(self, problem: str) -> None:
        line = self.query_one(".problem", Static)
        line.set_class(bool(problem), "-wrong")
        told = safe(f"! {problem}" if problem else "")
        told.no_wrap = False
        line.update(told)


class LaunchScreen(Board):
    """The form of `recipe`; `values` are filled in already."""

    scope = "launch"
    AUTO_FOCUS = None
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("launch")]
    DEFAULT_CSS = "LaunchScreen { & #form { height: 1fr; } & #command { height: auto; max-height: 3; padding: 0 1; } }"

    def __init__(self, recipe: str, values: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._recipe = recipe
        self._values = dict(values or {})
        self._info: RecipeInfo | None = None
        self._problems: tuple[str, ...] = ()
        self._starting = False
        self._looked = False

    @property
    def heading(self) -> str:
        version = f"@{self._info.version}" if self._info is not None else ""
        return f"LAUNCH  {self._recipe}{version}"

    @property
    def headline(self) -> str:
        if not self._looked:
            return ""
        return plural(len(self._problems), "problem") if self._problems else "ready"

    def refusals(self) -> Mapping[str, str]:
        return {"start": self._problems[0]} if self._problems else {}

    def body(self) -> ComposeResult:
        yield VerticalScroll(id="form", can_focus=False)
        yield Static("", id="command", markup=False)

    async def on_mount(self) -> None:
        try:
            self._info = await asyncio.to_thread(self.console_app.wiring.recipes().show, self._recipe)
        except WfconsoleError as error:
            self._problems = (told(error),)
            self._looked = True
            self.say(told(error), "error")
            self.refresh_chrome()
            return
        form = self.query_one("#form", VerticalScroll)
        await form.mount_all([InputRow(spec, self._values.get(spec["name"], "")) for spec in self._info.inputs])
        if not self._info.inputs:
            await form.mount(Static(safe("  this recipe takes no inputs", "dim"), markup=False))
        for row in self.query(InputRow).results(InputRow):
            row.query_one(Input).focus()
            break
        self._changed()

    @property
    def given(self) -> dict[str, str]:
        """What was filled in; an empty field takes the default."""
        return {row.spec["name"]: row.value for row in self.query(InputRow) if row.value}

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._changed()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.focus_next(Input)

    def _changed(self) -> None:
        line = safe(f"$ {command_line(self._recipe, self.given)}", "dim")
        line.no_wrap = False
        self.query_one("#command", Static).update(line)
        self.background(self._look, "look")

    async def _look(self) -> None:
        """Say what is wrong, once the typing has paused for a moment."""
        await asyncio.sleep(_WAIT_SECONDS)
        await self._prepared()

    async def _prepared(self) -> Prepared | None:
        request = RunRequest(recipe=self._recipe, actor=self.console_app.wiring.actor(), inputs=self.given)

        async def prepare(door: Door) -> Prepared:
            return await door.prepare(request)

        found: Prepared | None = None
        told_of: dict[str, str] = {}
        try:
            found = await self.console_app.engine.call(prepare)
            self._problems = ()
        except InvalidRequestError as error:
            told_of = {one.where: one.message for one in error.problems}
            self._problems = tuple(one.message for one in error.problems)
        except WfconsoleError as error:
            self._problems = (told(error),)
        self._looked = True
        names = {row.spec["name"] for row in self.query(InputRow)}
        for row in self.query(InputRow):
            row.tell(told_of.get(row.spec["name"], ""))
        others = [message for where, message in told_of.items() if where not in names]
        warnings = [one.message for one in found.warnings] if found is not None else []
        self.say(
            "; ".join(others or self._problems[: 0 if told_of else 1] or warnings),
            "error" if self._problems else "note",
        )
        self.refresh_chrome()
        return found

    async def action_start(self) -> None:
        if self._starting:
            return
        self._starting = True
        try:
            if await self._prepared() is None:
                return
            self.say("copying the workspace ...")
            request = RunRequest(recipe=self._recipe, actor=self.console_app.wiring.actor(), inputs=self.given)
            run_id = await self.console_app.start_run(request)
        except WfconsoleError as error:
            self.say(told(error), "error")
            return
        finally:
            self._starting = False
        self.console_app.pop_screen()
        self.console_app.open_run(run_id)

    def action_copy_command(self) -> None:
        self.console_app.copy(command_line(self._recipe, self.given))

    def copies(self) -> list[tuple[str, str]]:
        return [("command", command_line(self._recipe, self.given))]

    async def action_dry_run(self) -> None:
        prepared = await self._prepared()
        if prepared is not None:
            self.app.push_screen(ChoiceDialog("Nothing was created; this would run", plan_choices(prepared)))

    def action_leave(self) -> None:
        self.app.pop_screen()


def plan_choices(prepared: Prepared) -> Sequence[tuple[str, str]]:
    """The steps that would run, one line each."""
    return [(step.step_id, _step_line(step)) for step in prepared.plan.steps]


def _step_line(step: StepPlan) -> str:
    after = f"  after {', '.join(need.step for need in step.needs)}" if step.needs else ""
    return f"{step.step_id}  {step.kind}{after}"
