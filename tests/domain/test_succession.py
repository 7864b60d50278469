"""What a rejection with `retry_from` leads to: the parent ends and names a successor, which takes over what still holds."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.domain.building import GATE_LIFE, PIN, World, expr, gate, group, plan, run_body, step
from tests.domain.watching import WatchedWorld
from wfconsole.domain import events as ev
from wfconsole.domain.plan import GATE_KINDS, QuestionBody, SetBody, StepPlan
from wfconsole.domain.records import TIMER, ArtifactRecord, FailureCause
from wfconsole.domain.run import RunState
from wfconsole.domain.succession import succession

EXAMPLES = int(os.environ.get("WFCONSOLE_EXAMPLES", "60"))
BACK = {"retry_from": "plan"}


class Again(WatchedWorld):
    """The successor of a world, driven on."""

    def __init__(self, parent: World, *, take: bool = True) -> None:
        super().__init__(parent.state.plan, take=False)
        self.now, self.count, self.records, self.effects, self.run = parent.now, 1000, [], [], None
        self.decide(succession(parent.records))
        if take:
            self.take()

    def payload(self, gate_id: str, choice: str | None, by: str) -> dict[str, Any]:
        return super().payload(gate_id, choice, by) | {"run_id": self.state.run_id}


def go(world: World, **outcomes: str) -> World:
    """End every attempt that is no gate's, keep what is to be kept, and close the run when it asks."""
    while live := [name for name in world.live() if world.kind(name) not in GATE_KINDS] or [world.state.keeping or ""]:
        if not live[0]:
            break
        if live[0] == world.state.keeping:
            world.keep()
        else:
            world.end(live[0], outcomes.get(live[0], "succeeded"))
    if world.state.closing and not world.state.closed:
        world.close()
    return world


def rejected(*steps: StepPlan, play: dict[str, str] | None = None, **more: Any) -> WatchedWorld:
    """A run whose only gate was rejected, and that is over."""
    world = WatchedWorld(plan(*steps), **more)
    go(world, **play or {})
    world.ready()
    world.reject(reason="too long")
    go(world)
    return world


def chain(*more: StepPlan, **body: Any) -> tuple[StepPlan, ...]:
    return (
        step("fetch"),
        step("plan", needs="fetch"),
        gate(needs="plan", on_reject=BACK, **body),
        step("ship", needs="gate"),
        *more,
    )


def created(state: RunState) -> ev.RunCreated:
    return state.created


def test_st_wf_007_1_a_rejection_ends_the_run_and_names_its_successor_last() -> None:
    world = rejected(*chain())
    end, retried = world.records[-2:]
    assert isinstance(end.event, ev.RunCancelled)
    assert isinstance(retried.event, ev.RunRetried)
    assert (retried.event.retried_from, retried.event.gate_id) == ("plan", "gate#1")
    assert (retried.event.reason, retried.event.by) == ("too long", ("ann",))
    assert retried.event.workflow_id == f"w1+retry.{retried.event.successor}"
    assert (end.correlation_id, end.at) == (retried.correlation_id, retried.at)
    assert (world.status(), world.state.cancel_code) == ("cancelled", "APPROVAL_REJECTED")


def test_the_successor_is_made_of_the_journal_alone_and_always_the_same() -> None:
    world = rejected(*chain(), author="ann", inputs={"n": 1}, project="p", pin=PIN)
    fact = succession(world.records)
    assert fact == succession(list(world.records))
    retried = world.records[-1].event
    assert isinstance(retried, ev.RunRetried)
    assert (fact.run_id, fact.fact_id) == (retried.successor, f"start:{retried.successor}")
    parent = created(world.state)
    kept = ("plan", "inputs", "project", "author", "workspace", "intent_hash", "trace_url")
    assert all(getattr(fact, name) == getattr(parent, name) for name in kept)
    assert (fact.trigger, fact.actor.user, fact.at) == ("retry", "ann", world.records[-1].at)
    assert fact.trace_id != parent.trace_id
    assert fact.lineage is not None
    assert (fact.lineage.root, fact.lineage.parent, fact.lineage.retried_from) == ("r1", "r1", "plan")
    assert fact.lineage.tree == "before plan"


def test_a_journal_without_a_successor_has_none() -> None:
    world = WatchedWorld(plan(step("a"))).play()
    with pytest.raises(ValueError, match="no successor"):
        succession(world.records)


