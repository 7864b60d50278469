"""`run` and `watch` go on in the run that a rejection makes, and end with that one's status and RunView."""

from __future__ import annotations

import json

from tests.fakes.desk import Desk
from tests.fakes.gates import approval, decide
from tests.fakes.journals import RUN_ID, Journal, plan, step
from wfconsole.domain.effects import StartAttempt
from wfconsole.domain.plan import Plan

PLAN: Plan = plan(
    step("fetch"),
    step("draft", "fetch"),
    approval("ok", "draft", on_reject={"retry_from": "draft"}),
    step("ship", "ok"),
)


def rejected(desk: Desk) -> str:
    """Put a run into the store that was rejected; its successor."""
    journal = Journal(PLAN)
    journal.play()
    decide(journal, "reject", gate_id="ok#1", reason="too long")
    desk.door.add(journal)
    return str(desk.run("show", RUN_ID, "--json").json["lineage"]["successors"][0])


def approves(desk: Desk, run_id: str) -> None:
    """Somebody approves as soon as the successor asks."""

    def look(_effect: StartAttempt) -> None:
        journal = desk.door.journals[run_id]
        for effect in [each for each in journal.open if journal.is_gate(each)]:
            journal.ready(effect)
            decide(journal, "approve", gate_id="ok#1")

    desk.door.on_start = look


def test_st_wf_007_run_follows_into_the_successor_and_ends_as_that_does(desk: Desk) -> None:
    desk.plan = PLAN
    successor = rejected(desk)
    approves(desk, successor)
    ran = desk.run("run", "quality-gate", "--id", RUN_ID, "--json")
    assert ran.code == 0, ran.err
    documents = [json.loads(line) for line in ran.text.splitlines()]
    assert [each["run_id"] for each in documents if each["type"] == "run_created"] == [RUN_ID, successor]
    views = [each for each in documents if each["type"] == "run_view"]
    assert [(each["run"]["run_id"], each["run"]["status"]) for each in views] == [(successor, "succeeded")]
    assert documents[-1] == views[0]
    assert f"run {RUN_ID} was rejected and goes on as run {successor}" in ran.err


def test_run_until_waiting_ends_where_the_successor_waits(desk: Desk) -> None:
    desk.plan = PLAN
    successor = rejected(desk)
    ran = desk.run("run", "quality-gate", "--id", RUN_ID, "--json", "--until-waiting")
    assert ran.code == 3, ran.err
    last = json.loads(ran.text.splitlines()[-1])["run"]
    assert (last["run_id"], last["status"], last["waiting_for"]) == (successor, "awaiting_approval", ["ok"])


def test_watch_follows_and_shows_people_where_it_goes(desk: Desk) -> None:
    successor = rejected(desk)
    journal = desk.door.journals[successor]
    journal.play()
    decide(journal, "approve", gate_id="ok#1")
    journal.play()
    desk.door.add(journal)
    ran = desk.run("watch", RUN_ID)
    assert ran.code == 0, ran.err
    assert f"goes on as run {successor}, at draft: too long" in ran.text
    assert f"taken over from run {RUN_ID}" in ran.text
    assert ran.text.count("details    wfconsole show") == 1
    assert ran.text.rstrip().endswith(f"wfconsole show {successor}")


def test_show_of_either_run_names_the_other(desk: Desk) -> None:
    successor = rejected(desk)
    assert f"goes on as wfconsole show {successor}" in desk.run("show", RUN_ID).text
    assert f"from run {RUN_ID}, at draft" in desk.run("show", successor).text
