"""The card and the inbox: everything that was gathered is on it, as safe text, and what to type."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st

from tests.fakes.gates import CONTEXT, DIGEST, approval, decide, gated, question
from tests.fakes.journals import RUN_ID, START, Journal, failed, plan, step
from wfconsole.domain.plan import ApproverRule, CommandPolicy, InputSpec
from wfconsole.views.approval_card import card_lines
from wfconsole.views.context_lines import diff_lines, file_lines, report_lines, risk_lines, tree_lines
from wfconsole.views.inbox import inbox, inbox_table
from wfconsole.views.run_view import run_view

NOW = START + 60_000


def card(journal: Journal, *, now: int = NOW, hunks: bool = False) -> list[str]:
    view = run_view(journal.records)
    return card_lines(view, view["approvals"][-1], now, hunks=hunks)


def test_st_wf_005_the_whole_card_of_an_approval() -> None:
    assert card(gated()) == [
        "Ship it?",
        "",
        "gate       gate#1  (approval)",
        f"run        {RUN_ID}  quality-gate@1.0.0  plan d1d1d1d1d1d1",
        "started    by ann@build-7",
        "status     open",
        "decides    anybody whose signature counts",
        "expires    in 23h59m, at 2026-07-02T10:00:03.000Z; then the run is cancelled",
        f"digest     {DIGEST}",
        "",
        "diff",
        "  2 files changed, +4 -1 lines",
        "  R src/old.py -> src/new.py  +4 -1  (mode 100644 -> 100755)",
        "  A logo.png  (binary, 2.0 KiB)",
        f"  all of it, 700 B: wfconsole artifacts {RUN_ID} 'gate#1/context/diff.patch'",
        "",
        "tests",
        "  unit: 2 passed, 1 failed in 1.2 s; coverage 81.5 %",
        "    failing  t::b",
        "",
        "risk",
        "  high (score 26)",
        "  high    tests_failed: 1 tests failed",
        "          something breaks",
        "",
        "files",
        "  notes.txt  12 B",
        "    hello",
        "    ... the rest is in the artifact",
        "",
        "preview",
        "  mail",
        "    to",
        "      1  ops@example.org",
        "    subject  Hi",
        "    body",
        "      one",
        "      two",
        "",
        f"approve    wfconsole approve {RUN_ID} gate --match-context {DIGEST}",
        f"reject     wfconsole reject {RUN_ID} gate --reason TEXT",
    ]


def test_changed_lines_are_shown_on_request_and_never_obeyed() -> None:
    lines = card(gated(), hunks=True)
    assert lines[lines.index("changes") :][1:8] == [
        "  --- src/old.py", "  +++ src/new.py", "  @@ -1 +1 @@", "  -a", "  +␛[2Jb", "  ... the rest is in the artifact", "",
    ]  # fmt: skip


def test_the_card_tells_who_may_decide_and_who_did() -> None:
    rule = ApproverRule(count=2, any_of=("ann", "bob", "eve"), not_author=True)
    journal = gated(approval("gate", approvers=rule, on_timeout="reject", require_reason="never"))
    decide(journal, "approve", who="bob", reason="fine")
    lines = card(journal)
    if journal.state is not None and journal.state.created.author is None:
        assert "decides    2 of ann, bob, eve, not who started the run" in lines
    open_to_all = gated(approval("gate", approvers=ApproverRule(count=2)))
    decide(open_to_all, "approve", who="bob", reason="fine")
    lines = card(open_to_all)
    assert "decides    2 different people; 1 so far" in lines
    assert "decided    bob approve at 2026-07-01T10:00:03.000Z: fine" in lines


def test_a_closed_gate_says_how_and_offers_nothing() -> None:
    journal = gated()
    decide(journal, "reject", reason="too big")
    lines = card(journal)
    assert "status     rejected by ann@build-7: too big" in lines
    assert not [line for line in lines if line.startswith(("approve ", "reject ", "expires "))]


def test_a_deadline_that_is_over_is_told_before_anybody_recorded_it() -> None:
    assert "expires    the time is over, at 2026-07-02T10:00:03.000Z; then the run is cancelled" in card(
        gated(), now=START + 90_000_000
    )


def test_a_part_that_is_missing_is_said_to_be_missing() -> None:
    lines = card(gated(context={"diff": CONTEXT["diff"]}))
    assert lines[-5:-3] == ["not shown", "  this card has no risk"]


def test_the_card_of_a_blocked_command_shows_each_word_of_it() -> None:
    journal = Journal(plan(step("a", argv=("sh", "-c", "rm x\x1b[8m")), commands=CommandPolicy()))
    journal.play()
    lines = card(journal)
    assert lines[10:15] == ["command", "  argv     sh -c 'rm x␛[8m'", "    0  sh", "    1  -c", "    2  rm x␛[8m"]
    digest = run_view(journal.records)["approvals"][0]["context_digest"]
    assert lines[-2:] == [
        f"approve    wfconsole approve {RUN_ID} a --reason TEXT --match-context {digest}",
        f"reject     wfconsole reject {RUN_ID} a --reason TEXT",
    ]


def test_the_card_of_a_question() -> None:
    choices = card(gated(question("gate", choices=("red", "blue"), default="red"), context={}))
    assert choices[10:13] == ["answers", "  red", "  blue"]
    assert choices[7].endswith("; then the answer is red")
    assert choices[-1] == f"answer     wfconsole answer {RUN_ID} gate CHOICE"
    form = (
        InputSpec(name="who", type="string", required=True, description="whom to ask"),
        InputSpec(name="n", type="integer", has_default=True, default=3, choices=(1, 3)),
    )
    lines = card(gated(question("gate", form=form), context={}))
    assert lines[11:13] == ["  who  string  required  whom to ask", "  n  integer  default 3  one of 1, 3"]
    assert lines[-1] == f"answer     wfconsole answer {RUN_ID} gate -i who=VALUE -i n=VALUE"


def test_that_no_tests_ran_is_told() -> None:
    summary = {"step": "unit", "total": 0, "passed": 0, "failed": 0, "errors": 0, "skipped": 0, "note": "No tests ran."}
    assert list(report_lines({"total": summary, "steps": [summary]})) == ["unit: no tests ran", "  No tests ran."]
    both = {"total": {**summary, "step": "", "total": 2, "passed": 2, "note": None}, "steps": [summary, summary]}
    assert list(report_lines(both))[-1] == "in all: 2 passed"


def test_nothing_changed_is_told_by_the_document() -> None:
    diff = {"files_changed": 0, "added": 0, "removed": 0, "files": [], "note": "Nothing in the workspace changed."}
    assert list(diff_lines(diff)) == ["Nothing in the workspace changed."]


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=20,
))  # fmt: skip
def test_a_document_of_an_unknown_shape_is_shown_as_safe_text(value: Any) -> None:
    for lines_of in (diff_lines, report_lines, risk_lines, file_lines, tree_lines):
        lines = list(lines_of(value))
        assert all(line.isprintable() for line in lines)
        if not isinstance(value, dict | list):
            assert lines


def test_st_wf_005_the_inbox_has_what_expires_first_and_last_what_cannot_be_decided() -> None:
    soon = gated(approval("gate", timeout_ms=3_600_000))
    stuck = Journal(plan(approval("gate")), run_id="01JZ8Q4V7M3K9T2B6W5X0YHR99")
    stuck.take()
    stuck.end(stuck.open[0], failed("tests: no report", "CONTEXT_INCOMPLETE", hint="run the tests"))
    over = gated()
    decide(over, "reject", reason="no")
    journals = [stuck, gated(question("gate", choices=("a",))), over, soon]
    entries = inbox([run_view(journal.records) for journal in journals])
    assert [(entry["kind"], entry["gate_id"], entry["risk"], entry["code"]) for entry in entries] == [
        ("approval", "gate#1", "high", None),
        ("question", "gate#1", "high", None),
        ("approval", None, None, "CONTEXT_INCOMPLETE"),
    ]
    assert inbox_table(entries, NOW)[0].split() == ["RUN", "GATE", "KIND", "AGE", "EXPIRES", "RISK", "WHO", "TITLE"]
    assert inbox_table(entries, NOW)[1].split()[:6] == [RUN_ID, "gate#1", "approval", "58.0s", "59m02s", "high"]
    assert inbox_table(entries, NOW)[3].split()[2:6] == ["CONTEXT_INCOMPLETE", "59.0s", "-", "-"]


def test_a_gate_of_a_run_with_running_branches_is_in_the_inbox() -> None:
    journal = Journal(plan(approval("gate"), step("long")))
    journal.take()
    journal.ready(journal.open[0])
    assert [entry["status"] for entry in inbox([run_view(journal.records)])] == ["running"]
