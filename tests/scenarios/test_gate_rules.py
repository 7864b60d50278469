"""Gates without a container: decisions taken, refused, repeated, overtaken; questions, deadlines and blocked commands."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.cli import Result, Wfconsole, step, until
from tests.scenarios.gate_runs import (
    artifacts,
    broken_journal,
    card,
    go_on,
    journal,
    kinds,
    moves,
    plain,
    refusal,
    status,
    waiting,
)

SHIP = """
steps:
  made: {set: {what: draft}}
  ship: {needs: [made], approval: {title: "Ship ${{ steps.made.outputs.what }}?"}}
  sent: {needs: [ship], set: {by: "${{ gates.ship.actor }}", why: "${{ gates.ship.reason }}"}}
"""
ROUTE = """
on_reject: route
steps:
  ship: {approval: {title: Ship?, on_reject: route}}
  sent: {needs: [ship], set: {done: true}}
  kept: {needs: {ship: failed}, set: {why: "${{ gates.ship.reason }}"}}
  told: {needs: {ship: done}, set: {told: true}}
"""
ASK = """
steps:
  ask: {question: {prompt: Red or blue?, choices: [red, blue]}}
  red: {needs: [ask], when: steps.ask.outputs.choice == 'red', set: {is: red}}
  blue: {needs: [ask], when: steps.ask.outputs.choice == 'blue', set: {is: blue}}
"""
FORM = """
steps:
  ask:
    question:
      prompt: How many?
      inputs: {count: {type: integer, required: true, minimum: 1, maximum: 9}, tags: {type: list, default: []}}
  use: {needs: [ask], set: {twice: "${{ steps.ask.outputs.count * 2 }}"}}
"""
SHORT = """
steps:
  ship: {approval: {title: Ship?, timeout: 1s, on_timeout: %s}}
  sent: {needs: [ship], set: {done: true}}
  kept: {needs: {ship: failed}, set: {kept: true}}
finally:
  tell: {when: run.code == 'APPROVAL_EXPIRED', set: {told: true}}
"""
TWO = """
steps:
  one: {approval: {title: One?}}
  two: {approval: {title: Two?}}
"""


@pytest.fixture(scope="module")
def ship(wf: Wfconsole, place: Path) -> Path:
    return plain(place, "ship", SHIP)


def decided(wf: Wfconsole, *argv: str) -> Any:
    done = wf.run(*argv, "--json")
    assert done.code == 0, done.err
    return done.json


def expired(wf: Wfconsole, run_id: str) -> dict[str, Any]:
    """The RunView once the worker has met the gate's deadline."""

    def over() -> dict[str, Any] | None:
        view = go_on(wf, run_id)
        return view if view["finished_at"] else None

    return until(over, lambda: f"{run_id} never expired")


# ------------------------------------------------------------------------------------------------------ after a decision


def test_st_wf_006_1_approve_sets_the_run_going_and_the_next_step_starts(wf: Wfconsole, ship: Path) -> None:
    run_id = waiting(wf, ship)
    assert wf.show(run_id)["status"] == "awaiting_approval"
    done = decided(wf, "approve", run_id, "--reason", "looks fine")
    assert (done["gate_status"], done["run_status"], done["owned"]) == ("granted", "succeeded", False)
    view = wf.show(run_id)
    assert moves(view) == ["pending", "running", "awaiting_approval", "running", "succeeded"]
    assert (wf.home / view["bundle"] / "manifest.json").exists()  # no owner was needed for what follows
    told = kinds(wf, run_id)
    granted = told.index("approval_granted")
    assert told.index("decision_recorded") < granted < told.index("run_resumed") < told.index("run_succeeded")
    assert "step_started" in told[granted:]
    assert step(view, "sent")["outputs"] == {"by": view["approvals"][0]["closed_by"][0], "why": "looks fine"}


