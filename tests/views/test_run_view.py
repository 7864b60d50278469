"""RunView: complete, deterministic, and true to the journal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.fakes.journals import ANN, OK, RUN_ID, Journal, failed, plan, step
from wfconsole.domain.codec import canonical, record_from_wire, wire
from wfconsole.domain.events import EventChannelFailed, Record, RunCreated
from wfconsole.domain.facts import CancelRun, PauseRun
from wfconsole.domain.plan import CheckBody, CommandPolicy, GroupBody, RetryPolicy, SetBody, StepPlan
from wfconsole.domain.records import ArtifactRecord
from wfconsole.views.run_view import RunViewBuilder, run_view

TOP = """schema_version run_id workflow_id trace_id project trigger recipe intent_hash inputs state outputs status waiting_for
created_at started_at finished_at duration_ms current_step transitions steps approvals artifacts warnings failure rollback
lineage interventions budget bundle""".split()
STEP = """step_id kind status reason failure started_at finished_at duration_ms retries attempts outputs artifacts reused_from
trace_url children""".split()
ATTEMPT = "n outcome cause exit_code template fingerprint commands".split()
COMMAND = "index argv cwd exit_code signal error warnings started_at finished_at stdout stderr".split()


def of(view: dict[str, Any], step_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in view["steps"] if item["step_id"] == step_id)
    return found


def test_every_key_of_the_contract_is_there_before_during_and_after() -> None:
    journal = Journal(plan(step("a"), step("b", "a")))
    journal.play()
    for length in range(1, len(journal.records) + 1):
        view = run_view(journal.records[:length])
        assert set(TOP) <= view.keys()
        for item in view["steps"]:
            assert set(STEP) <= item.keys()
            for attempt in item["attempts"]:
                assert set(ATTEMPT) <= attempt.keys()
                for command in attempt["commands"]:
                    assert set(COMMAND) == command.keys()


def test_a_run_that_succeeds() -> None:
    view = run_view(Journal(plan(step("a"), step("b", "a"), outputs={"n": 1}), project="web").play())
    assert (view["status"], view["outputs"], view["failure"], view["current_step"]) == (
        "succeeded",
        {"n": 1},
        None,
        None,
    )
    assert view["created_at"] == "2026-07-01T10:00:00.000Z"
    assert (view["started_at"], view["finished_at"]) == ("2026-07-01T10:00:01.000Z", "2026-07-01T10:00:03.000Z")
    assert view["duration_ms"] == 2000
    assert view["trigger"] == {"kind": "manual", "surface": "cli", "actor": "ann", "host": "build-7"}
    assert view["project"] == "web"
    assert view["bundle"] == f"runs/{RUN_ID}/bundle"
    assert view["budget"]["used"]["steps"] == 2
    assert of(view, "b")["attempts"][0]["commands"][0]["stdout"] == {"path": "bundle/logs/b/1/0.stdout", "bytes": 0}


def test_st_wf_003_every_transition_has_time_step_and_actor() -> None:
    view = run_view(Journal(plan(step("a"))).play())
    told = [(item["from"], item["to"], item["step_id"], item["actor"]) for item in view["transitions"]]
    assert told == [
        (None, "pending", None, "ann@build-7"),
        ("pending", "running", None, "ann@build-7"),
        ("pending", "running", "a", "ann@build-7"),
        ("running", "succeeded", "a", "wfconsole"),
        ("running", "succeeded", None, "wfconsole"),
    ]
    assert all(item["at"].endswith("Z") for item in view["transitions"])


def test_st_wf_010_a_failure_tells_code_message_hint_and_the_last_good_step() -> None:
    view = run_view(
        Journal(plan(step("a"), step("b", "a"), step("c", "b"))).play(lambda s, _: failed() if s == "b" else OK)
    )
    failure = view["failure"]
    assert (failure["code"], failure["message"], failure["last_successful_step"]) == (
        "STEP_FAILED",
        "exit status 1",
        "a",
    )
    assert failure["hint"]
    assert failure["retry"]["allowed"] is True
    assert of(view, "b")["failure"]["code"] == "STEP_FAILED"
    assert of(view, "b")["attempts"][0]["cause"]["code"] == "STEP_FAILED"
    assert (of(view, "c")["status"], of(view, "c")["started_at"]) == ("skipped", None)
    assert "needs b" in of(view, "c")["reason"]


def test_retries_are_attempts_of_one_step() -> None:
    again = step("a", retry=RetryPolicy(attempts=3, outcomes=("failed",)))
    journal = Journal(plan(again))
    view = run_view(journal.play(lambda _, n: failed() if n < 3 else OK))
    assert [(a["n"], a["outcome"]) for a in of(view, "a")["attempts"]] == [
        (1, "failed"),
        (2, "failed"),
        (3, "succeeded"),
    ]
    assert of(view, "a")["retries"] == 2
    assert [t["to"] for t in view["transitions"] if t["step_id"] == "a"] == [
        "running", "backing_off", "running", "backing_off", "running", "succeeded",
    ]  # fmt: skip


def test_while_a_step_backs_off_nothing_is_finished_and_the_next_attempt_is_told() -> None:
    journal = Journal(plan(step("a", retry=RetryPolicy(attempts=2, outcomes=("failed",)))))
    journal.take()
    journal.end(journal.open[0], failed())
    view = run_view(journal.records)
    item = of(view, "a")
    assert (item["status"], item["duration_ms"], view["duration_ms"], view["current_step"]) == (
        "backing_off",
        None,
        None,
        "a",
    )
    assert item["retry_at"] > item["started_at"]


def test_exec_block_09_a_blocked_command_waits_for_a_person() -> None:
    journal = Journal(plan(step("a", argv=("sh", "-c", "x")), commands=CommandPolicy()))
    journal.play()
    view = run_view(journal.records)
    assert (view["status"], view["waiting_for"], view["current_step"]) == ("awaiting_approval", ["a"], "a")
    assert of(view, "a")["failure"]["code"] == "POLICY_BLOCKED"
    assert of(view, "a")["reason"]


def test_exec_block_11_a_warning_of_the_policy_is_recorded_with_its_command() -> None:
    view = run_view(Journal(plan(step("a", argv=("rm", "build.log")))).play())
    (command,) = of(view, "a")["attempts"][0]["commands"]
    assert view["status"] == "succeeded"
    assert len(command["warnings"]) == 1
    assert view["warnings"] == [f"a: {command['warnings'][0]}"]


def test_group_members_stand_in_steps_with_their_full_id() -> None:
    group = StepPlan(step_id="checks", kind="steps", body=GroupBody(members=("checks/unit",)))
    view = run_view(Journal(plan(group, step("checks/unit", parent="checks"))).play())
    assert [item["step_id"] for item in view["steps"]] == ["checks", "checks/unit"]
    assert {item["status"] for item in view["steps"]} == {"succeeded"}


def test_current_step_is_the_inner_one() -> None:
    group = StepPlan(step_id="checks", kind="steps", body=GroupBody(members=("checks/unit",)))
    journal = Journal(plan(group, step("checks/unit", parent="checks")))
    journal.take()
    assert run_view(journal.records)["current_step"] == "checks/unit"


def test_pure_kinds_have_an_attempt_too() -> None:
    pure = StepPlan(step_id="s", kind="set", body=SetBody(values={"a": 1}))
    checks = StepPlan(step_id="c", kind="check", body=CheckBody(rules=()))
    view = run_view(Journal(plan(pure, checks)).play())
    assert of(view, "s")["outputs"] == {"a": 1}
    assert of(view, "s")["attempts"][0]["outcome"] == "succeeded"


def test_a_cancelled_run_has_no_failure() -> None:
    journal = Journal(plan(step("a"), step("b", "a")))
    journal.take()
    journal.give(CancelRun(fact_id="c", at=journal.now, actor=ANN, reason="enough"))
    view = run_view(journal.records)
    assert (view["status"], view["failure"]) == ("cancelled", None)
    assert [item["status"] for item in view["steps"]] == ["cancelled", "cancelled"]
    assert of(view, "b")["started_at"] is None


def test_a_paused_run_does_not_count_as_running() -> None:
    journal = Journal(plan(step("a"), step("b", "a")))
    journal.take()
    journal.give(PauseRun(fact_id="p", at=journal.now, actor=ANN))
    journal.end(journal.open[0], OK)
    view = run_view(journal.records)
    assert (view["status"], view["duration_ms"], view["budget"]["used"]["running_ms"]) == ("paused", None, 2000)


def test_artifacts_are_listed_and_named_by_their_step() -> None:
    artifact = ArtifactRecord(
        artifact_id="a#1/r.xml", step_id="a", attempt=1, name="r.xml", kind="report", sha256="0f", bytes=3
    )
    view = run_view(
        Journal(plan(step("a"), step("b"))).play(lambda s, _: {**OK, "artifacts": (artifact,)} if s == "a" else OK)
    )
    assert of(view, "a")["artifacts"] == ["a#1/r.xml"]
    assert of(view, "b")["artifacts"] == ["b#1/none"]
    assert [item["kind"] for item in view["artifacts"]] == ["report", "none"]


def test_trace_urls_are_filled_from_the_pinned_template() -> None:
    journal = Journal(plan(step("a"), step("b", "a")), trace_url="https://t/{trace_id}/{span_id}")
    journal.take()
    view = run_view(journal.records)
    span = of(view, "a")["attempts"][0]["span_id"]
    assert of(view, "a")["trace_url"] == f"https://t/{'t' * 32}/{span}"
    assert of(view, "b")["trace_url"] is None


def test_st_wf_004_a_failing_subscriber_is_a_warning() -> None:
    journal = Journal(plan(step("a")))
    last = journal.records[-1]
    event = EventChannelFailed(subscriber="hook", error="gone", failed_seq=1)
    view = run_view([*journal.records, Record(seq=2, at=last.at, correlation_id="x", actor=ANN, event=event)])
    assert view["warnings"] == ["subscriber hook did not take event 1: gone"]


def test_an_empty_journal_has_no_view() -> None:
    with pytest.raises(ValueError, match="empty"):
        run_view([])


def test_a_gap_in_the_journal_is_not_papered_over() -> None:
    records = Journal(plan(step("a"))).play()
    builder = RunViewBuilder()
    builder.add(records[0])
    with pytest.raises(ValueError, match="cannot follow"):
        builder.add(records[2])


results = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from([OK, failed()]))


@given(results=results)
def test_the_same_journal_gives_the_same_bytes_however_it_was_read(results: dict[str, Any]) -> None:
    made = plan(step("a", allow_failure=True), step("b", "a"), step("c"))
    records = Journal(made).play(lambda s, _: results.get(s, OK))
    created = records[0].event
    assert isinstance(created, RunCreated)
    stored = [record_from_wire(wire(r, run_id=created.run_id, name="q", version="1")) for r in records]
    builder = RunViewBuilder()
    for record in stored:
        builder.add(record)
        builder.document()  # a view that was looked at half-way is none the worse for it
    assert canonical(builder.document()) == canonical(run_view(records))
    assert b"\n" not in canonical(run_view(records))
