"""The card: what it shows, when it lets a person decide, and what then is signed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.console.rig import Rig, screen_text, until
from tests.fakes.gates import CONTEXT, approval, decide, gated, question
from tests.fakes.journals import RUN_ID, Journal, step
from wfconsole.console.app import Console
from wfconsole.console.screens.card import CardScreen
from wfconsole.console.sign_panel import SignPanel
from wfconsole.domain.plan import ApproverRule, InputSpec
from wfconsole.ports import WfconsoleError

PATCH = b"""diff --git a/src/old.py b/src/new.py
index 1..2 100644
--- a/src/old.py
+++ b/src/new.py
@@ -10,4 +10,5 @@ def load():
 kept
-gone one
-gone two
+come one
+come two
+come three
 kept too
@@ -40,1 +41,1 @@ def tail():
-x
+y
diff --git a/z.txt b/z.txt
new file mode 100644
--- /dev/null
+++ b/z.txt
@@ -0,0 +1,1 @@
+last
"""


def stored(rig: Rig, patch: bytes = PATCH, **more: Any) -> dict[str, Any]:
    """A context whose diff is stored as an artifact."""
    sha256, size = asyncio.run(rig.desk.door.artifacts.put_bytes(patch))
    diff = {**CONTEXT["diff"], "artifact": {"name": "context/diff.patch", "sha256": sha256, "bytes": size}}
    return {**CONTEXT, "diff": diff, **more}


@asynccontextmanager
async def card(
    rig: Rig, journal: Journal, gate: str = "gate#1", **settings: Any
) -> AsyncIterator[tuple[Console, Pilot[None], CardScreen]]:
    """The card of a gate of a run that is in the store already, its first picture drawn."""
    async with rig.open(**settings) as (app, pilot):
        assert journal.state is not None
        app.open_card(journal.state.run_id, gate)
        await until(pilot, lambda: isinstance(app.screen, CardScreen) and app.screen.picture is not None)
        assert isinstance(app.screen, CardScreen)
        yield app, pilot, app.screen


@pytest.fixture
def journal(rig: Rig) -> Journal:
    """The run that waits at a gate whose diff is stored; in the store."""
    made = gated(context=stored(rig))
    rig.desk.door.add(made)
    return made


def note(screen: CardScreen) -> str:
    from wfconsole.console.chrome import Note

    return screen.query_one(Note).text


async def look_at_all(pilot: Pilot[None], screen: CardScreen) -> None:
    while screen.unseen:
        before = screen.unseen
        await pilot.press("space")
        await until(pilot, lambda before=before: screen.unseen != before)  # type: ignore[misc]


async def open_panel(pilot: Pilot[None], screen: CardScreen) -> None:
    """Look at every part, then approve: what is left is to sign."""
    await look_at_all(pilot, screen)
    await pilot.press("a")


def test_st_wf_006_no_verdict_before_every_part_was_shown(rig: Rig, journal: Journal) -> None:
    async def scenario() -> None:
        async with card(rig, journal) as (_app, pilot, screen):
            assert screen.unseen == ("diff", "tests", "risk", "files", "preview")
            await pilot.press("a")
            assert note(screen) == "not all evidence was shown: diff, tests, risk, files, preview"
            assert not screen.query_one(SignPanel).is_open
            await look_at_all(pilot, screen)
            assert screen.refusals().keys() == {"answer"}
            await pilot.press("a")
            assert screen.query_one(SignPanel).is_open
            assert rig.desk.signed == []

    asyncio.run(scenario())


def test_st_wf_005_an_approval_is_signed_for_what_was_shown_and_the_run_goes_on(rig: Rig, journal: Journal) -> None:
    rig.desk.door.owned = False
    driven: list[str] = []

    async def scenario() -> None:
        async with card(rig, journal) as (app, pilot, screen):
            app.drive = driven.append  # type: ignore[method-assign,assignment]
            await open_panel(pilot, screen)
            await pilot.press(*"fine", "ctrl+s")
            await until(pilot, lambda: bool(rig.desk.door.sent))
            await until(pilot, lambda: "approve by ann@build-7: granted" in note(screen))
            await until(pilot, lambda: screen.headline == "closed: granted")
            assert not screen.query_one(SignPanel).is_open
            await pilot.press("x")
            assert note(screen).startswith("gate gate#1 is closed: granted by ann@build-7")

    asyncio.run(scenario())
    payload = json.loads(rig.desk.signed[0][0])
    assert (payload["choice"], payload["reason"], payload["context_digest"]) == ("approve", "fine", "c0" * 32)
    assert driven == [RUN_ID]


def test_st_wf_007_a_rejection_wants_the_reason_in_the_words_of_the_run(rig: Rig, journal: Journal) -> None:
    async def scenario() -> None:
        async with card(rig, journal) as (app, pilot, screen):
            await look_at_all(pilot, screen)
            await pilot.press("x", "ctrl+s")
            assert any("gate gate#1 wants a reason for reject" in line for line in screen_text(app))
            assert rig.desk.signed == []
            await pilot.press(*"big", "enter")
            await until(pilot, lambda: "reject by ann@build-7: rejected" in note(screen))

    asyncio.run(scenario())
    assert json.loads(rig.desk.signed[0][0])["reason"] == "big"


def test_the_panel_shows_what_will_be_signed_and_esc_leaves_it_undecided(rig: Rig, journal: Journal) -> None:
    async def scenario() -> None:
        async with card(rig, journal) as (app, pilot, screen):
            await open_panel(pilot, screen)
            await pilot.pause()
            text = "\n".join(screen_text(app))
            assert "sign as ann@build-7" in text
            assert "c0" * 32 in text
            assert f"gate#1 of run {RUN_ID}" in text
            await pilot.press("escape")
            assert not screen.query_one(SignPanel).is_open
            assert app.screen is screen

    asyncio.run(scenario())
    assert rig.desk.signed == []


def test_another_context_resets_what_was_shown_and_closes_the_panel(rig: Rig, journal: Journal) -> None:
    from dataclasses import replace

    async def scenario() -> None:
        async with card(rig, journal) as (_app, pilot, screen):
            await open_panel(pilot, screen)
            assert screen.picture is not None
            changed = {**screen.picture.gate, "context_digest": "ee" * 32}
            screen.show_picture(replace(screen.picture, gate=changed))
            assert not screen.query_one(SignPanel).is_open
            assert "what gate gate#1 shows has changed" in note(screen)
            assert "diff" in screen.unseen

    asyncio.run(scenario())


def test_a_decision_about_a_stale_card_is_refused_with_the_code(rig: Rig, journal: Journal) -> None:
    async def scenario() -> None:
        async with card(rig, journal) as (_app, pilot, screen):
            await open_panel(pilot, screen)
            panel = screen.query_one(SignPanel)
            assert panel.verdict is not None
            from dataclasses import replace

            panel.verdict = replace(panel.verdict, digest="ee" * 32)
            await pilot.press("ctrl+s")
            await until(pilot, lambda: note(screen).startswith("DECISION_STALE: gate gate#1 shows c0c0"))

    asyncio.run(scenario())
    assert rig.desk.signed == []


def test_a_gate_that_another_closes_meanwhile_closes_the_panel(rig: Rig, journal: Journal) -> None:
    async def scenario() -> None:
        async with card(rig, journal) as (app, pilot, screen):
            await open_panel(pilot, screen)
            decide(journal, "reject", who="bob@h", reason="too late")
            await app.engine.call(lambda _door: rig.desk.door._sync(RUN_ID))
            await until(pilot, lambda: not screen.query_one(SignPanel).is_open)
            assert note(screen).startswith("gate gate#1 is closed: rejected by bob@h: too late")

    asyncio.run(scenario())
    assert rig.desk.signed == []


def test_who_may_not_decide_reads_why_and_who_has(rig: Rig) -> None:
    rule = ApproverRule(count=2, any_of=("bob@h", "eve@h"))
    journal = gated(step("build"), approval("gate", "build", approvers=rule), context=stored(rig))
    decide(journal, "approve", who="bob@h")
    rig.desk.door.add(journal)

    async def scenario() -> None:
        async with card(rig, journal) as (app, pilot, screen):
            await pilot.press("a")
            assert note(screen).startswith("ann@build-7 may not decide gate#1; one of bob@h, eve@h may")
            text = "\n".join(screen_text(app))
            assert "1 of 2 approvals" in text
            assert "bob@h approve at" in text

    asyncio.run(scenario())


def test_without_a_key_nothing_can_be_signed_and_the_card_says_why(
    rig: Rig, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def keyless() -> str:
        raise WfconsoleError("DECISION_NOT_APPLIED", "the key cannot be used", "wfconsole doctor")

    monkeypatch.setattr(rig.desk, "_identity", keyless)

    async def scenario() -> None:
        async with card(rig, journal) as (_, pilot, screen):
            await pilot.press("a")
            assert note(screen) == "the key cannot be used - wfconsole doctor"

    asyncio.run(scenario())


def test_a_context_that_is_incomplete_shows_its_code_and_hint(rig: Rig) -> None:
    from wfconsole.domain.records import FailureCause

    journal = gated(step("build"), approval("gate", "build"), step("ship", "gate"))
    journal = Journal(journal.records[0].event.plan)  # type: ignore[union-attr]
    journal.take()
    journal.end(journal.open[0], {"outcome": "succeeded", "exit_code": 0})
    cause = FailureCause(code="CONTEXT_INCOMPLETE", message="diff: There is no workspace", hint="mend the recipe")
    journal.end(journal.open[0], {"outcome": "errored", "cause": cause, "commands": ()})
    rig.desk.door.add(journal)

    async def scenario() -> None:
        async with card(rig, journal, "gate") as (app, pilot, screen):
            text = "\n".join(screen_text(app))
            assert "CONTEXT_INCOMPLETE" in text
            assert "mend the recipe" in text
            await pilot.press("a")
            assert note(screen).startswith("diff: There is no workspace")

    asyncio.run(scenario())


def test_a_question_is_answered_by_one_of_its_choices(rig: Rig) -> None:
    journal = gated(question("ask", choices=("staging", "production")), context={})
    rig.desk.door.add(journal)

    async def scenario() -> None:
        async with card(rig, journal, "ask#1") as (_, pilot, screen):
            await pilot.press("a")
            assert note(screen) == "gate ask#1 is a question"
            await look_at_all(pilot, screen)
            assert screen.current == "answers"
            await pilot.press("j", "enter")
            assert screen.query_one(SignPanel).is_open
            await pilot.press("enter")
            await until(pilot, lambda: "production by ann@build-7: granted" in note(screen))

    asyncio.run(scenario())
    assert json.loads(rig.desk.signed[0][0])["choice"] == "production"


def test_the_key_that_answers_says_why_it_does_not_yet(rig: Rig) -> None:
    journal = gated(question("ask", choices=("staging", "production")), context={})
    rig.desk.door.add(journal)

    async def scenario() -> None:
        async with card(rig, journal, "ask#1") as (_, pilot, screen):
            await pilot.press("enter")
            assert note(screen) == "not all evidence was shown: answers"
            await pilot.press("space")
            assert note(screen) == ""  # it is no longer true

    asyncio.run(scenario())


def test_a_form_says_what_is_wrong_while_it_is_typed_and_signs_typed_values(rig: Rig) -> None:
    form = (
        InputSpec(name="count", type="integer", required=True, minimum=1, maximum=5, description="How many"),
        InputSpec(name="tone", type="string", has_default=True, default="plain", choices=("plain", "rich")),
    )
    journal = gated(question("ask", form=form), context={})
    rig.desk.door.add(journal)

    async def scenario() -> None:
        async with card(rig, journal, "ask#1") as (app, pilot, screen):
            await look_at_all(pilot, screen)
            await until(pilot, lambda: any("count*" in line for line in screen_text(app)))
            await pilot.press("9")
            await pilot.pause()
            assert any("9 is more than 5" in line for line in screen_text(app))
            await pilot.press("enter", "enter")
            assert "9 is more than 5" in note(screen)
            await pilot.press("escape")
            assert screen.current == "summary"
            await pilot.press("right_square_bracket")
            await until(pilot, lambda: type(app.focused).__name__ == "Input")
            await pilot.press("backspace", "4", "ctrl+s")
            assert screen.query_one(SignPanel).is_open
            await pilot.press("enter")
            await until(pilot, lambda: "answered by ann@build-7: granted" in note(screen))

    asyncio.run(scenario())
    assert json.loads(rig.desk.signed[0][0])["answer"] == {"count": 4, "tone": "plain"}


def test_a_reader_cannot_decide(rig: Rig, journal: Journal) -> None:
    async def scenario() -> None:
        async with card(rig, journal, read_only=True) as (_, pilot, screen):
            await look_at_all(pilot, screen)
            await pilot.press("a", "x")
            assert not screen.query_one(SignPanel).is_open

    asyncio.run(scenario())


def test_a_decision_that_the_store_did_not_take_says_how_to_repeat_it(rig: Rig, journal: Journal) -> None:
    rig.desk.door.send_error = WfconsoleError("STORE_BUSY", "locked")

    async def scenario() -> None:
        async with card(rig, journal) as (_, pilot, screen):
            await look_at_all(pilot, screen)
            await pilot.press("a", "ctrl+s")
            await until(pilot, lambda: note(screen).startswith("DECISION_NOT_APPLIED: the decision was not recorded"))
            assert f"repeat it: wfconsole approve {RUN_ID} gate" in note(screen)

    asyncio.run(scenario())


def test_a_run_that_goes_on_as_another_has_that_one_driven() -> None:
    from wfconsole.console.gate_feed import _to_drive

    over = {"run_id": RUN_ID, "finished_at": "2026", "status": "cancelled", "lineage": {"successors": ["NEXT"]}}
    assert _to_drive(over) == "NEXT"
    assert _to_drive({**over, "lineage": {"successors": []}}) is None
    assert _to_drive({**over, "finished_at": None, "status": "running"}) == RUN_ID
    assert _to_drive({**over, "finished_at": None, "status": "paused"}) is None