def test_st_wf_006_2_the_decision_is_kept_with_actor_time_reason_and_signature(wf: Wfconsole, ship: Path) -> None:
    run_id = waiting(wf, ship)
    decided(wf, "approve", run_id, "--reason", "looks fine")
    view = wf.show(run_id)
    (decision,) = view["approvals"][0]["decisions"]
    trigger = view["trigger"]
    assert decision["actor"] == f"{trigger['actor']}@{trigger['host']}"  # one name for one person
    assert (decision["choice"], decision["reason"]) == ("approve", "looks fine")
    assert decision["signature"].startswith("-----BEGIN SSH SIGNATURE-----")
    assert decision["key"].startswith("SHA256:")
    (event,) = [event for event in journal(wf, run_id) if event["type"] == "decision_recorded"]
    assert event["payload"]["at"] <= event["timestamp"] == decision["at"]


@pytest.mark.parametrize(("verb", "reason"), [("approve", "st_wf_006_3"), ("reject", "st_wf_007_3")])
def test_st_wf_006_3_and_st_wf_007_3_a_decision_that_cannot_be_applied_changes_nothing(
    wf: Wfconsole, ship: Path, verb: str, reason: str
) -> None:
    run_id = waiting(wf, ship)
    before = wf.run("show", run_id, "--json").stdout
    with broken_journal(wf):
        error = refusal(wf.run(verb, run_id, "--reason", f"it is {reason}", "--json"), "DECISION_NOT_APPLIED", 5)
        assert error["hint"] == f"repeat it: wfconsole {verb} {run_id} ship --reason 'it is {reason}'"
        assert "disk I/O error" in error["message"]
    assert wf.run("show", run_id, "--json").stdout == before
    assert wf.show(run_id)["status"] == "awaiting_approval"
    assert decided(wf, verb, run_id, "ship", "--reason", f"it is {reason}")["gate_status"] != "open"


@pytest.mark.parametrize(("verb", "ends"), [("approve", "succeeded"), ("reject", "cancelled")])
def test_st_wf_006_3_with_a_live_owner_whose_store_fails_the_gate_stays_open(
    wf: Wfconsole, ship: Path, verb: str, ends: str
) -> None:
    with wf.live("run", ship, "--json") as live:
        live.event("run_awaiting_approval")
        with broken_journal(wf):
            error = refusal(wf.run(verb, live.run_id, "--reason", "so", "--json"), "DECISION_NOT_APPLIED", 5)
            assert f"wfconsole {verb} {live.run_id} ship" in error["hint"]
            ended = live.end()
        assert (ended.code, ended.error["code"]) == (5, "STORE_BUSY"), ended.err
        run_id = live.run_id
    assert wf.show(run_id)["status"] == "awaiting_approval"
    assert go_on(wf, run_id)["status"] == ends  # the decision lies in the inbox: the next owner takes it, once
    assert kinds(wf, run_id).count("decision_recorded") == 1


def test_st_wf_007_1_reject_cancels_the_run(wf: Wfconsole, ship: Path) -> None:
    run_id = waiting(wf, ship)
    refusal(wf.run("reject", run_id, "--json"), "INPUT_MISSING", 2)  # the recipe wants a reason for this
    decided(wf, "reject", run_id, "--reason", "too large")
    view = go_on(wf, run_id)
    assert (view["status"], status(view)["sent"]) == ("cancelled", "cancelled")
    assert view["failure"] is None or view["failure"]["code"] == "APPROVAL_REJECTED"
    assert (wf.run("watch", run_id).code, "sent" in kinds(wf, run_id)) == (4, False)
    assert (wf.home / view["bundle"] / "manifest.json").exists()


def test_st_wf_007_1_reject_routes_the_run_to_what_needs_the_failure(wf: Wfconsole, place: Path) -> None:
    run_id = waiting(wf, plain(place, "route", ROUTE))
    decided(wf, "reject", run_id, "--reason", "not yet")
    view = go_on(wf, run_id)
    assert status(view) == {"ship": "failed", "sent": "skipped", "kept": "succeeded", "told": "succeeded"}
    assert step(view, "kept")["outputs"] == {"why": "not yet"}
    assert wf.run("watch", run_id).code == 4


