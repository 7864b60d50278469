"""The second step of a decision: what exactly will be signed, by whom, why; signed on a key of its own.

Owns that nothing is signed by the key that asked for it, and not without the reason that the gate wants. Refuses to sign: it
posts the verdict. It is docked below the card, so that what is decided about stays in sight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input

from wfconsole.console.card_keys import bindings
from wfconsole.console.chrome import StatusLine
from wfconsole.console.evidence import EvidencePane
from wfconsole.console.gate_feed import Verdict
from wfconsole.domain.draft import Refusal
from wfconsole.views.evidence import Told
from wfconsole.views.words import value_text


class SignPanel(Vertical, can_focus=True):
    """Hidden until `ask`. Posts `Signed` and `Left`."""

    DEFAULT_CSS = """
    SignPanel {
        height: auto; width: 1fr; display: none; border-top: solid $primary;
        & #payload { height: auto; max-height: 12; }
        & Horizontal { height: 1; }
        & #why { width: 14; }
        & Input { border: none; height: 1; padding: 0; width: 1fr; background: $surface; }
    }
    SignPanel.-open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("decide")]

    class Signed(Message):
        """Sign this."""

        def __init__(self, verdict: Verdict) -> None:
            super().__init__()
            self.verdict = verdict

    class Left(Message):
        """The operator does not decide now."""

    def __init__(self) -> None:
        super().__init__(id="panel")
        self.verdict: Verdict | None = None
        self.busy = False
        self._wants: Refusal | None = None

    @property
    def is_open(self) -> bool:
        return self.has_class("-open")

    def compose(self) -> ComposeResult:
        yield StatusLine(id="decides")
        yield EvidencePane(id="payload")
        with Horizontal(id="reason"):
            yield StatusLine(id="why")
            box = Input(compact=True, select_on_focus=False)
            box.cursor_blink = False
            yield box
        yield StatusLine(id="then")

    def ask(self, verdict: Verdict, who: str, *, wants: Refusal | None, takes_reason: bool) -> None:
        """Open on a verdict. `wants`: the refusal when there is no reason; `takes_reason`: one can be given."""
        self.verdict, self._wants, self.busy = verdict, wants, False
        self.query_one("#decides", StatusLine).show(f"sign as {who}", "note")
        pane = self.query_one("#payload", EvidencePane)
        pane.can_focus = False
        lines = list(_lines(verdict))
        pane.styles.height = min(12, len(lines))
        pane.set_lines(lines)
        self.query_one("#reason").display = takes_reason
        self.query_one("#why", StatusLine).show("reason*" if wants else "reason", "header")
        self.query_one(Input).value = ""
        self._then()
        self.add_class("-open")
        (self.query_one(Input) if takes_reason else self).focus()

    def close(self) -> None:
        self.remove_class("-open")
        self.verdict, self.busy = None, False

    def _then(self) -> None:
        reason = self.query_one(Input).value.strip()
        told = "ctrl+s signs and sends it  esc leaves it undecided"
        if self._wants is not None and not reason:
            told = f"{self._wants.reason}  esc leaves it undecided"
        self.query_one("#then", StatusLine).show("signing ..." if self.busy else told, "muted")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._then()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_sign()

    def action_sign(self) -> None:
        reason = self.query_one(Input).value.strip()
        if self.verdict is None or self.busy:
            return
        if self._wants is not None and not reason:
            self.query_one("#then", StatusLine).show(f"{self._wants.reason}: type it", "error")
            return
        self.busy = True
        self._then()
        self.post_message(self.Signed(replace(self.verdict, reason=reason or None)))

    def action_leave(self) -> None:
        if self.busy:
            return
        self.close()
        self.post_message(self.Left())


def _lines(verdict: Verdict) -> Sequence[Told]:
    """The fields that the signature covers and the operator chooses or looks at."""
    lines = [Told("gate", f"{verdict.gate_id} of run {verdict.run_id}")]
    if verdict.answer is None:
        lines.append(Told("choice", verdict.choice, "waiting"))
    else:
        lines += [Told("answer" if at == 0 else "", f"{name} = {value_text(value, limit=200)}", "waiting")
                  for at, (name, value) in enumerate(verdict.answer.items())]  # fmt: skip
    return [*lines, Told("digest", str(verdict.digest))]
