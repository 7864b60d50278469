"""`runs --query`: what it finds, and what it says about what it cannot read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from wfconsole.views.query import QueryError, canonical_status, parse_query

VIEW: dict[str, Any] = {
    "run_id": "01AB",
    "status": "failed",
    "recipe": {"name": "quality-gate", "version": "1.2.0"},
    "inputs": {"floor": 80, "branch": "feature/x", "fast": True, "note": None},
    "failure": {"code": "STEP_FAILED", "message": "Exit status 2"},
    "duration_ms": 65_000,
    "created_at": "2026-07-01T10:00:00.000Z",
    "waiting_for": [],
    "steps": [{"step_id": "unit", "status": "failed"}, {"step_id": "lint", "status": "succeeded"}],
    "warnings": ["dirty tree"],
}


@pytest.mark.parametrize(
    "text",
    [
        "status = failed",
        "status != succeeded",
        "failure.code = STEP_FAILED and input.floor = 80",
        "input.floor > 79.5",
        "input.floor < 100",
        "input.branch ~ ^feature/",
        "input.fast = true",
        "input.note = null",
        'failure.message = "Exit status 2"',
        "failure.message ~ 'exit STATUS'",
        "duration_ms > 1m",
        "duration_ms < 1m10s",
        "created_at > 2026-06-30",
        "steps.status = failed",
        "steps.unit.status = failed",
        "steps.step_id = lint",
        "warnings ~ dirty",
        "status = queued or recipe.name = quality-gate",
        "(status = queued or status = failed) and recipe.version ~ ^1",
        "recipe.name=quality-gate",
        "input.missing = null",
    ],
)
def test_found(text: str) -> None:
    assert parse_query(text).matches(VIEW)


@pytest.mark.parametrize(
    "text",
    [
        "status = completed",
        "status != failed",
        "input.floor > 80",
        "input.branch < 3 and status = queued",
        "failure.code = step_failed",
        "steps.lint.status = failed",
        "waiting_for = unit",
        "input.note > 1",
        "status = failed and status = paused or input.floor = 1",
        'input.note = "null"',
    ],
)
def test_not_found(text: str) -> None:
    assert not parse_query(text).matches(VIEW)


@pytest.mark.parametrize(
    ("word", "status"), [("completed", "succeeded"), ("canceled", "cancelled"), ("queued", "pending")]
)
def test_the_words_of_the_seeds_are_taken_for_statuses(word: str, status: str) -> None:
    assert parse_query(f"status = {word}").matches({"status": status})
    assert canonical_status(word) == status


def test_an_unknown_status_names_the_near_one() -> None:
    with pytest.raises(ValueError, match="did you mean succeeded"):
        canonical_status("suceeded")


@pytest.mark.parametrize(
    ("text", "position", "hint"),
    [
        ("statuss = failed", 0, "did you mean status"),
        ("status == failed", 8, "quote"),
        ("status", 6, "one of"),
        ("status = failed and", 19, "a field is"),
        ("status = failed recipe.name = x", 16, "and"),
        ("(status = failed", 16, ""),
        ("input.a ~ [", 10, ""),
        ("", 0, "a field is"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, position: int, hint: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(text)
    assert caught.value.position == position
    assert hint in caught.value.hint


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    place = 0
    try:
        parse_query(text).matches(VIEW)
    except QueryError as error:
        place = error.position
    assert 0 <= place <= len(text)


def test_it_tells_which_parts_of_a_view_it_looks_at() -> None:
    assert parse_query("status = failed and input.a = 1 or steps.status = failed").names == {
        "status",
        "inputs",
        "steps",
    }