def test_st_wf_007_2_a_rejection_is_kept_with_its_rationale(wf: Wfconsole, ship: Path) -> None:
    run_id = waiting(wf, ship)
    decided(wf, "reject", run_id, "--reason", "too large")
    (gate,) = wf.show(run_id)["approvals"]
    assert (gate["status"], gate["reason"], gate["choice"]) == ("rejected", "too large", "reject")
    (decision,) = gate["decisions"]
    assert decision["reason"] == "too large"
    assert decision["actor"] == gate["closed_by"][0]
    (event,) = [event for event in journal(wf, run_id) if event["type"] == "approval_rejected"]
    assert (event["reason"], event["action"], event["timestamp"]) == ("too large", "cancel", decision["at"])


# ---------------------------------------------------------------------------------------------------------- questions


def test_w3_the_question_card_is_there_before_the_gate_opens(wf: Wfconsole, place: Path) -> None:
    run_id = waiting(wf, plain(place, "ask", ASK))
    told = [(event["type"], event.get("artifact", {}).get("kind")) for event in journal(wf, run_id)]
    assert told.index(("artifact_recorded", "question_card")) < told.index(("approval_requested", None))
    assert told.index(("approval_requested", None)) < told.index(("input_requested", None))
    shown = card(wf, run_id, "ask")
    kept = json.loads(wf.run("artifacts", run_id, "question_card.json", "-o", "-").stdout)
    assert kept == {
        "prompt": "Red or blue?",
        "choices": ["red", "blue"],
        "gate_id": "ask#1",
        "context_digest": shown["context_digest"],
        "expires_at": shown["expires_at"],
    }
    rows = wf.run("runs", "--status", "waiting_input", "--json").json["runs"]
    assert run_id in [row["run_id"] for row in rows]


def test_w3_the_branch_is_chosen_from_the_persisted_answer(wf: Wfconsole, place: Path) -> None:
    run_id = waiting(wf, plain(place, "ask", ASK))
    refusal(wf.run("answer", run_id, "green", "--json"), "INPUT_INVALID", 2)
    refusal(wf.run("approve", run_id, "--json"), "INPUT_INVALID", 2)
    decided(wf, "answer", run_id, "blue")
    view = go_on(wf, run_id)
    assert (view["run_id"], view["status"]) == (run_id, "succeeded")
    assert status(view) == {"ask": "succeeded", "red": "skipped", "blue": "succeeded"}
    assert step(view, "ask")["outputs"]["choice"] == "blue"
    assert view["approvals"][0]["choice"] == "blue"


def test_a_form_is_checked_kept_and_used(wf: Wfconsole, place: Path) -> None:
    run_id = waiting(wf, plain(place, "form", FORM))
    problems = refusal(wf.run("answer", run_id, "-i", "count=10", "--json"), "INPUT_INVALID", 2)["details"]["problems"]
    assert [problem["where"] for problem in problems] == ["count"]
    assert decided(wf, "answer", run_id, "-i", "count=4")["answer"] == {"count": 4, "tags": []}
    view = go_on(wf, run_id)
    assert step(view, "ask")["outputs"] == {"choice": None, "count": 4, "tags": []}
    assert step(view, "use")["outputs"] == {"twice": 8}


def test_a_question_with_a_default_is_answered_by_nobody_at_its_timeout(wf: Wfconsole, place: Path) -> None:
    text = "steps: {ask: {question: {prompt: Which?, choices: [a, b], timeout: 1s, default: b}}}\n"
    view = expired(wf, waiting(wf, plain(place, "default", text)))
    assert (view["status"], step(view, "ask")["outputs"]) == ("succeeded", {"choice": "b"})
    assert (view["approvals"][0]["closed_by"], view["approvals"][0]["decisions"]) == ([], [])


# ---------------------------------------------------------------------------------------------------------- deadlines


