"""Questions: the answer is checked, kept as the step's output, and read by what comes after; or its default at the timeout."""

from __future__ import annotations

from typing import Any

import pytest

from tests.domain.building import GATE_LIFE, expr, plan, step
from tests.domain.watching import WatchedWorld as World
from wfconsole.domain import events as ev
from wfconsole.domain.plan import InputSpec, QuestionBody, SetBody, StepPlan

FORM = (
    InputSpec(name="count", type="integer", required=True, minimum=1),
    InputSpec(name="tone", type="string", has_default=True, default="plain"),
)
DRAFTS = {"choices": ("short", "long")}


def question(**body: Any) -> StepPlan:
    return step("ask", QuestionBody(prompt=expr("'Which, ' + run['id'] + '?'"), timeout_ms=GATE_LIFE, **body))


def asked(*more: StepPlan, **body: Any) -> World:
    world = World(plan(question(**body), *more))
    world.ready("ask", context={"title": "Which, r1?"})
    return world


def test_w3_a_question_waits_and_later_steps_branch_on_the_answer_that_was_kept() -> None:
    long = step("long", needs="ask", when="steps['ask']['outputs']['choice'] == 'long'")
    short = step("short", needs="ask", when="gates['ask']['choice'] == 'short'")
    world = asked(long, short, **DRAFTS)
    (requested,) = world.events(ev.InputRequested)
    assert (requested.prompt, requested.choices) == ("Which, r1?", ("short", "long"))
    assert world.status() == "awaiting_approval"
    ruling = world.say("ask", "long")
    assert [type(r.event).__name__ for r in ruling.records][:4] == [
        "DecisionRecorded",
        "InputReceived",
        "RunResumed",
        "StepSucceeded",
    ]
    assert world.status("ask", "long", "short") == ["succeeded", "running", "skipped"]
    assert world.gate("ask") == "granted"


def test_an_answer_that_is_no_choice_is_refused() -> None:
    world = asked(**DRAFTS)
    refusal = world.say("ask", "approve").refusal
    assert refusal is not None
    assert (refusal.code, refusal.hint) == ("INPUT_INVALID", "one of: short, long")


@pytest.mark.parametrize("answer", [None, {}, [], "3", {"count": "3"}, {"count": 0}, {"count": 2, "tine": "x"}])
def test_a_form_is_checked_field_by_field(answer: Any) -> None:
    world = asked(form=FORM)
    refusal = world.say("ask", None, answer=answer).refusal
    assert refusal is not None
    assert refusal.code == "INPUT_INVALID"
    assert world.gate("ask") == "open"


def test_a_forms_answer_is_typed_filled_in_and_kept() -> None:
    world = asked(
        step("b", SetBody(values={"n": expr("steps['ask']['outputs']['count'] + 1")}), needs="ask"), form=FORM
    )
    assert world.say("ask", "ignored", answer={"count": 3}).refusal is None
    assert world.state.step("ask").outputs == {"choice": None, "count": 3, "tone": "plain"}
    assert world.state.step("b").outputs == {"n": 4}


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        ({**DRAFTS, "default": "short"}, {"choice": "short"}),
        ({"form": FORM, "default": {"count": 9}}, {"choice": None, "count": 9, "tone": "plain"}),
    ],
)
def test_the_default_is_the_answer_at_the_timeout_and_nobodys(body: dict[str, Any], outputs: dict[str, Any]) -> None:
    world = asked(step("b", needs="ask"), **body)
    world.wake(1_000 + GATE_LIFE)
    assert world.state.step("ask").outputs == outputs
    (received,) = world.events(ev.InputReceived)
    assert received.by == ()
    assert not world.events(ev.DecisionRecorded)
    assert world.status("b") == "running"
    assert world.say("ask", "long").refusal is not None


def test_a_question_without_a_default_expires() -> None:
    world = asked(step("b", needs="ask"), **DRAFTS)
    world.wake(1_000 + GATE_LIFE)
    assert (world.gate("ask"), world.status()) == ("expired", "cancelled")


def test_a_second_answer_does_not_change_the_first() -> None:
    world = asked(step("b", needs="ask"), **DRAFTS)
    world.say("ask", "long", "ann")
    refusal = world.say("ask", "short", "bea").refusal
    assert refusal is not None
    assert "granted by ann" in refusal.reason
    assert world.state.step("ask").outputs == {"choice": "long"}
