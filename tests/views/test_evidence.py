"""The parts of a card, what counts as shown, and the lines of a patch."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tests.fakes.gates import CONTEXT, approval, decide, gated, question
from tests.fakes.journals import step
from wfconsole.domain.plan import ApproverRule
from wfconsole.views.decidable import decidable
from wfconsole.views.evidence import Shown, evidence, risk_word, unseen, unseen_sentence
from wfconsole.views.inbox import entry_lines, inbox
from wfconsole.views.patch_lines import index_lines
from wfconsole.views.run_view import run_view


def view_of(journal: Any) -> tuple[Any, Any]:
    view = run_view(journal.records)
    return view, view["approvals"][0]


def test_a_card_has_a_part_for_each_part_of_its_context_and_the_summary_first() -> None:
    parts = evidence(*view_of(gated()))
    assert [part.key for part in parts] == ["summary", "diff", "tests", "risk", "files", "preview"]
    assert parts[1].count == 2
    summary = {line.label: line for line in parts[0].lines}
    assert summary["asks"].text == "Ship it?"
    assert summary["changes"].text == "2 files changed, +4 -1 lines"
    assert summary["risk"].role == "risk-high"
    assert summary["digest"].text == "c0" * 32


def test_the_summary_says_which_parts_a_card_lacks() -> None:
    told = evidence(*view_of(gated(context={"tests": CONTEXT["tests"]})))[0].lines
    assert [line.text for line in told if line.label == "not shown"] == ["this card has no diff and no risk"]


def test_every_line_is_one_safe_line() -> None:
    hostile = "a\x1b[2J\nb\u202e"
    context = {
        **CONTEXT,
        "risk": {"level": "low", "notes": [{"rule": hostile, "level": "low", "saw": hostile, "why": "x"}]},
    }
    for part in evidence(*view_of(gated(step("build"), approval("gate", "build", title=hostile), context=context))):
        for line in part.lines:
            assert line.text.isprintable()


def test_a_command_that_was_blocked_has_its_own_part() -> None:
    view, gate = view_of(gated())
    blocked = {
        **gate,
        "kind": "blocked",
        "context": {"argv": ["rm", "-rf", "/"], "rule": "deny", "message": "rm is denied"},
    }
    parts = evidence(view, blocked)
    assert [part.key for part in parts] == ["summary", "command"]
    assert [line.text for line in parts[1].lines][-2:] == ["rule     deny", "reason   rm is denied"]


def test_another_digest_makes_everything_unseen_again() -> None:
    parts = evidence(*view_of(gated()))
    shown = Shown()
    for part in parts[:-1]:
        shown = shown.add("d1", part.key)
    assert unseen(parts, shown, "d1") == ("preview",)
    assert unseen(parts, shown, "d2") == tuple(part.key for part in parts)
    assert shown.add("d2", "summary").keys == {"summary"}
    assert unseen_sentence(("risk", "tests")) == "not all evidence was shown: risk, tests"
    assert unseen_sentence(()) == ""


@pytest.mark.parametrize(("level", "word"), [("high", "! high"), ("low", "- low"), (None, "-"), ("odd", "? odd")])
def test_risk_is_a_glyph_and_a_word(level: str | None, word: str) -> None:
    assert risk_word(level) == word


def test_what_may_be_decided_is_what_the_run_would_say() -> None:
    journal = gated(step("build"), approval("gate", "build", approvers=ApproverRule(any_of=("bob@h",))))
    assert journal.state is not None
    assert decidable(journal.state, "gate#1", "bob@h", journal.now).refused == {}
    refused = decidable(journal.state, "gate#1", "ann@build-7", journal.now).refused
    assert refused["approve"].reason == "ann@build-7 may not decide gate#1; one of bob@h may"
    decide(journal, "approve", who="bob@h")
    closed = decidable(journal.state, "gate#1", "bob@h", journal.now).refused
    assert closed["reject"].reason == "gate gate#1 is closed: granted by bob@h"


def test_a_reason_is_wanted_where_the_gate_says_so() -> None:
    journal = gated()
    assert journal.state is not None
    wants = decidable(journal.state, "gate#1", "ann", journal.now).wants_reason
    assert wants.keys() == {"reject"}
    assert wants["reject"].reason == "gate gate#1 wants a reason for reject"


def test_a_question_is_answered_not_approved() -> None:
    journal = gated(question("ask", choices=("a", "b")), context={})
    assert journal.state is not None
    found = decidable(journal.state, "ask#1", "ann", journal.now)
    assert (found.refused, found.wants_reason) == ({}, {})


def test_the_lines_about_an_entry_of_the_inbox() -> None:
    told = {line.label: line.text for line in entry_lines(inbox([run_view(gated().records)])[0])}
    assert told["asks"] == "Ship it?"
    assert told["decides"] == "anybody whose signature counts"
    assert "code" not in told


# the lines of a patch ----------------------------------------------------------------------------------------------------

HUNKS = b"@@ -10,4 +20,4 @@ def x():\n kept\n-one\n-two\n+three\n kept\n\\ No newline at end of file\n@@ -50 +60 @@\n-x\n+y\n"


def test_numbers_and_pairs_of_a_file() -> None:
    index = index_lines(HUNKS, [(0, len(HUNKS))])
    assert (index.lines, index.rows, list(index.hunks)) == (10, 8, [0, 7])
    assert [tuple(index.place(line)) for line in range(6)] == [
        ("hunk", None, None), ("same", 10, 20), ("del", 11, None), ("del", 12, None), ("add", None, 21), ("same", 13, 22),
    ]  # fmt: skip
    assert index.place(6).kind == "note"
    assert index.place(9) == ("add", None, 60)
    assert [tuple(index.pair(row)) for row in range(8)] == [
        (0, 0), (1, 1), (2, 4), (3, None), (5, 5), (6, 6), (7, 7), (8, 9),
    ]  # fmt: skip


SIGNS = st.lists(st.sampled_from([" ", "-", "+", "\\"]), max_size=300)


@given(SIGNS, st.integers(0, 2))
@settings(max_examples=80, deadline=None)
def test_every_line_stands_in_exactly_one_row(signs: list[str], long: int) -> None:
    text = ["@@ -1,9 +1,9 @@"] + [f"{sign}{number}{'x' * long * 9000}" for number, sign in enumerate(signs[:60])]
    text += [f"{sign}{number}" for number, sign in enumerate(signs[60:])]
    data = "".join(f"{line}\n" for line in text).encode()
    index = index_lines(b"head\n" + data, [(5, 5 + len(data))])
    assert index.lines == len(text)
    pairs = [index.pair(row) for row in range(index.rows)]
    seen = [line for pair in pairs for line in dict.fromkeys(pair) if line is not None]
    assert sorted(seen) == list(range(len(text)))
    for row, pair in enumerate(pairs):
        assert all(index.row_of(line) == row for line in pair if line is not None)
        assert index.line_of(row) in pair
    for line, told in enumerate(text):
        first, offset, length = index.chunk(line)
        chunk = (b"head\n" + data)[offset : offset + length].decode().splitlines()
        assert chunk[line - first] == told


@given(st.integers(0, 30), st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_removed_and_added_lines_stand_beside_each_other(dels: int, adds: int) -> None:
    data = b"@@ -1 +1 @@\n" + b"-a\n" * dels + b"+b\n" * adds
    index = index_lines(data, [(0, len(data))])
    want = list(zip_longest(range(1, dels + 1), range(dels + 1, dels + adds + 1)))
    assert [tuple(index.pair(row)) for row in range(1, index.rows)] == want


@given(st.binary(max_size=400))
@settings(max_examples=100, deadline=None)
def test_anything_can_be_indexed(data: bytes) -> None:
    index = index_lines(data, [(0, len(data))] if data else ())
    for line in range(index.lines):
        index.place(line)
        assert index.chunk(line)[0] <= line
    for row in range(index.rows):
        index.pair(row)