@pytest.mark.parametrize(
    ("policy", "ended", "exit_code"),
    [("cancel", "cancelled", 4), ("cancel_and_notify", "cancelled", 4), ("route", "failed", 4)],
)
def test_w3_a_timeout_is_its_own_recorded_outcome(
    wf: Wfconsole, place: Path, policy: str, ended: str, exit_code: int
) -> None:
    view = expired(wf, waiting(wf, plain(place, f"short-{policy}", SHORT % policy)))
    run_id = view["run_id"]
    (event,) = [event for event in journal(wf, run_id) if event["type"] == "approval_expired"]
    assert (event["event"], event["action"]) == ("approval_timeout", policy)
    (gate,) = view["approvals"]
    assert (gate["status"], gate["closed_by"], gate["decisions"]) == ("expired", [], [])
    assert step(view, "ship")["failure"]["code"] == "APPROVAL_EXPIRED"
    assert status(view)["sent"] in {"cancelled", "skipped"}
    assert status(view)["kept"] == ("succeeded" if policy == "route" else "cancelled")
    assert status(view)["tell"] == "succeeded"
    assert (view["status"], wf.run("watch", run_id).code) == (ended, exit_code)
    late = refusal(wf.run("approve", run_id, "--json"), "TRANSITION_REFUSED")
    assert "expired" in late["message"]
    assert kinds(wf, run_id)[-1] == "command_refused" or "approval_granted" not in kinds(wf, run_id)


def test_a_deadline_outlives_its_owner_and_is_not_begun_again(wf: Wfconsole, place: Path) -> None:
    path = plain(place, "short-killed", SHORT % "cancel")
    with wf.live("run", path, "--json") as live:
        live.event("run_awaiting_approval")
        os.kill(live.process.pid, signal.SIGKILL)
        live.process.wait()
        run_id = live.run_id
    before = card(wf, run_id, "ship")["expires_at"]
    view = expired(wf, run_id)
    (event,) = [event for event in journal(wf, run_id) if event["type"] == "approval_expired"]
    assert (view["approvals"][0]["status"], view["approvals"][0]["expires_at"]) == ("expired", before)
    assert event["timestamp"] >= before
    assert event["actor"]["surface"] == "timer"


# --------------------------------------------------------------------------------------------------- who decides, once


def test_a_late_decision_names_the_winner_and_is_on_record(wf: Wfconsole, ship: Path) -> None:
    run_id = waiting(wf, ship)
    winner = decided(wf, "approve", run_id)["actor"]
    late = refusal(wf.run("reject", run_id, "ship", "--reason", "wait", "--json"), "TRANSITION_REFUSED")
    assert f"granted by {winner}" in late["message"]
    refused = [event for event in journal(wf, run_id) if event["type"] == "command_refused"]
    assert [event["reason"] for event in refused] == [late["message"]]
    assert go_on(wf, run_id)["status"] == "succeeded"


def test_of_two_who_decide_at_the_same_time_one_wins(wf: Wfconsole, ship: Path) -> None:
    run_id = waiting(wf, ship)
    asked = (("approve", run_id, "ship", "--json"), ("reject", run_id, "ship", "--reason", "no", "--json"))
    with ThreadPoolExecutor() as pool:
        results: list[Result] = list(pool.map(lambda argv: wf.run(*argv), asked))
    assert sorted(result.code for result in results) == [0, 6], [result.err for result in results]
    told = kinds(wf, run_id)
    assert (told.count("decision_recorded"), told.count("command_refused")) == (1, 1)
    won = results[0].code == 0
    assert go_on(wf, run_id)["status"] == ("succeeded" if won else "cancelled")


def test_a_live_run_is_moved_by_a_decision_of_another_process(wf: Wfconsole, ship: Path) -> None:
    with wf.live("run", ship, "--json") as live:
        live.event("run_awaiting_approval")
        assert decided(wf, "approve", live.run_id)["owned"] is True
        ended = live.end()
    assert (ended.code, ended.view["status"]) == (0, "succeeded"), ended.err


def test_a_gate_is_named_when_several_are_open_and_each_is_decided_by_itself(wf: Wfconsole, place: Path) -> None:
    run_id = waiting(wf, plain(place, "pair", TWO))
    refusal(wf.run("approve", run_id, "--json"), "INPUT_MISSING", 2)
    inbox = wf.run("approvals", "--json").json["approvals"]
    assert {entry["step_id"] for entry in inbox if entry["run_id"] == run_id} == {"one", "two"}
    decided(wf, "approve", run_id, "two")
    assert {gate["step_id"]: gate["status"] for gate in wf.show(run_id)["approvals"]} == {
        "one": "open",
        "two": "granted",
    }
    decided(wf, "reject", run_id, "one#1", "--reason", "no")
    assert go_on(wf, run_id)["status"] == "cancelled"