def test_what_the_step_needs_is_taken_over_and_what_needs_it_runs_anew() -> None:
    art = ArtifactRecord(
        artifact_id="fetch#1/a", step_id="fetch", attempt=1, name="a", kind="file", sha256="a" * 64, bytes=1
    )
    world = WatchedWorld(plan(*chain(step("side"))))
    world.end("side")
    world.end("fetch", artifacts=(art,))
    go(world)
    world.ready()
    world.reject()
    again = Again(world, take=False)
    assert again.names()[1:] == [
        "artifact_recorded", "step_reused fetch", "artifact_recorded", "step_reused side",
    ]  # fmt: skip
    assert again.events(ev.ArtifactRecorded)[0].artifact == art
    assert again.statuses() == {
        "fetch": "succeeded", "plan": "pending", "gate": "pending", "ship": "pending", "side": "succeeded",
    }  # fmt: skip
    assert again.state.step("fetch").reused_from == "r1"
    again.take()
    go(again)
    assert again.started() == ["plan#1", "gate#1"]
    again.ready()
    again.approve()
    go(again)
    assert (again.status(), again.started()) == ("succeeded", ["plan#1", "gate#1", "ship#1"])
    again.check_end()


def test_the_rationale_is_in_reach_until_the_gate_decides_anew() -> None:
    why = SetBody(values={"why": expr("gates['gate']['reason']"), "who": expr("gates['gate']['actor']")})
    world = rejected(step("plan", why), gate(needs="plan", on_reject=BACK), step("after", why, needs="gate"))
    assert world.state.step("plan").outputs == {"why": None, "who": None}
    again = Again(world)
    assert again.state.step("plan").outputs == {"why": "too long", "who": "ann"}
    again.ready()
    again.approve(by="bea", reason="fine")
    assert again.state.step("after").outputs == {"why": "fine", "who": "bea"}


def test_a_retried_run_asks_again_also_at_gates_that_were_granted_before() -> None:
    parts = (
        gate("first"), step("fetch", needs="first"), step("plan", needs="fetch"), gate(needs="plan", on_reject=BACK),
    )  # fmt: skip
    world = WatchedWorld(plan(*parts))
    world.ready("first")
    world.approve("first")
    world.end("fetch")
    world.keep()
    world.end("plan")
    world.ready()
    world.reject()
    again = Again(world)
    assert (again.status("first", "fetch", "plan")) == ["running", "succeeded", "pending"]
    again.ready("first")
    assert (again.status(), again.started()) == ("awaiting_approval", ["first#1"])
    again.approve("first")
    again.keep()
    assert again.started() == ["first#1", "plan#1"]
    refused = Again(world)
    refused.ready("first")
    refused.reject("first")
    go(refused)
    assert refused.status("fetch", "plan") == ["succeeded", "cancelled"]


def test_an_answered_question_stays_answered() -> None:
    asked = step("ask", QuestionBody(prompt="Which?", choices=("x", "y")))
    said = step("plan", SetBody(values={"v": expr("gates['ask']['choice']")}), needs="ask")
    world = WatchedWorld(plan(asked, said, gate(needs="plan", on_reject=BACK)))
    world.ready("ask")
    world.say("ask", "y")
    world.ready()
    world.reject()
    again = Again(world)
    assert again.status("ask", "plan") == "succeeded succeeded".split()
    assert again.state.step("plan").outputs == {"v": "y"}


def test_what_failed_or_was_cancelled_runs_anew_and_what_was_skipped_stays_skipped() -> None:
    parts = (
        step("lint", allow_failure=True),
        step("report", needs={"lint": "done"}),
        step("never", when="False"),
        step("plan"),
        gate(needs="plan", on_reject=BACK),
    )
    world = rejected(*parts, play={"lint": "failed"})
    again = Again(world, take=False)
    assert again.statuses() == {
        "lint": "pending", "report": "pending", "never": "skipped", "plan": "pending", "gate": "pending",
    }  # fmt: skip
    (skipped,) = again.events(ev.StepSkipped)
    assert (skipped.cause, skipped.reason) == ("when", "when: False")


def test_a_step_that_began_after_the_workspace_was_kept_is_not_taken_over() -> None:
    world = WatchedWorld(
        plan(step("plan"), step("side"), step("late", needs="side"), gate(needs="plan", on_reject=BACK))
    )
    assert world.started() == ["side#1"]
    world.end("side")
    assert world.started() == ["side#1", "late#1"]
    world.end("late")
    assert world.state.keeping == "plan"
    world.keep()
    world.end("plan")
    world.ready()
    world.reject()
    assert Again(world, take=False).status("side", "late", "plan") == ["succeeded", "succeeded", "pending"]

    mail = step("slow", needs="ask")
    ask = step("ask", QuestionBody(prompt="Which?", choices=("x",)))
    world = WatchedWorld(plan(ask, mail, step("plan"), gate(needs="plan", on_reject=BACK)))
    world.ready("ask")
    world.keep()
    world.say("ask", "x")
    world.end("slow")
    world.end("plan")
    world.ready()
    world.reject()
    assert Again(world, take=False).status("ask", "slow", "plan") == ["succeeded", "pending", "pending"]


