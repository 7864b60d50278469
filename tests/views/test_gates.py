"""Gates in a RunView, in the timeline and in the report: four different ends, and none of them silent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.gates import CONTEXT, DIGEST, approval, decide, gated, question
from tests.fakes.journals import RUN_ID, Journal, failed, plan, step
from wfconsole.domain.codec import canonical, record_from_wire, wire
from wfconsole.domain.facts import CancelRun, PauseRun, ResumeRun
from wfconsole.domain.plan import ApproverRule, CommandPolicy, InputSpec
from wfconsole.views.report import gate_lines, waiting_lines
from wfconsole.views.run_view import run_view
from wfconsole.views.timeline import event_line

CONTRACT = {"gate_id", "step_id", "status", "context", "context_digest", "opened_at", "expires_at", "decisions"}


def view_of(journal: Journal) -> dict[str, Any]:
    return run_view(journal.records)


def gate_of(journal: Journal) -> dict[str, Any]:
    found: dict[str, Any] = view_of(journal)["approvals"][-1]
    return found


def step_of(journal: Journal, step_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in view_of(journal)["steps"] if item["step_id"] == step_id)
    return found


def told(journal: Journal) -> list[str]:
    lines = (event_line(record, {}) for record in journal.records)
    return [f"{line.subject} {line.text}" for line in lines if line is not None]


def test_an_open_gate_has_every_key_of_the_contract() -> None:
    gate = gate_of(gated())
    assert gate.keys() >= CONTRACT
    assert (gate["gate_id"], gate["step_id"], gate["status"], gate["decisions"]) == ("gate#1", "gate", "open", [])
    assert (gate["context"], gate["context_digest"]) == ({"title": "Ship it?", **CONTEXT}, DIGEST)
    assert (gate["opened_at"], gate["expires_at"]) == ("2026-07-01T10:00:03.000Z", "2026-07-02T10:00:03.000Z")


def test_a_waiting_run_names_its_gate_and_each_transition() -> None:
    view = view_of(gated())
    assert (view["status"], view["waiting_for"], view["current_step"]) == ("awaiting_approval", ["gate"], "gate")
    steps = [(item["from"], item["to"]) for item in view["transitions"] if item["step_id"] == "gate"]
    assert steps == [("pending", "running"), ("running", "needs_human")]
    gate = next(item for item in view["steps"] if item["step_id"] == "gate")
    assert (gate["status"], gate["reason"], gate["failure"]) == ("needs_human", "Ship it?", None)


def test_a_gate_is_open_while_another_branch_runs() -> None:
    journal = Journal(plan(approval("gate"), step("long")))
    journal.take()
    journal.ready(journal.open[0])
    view = view_of(journal)
    assert (view["status"], view["waiting_for"]) == ("running", ["gate"])


def test_st_wf_006_an_approval_is_recorded_with_its_signature_and_the_run_goes_on() -> None:
    journal = gated()
    decide(journal, "approve", reason="looks right")
    gate = gate_of(journal)
    assert gate["decisions"] == [
        {"choice": "approve", "actor": "ann@build-7", "reason": "looks right", "answer": {}, "signature": "armored",
         "at": "2026-07-01T10:00:04.000Z", "key": "SHA256:key"}
    ]  # fmt: skip
    assert (gate["status"], gate["closed_by"], gate["choice"]) == ("granted", ["ann@build-7"], "approve")
    assert view_of(journal)["status"] == "running"
    assert step_of(journal, "gate")["outputs"]["choice"] == "approve"
    assert step_of(journal, "gate")["attempts"][0]["outcome"] == "succeeded"


def test_st_wf_007_rejected_expired_withdrawn_and_granted_are_four_different_ends() -> None:
    ends = {}
    for name in ("granted", "rejected", "expired", "withdrawn"):
        journal = gated()
        if name == "granted":
            decide(journal, "approve")
        elif name == "rejected":
            decide(journal, "reject", reason="too big")
        elif name == "expired":
            journal.wake()
        else:
            journal.give(CancelRun(fact_id="c", at=journal.now, reason="enough"))
        gate = gate_of(journal)
        ends[name] = (gate["status"], gate["closed_by"], gate["reason"], view_of(journal)["status"])
    assert ends == {
        "granted": ("granted", ["ann@build-7"], None, "running"),
        "rejected": ("rejected", ["ann@build-7"], "too big", "cancelled"),
        "expired": ("expired", [], None, "cancelled"),
        "withdrawn": ("withdrawn", [], "enough", "cancelled"),
    }


def test_two_of_three_counts_people_not_decisions() -> None:
    journal = gated(approval("gate", approvers=ApproverRule(count=2)))
    decide(journal, "approve", who="ann")
    decide(journal, "approve", who="ann")
    assert gate_of(journal)["status"] == "open"
    decide(journal, "approve", who="bob")
    assert (gate_of(journal)["status"], gate_of(journal)["closed_by"]) == ("granted", ["ann", "bob"])
    assert [one["actor"] for one in gate_of(journal)["decisions"]] == ["ann", "ann", "bob"]


def test_an_answer_by_form_and_the_default_at_the_timeout() -> None:
    form = (InputSpec(name="who", type="string", required=True),)
    journal = gated(question("gate", form=form))
    decide(journal, "", answer={"who": "eve"})
    assert (gate_of(journal)["status"], gate_of(journal)["answer"]) == ("granted", {"who": "eve"})
    assert step_of(journal, "gate")["outputs"]["who"] == "eve"
    late = gated(question("gate", choices=("red", "blue"), default="blue", timeout_ms=1000))
    late.wake()
    gate = gate_of(late)
    assert (gate["status"], gate["choice"], gate["closed_by"]) == ("granted", "blue", [])
    assert "gate nobody answered in time; the default is taken: blue" in told(late)


def test_exec_block_09_a_blocked_command_is_a_gate_with_its_argv_and_rule() -> None:
    journal = Journal(plan(step("a", argv=("sh", "-c", "x")), commands=CommandPolicy()))
    journal.play()
    gate = gate_of(journal)
    assert (gate["kind"], gate["status"], gate["require_reason"]) == ("blocked", "open", "always")
    assert gate["context"]["argv"] == ["sh", "-c", "x"]
    assert step_of(journal, "a")["failure"]["code"] == "POLICY_BLOCKED"
    assert list(waiting_lines(view_of(journal)))[-1] == f"decide     wfconsole approvals {RUN_ID} a"
    decide(journal, "approve", gate_id="a#1", reason="this once")
    journal.play()
    assert (gate_of(journal)["status"], view_of(journal)["status"]) == ("granted", "succeeded")


def test_a_context_that_could_not_be_gathered_ends_the_attempt_and_keeps_the_step() -> None:
    journal = Journal(plan(approval("gate")))
    journal.take()
    journal.end(journal.open[0], failed("tests: no report", "CONTEXT_INCOMPLETE", hint="run the tests"))
    found = step_of(journal, "gate")
    assert (found["status"], found["failure"]["code"]) == ("needs_human", "CONTEXT_INCOMPLETE")
    assert [(one["n"], one["outcome"], one["cause"]["message"]) for one in found["attempts"]] == [
        (1, "errored", "tests: no report")
    ]
    assert (view_of(journal)["approvals"], view_of(journal)["waiting_for"]) == ([], ["gate"])
    assert list(waiting_lines(view_of(journal)))[:2] == [
        "waits      gate: tests: no report",
        "hint       run the tests",
    ]
    journal.give(ResumeRun(fact_id="r", at=journal.now))
    journal.play()
    assert gate_of(journal)["gate_id"] == "gate#2"


def test_a_paused_run_keeps_its_open_gate() -> None:
    journal = gated()
    journal.give(PauseRun(fact_id="p", at=journal.now))
    assert (view_of(journal)["status"], view_of(journal)["waiting_for"]) == ("paused", ["gate"])


@pytest.mark.parametrize("choice", ["approve", "reject", "expire"])
def test_the_view_of_a_journal_read_back_has_the_same_bytes(choice: str) -> None:
    journal = gated()
    if choice == "expire":
        journal.wake()
    else:
        decide(journal, choice, reason="why")
    again = [record_from_wire(wire(record, run_id=RUN_ID, name="n", version="1")) for record in journal.records]
    assert canonical(run_view(again)) == canonical(view_of(journal))


def test_the_timeline_tells_what_is_asked_decided_and_closed() -> None:
    journal = gated(step("build"), approval("gate", "build", on_reject="route"), step("ship", "gate"))
    decide(journal, "reject", reason="\x1b[2Jno")
    assert [line for line in told(journal) if line.startswith("gate ")] == [
        "gate started",
        "gate asks for approval: Ship it? (until 2026-07-02T10:00:03.000Z)",
        "gate ann@build-7: reject: ␛[2Jno",
        "gate rejected by ann@build-7: ␛[2Jno; route",
        "gate failed: APPROVAL_REJECTED: ann@build-7 rejected Ship it?: ␛[2Jno",
    ]


def test_the_report_tells_how_a_gate_was_closed() -> None:
    journal = gated()
    assert list(gate_lines(view_of(journal), ascii_only=True)) == []
    decide(journal, "reject", reason="too big")
    assert list(gate_lines(view_of(journal), ascii_only=True)) == ["x gate  rejected by ann@build-7: too big"]
    late = gated(question("gate", choices=("red",), default="red"))
    late.wake()
    assert list(gate_lines(view_of(late), ascii_only=True)) == ["o gate  granted by default: red"]
