"""The words of the timeline: durations, the lines of a run's own events, and what fits on a screen."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from tests.fakes.journals import ANN, RUN_ID, START, Journal, plan, step
from wfconsole.domain import events as ev
from wfconsole.domain.events import Record
from wfconsole.domain.records import FailureCause
from wfconsole.views.report import table
from wfconsole.views.timeline import Line, StepLine, event_line, fit, plain, summary
from wfconsole.views.words import duration, offset, size, value_text


def told(event: ev.Event) -> Line | None:
    return event_line(Record(seq=2, at=START, correlation_id="c", actor=ANN, event=event), {})


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (ev.RunPausing(draining=1), "pausing: 1 step draining"),
        (ev.RunPausing(draining=2), "pausing: 2 steps draining"),
        (ev.RunAwaitingApproval(waiting_for=("a", "b")), "waiting for a person: a, b"),
        (ev.RunCancelling(reason="enough"), "cancelling: enough"),
        (ev.RunCancelling(force=True), "cancelling at once"),
        (
            ev.RunCancelling(cause=FailureCause(code="RUN_TIMED_OUT", message="too long")),
            "stopping: RUN_TIMED_OUT: too long",
        ),
        (ev.CommandRefused(command="pause_run", code="X", reason="it is over"), "refused pause_run: it is over"),
        (ev.OwnerChanged(owner="b:2"), "taken over by b:2"),
        (
            ev.EventChannelFailed(subscriber="hook", error="gone", failed_seq=7),
            "subscriber hook did not take event 7: gone",
        ),
        (
            ev.AttemptAbandoned(step_id="a", attempt=1, cause=FailureCause(code="OWNER_LOST", message="gone")),
            "attempt 1 abandoned: gone",
        ),
        (
            ev.StepFailed(step_id="a", cause=FailureCause(code="STEP_FAILED", message="no"), allowed=True),
            "failed (allowed to fail): STEP_FAILED: no",
        ),
    ],
)
def test_what_an_event_means(event: ev.Event, text: str) -> None:
    line = told(event)
    assert line is not None
    assert line.text == text


@pytest.mark.parametrize("event", [ev.RunClosing(), ev.RunSucceeded(), ev.RunStarted(owner="x")])
def test_what_a_person_need_not_see(event: ev.Event) -> None:
    assert told(event) is None


@pytest.mark.parametrize(
    ("millis", "text"),
    [
        (None, "-"), (0, "0.0s"), (840, "0.8s"), (59_949, "59.9s"), (59_950, "1m00s"), (65_000, "1m05s"),
        (3_720_000, "1h02m"), (273_600_000, "3d04h"), (-5, "0.0s"),
    ],
)  # fmt: skip
def test_durations(millis: int | None, text: str) -> None:
    assert duration(millis) == text


@given(st.integers(0, 10**12))
def test_durations_are_short(millis: int) -> None:
    assert len(duration(millis)) <= 9
    assert offset(millis)[0].isdigit()


def test_offsets_and_sizes() -> None:
    assert [offset(3_200), offset(3_599_900), offset(3_600_000)] == ["00:03.2", "59:59.9", "1:00:00"]
    assert [size(None), size(512), size(1536), size(5 * 1024**2), size(3 * 1024**3)] == [
        "-", "512 B", "1.5 KiB", "5.0 MiB", "3.0 GiB",
    ]  # fmt: skip


def test_values_read_as_one_line() -> None:
    assert [value_text("a\nb"), value_text({"b": 1, "a": None}), value_text(True)] == [
        "a␊b",
        '{"a": null, "b": 1}',
        "true",
    ]
    assert value_text("x" * 50, limit=10) == "xxxxxxx..."


def test_a_plain_line_has_columns() -> None:
    line = Line(status="succeeded", subject="unit", text="succeeded in 1.0s")
    assert plain(line, since=61_500, width=8, ascii_only=False) == "01:01.5  ✓ unit      succeeded in 1.0s"


def lines_of(statuses: list[str]) -> list[StepLine]:
    return [
        StepLine(step_id=str(place), status=status, depth=0, took="", detail="")
        for place, status in enumerate(statuses)
    ]


@given(
    st.lists(st.sampled_from(["failed", "running", "pending", "succeeded", "skipped"]), max_size=30),
    st.integers(1, 20),
)
def test_what_fits_keeps_the_order_and_the_urgent(statuses: list[str], height: int) -> None:
    lines = lines_of(statuses)
    kept, left_out = fit(lines, height)
    assert len(kept) + left_out == len(lines)
    assert len(kept) == min(height, len(lines))
    assert [line for line in lines if line in kept] == kept
    if any(line.status == "succeeded" for line in kept):
        assert [line for line in lines if line.status == "failed"] == [line for line in kept if line.status == "failed"]


def test_the_summary_counts_leaves() -> None:
    from wfconsole.views.run_view import run_view

    journal = Journal(plan(step("a"), step("b", "a")))
    journal.take()
    assert summary(run_view(journal.records)["steps"]) == "0/2 steps: 1 running, 1 pending"
    assert summary([]) == "no steps"
    assert RUN_ID in str(run_view(journal.records)["bundle"])


def test_a_table_has_no_trailing_blanks() -> None:
    assert table(("A", "B"), [("long", ""), ("x", "y")]) == ["A     B", "long", "x     y"]
