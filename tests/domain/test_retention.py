"""Which runs are kept no longer."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from wfconsole.domain.policy.retention import Ended, Retention, expired

RUNS = [Ended(run_id=f"r{number}", finished_at=1000 - 100 * number, bytes=10) for number in range(5)]


def gone(policy: Retention, now: int = 1000) -> list[str]:
    return [run_id for run_id, _ in expired(RUNS, policy, now=now)]


def test_without_a_policy_everything_is_kept() -> None:
    assert gone(Retention()) == []


@pytest.mark.parametrize(("age", "left"), [(400, []), (399, ["r4"]), (0, ["r1", "r2", "r3", "r4"])])
def test_age_counts_from_the_end_of_the_run(age: int, left: list[str]) -> None:
    assert gone(Retention(age=age)) == left


@pytest.mark.parametrize(("count", "left"), [(5, []), (2, ["r2", "r3", "r4"]), (1, ["r1", "r2", "r3", "r4"])])
def test_the_newest_are_kept_by_number(count: int, left: list[str]) -> None:
    assert gone(Retention(count=count)) == left


@pytest.mark.parametrize(
    ("size", "left"), [(50, []), (49, ["r4"]), (20, ["r2", "r3", "r4"]), (1, ["r1", "r2", "r3", "r4"])]
)
def test_the_newest_are_kept_by_size_and_the_first_always(size: int, left: list[str]) -> None:
    assert gone(Retention(bytes=size)) == left


def test_a_recipe_says_more_than_the_operator() -> None:
    operator = Retention(age=5, count=3)
    assert operator.under({"count": 7}) == Retention(age=5, count=7)
    assert operator.under({"bytes": 9}) == Retention(age=5, count=3, bytes=9)
    assert operator.under(None) == operator
    assert operator.under({"age": "text", "count": True}) == operator


bounds = st.none() | st.integers(min_value=1, max_value=2000)


@given(bounds, bounds, bounds)
def test_who_goes_is_told_once_and_every_bound_only_adds(age: int | None, count: int | None, size: int | None) -> None:
    found = expired(RUNS, Retention(age=age, count=count, bytes=size), now=1500)
    names = [run_id for run_id, _ in found]
    assert len(set(names)) == len(names)
    assert all(why for _, why in found)
    for part in (Retention(age=age), Retention(count=count), Retention(bytes=size)):
        assert {run_id for run_id, _ in expired(RUNS, part, now=1500)} <= set(names)
