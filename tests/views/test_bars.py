"""Bars and their axis: every moment has its column, in order, and no bar covers another in time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, strategies as st

from tests.fakes.gates import approval, decide, gated
from tests.fakes.journals import OK, START, Journal, failed, plan, step
from wfconsole.domain.codec import from_iso, iso
from wfconsole.domain.plan import Json, RetryPolicy
from wfconsole.views.axis import SCALES, SQUEEZED, Axis, axis, coarse, gap
from wfconsole.views.bars import Bar, Bars, merged, millis, paint
from wfconsole.views.history import History
from wfconsole.views.run_view import run_view
from wfconsole.views.sketch import sketch

MINUTE = 60_000
intervals = st.lists(
    st.tuples(st.integers(0, 10**9), st.integers(0, 10**7)).map(lambda pair: (START + pair[0], START + sum(pair))),
    max_size=30,
).map(lambda found: merged(sorted(found)))


@given(intervals, st.integers(0, 10**9), st.integers(1, 200), st.integers(-2, 6))
@example([(START + 5001, START + 5001)], 10_002, 24, 0)
def test_the_axis_is_whole_monotone_and_fits(busy: list[tuple[int, int]], length: int, width: int, zoom: int) -> None:
    end = START + length
    found = axis(START, end, busy, width, zoom=zoom)
    assert found.start == START
    assert found.spans[-1].end == max(end, START + 1)
    for before, after in pairwise(found.spans):
        assert (before.end, before.column + before.width) == (after.start, after.column)
        assert not (before.squeezed and after.squeezed)
    columns = [found.column(at) for at in range(START - 5, end + 5, max(1, length // 500))]
    assert columns == sorted(columns)
    assert all(0 <= column < found.columns for column in columns)
    if zoom == 0 and width >= 4 * SQUEEZED:
        assert found.columns <= max(width, len(found.spans) + SQUEEZED * (width // (2 * SQUEEZED)))
    assert all(span.width == SQUEEZED for span in found.spans if span.squeezed)


@given(intervals, st.integers(1, 10**9), st.integers(1, 120), st.integers(0, 300), st.booleans())
def test_the_labels_have_the_width_that_was_asked_for(
    busy: list[tuple[int, int]], length: int, width: int, left: int, ascii_only: bool
) -> None:
    found = axis(START, START + length, busy, 60)
    line = found.header(left, width, ascii_only=ascii_only)
    assert len(line) == width
    assert not ascii_only or line.isascii()


def test_idle_time_is_squeezed_and_marked() -> None:
    hour = 60 * MINUTE
    found = axis(START, START + 3 * hour, [(START, START + MINUTE), (START + 2 * hour, START + 2 * hour + MINUTE)], 40)
    assert [span.squeezed for span in found.spans] == [False, True, False, True]
    line = found.header(0, 40)
    assert line.startswith("0s")
    assert line.count("≈1h≈") == 1
    assert found.scale in SCALES
    ends = found.column(START + MINUTE - 1), found.column(START + 2 * hour)
    assert ends[1] - ends[0] == SQUEEZED + 1


def test_busy_time_alone_is_not_squeezed() -> None:
    found = axis(START, START + MINUTE, [(START, START + MINUTE)], 40)
    assert (len(found.spans), found.scale, found.columns) == (1, 1500, 40)
    assert found.header(0, 40).split() == ["0s", "15s", "30s", "45s"]


@pytest.mark.parametrize(
    ("millis_", "text"),
    [(0, "0s"), (250, "250ms"), (1500, "1.5s"), (45_000, "45s"), (120_000, "2m"), (150_000, "2m30"), (3_600_000, "1h"),
     (11_700_000, "3h15"), (172_800_000, "2d")],
)  # fmt: skip
def test_times_are_told_in_few_characters(millis_: int, text: str) -> None:
    assert coarse(millis_) == text
    assert len(gap(millis_, SQUEEZED)) == SQUEEZED


def _journal(name: str) -> Journal:
    if name == "gate":
        journal = gated(step("a"), approval("gate", "a"), step("b", "gate"))
        journal.now += 30 * MINUTE
        decide(journal, "approve")
        journal.play()
        return journal
    retry = RetryPolicy(attempts=4, outcomes=("failed", "errored"))
    journal = Journal(plan(step("lint", retry=retry), step("unit", "lint"), step("docs")))
    journal.play(lambda step_id, n: failed() if (step_id, n) in {("lint", 1), ("lint", 2), ("unit", 1)} else OK)
    return journal


@pytest.mark.parametrize("name", ["gate", "retry"])
def test_bars_of_a_run_never_overlap_at_any_event(name: str) -> None:
    journal = _journal(name)
    history = History()
    history.extend(journal.records)
    grown = Bars()
    for seq in range(1, len(journal.records) + 1):
        now = journal.records[seq - 1].at + 1
        view = history.at(seq)
        fresh = Bars()
        fresh.take(view)
        grown.take(view)
        for item in view["steps"]:
            bars = fresh.of(item["step_id"], now)
            assert bars == grown.of(item["step_id"], now)
            assert all(bar.start <= bar.end for bar in bars)
            assert all(before.end <= after.start for before, after in pairwise(bars))
            assert not bars or (bars[0].start >= START and bars[-1].end <= now)
            if item["status"] in {"running", "backing_off", "needs_human"}:
                assert (bars[-1].kind, bars[-1].end) == (item["status"], now)
            else:
                assert not bars or bars[-1].end < now


def test_retries_waits_and_people_are_told_apart() -> None:
    retried, asked = Bars(), Bars()
    retried.take(run_view(_journal("retry").records))
    assert [bar.kind for bar in retried.of("lint", START)] == [
        "failed",
        "backing_off",
        "failed",
        "backing_off",
        "succeeded",
    ]
    view = run_view(_journal("gate").records)
    asked.take(view)
    gate = asked.of("gate", START)
    assert [bar.kind for bar in gate] == ["succeeded", "needs_human"]
    assert gate[-1].end - gate[-1].start >= 30 * MINUTE
    busy = asked.busy(START)
    assert not any(start <= gate[-1].start + MINUTE < end for start, end in busy)
    found = axis(START, from_iso(view["finished_at"]), busy, 40)
    assert any(span.squeezed for span in found.spans)


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 3000), st.sampled_from(["running", "failed", "succeeded",
             "backing_off", "needs_human", "cancelled"])), max_size=12),
    st.integers(0, 60), st.integers(1, 60), st.booleans(),
)  # fmt: skip
def test_painting_gives_exactly_the_width_and_every_bar_a_column(
    drawn: list[tuple[int, int, str]], left: int, width: int, ascii_only: bool
) -> None:
    bars, free = [], START
    for pause, length, kind in drawn:
        bars.append(Bar(free + pause, free + pause + length, kind))
        free += pause + length
    over = axis(START, free, [(bar.start, bar.end) for bar in bars], 40)
    runs = paint(bars, over, left, width, ascii_only=ascii_only)
    assert sum(len(text) for text, _ in runs) == width
    assert not ascii_only or all(text.isascii() for text, _ in runs)
    whole = paint(bars, over, 0, over.columns)
    if any(bar.kind == "failed" for bar in bars):
        assert any(kind == "failed" for _, kind in whole)


def test_a_sketch_has_a_bar_for_what_has_begun() -> None:
    head: dict[str, Json] = {
        "run_id": "r", "status": "running", "started_at": iso(START), "finished_at": None, "failure": None,
        "created_at": iso(START), "waiting_for": [],
    }  # fmt: skip
    rows = [
        ("a", "run", "succeeded", 2, START, START + 10, None, None), ("b", "run", "running", 1, START + 10, None, None, None),
        ("c", "run", "pending", 0, None, None, None, None),
    ]  # fmt: skip
    view = sketch(head, rows)
    bars = Bars()
    bars.take(view)
    assert bars.of("a", START + 50) == [Bar(START, START + 10, "succeeded")]
    assert bars.of("b", START + 50) == [Bar(START + 10, START + 50, "running")]
    assert bars.of("c", START + 50) == []
    assert view["current_step"] == "b"


@given(st.integers(0, 4 * 10**12))
def test_millis_reads_what_iso_writes(at: int) -> None:
    assert millis(iso(at)) == at


def test_an_axis_is_never_empty() -> None:
    assert isinstance(axis(START, START, [], 10), Axis)
    assert axis(START, START, [], 10).columns == 1
