"""The commands of gates: the inbox, the card, decisions signed here and elsewhere, and every way in which one is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.desk import Desk, Ran
from tests.fakes.gates import DIGEST, approval, decide, gated, question
from tests.fakes.journals import RUN_ID, Journal, failed, plan, step
from wfconsole.control.wiring import Audited
from wfconsole.domain.codec import canonical
from wfconsole.domain.events import CommandRefused, DecisionRecorded
from wfconsole.domain.facts import DecideGate, PauseRun, SignatureCheck
from wfconsole.domain.plan import ApproverRule, InputSpec
from wfconsole.ports import WfconsoleError


@pytest.fixture
def asked(desk: Desk) -> Desk:
    desk.door.add(gated())
    return desk


def journal_of(desk: Desk) -> Journal:
    return desk.door.journals[RUN_ID]


def last(desk: Desk) -> DecideGate:
    fact = desk.door.sent[-1]
    assert isinstance(fact, DecideGate)
    return fact


def refused(desk: Desk, ran: Ran, code: str) -> str:
    """The message; the journal holds the same refusal."""
    assert ran.err.startswith(f"error: {code}: ")
    message = ran.err.splitlines()[0].removeprefix(f"error: {code}: ")
    event = journal_of(desk).records[-1].event
    assert isinstance(event, CommandRefused)
    assert (event.code, event.reason) == (code, message)
    return message


def test_st_wf_006_approve_signs_what_was_seen_and_the_run_goes_on(asked: Desk) -> None:
    before = journal_of(asked).records[-1].seq
    ran = asked.run("approve", RUN_ID, "--reason", "fine", "--match-context", DIGEST)
    assert (ran.code, ran.err) == (0, "")
    assert ran.text == f"{RUN_ID}  gate#1  approve by ann@build-7: granted; its owner goes on\n"
    payload = last(asked).payload
    ((signed, namespace),) = asked.signed
    assert (signed, namespace) == (canonical(payload), "decision@wfconsole")
    assert payload["seen"]["seq"] == before
    assert (payload["choice"], payload["reason"], payload["context_digest"]) == ("approve", "fine", DIGEST)
    assert (payload["run_id"], payload["gate_id"], payload["plan_digest"]) == (RUN_ID, "gate#1", "d1" * 32)
    assert (payload["actor"], len(payload["nonce"]), last(asked).signature) == ("ann@build-7", 32, "signature 1")
    assert asked.run("show", RUN_ID, "--json").json["status"] == "running"


def test_without_an_owner_the_command_names_the_worker(asked: Desk) -> None:
    asked.door.owned = False
    assert asked.run("approve", RUN_ID, "gate").text.endswith(
        "granted; what follows starts with the next owner: wfconsole worker\n"
    )


def test_st_wf_007_reject_needs_a_reason_and_ends_the_run(asked: Desk) -> None:
    ran = asked.run("reject", RUN_ID)
    assert ran.code == 2
    assert "wants a reason" in refused(asked, ran, "INPUT_MISSING")
    done = asked.run("reject", RUN_ID, "gate#1", "--reason", "too big", "--json")
    assert done.json == {
        "run_id": RUN_ID, "gate_id": "gate#1", "choice": "reject", "answer": None, "actor": "ann@build-7",
        "gate_status": "rejected", "run_status": "cancelled", "owned": True,
    }  # fmt: skip
    shown = asked.run("show", RUN_ID, encoding="ascii").lines
    assert shown[shown.index("gates") + 1] == "  x gate  rejected by ann@build-7: too big"


def test_the_second_decision_is_refused_and_names_the_winner(asked: Desk) -> None:
    asked.run("reject", RUN_ID, "--reason", "too big")
    for words in (("approve", RUN_ID), ("reject", RUN_ID, "gate", "--reason", "x")):
        ran = asked.run(*words)
        assert ran.code == 6
        assert "closed: rejected by ann@build-7: too big" in refused(asked, ran, "TRANSITION_REFUSED")


def test_an_expired_gate_is_refused_never_approved(asked: Desk) -> None:
    journal_of(asked).wake()
    asked.door.add(journal_of(asked))
    ran = asked.run("approve", RUN_ID)
    assert ran.code == 6
    assert "gate#1 is closed: expired" in refused(asked, ran, "TRANSITION_REFUSED")


def test_another_context_than_the_one_seen_is_stale_before_anything_is_signed(asked: Desk) -> None:
    ran = asked.run("approve", RUN_ID, "--match-context", "aa" * 32)
    assert (ran.code, ran.err.splitlines()) == (
        6,
        [
            f"error: DECISION_STALE: gate gate#1 shows {DIGEST}, not {'aa' * 32}",
            f"hint: wfconsole approvals {RUN_ID} gate",
        ],
    )
    assert (asked.signed, asked.door.sent) == ([], [])


def test_a_signature_that_does_not_hold_is_refused_in_the_runs_own_words(asked: Desk) -> None:
    asked.door.check = lambda _: SignatureCheck(valid=False, problem="The key SHA256:x is unknown here.")
    ran = asked.run("approve", RUN_ID)
    assert ran.code == 6
    assert "The key SHA256:x is unknown here." in refused(asked, ran, "DECISION_INVALID")


def test_a_gate_without_its_context_refuses_every_decision_and_the_card(desk: Desk) -> None:
    journal = Journal(plan(approval("gate")))
    journal.take()
    journal.end(journal.open[0], failed("tests: no report", "CONTEXT_INCOMPLETE", hint="then resume"))
    desk.door.add(journal)
    for words in (("approve", RUN_ID), ("reject", RUN_ID, "gate", "--reason", "x"), ("approve", RUN_ID, "gate#1")):
        ran = desk.run(*words)
        assert (ran.code, ran.err.splitlines()[-1]) == (6, "hint: then resume")
        assert refused(desk, ran, "CONTEXT_INCOMPLETE") == "tests: no report"
    assert desk.run("approvals", RUN_ID, "gate").code == 6
    assert desk.run("approvals", RUN_ID, "--payload").code == 6
    whole = desk.run("approvals", RUN_ID)
    assert (whole.code, whole.lines[1].split()[1:3], whole.err) == (
        0,
        ["gate", "CONTEXT_INCOMPLETE"],
        "hint: then resume\n",
    )
    assert desk.run("approvals").lines == whole.lines


def test_names_that_are_not_there_exit_2_and_send_nothing(asked: Desk) -> None:
    assert asked.run("approve", "nowhere").code == 2
    ran = asked.run("approve", RUN_ID, "ship")
    assert (ran.code, ran.err.splitlines()) == (
        2,
        [f"error: NOT_FOUND: run {RUN_ID} has no gate ship; step ship is pending", "hint: gates: gate#1"],
    )
    asked.door.add(Journal(plan(step("a")), run_id="01JZ8Q4V7M3K9T2B6W5X0YHR77"))
    assert asked.run("approve", "01JZ8Q4V7M3K9T2B6W5X0YHR77").code == 2
    assert asked.door.sent == []


def test_several_open_gates_have_to_be_named(desk: Desk) -> None:
    desk.door.add(gated(approval("one"), approval("two")))
    ran = desk.run("approve", RUN_ID)
    assert (ran.code, ran.err.splitlines()) == (
        2,
        [f"error: INPUT_MISSING: run {RUN_ID} has several open gates: one, two", "hint: name one of them"],
    )
    assert desk.run("approve", RUN_ID, "two").text.endswith("granted; the run waits for one\n")
    assert desk.run("approve", RUN_ID).code == 0


def test_one_of_two_approvals_leaves_the_gate_open(desk: Desk) -> None:
    desk.door.add(gated(approval("gate", approvers=ApproverRule(count=2))))
    ran = desk.run("approve", RUN_ID)
    assert ran.text == f"{RUN_ID}  gate#1  approve by ann@build-7; 1 approval still wanted; the run waits for gate\n"


def test_a_decision_while_paused_waits_for_resume(asked: Desk) -> None:
    journal_of(asked).give(PauseRun(fact_id="p", at=journal_of(asked).now))
    asked.door.add(journal_of(asked))
    assert asked.run("approve", RUN_ID).text.endswith(f"granted; the run is paused: wfconsole resume {RUN_ID}\n")


@pytest.mark.parametrize("choice", ["approve", "reject"])
@pytest.mark.parametrize("code", ["DISK_FULL", "STORE_BUSY"])
def test_a_decision_that_could_not_be_recorded_says_so_with_the_command_to_repeat(
    asked: Desk, choice: str, code: str
) -> None:
    asked.door.send_error = WfconsoleError(code, "no space", "free some")
    ran = asked.run(choice, RUN_ID, "--reason", "too big")
    assert (ran.code, ran.err.splitlines()) == (
        5,
        [
            f"error: DECISION_NOT_APPLIED: the decision was not recorded: {code}: no space",
            f"hint: repeat it: wfconsole {choice} {RUN_ID} gate --reason 'too big'",
        ],
    )
    assert asked.run("show", RUN_ID, "--json").json["status"] == "awaiting_approval"
    asked.door.send_error = None
    assert asked.run(choice, RUN_ID, "gate", "--reason", "too big").code == 0


@pytest.fixture
def choosing(desk: Desk) -> Desk:
    desk.door.add(gated(question("gate", choices=("red", "blue"))))
    return desk


@pytest.mark.parametrize("words", [("blue",), ("gate", "blue"), ("gate#1", "blue")])
def test_answer_takes_a_choice(choosing: Desk, words: tuple[str, ...]) -> None:
    ran = choosing.run("answer", RUN_ID, *words)
    assert ran.text == f"{RUN_ID}  gate#1  blue by ann@build-7: granted; the run is succeeded\n" or ran.code == 0
    assert choosing.run("show", RUN_ID, "--json").json["steps"][0]["outputs"]["choice"] == "blue"


def test_an_answer_that_is_none_of_the_choices_is_refused_before_it_is_signed(choosing: Desk) -> None:
    for words, code in ((("green",), "INPUT_INVALID"), ((), "INPUT_MISSING")):
        ran = choosing.run("answer", RUN_ID, *words)
        assert (ran.code, ran.err.splitlines()[1]) == (2, "hint: one of: red, blue")
        assert ran.err.startswith(f"error: {code}: ")
    assert choosing.run("answer", RUN_ID, "gate", "red", "more").code == 2
    assert choosing.run("approve", RUN_ID).err.splitlines()[1] == f"hint: wfconsole answer {RUN_ID} gate CHOICE"
    assert choosing.signed == []


def test_an_approval_cannot_be_answered(asked: Desk) -> None:
    ran = asked.run("answer", RUN_ID, "approve")
    assert (ran.code, ran.err.splitlines()[0]) == (2, "error: INPUT_INVALID: gate gate#1 is no question")


FORM = (
    InputSpec(name="who", type="string", required=True, pattern="[a-z]+"),
    InputSpec(name="n", type="integer", has_default=True, default=3, maximum=9),
)


def test_answer_fills_a_form_by_its_types(desk: Desk) -> None:
    desk.door.add(gated(question("gate", form=FORM)))
    wrong = desk.run("answer", RUN_ID, "-i", "n=10", "-i", "x=1", "--json")
    assert wrong.code == 2
    error = json.loads(wrong.err)["error"]
    assert {problem["where"] for problem in error["details"]["problems"]} == {"who", "n", "x"}
    assert desk.run("answer", RUN_ID, "red").code == 2
    assert desk.signed == []
    assert desk.run("answer", RUN_ID, "gate", "-i", "who=eve", "-i", "n=4").code == 0
    assert last(desk).payload["answer"] == {"who": "eve", "n": 4}
    outputs = desk.run("show", RUN_ID, "--json").json["steps"][0]["outputs"]
    assert (outputs["who"], outputs["n"]) == ("eve", 4)


def signed_file(folder: Path, payload: Any, signature: Any = "armored") -> str:
    path = folder / "decision.json"
    path.write_text(json.dumps({"payload": payload, "signature": signature}))
    return str(path)


def test_a_decision_signed_elsewhere_is_the_one_that_payload_printed(asked: Desk, tmp_path: Path) -> None:
    printed = asked.run("approvals", RUN_ID, "gate", "--payload", "--choice", "reject", "--reason", "no", "--as", "bob")
    payload = json.loads(printed.out)
    assert printed.out == canonical(payload)
    assert (payload["choice"], payload["reason"], payload["actor"]) == ("reject", "no", "bob")
    assert printed.err == (
        f"sign these bytes in namespace decision@wfconsole, then: wfconsole decide {RUN_ID} gate --payload FILE\n"
    )
    ran = asked.run("decide", RUN_ID, "gate", "--payload", signed_file(tmp_path, payload))
    assert ran.text == f"{RUN_ID}  gate#1  reject by bob: rejected; the run is cancelled\n"
    assert (last(asked).payload, last(asked).signature, asked.signed) == (payload, "armored", [])


def test_a_replayed_decision_is_refused(desk: Desk, tmp_path: Path) -> None:
    desk.door.add(gated(approval("gate", approvers=ApproverRule(count=2))))
    payload = desk.run("approvals", RUN_ID, "--payload").json
    stdin = Path(signed_file(tmp_path, payload)).read_bytes()
    assert desk.run("decide", RUN_ID, "--payload", "-", stdin=stdin).code == 0
    again = desk.run("decide", RUN_ID, "--payload", "-", stdin=stdin)
    assert again.code == 6
    assert "used before" in refused(desk, again, "DECISION_INVALID")
    assert sum(isinstance(record.event, DecisionRecorded) for record in journal_of(desk).records) == 1


def test_a_decision_for_another_gate_or_run_is_invalid(desk: Desk, tmp_path: Path) -> None:
    desk.door.add(gated(approval("one"), approval("two")))
    payload = desk.run("approvals", RUN_ID, "one", "--payload").json
    ran = desk.run("decide", RUN_ID, "two", "--payload", signed_file(tmp_path, payload))
    assert (ran.code, ran.err.splitlines()[0]) == (
        6, "error: DECISION_INVALID: the decision was made for gate one#1, not for two#1",
    )  # fmt: skip
    other = signed_file(tmp_path, {**payload, "run_id": "01JZ8Q4V7M3K9T2B6W5X0YHR77"})
    ran = desk.run("decide", RUN_ID, "--payload", other)
    assert ran.code == 6
    refused(desk, ran, "DECISION_INVALID")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"payload": {}}', '{"payload": [], "signature": "x"}', "[" * 100_000])
def test_a_file_that_holds_no_signed_decision_is_bad_input(asked: Desk, text: str) -> None:
    ran = asked.run("decide", RUN_ID, "--payload", "-", stdin=text.encode())
    assert (ran.code, ran.err.startswith("error: INPUT_INVALID: - ")) == (2, True)
    assert asked.run("decide", RUN_ID).code == 2
    assert asked.run("decide", RUN_ID, "--payload", "/does/not/exist").code == 2
    assert asked.door.sent == []


def test_the_payload_of_a_question(choosing: Desk) -> None:
    assert choosing.run("approvals", RUN_ID, "--payload", "--choice", "blue").json["choice"] == "blue"
    assert choosing.run("approvals", RUN_ID, "--payload", terminal=True).out.endswith(b"}\n")
    assert choosing.run("approvals", "--payload").code == 2
    assert choosing.run("approvals", RUN_ID, "--as", "bob").code == 2


def test_st_wf_005_the_inbox_lists_what_waits_over_all_runs(asked: Desk) -> None:
    over = gated()
    decide(over, "reject", reason="no")
    running = Journal(plan(approval("gate"), step("long")), run_id="01JZ8Q4V7M3K9T2B6W5X0YHR77")
    running.take()
    running.ready(running.open[0])
    asked.door.add(running)
    ran = asked.run("approvals")
    assert [line.split()[:3] for line in ran.lines[1:]] == [
        ["01JZ8Q4V7M3K9T2B6W5X0YHR77", "gate#1", "approval"], [RUN_ID, "gate#1", "approval"],
    ]  # fmt: skip
    document = asked.run("approvals", "--json").json
    assert [entry["risk"] for entry in document["approvals"]] == [None, "high"]


def test_an_empty_inbox_says_so(desk: Desk) -> None:
    assert (desk.run("approvals").text, desk.run("approvals").err) == ("", "nothing waits for a person\n")
    assert desk.run("approvals", "--json").json == {"approvals": []}
    journal = Journal(plan(step("a")))
    journal.play()
    desk.door.add(journal)
    assert desk.run("approvals", RUN_ID).err == f"nothing in run {RUN_ID} waits for a person: succeeded\n"


def test_the_card_in_words_and_as_data(asked: Desk) -> None:
    card = asked.run("approvals", RUN_ID)
    assert card.lines == asked.run("approvals", RUN_ID, "gate#1").lines
    assert f"digest     {DIGEST}" in card.lines
    assert "  +␛[2Jb" in asked.run("approvals", RUN_ID, "gate", "--diff").lines
    document = asked.run("approvals", RUN_ID, "gate", "--json").json
    assert (document["run_id"], document["context_digest"], document["status"]) == (RUN_ID, DIGEST, "open")
    assert asked.run("approvals", RUN_ID, "--json").json == {"approvals": [document]}


def test_run_until_waiting_exits_3_at_a_gate(desk: Desk) -> None:
    desk.plan = plan(step("build"), approval("gate", "build"), step("ship", "gate"))
    ran = desk.run("run", "r", "--until-waiting")
    assert ran.code == 3
    assert any("asks for approval: Ship it?" in line for line in ran.lines)
    assert any(line.startswith("  decide     wfconsole approvals ") for line in ran.lines)


@pytest.mark.parametrize(
    ("on_timeout", "status"), [("cancel", "cancelled"), ("reject", "cancelled"), ("route", "failed")]
)
def test_w3_a_run_that_nobody_approved_exits_4(desk: Desk, on_timeout: str, status: str) -> None:
    desk.plan = plan(approval("gate", on_timeout=on_timeout), step("ship", "gate"))
    ran = desk.run("run", "r", "--json")
    assert (ran.objects[-1]["run"]["status"], ran.code) == (status, 4)


def test_a_routed_rejection_exits_4_when_watched(desk: Desk) -> None:
    journal = gated(approval("gate", on_reject="route"))
    decide(journal, "reject", reason="no")
    desk.door.add(journal)
    ran = desk.run("watch", RUN_ID, encoding="ascii")
    assert ran.code == 4
    assert "  gate       x gate  rejected by ann@build-7: no" in ran.lines


def test_worker_tells_what_it_does(desk: Desk) -> None:
    assert desk.run("worker", "--until-idle").text == "until idle: True\n"
    assert desk.run("worker", "--json").json == {"type": "worker", "message": "until idle: False"}


def test_audit_verify_exits_1_when_something_does_not_hold(desk: Desk) -> None:
    desk.audited = [Audited(run_id=RUN_ID, events=9, decisions=1, signed_through=7)]
    assert desk.run("audit", "verify", encoding="ascii").lines == [
        f"o {RUN_ID}  9 events, 1 decision, signed up to event 7",
        "everything holds",
    ]
    desk.audited.append(Audited(run_id="other", events=2, decisions=0, problems=("event 2 was changed\x1b",)))
    ran = desk.run("audit", "verify", encoding="ascii")
    assert (ran.code, ran.lines[1:]) == (
        1,
        [
            "x other  2 events, 0 decisions, nothing is signed",
            "    event 2 was changed\\u241b",
            "1 run of 2 do not hold",
        ],
    )
    assert desk.run("audit", "verify", "other", "--json").json == {
        "holds": False,
        "runs": [
            {
                "run_id": "other",
                "events": 2,
                "decisions": 0,
                "signed_through": None,
                "deleted": False,
                "problems": ["event 2 was changed\x1b"],
            }
        ],
    }
    assert desk.run("audit", "verify", RUN_ID).code == 0