def test_a_rejection_withdraws_the_other_gates(wf: Wfconsole, place: Path) -> None:
    run_id = waiting(wf, plain(place, "pair", TWO))
    decided(wf, "reject", run_id, "one", "--reason", "no")
    view = go_on(wf, run_id)
    assert {gate["step_id"]: gate["status"] for gate in view["approvals"]} == {"one": "rejected", "two": "withdrawn"}
    assert "withdrawn" in refusal(wf.run("approve", run_id, "two", "--json"), "TRANSITION_REFUSED")["message"]


def test_cancel_withdraws_the_gate_and_what_is_decided_after_that_is_refused(wf: Wfconsole, ship: Path) -> None:
    run_id = waiting(wf, ship)
    assert wf.run("cancel", run_id, "--reason", "not needed").code == 0
    view = wf.show(run_id)
    assert (view["status"], view["approvals"][0]["status"]) == ("cancelled", "withdrawn")
    assert "withdrawn" in refusal(wf.run("approve", run_id, "--json"), "TRANSITION_REFUSED")["message"]
    assert kinds(wf, run_id).count("approval_granted") == 0


def test_a_decision_while_the_run_is_paused_waits_for_resume(wf: Wfconsole, ship: Path) -> None:
    run_id = waiting(wf, ship)
    assert wf.run("pause", run_id).code == 0
    assert decided(wf, "approve", run_id)["run_status"] == "paused"
    assert go_on(wf, run_id)["status"] == "paused"
    assert wf.run("resume", run_id).code == 0
    view = go_on(wf, run_id)
    assert (view["status"], status(view)["sent"]) == ("succeeded", "succeeded")


def test_a_gate_whose_driver_was_killed_is_still_decidable(wf: Wfconsole, ship: Path) -> None:
    with wf.live("run", ship, "--json") as live:
        live.event("run_awaiting_approval")
        os.kill(live.process.pid, signal.SIGKILL)
        live.process.wait()
        run_id = live.run_id
    assert card(wf, run_id, "ship")["status"] == "open"
    assert decided(wf, "approve", run_id)["owned"] is False
    view = go_on(wf, run_id)
    assert (view["status"], kinds(wf, run_id).count("approval_requested")) == ("succeeded", 1)


def test_a_worker_that_stays_carries_out_decisions_at_once(wf: Wfconsole, ship: Path) -> None:
    run_id = waiting(wf, ship)
    with wf.live("worker") as worker:
        until(lambda: kinds(wf, run_id).count("owner_changed"), worker.stderr.decode)
        assert decided(wf, "approve", run_id)["owned"] is True
        until(lambda: wf.show(run_id)["status"] == "succeeded", lambda: str(wf.show(run_id)))
        worker.interrupt()
        assert worker.end().code == 130


def test_watch_ends_at_a_gate_of_a_run_that_nobody_drives_with_the_way_to_it(wf: Wfconsole, ship: Path) -> None:
    run_id = waiting(wf, ship)
    text = wf.run("show", run_id).out
    assert f"wfconsole approvals {run_id} ship" in text or "ship" in text
    shown = wf.run("approvals", run_id).out
    for part in ("Ship draft?", "ship#1", f"wfconsole approve {run_id} ship", f"wfconsole reject {run_id} ship"):
        assert part in shown


def test_an_incomplete_context_leaves_nothing_to_decide(wf: Wfconsole, place: Path) -> None:
    text = "steps: {ok: {set: {a: 1}}, ship: {needs: [ok], approval: {title: Ship?, context: {tests: [ok]}}}}\n"
    run_id = waiting(wf, plain(place, "hollow", text))
    view = wf.show(run_id)
    assert (status(view)["ship"], view["approvals"]) == ("needs_human", [])
    assert artifacts(view, "ship").get("question_card.json") is None
