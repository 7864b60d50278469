"""Where a run comes from and where it goes on, in the RunView, the summary and the timeline of both runs."""

from __future__ import annotations

from tests.fakes.gates import approval, decide
from tests.fakes.journals import RUN_ID, Journal, plan, step
from wfconsole.domain.codec import canonical
from wfconsole.domain.events import RunRetried, StepReused
from wfconsole.domain.succession import succession
from wfconsole.views.report import lineage_lines
from wfconsole.views.run_view import RunViewBuilder, run_view
from wfconsole.views.timeline import event_line


def rejected() -> tuple[Journal, Journal]:
    """A run that was rejected and its successor, which has not been driven."""
    parent = Journal(
        plan(step("fetch"), step("draft", "fetch"), approval("ok", "draft", on_reject={"retry_from": "draft"}))
    )
    parent.play()
    decide(parent, "reject", gate_id="ok#1", reason="too long")
    start = succession(parent.records)
    return parent, Journal(
        start.plan, run_id=start.run_id, workflow_id=start.workflow_id, lineage=start.lineage, taken=start.taken
    )


def test_both_runs_name_each_other() -> None:
    parent, after = rejected()
    first, second = run_view(parent.records), run_view(after.records)
    assert first["lineage"] == {
        "root": RUN_ID, "parent": None, "retried_from": None, "reused": [], "successors": [second["run_id"]],
    }  # fmt: skip
    assert second["lineage"] == {
        "root": RUN_ID, "parent": RUN_ID, "retried_from": "draft", "reused": ["fetch"], "successors": [],
    }  # fmt: skip
    assert (first["status"], second["status"]) == ("cancelled", "pending")
    fetch, draft, _ = second["steps"]
    assert (fetch["status"], fetch["reused_from"], fetch["attempts"]) == ("succeeded", RUN_ID, [])
    assert (fetch["started_at"], fetch["duration_ms"]) == (None, None)
    assert fetch["artifacts"] == first["steps"][0]["artifacts"]
    assert (draft["status"], draft["reused_from"]) == ("pending", None)
    assert second["budget"]["used"]["steps"] == 0
    assert canonical(run_view(parent.records)) == canonical(first)


def test_people_are_told_in_words() -> None:
    parent, after = rejected()
    successor = run_view(after.records)["run_id"]
    assert list(lineage_lines(run_view(parent.records))) == [f"goes on as wfconsole show {successor}"]
    assert list(lineage_lines(run_view(after.records))) == [
        f"retried    from run {RUN_ID}, at draft",
        "taken over fetch",
    ]
    told = {type(record.event): event_line(record, {}) for record in (*parent.records, *after.records)}
    reused, retried = told[StepReused], told[RunRetried]
    assert reused is not None
    assert retried is not None
    assert reused.text == f"taken over from run {RUN_ID}"
    assert retried.text == f"goes on as run {successor}, at draft: too long"


def test_a_builder_says_where_to_follow() -> None:
    parent, _ = rejected()
    builder = RunViewBuilder()
    for record in parent.records[:-1]:
        builder.add(record)
    assert builder.successor is None
    builder.add(parent.records[-1])
    assert builder.successor == builder.document()["lineage"]["successors"][0]
