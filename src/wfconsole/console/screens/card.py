"""One gate's card: what it shows part by part, and the way to a signed decision about it.

Owns that nothing can be decided before every part was on the screen as it is now, and that a decision is bound to the digest of
what was shown. Refuses to judge: why a key is off is the run's own sentence, or that of the evidence. The decision that would
surprise: the card stays usable when the gate is closed; its keys then say who was first.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from wfconsole.console.answer_form import AnswerForm
from wfconsole.console.background import told
from wfconsole.console.card_keys import bindings
from wfconsole.console.chrome import StatusLine
from wfconsole.console.diff_pane import DiffPane
from wfconsole.console.evidence import EvidencePane, EvidenceTabs, gutter
from wfconsole.console.gate_feed import Decided, GatePicture, Verdict, decide_gate, gate_card
from wfconsole.console.lines import Cell, Column, LineList, Row
from wfconsole.console.screens.board import Board
from wfconsole.console.sign_panel import SignPanel
from wfconsole.domain.draft import Refusal
from wfconsole.ports import WfconsoleError
from wfconsole.views.approval_card import approvals_so_far, expiry, what_to_type
from wfconsole.views.decidable import ANSWER, APPROVE, REJECT
from wfconsole.views.evidence import (
    Part,
    Shown,
    Told,
    approvals_text,
    changed_sentence,
    risk_word,
    unseen,
    unseen_sentence,
)
from wfconsole.views.inbox import risk_level

_ONE_SECOND = 1.0


class CardScreen(Board):
    """The card of a gate; `gate_id` is a gate's id or the step that asks."""

    scope = "card"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("card")]
    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    CardScreen {
        & #parts { height: 1fr; }
        & #choices { height: auto; max-height: 12; }
    }
    """

    def __init__(self, run_id: str, gate_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self.ref = gate_id
        self.picture: GatePicture | None = None
        self.shown = Shown()
        self.current = "summary"

    # frame -------------------------------------------------------------------------------------------------------------

    @property
    def heading(self) -> str:
        return f"CARD {self.ref.partition('#')[0]}"

    @property
    def headline(self) -> str:
        picture = self.picture
        if picture is None:
            return "opening ..."
        gate = picture.gate
        if gate["status"] is None:
            return "its context is incomplete"
        if gate["status"] != "open":
            return f"closed: {gate['status']}"
        risk, left = risk_level(gate), expiry(gate, self.console_app.now_ms())
        words = [
            f"risk {risk_word(risk)}" if risk else "",
            approvals_text(gate, approvals_so_far(gate)),
            f"expires {left}" if left.startswith("in ") else left,
        ]
        return "  ".join(filter(None, words))

    def copies(self) -> list[tuple[str, str]]:
        found = [("run id", self.run_id)]
        if self.picture is None or self.picture.stuck is not None:
            return found
        gate = self.picture.gate
        commands = what_to_type(self.run_id, gate) if gate["status"] == "open" else ()
        found += [(line.split()[0], line.partition(" ")[2].strip()) for line in commands if " wfconsole " in line]
        return [*found, ("gate id", str(gate["gate_id"])), ("context digest", str(self.picture.digest))]

    def body(self) -> ComposeResult:
        yield EvidenceTabs()
        with Container(id="parts"):
            yield EvidencePane(id="pane")
            yield DiffPane(id="diff-part")
            yield LineList((Column("", 1), Column("", None)), header=False, id="choices")
            yield AnswerForm(id="form")
        yield StatusLine(id="status")
        yield SignPanel()

    def on_mount(self) -> None:
        self.query_one("#pane").focus()
        for name in ("#diff-part", "#choices", "#form"):
            self.query_one(name).display = False
        self.every(_ONE_SECOND, self.refresh_chrome)

    def watch_engine(self) -> None:
        wiring = self.console_app.wiring
        self.stream(
            lambda door: gate_card(door, self.run_id, self.ref, wiring.identity, wiring.now_ms), self.show_picture
        )

    # what is shown -----------------------------------------------------------------------------------------------------

    def show_picture(self, picture: GatePicture) -> None:
        """Draw a newer picture; when its context is another one, nothing counts as shown any more."""
        before, self.picture = self.picture, picture
        changed = before is not None and before.digest != picture.digest
        if changed:
            self.shown = Shown(digest=picture.digest)
            self.current = "summary"
            self.query_one(DiffPane).forget()
        why = changed_sentence(picture.gate["gate_id"]) if changed else self._undecidable()
        panel = self.query_one(SignPanel)
        if why and panel.is_open and not panel.busy:
            panel.close()
            self.say(why, "note")
            self.focus_part()
        elif changed:
            self.say(why, "note")
        self.draw()

    def _undecidable(self) -> str:
        """Why the verdict in the panel cannot be signed any more."""
        verdict = self.query_one(SignPanel).verdict
        if verdict is None:
            return ""
        return self.refusal_of(verdict.choice if verdict.choice in (APPROVE, REJECT) else ANSWER)

    @property
    def parts(self) -> tuple[Part, ...]:
        return () if self.picture is None else self.picture.parts

    def draw(self) -> None:
        """The part that is chosen, the tabs, and what can be decided."""
        picture = self.picture
        if picture is None:
            return
        if not any(part.key == self.current for part in picture.parts):
            self.current = "summary"
        if picture.stuck is None:
            self._draw_part(picture)
        else:
            self.query_one("#pane", EvidencePane).set_lines(_stuck_lines(picture.stuck))
        self.query_one(EvidenceTabs).show(self.parts, self.current, self.unseen)
        self._say_status(picture)
        self.refresh_chrome()

    def _draw_part(self, picture: GatePicture) -> None:
        part = next(part for part in picture.parts if part.key == self.current)
        is_diff, is_answers = part.key == "diff", part.key == "answers"
        form = bool(is_answers and picture.gate["form"])
        visible = {"#pane": not is_diff and not is_answers, "#diff-part": is_diff, "#form": form,
                   "#choices": is_answers and not form}  # fmt: skip
        moved = any(self.query_one(name).display is not shown for name, shown in visible.items())
        for name, shown in visible.items():
            self.query_one(name).display = shown
        if is_diff:
            facts = [line for line in picture.parts[0].lines if line.label in {"tests", "risk", "expires", "decides"}]
            self.query_one(DiffPane).open(picture.gate["context"]["diff"], self.size.width, facts)
            self._mark("diff") if self.query_one(DiffPane).is_open else None
        elif form:
            self._fill_form(moved)
        elif is_answers:
            edge = Cell(gutter(ascii_only=self.console_app.settings.ascii_only), "muted")
            rows = [Row(choice, (edge, Cell(choice))) for choice in picture.gate["choices"]]
            choices = self.query_one("#choices", LineList)
            choices.styles.height = min(12, len(rows))
            choices.set_rows(rows)
        else:
            self.query_one("#pane", EvidencePane).set_lines(part.lines)
        if not is_diff:
            self._mark(part.key)
        if moved and not self.query_one(SignPanel).is_open:
            self.focus_part()

    def focus_part(self) -> None:
        """Put the keys where the part is."""
        for name in ("#pane", "#choices"):
            if self.query_one(name).display:
                self.query_one(name).focus()
        if self.query_one(DiffPane).display:
            self.query_one(DiffPane).focus_view()
        if self.query_one(AnswerForm).display:
            self.query_one(AnswerForm).focus_first()

    @work(exclusive=True, group="form")
    async def _fill_form(self, moved: bool) -> None:
        form = self.query_one(AnswerForm)
        if self.picture is not None:
            await form.set_form(self.picture.gate["form"])
        if moved and not self.query_one(SignPanel).is_open:
            form.focus_first()

    def _mark(self, key: str) -> None:
        if self.picture is not None:
            self.shown = self.shown.add(self.picture.digest, key)

    def on_diff_pane_opened(self) -> None:
        """The diff is on the screen only now: until it was read, nothing of it had been shown."""
        if self.current == "diff":
            self._mark("diff")
            self.draw()

    @property
    def unseen(self) -> tuple[str, ...]:
        return () if self.picture is None else unseen(self.parts, self.shown, self.picture.digest)

    def _say_status(self, picture: GatePicture) -> None:
        line, gate = self.query_one("#status", StatusLine), picture.gate
        actions = (ANSWER,) if picture.is_question else (APPROVE, REJECT)
        refused = [action for action in actions if self.refusal_of(action)]
        if gate["status"] not in {"open", None}:
            by = f" by {', '.join(gate['closed_by'])}" if gate["closed_by"] else ""
            line.show(f"{gate['gate_id']} is closed: {gate['status']}{by}", str(gate["status"]))
        elif len(refused) == len(actions):
            line.show(self.refusal_of(refused[0]), "note")
        elif refused:
            line.show(f"{' and '.join(refused)} off: {self.refusal_of(refused[0])}", "note")
        else:
            line.show(
                f"all was shown; {' or '.join(actions)} as {picture.who}; digest {str(picture.digest)[:12]}",
                "succeeded",
            )

    # refusals ----------------------------------------------------------------------------------------------------------

    def refusal_of(self, action: str) -> str:
        """Why this cannot be decided now; empty when it can."""
        picture = self.picture
        if picture is None:
            return "the card is not open yet"
        found = picture.decidable.refused.get(action)
        if found is not None:
            return found.reason + (f" - {found.hint}" if found.hint else "")
        if picture.is_question is not (action == ANSWER):
            return f"gate {picture.gate['gate_id']} is {'a question' if picture.is_question else 'no question'}"
        return unseen_sentence(self.unseen)

    def refusals(self) -> dict[str, str]:
        found = {action: self.refusal_of(action) for action in (APPROVE, REJECT, ANSWER)}
        return {action: reason for action, reason in found.items() if reason}

    def offered(self) -> list[Any]:
        """The key line has the verdicts that this kind of gate takes."""
        unfit = {"card.approve", "card.reject"} if self.picture and self.picture.is_question else {"card.answer"}
        return [action for action in super().offered() if action.id not in unfit]

    # keys --------------------------------------------------------------------------------------------------------------

    def action_part(self, by: int) -> None:
        keys = [part.key for part in self.parts]
        if keys:
            self.action_show_part(keys[(keys.index(self.current) + by) % len(keys)])

    def action_unseen(self) -> None:
        if self.unseen:
            self.action_show_part(self.unseen[0])
        elif self.parts:
            self.say("all evidence was shown", passing=True)

    def action_show_part(self, key: str) -> None:
        if not any(part.key == key for part in self.parts):
            self.say(f"this card has no {key}", passing=True)
            return
        self.current = key
        self.draw()

    def on_resize(self) -> None:
        super().on_resize()
        self.draw()

    def action_file(self, by: int) -> None:
        self.action_show_part("diff")
        if self.current == "diff":
            self.say(self.query_one(DiffPane).move(by))

    def action_hunk(self, by: int) -> None:
        if self.current == "diff":
            self.say(self.query_one(DiffPane).hunk(by))

    def action_side(self) -> None:
        if self.current == "diff":
            self.say(self.query_one(DiffPane).toggle_side(self.size.width))

    def action_pan(self, by: int) -> None:
        if self.current == "diff":
            self.query_one(DiffPane).pan(by)

    def action_open_run(self) -> None:
        self.console_app.open_run(self.run_id, self.ref.partition("#")[0])

    # deciding ----------------------------------------------------------------------------------------------------------

    def action_approve(self) -> None:
        self._ask(APPROVE, APPROVE, None)

    def action_reject(self) -> None:
        self._ask(REJECT, REJECT, None)

    def action_answer(self) -> None:
        picture = self.picture
        if picture is None or not self.allowed(ANSWER):
            return
        if picture.gate["form"]:
            if self.current != "answers":
                self.action_show_part("answers")
                return
            answer, wrong = self.query_one(AnswerForm).read()
            if wrong:
                self.say(f"{wrong[0].message}" + (f" - {wrong[0].hint}" if wrong[0].hint else ""), "error")
                return
            self._ask(ANSWER, "", answer)
        elif self.current != "answers":
            self.action_show_part("answers")
        else:
            self._ask(ANSWER, self.query_one("#choices", LineList).key or "", None)

    def on_line_list_selected(self, message: LineList.Selected) -> None:
        if message.source.id == "choices" and not self.console_app.settings.read_only:
            message.stop()
            self.action_answer()

    def on_answer_form_done(self) -> None:
        if not self.console_app.settings.read_only:
            self.action_answer()

    def on_answer_form_left(self) -> None:
        self.action_show_part("summary")

    def _ask(self, action: str, choice: str, answer: dict[str, Any] | None) -> None:
        """The first of two steps: show what would be signed."""
        picture = self.picture
        if picture is None or not self.allowed(action):
            return
        verdict = Verdict(
            run_id=self.run_id, gate_id=picture.gate["gate_id"], choice=choice, reason=None, answer=answer,
            digest=self.shown.digest,
        )  # fmt: skip
        wants = picture.decidable.wants_reason.get(action)
        self.query_one(SignPanel).ask(verdict, picture.who, wants=wants, takes_reason=not picture.is_question)

    def on_sign_panel_left(self) -> None:
        self.say("nothing was decided")
        self.focus_part()

    def on_sign_panel_signed(self, message: SignPanel.Signed) -> None:
        # The application's worker: a decision under way is carried out although this screen may be left meanwhile.
        self.console_app.run_worker(self._sign(message.verdict), exit_on_error=False)

    async def _sign(self, verdict: Verdict) -> None:
        app = self.console_app
        try:
            found = await asyncio.shield(app.engine.call(lambda door: decide_gate(app.wiring, door, verdict)))
        except WfconsoleError as error:
            found = Decided(line=told(error), refused=True)
        if found.to_drive is not None:
            app.drive(found.to_drive)
        app.say(found.line, "error" if found.refused else "succeeded")
        if self.is_mounted:
            self.query_one(SignPanel).close()
            self.focus_part()


def _stuck_lines(why: Refusal) -> tuple[Told, ...]:
    """A gate that is not open because what it has to show could not be gathered."""
    lines = [Told("code", why.code, "failed"), Told("missing", why.reason)]
    return (*lines, Told("hint", why.hint)) if why.hint else tuple(lines)
