"""Gates among other steps: other branches, groups, `finally`, expressions, letters, and telling the operator."""

from __future__ import annotations

from typing import Any

import pytest

from tests.domain.building import BLOCKED, GATE_LIFE, expr, gate, group, limited, plan, step
from tests.domain.watching import WatchedWorld as World
from wfconsole.domain import events as ev
from wfconsole.domain.effects import StopAttempt, TellOperator
from wfconsole.domain.plan import ContextSpec, EmailBody, Need, OtherBody, OutputSpec, SetBody, StepPlan

DUE = 1_000 + GATE_LIFE


def opened(*steps: StepPlan, **more: Any) -> World:
    """A run whose one gate, `gate`, is open."""
    world = World(plan(*(steps or (gate(), step("ship", needs="gate"))), **more))
    world.ready()
    return world


def test_a_gate_is_decided_while_other_branches_run() -> None:
    world = opened(gate(), step("ship", needs="gate"), step("long"))
    assert world.status() == "running"
    world.approve()
    assert world.live() == ["ship", "long"]
    assert not world.events(ev.RunResumed, ev.RunAwaitingApproval)


def test_two_gates_are_decided_one_after_the_other() -> None:
    world = World(plan(gate("x"), gate("y"), step("ship", needs="x y")))
    world.ready("x")
    assert world.status() == "running"
    world.ready("y")
    world.approve("y")
    assert (world.status(), world.status("ship")) == ("awaiting_approval", "pending")
    world.approve("x")
    assert world.status("ship") == "running"


def test_a_rejection_withdraws_the_other_gates_and_stops_what_runs() -> None:
    world = World(plan(gate("x"), gate("y"), step("long"), gate("z")))
    world.ready("x")
    world.ready("y")
    world.reject("x")
    assert (world.gate("y"), world.status("y")) == ("withdrawn", "cancelled")
    assert {e.step_id for e in world.effects if isinstance(e, StopAttempt)} == {"long", "z"}
    world.ready("z")
    assert world.status("z") == "cancelled"
    assert world.state.gate_of("z") is None
    world.end("long", "cancelled")
    assert world.status() == "cancelled"


def test_a_gate_inside_a_group_and_the_groups_outputs() -> None:
    outputs = (OutputSpec(name="who", source="expression", value=expr("gates['ok']['actor']")),)
    world = World(plan(group("g", "ok", "ship", outputs=outputs), gate("g/ok"), step("g/ship", needs="g/ok")))
    world.ready("g/ok")
    world.approve("g/ok", "bea")
    world.end("g/ship")
    assert world.state.step("g").outputs == {"who": "bea"}
    assert world.status() == "succeeded"


def test_a_rejected_gate_inside_a_group_fails_the_group_as_itself() -> None:
    world = World(plan(group("g", "ok", "ship"), gate("g/ok", on_reject="route"), step("g/ship", needs="g/ok")))
    world.ready("g/ok")
    world.reject("g/ok")
    assert world.status("g", "g/ok", "g/ship") == ["failed", "failed", "skipped"]
    (failed,) = world.events(ev.RunFailed)
    assert (failed.failure.code, failed.failure.step_id) == ("APPROVAL_REJECTED", "g/ok")


def test_a_gate_among_the_finally_steps_is_asked_after_a_cancel_too() -> None:
    world = World(plan(step("a"), gate("f", phase="finally"), step("e", needs="f", phase="finally")))
    world.cancel()
    world.end("a", "cancelled")
    world.ready("f")
    assert world.status() == "awaiting_approval"
    world.approve("f")
    assert world.play().status("f", "e") == ["succeeded", "succeeded"]
    assert world.status() == "cancelled"


def test_gates_in_expressions_are_null_until_they_are_decided() -> None:
    outputs = {name: expr(f"gates['gate']['{name}']") for name in ("choice", "reason", "actor")}
    unseen = World(plan(gate(when="False"), outputs=outputs))
    assert unseen.events(ev.RunSucceeded)[0].outputs == {"choice": None, "reason": None, "actor": None}
    world = opened(gate(), step("b", SetBody(values=outputs), needs="gate"))
    world.approve(reason="good")
    assert world.state.step("b").outputs == {"choice": "approve", "reason": "good", "actor": "ann"}


