"""The formula and the verdict, on the shapes of the seed's two examples and at the edges."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from quality_gate import coverage, security
from quality_gate.result import NOT_APPLICABLE, PASSED, STATUSES, TITLES, WEIGHTS, clean, floored, made, not_applicable
from quality_gate.score import scored

REQUIRED = ["unit_tests", "integration_tests", "lint", "security_scan", "code_coverage"]


def reports(**changed: Any) -> dict[str, Any]:
    results = {name: made(name, PASSED, "fine", score=100.0) for name in TITLES}
    results["code_coverage"] = coverage.judged(88.5, 80.0, {})
    return {name: {"status": "succeeded", "result": result} for name, result in (results | changed).items()}


def gate(found: dict[str, Any], **settings: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {"required": REQUIRED, "required_score": 85.0, "required_coverage": 80.0}
    return scored(found, **(defaults | settings))


def test_seed_003_quality_gate_example_1_all_checks_pass() -> None:
    result = gate(reports(static_analysis=made("static_analysis", PASSED, "Score 94", score=94.0)))
    assert [check["name"] for check in result["checks"]] == list(TITLES)
    assert len(result["checks"]) == 8
    assert all(result[name] for name in ("all_checks_passed", "required_checks_passed", "can_merge"))
    assert result["blocking_issues"] == []
    assert result["overall_score"] == round(100 - 0.15 * 11.5 - 0.1 * 6, 1)


def test_seed_003_quality_gate_example_2_blocking_issues() -> None:
    injected = security.judged(
        [{"level": "critical", "title": security.TITLES["B608"], "file": "a.py", "line": 1, "rule": "B608"}], []
    )
    result = gate(
        reports(
            unit_tests=made("unit_tests", "failed", "45/50 passed", score=75.0, blocking=["5 test failures"]),
            code_coverage=coverage.judged(72.0, 80.0, {}),
            security_scan=injected,
        )
    )
    assert result["blocking_issues"] == [
        "[Unit Tests] 5 test failures",
        "[Code Coverage] Coverage 72% < required 80%",
        "[Security Scan] Critical: SQL injection vulnerability",
    ]
    assert not any(result[name] for name in ("all_checks_passed", "required_checks_passed", "can_merge"))
    assert result["overall_score"] == 69.5


def test_what_does_not_apply_counts_neither_way() -> None:
    absent = {name: not_applicable(name, "no") for name in ("integration_tests", "performance")}
    result = gate(reports(**absent, code_coverage=coverage.judged(100.0, 80.0, {})))
    assert (result["overall_score"], result["can_merge"], result["all_checks_passed"]) == (100.0, True, True)


def test_nothing_required_applies_is_no_pass() -> None:
    absent = {name: not_applicable(name, "no") for name in TITLES if name != "dependency_audit"}
    result = gate(reports(**absent))
    assert (result["can_merge"], result["all_checks_passed"]) == (False, False)
    assert result["blocking_issues"] == ["[Quality Gate] No required check applies to this repository"]


@pytest.mark.parametrize("status", ["failed", "errored", "cancelled", "timed_out"])
def test_a_check_that_crashed_is_errored_whatever_it_left(status: str) -> None:
    found = reports()
    found["lint"]["status"] = status
    result = gate(found)
    assert result["checks"][2]["status"] == "errored"
    assert result["blocking_issues"] == [f"[Linting] The check itself {status}"]
    assert result["overall_score"] == round(100 - 10 - 0.15 * 11.5, 1)


def test_advisory_checks_count_and_do_not_block() -> None:
    result = gate(reports(performance=made("performance", "failed", "slow", score=0.0, blocking=["slow"])))
    assert (result["can_merge"], result["all_checks_passed"], result["required_checks_passed"]) == (True, False, True)


def test_a_low_score_alone_is_named() -> None:
    poor = {
        name: made(name, "failed", "bad", score=0.0) for name in ("performance", "dependency_audit", "static_analysis")
    }
    result = gate(reports(**poor))
    assert (result["required_checks_passed"], result["can_merge"]) == (True, False)
    assert result["blocking_issues"] == ["[Overall Score] 78.3 < required 85"]


def test_low_coverage_blocks_even_when_it_is_not_required() -> None:
    found = reports(code_coverage=coverage.judged(72.0, 80.0, {}))
    result = gate(found, required=["unit_tests"])
    assert (result["required_checks_passed"], result["can_merge"]) == (True, False)
    assert result["blocking_issues"] == ["[Code Coverage] Coverage 72% < required 80%"]


def test_unknown_required_checks_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown checks in required_checks: tests;"):
        gate(reports(), required=["tests"])


def test_a_percentage_is_cut_and_never_rounded_up_to_the_threshold() -> None:
    assert [floored(value) for value in (79.96, 72.0, 88.5, 100.0)] == ["79.9", "72", "88.5", "100"]
    assert coverage.judged(79.96, 80.0, {})["blocking"] == ["Coverage 79.9% < required 80%"]


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.sampled_from(sorted(STATUSES)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["status", "score", "blocking", "details", "summary", "fixable", "result"]), inner
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(TITLES)), json_values), st.lists(st.sampled_from(sorted(TITLES))))
def test_any_reports_give_a_verdict_with_a_reason(found: dict[str, Any], required: list[str]) -> None:
    result = gate(found, required=required)
    assert 0.0 <= result["overall_score"] <= 100.0
    assert result["can_merge"] is (result["blocking_issues"] == [])
    assert not result["can_merge"] or result["required_checks_passed"]
    assert all(line.startswith("[") for line in result["blocking_issues"])


@given(json_values)
def test_a_forged_result_is_well_formed(raw: object) -> None:
    result = clean("lint", raw)
    assert result["status"] in STATUSES
    assert result["score"] is None or (math.isfinite(result["score"]) and 0 <= result["score"] <= 100)


def test_weights_cover_the_eight_checks_and_sum_to_100() -> None:
    assert WEIGHTS.keys() == TITLES.keys()
    assert sum(WEIGHTS.values()) == 100
    assert NOT_APPLICABLE in STATUSES
