"""The score and the verdict: a pure function over the eight results.

Owns the formula that README.md explains and the wording of the blocking issues. It refuses to know tools and files.
The one decision that would surprise: a repository to which no required check applies cannot merge; nothing was shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from quality_gate.result import (
    ERRORED,
    FAILED,
    NOT_APPLICABLE,
    PASSED,
    TITLES,
    WEIGHTS,
    Result,
    clean,
    errored,
    floored,
)


def scored(
    reports: Mapping[str, Any], *, required: Collection[str], required_score: float, required_coverage: float
) -> dict[str, Any]:
    """Return the gate's result.

    `reports` maps a check to `{status, result}`: how its step ended and what it left. The answer has
    `checks all_checks_passed required_checks_passed can_merge overall_score blocking_issues fixable`; `overall_score`
    is 0..100, one decimal. Raises ValueError for a required check that does not exist.
    """
    unknown = sorted(set(required) - set(TITLES))
    if unknown:
        raise ValueError(f"unknown checks in required_checks: {', '.join(unknown)}; there are {', '.join(TITLES)}")
    checks = [{**read(name, reports.get(name)), "required": name in required} for name in TITLES]
    needed = [check for check in checks if check["required"] and check["status"] != NOT_APPLICABLE]
    score, covered = overall(checks), is_covered(checks, required_coverage)
    required_passed = bool(needed) and all(check["status"] == PASSED for check in needed)
    can_merge = required_passed and covered and score >= required_score
    return {
        "checks": checks,
        "all_checks_passed": bool(needed) and all(check["status"] in {PASSED, NOT_APPLICABLE} for check in checks),
        "required_checks_passed": required_passed,
        "can_merge": can_merge,
        "overall_score": score,
        "blocking_issues": [] if can_merge else blocking(checks, score, required_score, covered=covered),
        "fixable": any(check["fixable"] for check in checks),
    }


def read(name: str, report: Any) -> Result:
    """Return the result of one check; a step that ended badly is an errored result, whatever it left."""
    status = report.get("status") if isinstance(report, Mapping) else None
    if status == "succeeded":
        return clean(name, report.get("result"))
    return errored(name, f"The check itself {status or 'did not run'}")


def overall(checks: list[Result]) -> float:
    """Return the mean score of the checks that apply, by weight; a check without a score counts 100 or, errored, 0."""
    counted = [check for check in checks if check["status"] != NOT_APPLICABLE]
    weight = sum(WEIGHTS[check["name"]] for check in counted)
    if not weight:
        return 0.0
    return round(sum(WEIGHTS[check["name"]] * _points(check) for check in counted) / weight, 1)


def is_covered(checks: list[Result], required_coverage: float) -> bool:
    """Tell whether the measured coverage is enough; it is when the check does not apply."""
    check = next(check for check in checks if check["name"] == "code_coverage")
    if check["status"] == NOT_APPLICABLE:
        return True
    percent = check["details"].get("percent")
    return isinstance(percent, int | float) and percent >= required_coverage


def blocking(checks: list[Result], score: float, required_score: float, *, covered: bool) -> list[str]:
    """Return why the change cannot merge, one `[Title] reason` a line, never empty.

    Only required checks block, and coverage; vulnerabilities come last. The score is named when nothing else explains
    the refusal.
    """
    stopping = [
        check
        for check in checks
        if check["status"] in {FAILED, ERRORED}
        and (check["required"] or (check["name"] == "code_coverage" and not covered))
    ]
    stopping.sort(key=lambda check: check["name"] == "security_scan")
    lines = [f"[{check['title']}] {reason}" for check in stopping for reason in check["blocking"] or [check["summary"]]]
    if lines:
        return lines
    if not any(check["required"] and check["status"] != NOT_APPLICABLE for check in checks):
        return ["[Quality Gate] No required check applies to this repository"]
    if not covered:
        return ["[Code Coverage] No percentage was measured"]
    return [f"[Overall Score] {floored(score)} < required {floored(required_score)}"]


def _points(check: Result) -> float:
    if check["status"] == ERRORED:
        return 0.0
    if check["score"] is None:
        return 100.0 if check["status"] == PASSED else 0.0
    return float(check["score"])
