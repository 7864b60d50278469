"""The form of a question: a field for each answer, checked by its type while it is typed.

Owns reading the fields and saying beside each what is wrong with it. Refuses to judge by rules of its own: `domain.inputs`
reads and checks, as for `answer -i` on the command line. A field that is left empty is not given, so its default counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Input

from wfconsole.console.card_keys import bindings
from wfconsole.console.chrome import StatusLine
from wfconsole.console.evidence import gutter
from wfconsole.console.root import console_of
from wfconsole.domain.codec import from_json
from wfconsole.domain.inputs import Problem, bind_inputs, bind_value
from wfconsole.domain.plan import InputSpec, Json
from wfconsole.views.words import value_text


class AnswerField(Vertical):
    """One field: its name and box, and below what is wrong, or what it is for."""

    DEFAULT_CSS = """
    AnswerField {
        height: 2; width: 1fr;
        & Horizontal { height: 1; }
        & Input { border: none; height: 1; padding: 0; width: 1fr; background: $surface; }
        & .name { width: 24; }
    }
    """

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self.spec = spec

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield StatusLine(id="name")
            box = Input(compact=True, select_on_focus=False)
            box.cursor_blink = False
            yield box
        yield StatusLine(id="told")

    def on_mount(self) -> None:
        name = self.query_one("#name", StatusLine)
        name.add_class("name")
        name.show(f"{self.spec.name}{'*' if self.spec.required and not self.spec.has_default else ''}", "header")
        self.check()

    @property
    def typed(self) -> str:
        return self.query_one(Input).value

    def check(self) -> None:
        """Say what is wrong with what is typed now."""
        problem = bind_value(self.spec, self.typed, textual=True)[1] if self.typed else None
        told = self.query_one("#told", StatusLine)
        edge = gutter(ascii_only=console_of(self).settings.ascii_only)
        if problem is None:
            told.show(f" {edge} {describe(self.spec)}", "muted")
        else:
            hint = f" - {problem.hint}" if problem.hint and problem.hint != self.spec.description else ""
            told.show(f" {edge} {problem.message}{hint}", "error")


class AnswerForm(VerticalScroll):
    """All fields. Posts `Done` on enter in the last one (the others hand the cursor on), `Left` on esc."""

    DEFAULT_CSS = "AnswerForm { height: 1fr; width: 1fr; }"
    can_focus = False

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("decide")]

    class Done(Message):
        """The operator wants to answer."""

    class Left(Message):
        """The operator wants to read on."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.specs: tuple[InputSpec, ...] = ()

    async def set_form(self, form: Sequence[Mapping[str, Json]]) -> None:
        """Show these fields, empty; the same form again keeps what was typed."""
        specs = tuple(from_json(InputSpec, spec) for spec in form)
        if specs != self.specs:
            self.specs = specs
            await self.remove_children()
            await self.mount_all([AnswerField(spec) for spec in specs])

    def read(self) -> tuple[dict[str, Json], tuple[Problem, ...]]:
        """The answer as JSON, and everything that is wrong with it."""
        typed = {field.spec.name: field.typed for field in self.query(AnswerField) if field.typed}
        return bind_inputs(self.specs, typed, textual=True)

    def focus_first(self) -> None:
        for box in self.query(Input):
            box.focus()
            return

    def action_sign(self) -> None:
        self.post_message(self.Done())

    def action_leave(self) -> None:
        self.post_message(self.Left())

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        for field in self.query(AnswerField):
            if event.input in field.query(Input):
                field.check()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        boxes = list(self.query(Input))
        at = boxes.index(event.input)
        if at + 1 < len(boxes):
            boxes[at + 1].focus()
        else:
            self.post_message(self.Done())


def describe(spec: InputSpec) -> str:
    """``integer, 1..5, default 3: how many``."""
    low, high = ("" if bound is None else f"{bound:g}" for bound in (spec.minimum, spec.maximum))
    rules = [
        spec.type,
        f"one of {', '.join(value_text(choice) for choice in spec.choices)}" if spec.choices else "",
        f"{low}..{high}" if low or high else "",
        f"like {spec.pattern}" if spec.pattern else "",
        f"default {value_text(spec.default, limit=60)}" if spec.has_default else "" if spec.required else "optional",
    ]
    told = ", ".join(filter(None, rules))
    return f"{told}: {spec.description}" if spec.description else told
