"""Who may decide: several people with SSH keys of their own at one gate, by the command line, and what is tried against it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.cli import Result, Wfconsole, step
from tests.scenarios.gate_runs import card, go_on, journal, kinds, plain, refusal, status, waiting
from tests.scenarios.people import People, principals
from tests.scenarios.test_gates import audited, rewritten

GATE = "steps: {ship: {approval: {title: Ship?, approvers: %s}}, sent: {needs: [ship], set: {done: true}}}\n"
PAIR = "{count: 2, any_of: [ann, bob, cat]}"
TWO_GATES = """
steps:
  one: {approval: {title: Ship?, approvers: {count: 2}}}
  two: {approval: {title: Ship?, approvers: {count: 2}}}
"""
ASKED = """
inputs: {n: {type: %s, default: %s}, reviewers: {type: list}, strict: {type: boolean, default: false}}
steps:
  ship:
    approval:
      title: Ship?
      approvers: {count: "${{ inputs.n }}", any_of: "${{ inputs.reviewers }}", not_author: "${{ inputs.strict }}"}
  sent: {needs: [ship], set: {done: true}}
"""


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """Ann and cat sign with a key file, bob through his agent."""
    people = People(tmp_path_factory.mktemp("people"))
    with people.agent("bob"):
        yield people


@pytest.fixture(scope="module")
def ann(people: People) -> Wfconsole:
    return people.wf("ann")


@pytest.fixture(scope="module")
def bob(people: People) -> Wfconsole:
    return people.wf("bob")


@pytest.fixture(scope="module")
def cat(people: People) -> Wfconsole:
    return people.wf("cat")


def gate(people: People, approvers: str) -> Path:
    name = "g" + "".join(char for char in approvers if char.isalnum())
    return plain(people.top, name[:40].lower(), GATE % approvers)


@pytest.fixture(scope="module")
def pair(people: People) -> Path:
    """A recipe whose gate wants two out of three."""
    return gate(people, PAIR)


@pytest.fixture(scope="module")
def untouched(ann: Wfconsole, pair: Path) -> str:
    """A run at its gate, about which nothing valid is ever said."""
    return waiting(ann, pair)


def approved(wf: Wfconsole, run_id: str, *argv: str) -> dict[str, Any]:
    done = wf.run("approve", run_id, *argv, "--json")
    assert done.code == 0, done.err
    found: dict[str, Any] = done.json
    return found


def decide(wf: Wfconsole, run_id: str, data: bytes, *gate: str) -> Result:
    return wf.run("decide", run_id, *gate, "--payload", "-", "--json", stdin=data)


# ------------------------------------------------------------------------------------------------------------- n of m


def test_st_wf_006_1_two_of_three_people_with_keys_of_their_own_grant_a_gate(
    ann: Wfconsole, bob: Wfconsole, cat: Wfconsole, pair: Path
) -> None:
    run_id = waiting(cat, pair)
    first = ann.run("approve", run_id, "--reason", "seen")
    assert (first.code, "1 approval still wanted" in first.out) == (0, True), first.err
    assert (card(cat, run_id, "ship")["status"], cat.show(run_id)["status"]) == ("open", "awaiting_approval")
    done = approved(bob, run_id)
    assert (done["actor"], done["gate_status"], done["run_status"]) == ("bob", "granted", "succeeded")
    view = cat.show(run_id)
    assert principals(view) == [("ann", "approve"), ("bob", "approve")]
    assert view["approvals"][0]["closed_by"] == ["ann", "bob"]
    keys = {each["key"] for each in view["approvals"][0]["decisions"]}
    assert len(keys) == 2
    assert audited(cat, run_id) == []
    assert cat.run("audit", "verify", run_id, "--json").json["runs"][0]["decisions"] == 2


def test_w3_nobody_counts_twice_and_of_one_person_the_newest_decision_counts(
    ann: Wfconsole, bob: Wfconsole, pair: Path
) -> None:
    run_id = waiting(bob, pair)
    assert approved(ann, run_id)["gate_status"] == "open"
    assert approved(ann, run_id, "--reason", "again")["gate_status"] == "open"
    view = ann.show(run_id)
    assert principals(view) == [("ann", "approve"), ("ann", "approve")]
    assert view["status"] == "awaiting_approval"
    refusal(ann.run("reject", run_id, "--json"), "INPUT_MISSING", 2)
    assert ann.run("reject", run_id, "--reason", "on second thoughts").code == 0
    view = go_on(bob, run_id)
    assert (view["approvals"][0]["status"], view["approvals"][0]["closed_by"]) == ("rejected", ["ann"])
    assert (view["status"], status(view)["sent"]) == ("cancelled", "cancelled")
    assert "rejected by ann" in refusal(bob.run("approve", run_id, "--json"), "TRANSITION_REFUSED")["message"]


def test_st_wf_007_1_one_rejection_closes_a_gate_that_wants_two(ann: Wfconsole, bob: Wfconsole, pair: Path) -> None:
    run_id = waiting(ann, pair)
    approved(ann, run_id)
    assert bob.run("reject", run_id, "--reason", "too large").code == 0
    view = go_on(ann, run_id)
    assert (view["status"], view["approvals"][0]["reason"]) == ("cancelled", "too large")


# ------------------------------------------------------------------------------------------------------ who may decide


def test_w3_whoever_any_of_does_not_name_is_refused_on_record(people: People, ann: Wfconsole, cat: Wfconsole) -> None:
    run_id = waiting(cat, gate(people, "{any_of: [ann]}"))
    error = refusal(cat.run("approve", run_id, "--json"), "DECISION_INVALID")
    assert "cat may not decide ship#1; one of ann may" in error["message"]
    outsider = refusal(people.wf("mallory").run("approve", run_id, "--json"), "DECISION_INVALID")
    assert "is unknown" in outsider["message"]
    told = [event["reason"] for event in journal(cat, run_id) if event["type"] == "command_refused"]
    assert told == [error["message"], outsider["message"]]
    assert (cat.show(run_id)["status"], principals(cat.show(run_id))) == ("awaiting_approval", [])
    assert approved(ann, run_id)["gate_status"] == "granted"
    assert principals(cat.show(run_id)) == [("ann", "approve")]
    assert audited(cat, run_id) == []


def test_w3_whoever_started_a_run_cannot_approve_it_where_the_recipe_says_so(
    people: People, ann: Wfconsole, bob: Wfconsole
) -> None:
    run_id = waiting(bob, gate(people, "{not_author: true}"))
    error = refusal(bob.run("approve", run_id, "--json"), "DECISION_INVALID")
    assert "bob started this run and may not decide ship#1" in error["message"]
    refusal(bob.run("reject", run_id, "--reason", "x", "--json"), "DECISION_INVALID")
    assert approved(ann, run_id)["gate_status"] == "granted"
    assert ann.show(run_id)["approvals"][0]["closed_by"] == ["ann"]


@pytest.mark.parametrize(
    "approvers", ["{count: 2}", "{any_of: [ann]}", "{not_author: true}", '{count: "${{ 1 + 0 }}"}']
)
def test_a_gate_that_counts_people_is_refused_at_the_start_where_nobody_tells_who_is_who(
    people: People, approvers: str
) -> None:
    nobody, before = people.wf("ann", allowed_signers=""), len(people.wf("ann").run("runs", "--json").json["runs"])
    error = refusal(nobody.run("run", gate(people, approvers), "--json"), "INPUT_INVALID", 2)
    assert "there is no allowed_signers file" in error["message"]
    assert "allowed_signers" in error["hint"]
    assert len(people.wf("ann").run("runs", "--json").json["runs"]) == before


@pytest.mark.parametrize(("name", "words"), [("mallory", "is unknown"), ("dave", "is revoked")])
def test_a_start_that_no_allowed_signer_signed_creates_nothing(
    people: People, pair: Path, name: str, words: str
) -> None:
    error = refusal(people.wf(name).run("run", pair, "--json"), "INPUT_INVALID", 2)
    assert words in error["message"]


def test_a_revoked_key_decides_nothing(people: People, ann: Wfconsole, untouched: str) -> None:
    error = refusal(people.wf("dave").run("approve", untouched, "--json"), "DECISION_INVALID")
    assert "of dave is revoked" in error["message"]
    assert principals(ann.show(untouched)) == []


# ---------------------------------------------------------------------------------------------------- signed elsewhere


def test_w3_a_payload_signed_elsewhere_is_its_signers_whoever_brings_it(
    people: People, ann: Wfconsole, cat: Wfconsole, pair: Path
) -> None:
    run_id = waiting(cat, pair)
    data = people.signed("ann", cat, run_id, "ship", "--reason", "by hand")
    done = decide(cat, run_id, data)
    assert (done.code, done.json["gate_status"], done.json["actor"]) == (0, "open", "ann"), done.err
    assert approved(cat, run_id)["gate_status"] == "granted"
    assert principals(cat.show(run_id)) == [("ann", "approve"), ("cat", "approve")]
    assert audited(ann, run_id) == []


def test_a_decision_is_not_taken_twice_at_a_gate_that_is_still_open(
    people: People, ann: Wfconsole, bob: Wfconsole, pair: Path
) -> None:
    run_id = waiting(ann, pair)
    data = people.signed("ann", ann, run_id, "ship")
    assert decide(ann, run_id, data).code == 0
    for wf in (ann, bob):
        assert "used before" in refusal(decide(wf, run_id, data), "DECISION_INVALID")["message"]
    document = json.loads(data)
    document["payload"]["nonce"] = "0" * 32
    fresh = json.dumps(document).encode()
    assert "does not fit" in refusal(decide(ann, run_id, fresh), "DECISION_INVALID")["message"]
    assert (principals(ann.show(run_id)), card(ann, run_id, "ship")["status"]) == ([("ann", "approve")], "open")


def test_a_signature_for_another_gate_of_the_same_run_is_refused(people: People, ann: Wfconsole) -> None:
    run_id = waiting(ann, plain(people.top, "two-gates", TWO_GATES))
    one, two = card(ann, run_id, "one"), card(ann, run_id, "two")
    assert one["context"] == two["context"]  # both show the same, so it is the gate's name alone that tells them apart
    data = people.signed("ann", ann, run_id, "one")
    refused = refusal(decide(ann, run_id, data, "two"), "DECISION_INVALID")
    assert "was made for gate one#1, not for two#1" in refused["message"]
    moved = people.signed("ann", ann, run_id, "one", change={"gate_id": "two#1"})
    assert "does not fit" in refusal(decide(ann, run_id, moved), "DECISION_INVALID")["message"]
    assert {gate["gate_id"]: gate["decisions"] for gate in ann.show(run_id)["approvals"]} == {"one#1": [], "two#1": []}
    assert decide(ann, run_id, data).code == 0
    decided = {gate["gate_id"]: len(gate["decisions"]) for gate in ann.show(run_id)["approvals"]}
    assert decided == {"one#1": 1, "two#1": 0}


@pytest.mark.parametrize(
    ("signer", "change", "namespace", "words"),
    [
        ("ann", {"choice": "reject", "reason": "no"}, "decision@wfconsole", "does not fit"),
        ("ann", {"actor": "cat"}, "decision@wfconsole", "does not fit"),
        ("ann", {}, "start@wfconsole", "made for start@wfconsole, not for decision@wfconsole"),
        ("ann", {}, "file", "made for file, not for decision@wfconsole"),
        ("mallory", {}, "decision@wfconsole", "is unknown"),
        ("dave", {}, "decision@wfconsole", "is revoked"),
    ],
)
def test_what_was_altered_or_signed_for_something_else_or_by_somebody_else_is_refused(
    people: People, ann: Wfconsole, untouched: str, signer: str, change: dict[str, Any], namespace: str, words: str
) -> None:
    data = people.signed(signer, ann, untouched, "ship", namespace=namespace, change=change)
    assert words in refusal(decide(ann, untouched, data), "DECISION_INVALID")["message"]
    view = ann.show(untouched)
    assert (principals(view), view["status"]) == ([], "awaiting_approval")


def test_a_key_decides_in_nobody_elses_name(people: People, ann: Wfconsole, untouched: str) -> None:
    forged = people.signed("ann", ann, untouched, "ship", claimed="cat")
    assert json.loads(forged)["payload"]["actor"] == "cat"
    error = refusal(decide(ann, untouched, forged), "DECISION_INVALID")
    assert "The key belongs to ann, the payload names cat." in error["message"]
    assert principals(ann.show(untouched)) == []


def test_audit_names_a_decision_of_another_person_that_was_put_into_the_journal(
    ann: Wfconsole, bob: Wfconsole, pair: Path
) -> None:
    run_id = waiting(ann, pair)
    approved(ann, run_id)
    approved(bob, run_id)
    assert audited(ann, run_id) == []
    rewritten(ann, run_id, "decision_recorded", lambda event: event.update(principal="cat"), chained=True)
    problems = audited(ann, run_id)
    assert any("signed by ann, recorded as cat" in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"author": "bob"}, "signed by ann, recorded as bob"),
        ({"start": {}}, "ann is its author, and has signed nothing"),
        ({"inputs": {"x": 1}}, "what was started is not what was signed (inputs_sha256)"),
    ],
)
def test_audit_names_a_start_that_its_author_did_not_sign(
    ann: Wfconsole, pair: Path, change: dict[str, Any], words: str
) -> None:
    run_id = waiting(ann, pair)
    assert audited(ann, run_id) == []
    rewritten(ann, run_id, "run_created", lambda event: event.update(change), chained=True)
    problems = audited(ann, run_id)
    assert any(f"event 1, the start: {words}" in problem for problem in problems), problems


# ------------------------------------------------------------------------------------------- approvers by expressions


def test_approvers_given_by_inputs_are_recorded_when_the_gate_opens_and_hold(
    people: People, ann: Wfconsole, bob: Wfconsole, cat: Wfconsole
) -> None:
    path = plain(people.top, "asked", ASKED % ("integer", "2"))
    run_id = waiting(cat, path, "-i", 'reviewers=["ann", "bob"]')
    (asked,) = [event for event in journal(cat, run_id) if event["type"] == "approval_requested"]
    assert asked["approvers"] == {"count": 2, "any_of": ["ann", "bob"], "not_author": False}
    refusal(cat.run("approve", run_id, "--json"), "DECISION_INVALID")
    assert approved(ann, run_id)["gate_status"] == "open"
    assert approved(bob, run_id)["gate_status"] == "granted"


@pytest.mark.parametrize(
    ("kind", "default", "argv", "words"),
    [
        ("integer", "0", ['reviewers=["ann"]'], "`count` must be a whole number from 1, and its expression gives 0"),
        ("string", "'2'", ['reviewers=["ann", "bob"]'], "`count` must be a whole number from 1"),
        ("integer", "1", [], "`any_of` must be a list of names, and its expression gives null"),
        ("integer", "1", ["reviewers=[]"], "`any_of` must be a list of names"),
        ("integer", "1", ['reviewers=["ann", 3]'], "`any_of` must be a list of names"),
        ("integer", "1", ['reviewers=["ann", "ann"]'], "`any_of` names somebody twice"),
        ("integer", "3", ['reviewers=["ann", "bob"]'], "3 people have to approve, and `any_of` names 2"),
    ],
)
def test_approvers_that_expressions_give_wrongly_open_no_gate(
    people: People, ann: Wfconsole, kind: str, default: str, argv: list[str], words: str
) -> None:
    path = plain(people.top, "asked-badly", ASKED % (kind, default))
    ran = ann.run("run", path, "--json", *(word for value in argv for word in ("-i", value)))
    assert ran.code == 1, ran.err
    failure = step(ran.view, "ship")["failure"]
    assert (failure["code"], words in failure["message"]) == ("RECIPE_INVALID", True), failure
    assert (ran.view["approvals"], status(ran.view)["sent"]) == ([], "skipped")
    assert "approval_requested" not in kinds(ann, ran.view["run_id"])