def test_a_group_is_begun_again_for_one_of_its_steps_and_the_others_are_kept() -> None:
    parts = (
        group("checks", "unit", "lint"),
        step("checks/unit"),
        step("checks/lint"),
        gate(needs="checks", on_reject={"retry_from": "checks/unit"}),
    )
    world = rejected(*parts)
    again = Again(world)
    assert again.status("checks", "checks/lint", "checks/unit") == ["running", "succeeded", "pending"]
    go(again)
    assert again.status("checks") == "succeeded"
    whole = rejected(*parts[:3], gate(needs="checks", on_reject={"retry_from": "checks"}))
    assert [each.step_id for each in succession(whole.records).taken] == []


def test_nothing_starts_while_the_workspace_is_kept_and_the_run_is_not_called_waiting() -> None:
    world = WatchedWorld(plan(gate("other"), *chain()))
    world.end("fetch")
    assert not world.state.keeping
    world.ready("other")
    assert f"{world.state.status}: {world.state.keeping}" == "running: plan"
    assert world.live() == []
    world.pause()
    assert world.state.status == "running"
    world.keep()
    assert world.state.status == "paused"
    assert world.started() == ["other#1", "fetch#1"]
    world.resume()
    assert world.live() == ["plan"]


def test_a_workspace_that_cannot_be_kept_fails_the_step_that_needs_it() -> None:
    world = WatchedWorld(plan(*chain()))
    world.end("fetch")
    why = FailureCause(code="DISK_FULL", message="no space")
    world.keep(None, cause=why)
    assert (world.status("plan"), world.state.step("plan").cause) == ("failed", why)
    assert "plan#1" not in world.started()


def test_a_plan_that_cannot_change_a_workspace_keeps_none() -> None:
    world = WatchedWorld(plan(step("plan", SetBody(values={})), gate(needs="plan", on_reject=BACK)))
    assert not world.events(ev.WorkspaceKeeping)
    world.ready()
    world.reject()
    assert succession(world.records).lineage.tree is None  # type: ignore[union-attr]


def test_a_deadline_starts_again_once_and_a_second_one_cancels() -> None:
    world = WatchedWorld(plan(*chain(on_timeout="reject")))
    go(world)
    world.ready()
    world.wake(world.now + GATE_LIFE)
    go(world)
    fact = succession(world.records)
    assert fact.lineage is not None
    assert (fact.lineage.by_timer, fact.actor) == (True, TIMER)
    (told,) = fact.lineage.rejections
    assert (told.choice, told.actor, told.reason) == (None, None, "nobody decided gate? in time")
    again = Again(world)
    go(again)
    again.ready()
    again.wake(again.now + GATE_LIFE)
    go(again)
    assert (again.status(), again.events(ev.RunRetried)) == ("cancelled", [])
    person = Again(world)
    go(person)
    person.ready()
    person.reject()
    assert len(person.events(ev.RunRetried)) == 1


def test_a_deadline_that_only_cancels_has_no_successor() -> None:
    world = WatchedWorld(plan(*chain(on_timeout="cancel")))
    go(world)
    world.ready()
    world.wake(world.now + GATE_LIFE)
    assert (world.status(), world.events(ev.RunRetried)) == ("cancelled", [])


def test_whoever_forces_the_end_while_it_ends_wants_no_successor() -> None:
    world = WatchedWorld(plan(*chain(step("tidy", run_body("t"), phase="finally"))))
    go(world)
    world.ready()
    world.reject()
    assert world.live() == ["tidy"]
    world.cancel(force=True)
    world.end("tidy", "cancelled")
    assert (world.status(), world.events(ev.RunRetried)) == ("cancelled", [])


def test_manual_retry_that_is_denied_does_not_keep_a_rejection_from_starting_again() -> None:
    made = plan(*chain(), manual_retry={"run": "deny", "step": "deny"})
    world = WatchedWorld(made)
    go(world)
    world.ready()
    world.reject()
    assert isinstance(world.records[-1].event, ev.RunRetried)


def test_rejections_of_several_gates_are_remembered_along_the_line() -> None:
    parts = (
        step("plan"), gate("a", needs="plan", on_reject=BACK), gate("b", needs="a", on_reject=BACK),
    )  # fmt: skip
    world = WatchedWorld(plan(*parts))
    world.keep()
    world.end("plan")
    world.ready("a")
    world.reject("a", reason="first")
    again = Again(world)
    again.keep()
    again.end("plan")
    again.ready("a")
    again.approve("a")
    again.ready("b")
    again.reject("b", reason="second")
    third = succession(again.records).lineage
    assert third is not None
    assert (third.root, third.parent) == ("r1", again.state.run_id)
    assert [(each.step_id, each.reason) for each in third.rejections] == [("b", "second")]
    early = Again(world)
    early.keep()
    early.end("plan")
    early.ready("a")
    early.reject("a", reason="again no")
    lineage = succession(early.records).lineage
    assert lineage is not None
    assert [(each.step_id, each.reason) for each in lineage.rejections] == [("a", "again no")]
