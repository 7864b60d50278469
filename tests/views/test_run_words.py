"""The words of the run screen: header, failure panel, what is waited for, one step in full, fan-outs, sketches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.fakes.gates import approval, decide, gated, question
from tests.fakes.journals import OK, RUN_ID, START, Journal, failed, plan, step
from wfconsole.domain.codec import iso
from wfconsole.domain.facts import PauseRun
from wfconsole.domain.plan import Json, Limits, RetryPolicy
from wfconsole.views.fan_out import cells, counts, next_failure
from wfconsole.views.run_head import head_lines, lineage_rows, lineage_words, panel_lines, retry_refusal, status_words
from wfconsole.views.run_parts import event_cells, json_lines, state_lines, step_detail, text_lines
from wfconsole.views.run_view import run_view
from wfconsole.views.sketch import sketch
from wfconsole.views.waits import step_waits, waits

MINUTE = 60_000
RETRY = RetryPolicy(attempts=3, backoff_ms=60_000, max_backoff_ms=60_000, jitter=0.0, outcomes=("failed",))


def said(journal: Journal, now: int | None = None) -> list[str]:
    assert journal.state is not None
    return [text for text, _ in waits(run_view(journal.records), journal.state.plan, now or journal.now)]


def test_a_run_that_nobody_drives_waits_for_an_owner() -> None:
    assert said(Journal(plan(step("a")))) == ["waits for an owner: a worker, or a console, takes it over"]


def test_running_steps_are_named_with_their_deadlines() -> None:
    journal = Journal(plan(step("a", timeout_ms=10 * MINUTE), step("b"), limits=Limits(timeout_ms=30 * MINUTE)))
    journal.take()
    now = journal.records[-1].at + 65_000
    assert said(journal, now) == [
        "a runs since 1m05s, times out in 8m55s",
        "b runs since 1m05s",
        "the run's own deadline is in 28m55s of running",
    ]


def test_a_backoff_is_named_with_what_is_left_of_it() -> None:
    journal = Journal(plan(step("a", retry=RETRY)))
    journal.take()
    journal.end(journal.open[0], failed("no"))
    assert said(journal, journal.records[-1].at + 15_000) == ["a backs off: attempt 2 in 45.0s - no"]


def test_a_gate_is_named_with_its_deadline_and_what_happens_then() -> None:
    journal = gated(step("a"), approval("gate", "a", timeout_ms=60 * MINUTE), step("b", "gate"))
    opened = journal.records[-1].at
    until = iso(opened + 60 * MINUTE)
    assert said(journal, opened + 15 * MINUTE) == [
        f"gate waits for a person until {until[:10]} {until[11:16]}Z (45m00s left), then cancel: Ship it?"
    ]
    assert "(over)" in said(journal, opened + 61 * MINUTE)[0]
    decide(journal, "approve")
    assert said(journal) == ["b runs since 1s"]


def test_a_question_with_a_default_says_so() -> None:
    journal = gated(question("ask", choices=("a", "b"), default="a"))
    assert ", then the default is taken: Which one?" in said(journal)[0]


def test_a_paused_run_says_what_would_end_that_and_one_that_is_over_nothing() -> None:
    journal = Journal(plan(step("a"), step("b", "a")))
    journal.take()
    journal.give(PauseRun(fact_id="p", at=journal.now))
    journal.end(journal.open[0], OK)
    assert said(journal) == ["paused: it waits for somebody to resume it"]
    done = Journal(plan(step("a")))
    done.play()
    assert said(done) == []


def test_a_step_that_has_not_begun_says_what_it_waits_for() -> None:
    made = plan(step("a"), step("b", "a"), step("tell", phase="finally"))
    journal = Journal(made)
    journal.take()
    view = run_view(journal.records)
    assert step_waits("b", view, made) == "waits for a"
    assert step_waits("tell", view, made) == "waits for all other steps to end"
    assert step_waits("a", view, made) == ""
    assert step_waits("nobody", view, made) == ""


def failed_view(**rule: Any) -> tuple[Mapping[str, Json], Any]:
    made = plan(step("lint"), step("unit", "lint"), manual_retry=rule or None)
    journal = Journal(made)
    journal.play(lambda name, _n: OK if name == "lint" else failed("bad\x1b[2J"))
    return run_view(journal.records), made


def test_st_wf_010_the_panel_tells_code_message_last_step_hint_and_retry() -> None:
    view, made = failed_view()
    text = "\n".join(line for line, _ in panel_lines(view, made))
    for part in (
        "code       STEP_FAILED",
        "bad␛[2J",
        "last good  lint",
        "hint       read the log",
        "retry      r, or wfconsole run",
    ):
        assert part in text
    assert "one step   the recipe does not allow a retry of a step" in text


def test_a_retry_that_is_not_declared_is_told_in_the_refusals_sentence() -> None:
    view, made = failed_view(run="deny", step="allow", reason="it charges cards")
    lines = [line for line, _ in panel_lines(view, made)]
    assert "retry      the recipe does not allow a retry of the run: it charges cards" in lines
    assert not any(line.startswith("one step") for line in lines)
    assert retry_refusal({**view, "status": "running"}, made) == "the run is running: it can be retried when it is over"


def test_head_and_lineage() -> None:
    journal = gated()
    view = run_view(journal.records)
    assert [text for text, _ in head_lines(view)] == [
        f"quality-gate@1.0.0  {'d1' * 6}  built-in", f"manual by ann@build-7 (cli)  {view['started_at']}",
    ]  # fmt: skip
    assert lineage_words(view) == ""
    lineage = {
        "root": "r0",
        "parent": "r1",
        "retried_from": "unit",
        "reused": [{"step_id": "lint"}],
        "successors": ["r3"],
    }
    told = {**view, "project": "shop", "lineage": lineage}
    assert lineage_words(told) == "parent r1 from unit; 1 step reused; successor r3"
    assert "project shop" in head_lines(told)[0][0]
    assert lineage_rows(told) == [
        ("root", "r0", "the first run of this line"), ("parent", "r1", "goes on from step unit"), ("this run", RUN_ID, ""),
        ("reused", "", "step lint"), ("successor", "r3", ""),
    ]  # fmt: skip
    assert status_words(view, journal.records[0].at + 90_000, ascii_only=True).startswith("! awaiting approval 1m")
    assert status_words({**failed_view()[0], "warnings": ["w"]}, 0, ascii_only=True).startswith(
        "1 warning  x failed in "
    )


def test_a_step_in_full_has_its_commands_and_its_gates() -> None:
    view, made = failed_view()
    lines = [text for text, _ in step_detail("unit", view, made, ascii_only=True)]
    assert lines[0] == "unit  run"
    assert "STEP_FAILED: bad␛[2J" in lines
    assert "attempt 1  failed  exit 1" in lines
    assert any(line.startswith("  o true") for line in lines)
    assert step_detail("nobody", view, made) == [("there is no such step", "muted")]
    journal = gated()
    decide(journal, "approve", reason="fine")
    assert journal.state is not None
    gate = [text for text, _ in step_detail("gate", run_view(journal.records), journal.state.plan)]
    assert any("ann@build-7  approve: fine" in line for line in gate)


def test_every_event_has_a_row_that_is_safe() -> None:
    journal = Journal(plan(step("a")))
    journal.play(lambda _name, _n: failed("bad\x1b[2J"))
    for record in journal.records:
        found = event_cells(record, {"a": START})
        assert [len(found), found[0][0]] == [5, str(record.seq)]
        assert all(text.isprintable() for text, _ in found)


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner)
    )
)
def test_json_lines_are_safe(value: Json) -> None:
    assert all(text.isprintable() for text, _ in json_lines(value))


def test_state_names_its_parts_even_when_there_is_nothing() -> None:
    lines = state_lines({"state": {}, "inputs": {"a": 1}, "outputs": {}, "budget": {"used": {}}})
    assert lines[:2] == [("state", "title"), ("none", "muted")]
    assert ('  "a": 1', "text") in lines


def test_diffs_are_told_by_their_prefix() -> None:
    lines = text_lines("diff --git a b\n--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n z", as_diff=True)
    assert [role for _, role in lines] == [
        "diff-file", "diff-file", "diff-file", "diff-hunk", "diff-del", "diff-add", "text",
    ]  # fmt: skip
    assert {role for _, role in text_lines("+x\n-y", as_diff=False)} == {"text"}


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_a_fan_out_has_one_cell_a_child(succeeded: int, failed_: int, running: int, waiting: int) -> None:
    total = succeeded + failed_ + running + waiting
    children = {"total": total, "succeeded": succeeded, "failed": failed_, "running": running, "tolerance": 5}
    found = cells(children)
    assert len(found) == total
    assert found.count("failed") == failed_
    place = next_failure(found, 0)
    assert (place is None) == (failed_ == 0)
    assert place is None or found[place] == "failed"
    assert f"{waiting} pending" in counts(children)


def test_known_children_stand_in_their_order() -> None:
    children = {
        "total": 3,
        "succeeded": 1,
        "failed": 1,
        "running": 1,
        "tolerance": 0,
        "statuses": ["failed", "running", "succeeded"],
    }
    assert cells(children) == ("failed", "running", "succeeded")
    assert next_failure(cells(children), 0) == 0


@pytest.mark.parametrize("ends", [True, False])
def test_a_sketch_has_every_key_of_a_run_view(ends: bool) -> None:
    journal = Journal(plan(step("a"), step("b", "a")))
    if ends:
        journal.play()
    else:
        journal.take()
    view = run_view(journal.records)
    rows = [
        (item["step_id"], item["kind"], item["status"], 1, START + 1, START + 61_002, None, None)
        for item in view["steps"]
    ]
    drawn = sketch({**view, "failure": None}, rows)
    assert drawn.keys() == view.keys()
    assert drawn["steps"][0].keys() == view["steps"][0].keys()
    assert (drawn["steps"][0]["started_at"], drawn["steps"][0]["finished_at"]) == (iso(START + 1), iso(START + 61_002))
    told = sketch({**view, "failure": {"code": "STEP_FAILED", "step_id": "a"}}, [])
    assert told["failure"]["code"] == "STEP_FAILED"
    assert told["failure"]["retry"] == {"allowed": False, "command": None, "reason": None}