def test_a_title_and_a_preview_are_resolved_before_anybody_is_asked() -> None:
    shown = StepPlan(step_id="pr", kind="pull_request", body=OtherBody(data={"title": expr("run['id']")}))
    world = World(plan(gate(title=expr("'Ship ' + run['id']"), context=ContextSpec(preview=("pr",))), shown))
    (started,) = (e for e in world.events(ev.StepStarted) if e.step_id == "gate")
    assert started.resolved == {"title": "Ship r1", "timeout_ms": GATE_LIFE, "preview": {"pr": {"title": "r1"}}}


def test_gates_that_wait_do_not_take_the_places_of_others() -> None:
    world = World(limited(gate(), step("b"), step("c", BLOCKED), max_concurrency=1))
    world.ready()
    assert world.live() == ["b"]
    assert world.status("c") == "pending"
    world.end("b")
    assert [found.asked.step_id for found in world.state.open_gates()] == ["gate", "c"]


def test_the_run_does_not_end_before_its_operator_was_told() -> None:
    world = opened(gate(on_timeout="cancel_and_notify"), step("ship", needs="gate"))
    world.tells = False
    world.wake(DUE)
    assert (world.status(), world.gate()) == ("running", "expired")
    (told,) = (effect for effect in world.effects if isinstance(effect, TellOperator))
    assert (told.gate_id, told.record.event) == ("gate#1", world.events(ev.ApprovalExpired)[0])
    world.tell()
    (sent,) = world.events(ev.NotificationSent)
    assert (sent.gate_id, world.status()) == ("gate#1", "cancelled")


def test_an_operator_who_could_not_be_told_is_on_record_and_the_run_ends() -> None:
    world = opened(gate(on_timeout="cancel_and_notify"))
    world.tells = False
    world.wake(DUE)
    world.tell("no hook is set")
    (failed,) = world.events(ev.EventChannelFailed)
    assert (failed.subscriber, failed.error, failed.gate_id) == ("hooks", "no hook is set", "gate#1")
    assert (world.status(), world.events(ev.NotificationSent)) == ("cancelled", [])


@pytest.mark.parametrize("action", ["cancel", "reject", "route"])
def test_no_other_expiry_calls_the_operator(action: str) -> None:
    world = opened(gate(on_timeout=action))
    world.tells = False
    world.wake(DUE)
    assert not [effect for effect in world.effects if isinstance(effect, TellOperator)]
    assert not world.state.telling


def letter(**more: Any) -> StepPlan:
    body = EmailBody(via="mail", to=expr("['ops']"), subject=expr("run['id']"), body=expr("gates['gate']['choice']"))
    return StepPlan(step_id="mail", kind="email", body=body, needs=(Need(step="gate"),), **more)


def test_a_previewed_letter_is_resolved_as_the_step_itself_will_see_the_run() -> None:
    world = World(plan(gate(context=ContextSpec(preview=("mail",))), letter()))
    (asking,) = world.events(ev.StepStarted)
    shown = {"via": "mail", "to": ["ops"], "subject": "r1", "body": "", "attach": []}
    assert asking.resolved["preview"] == {"mail": {"kind": "email", **shown}}
    world.ready()
    world.approve()
    (_, sending) = world.events(ev.StepStarted)
    assert sending.resolved == {**shown, "body": "approve"}
    assert world.started() == ["gate#1", "mail#1"]


def test_what_an_effect_tells_of_itself_is_its_output() -> None:
    mail = letter(outputs=(OutputSpec(name="id", source="expression", value=expr("run['id']")),))
    world = opened(gate(), mail)
    world.approve()
    world.end("mail", outputs={"message_id": "<1>", "reply": "250"})
    assert world.state.step("mail").outputs == {"message_id": "<1>", "reply": "250", "id": "r1"}
    assert world.status() == "succeeded"
