"""What a check hands back, and the names, titles and weights of the eight checks.

Owns the shape of a result. It refuses to know tools and files. The one decision that would surprise: `clean` reads a
result as untrusted data, because it was written by a process that shared its sandbox with the repository's own tests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, TypeGuard

Result: TypeAlias = dict[str, Any]
"""`name title status score summary blocking details fixable`; `score` is 0..100 or None when nothing was scored."""

PASSED: Final = "passed"
FAILED: Final = "failed"
NOT_APPLICABLE: Final = "not_applicable"
ERRORED: Final = "errored"
STATUSES: Final = frozenset({PASSED, FAILED, NOT_APPLICABLE, ERRORED})

TITLES: Final[dict[str, str]] = {
    "unit_tests": "Unit Tests",
    "integration_tests": "Integration Tests",
    "lint": "Linting",
    "security_scan": "Security Scan",
    "code_coverage": "Code Coverage",
    "performance": "Performance",
    "dependency_audit": "Dependency Audit",
    "static_analysis": "Static Analysis",
}
"""Name to title of each check, in the order in which results are listed."""

WEIGHTS: Final[dict[str, int]] = {
    "unit_tests": 25,
    "integration_tests": 10,
    "lint": 10,
    "security_scan": 20,
    "code_coverage": 15,
    "performance": 5,
    "dependency_audit": 5,
    "static_analysis": 10,
}

_MAX_TEXT = 500
_MAX_BLOCKING = 20


def made(
    name: str,
    status: str,
    summary: str,
    *,
    score: float | None = None,
    blocking: list[str] | None = None,
    details: Mapping[str, Any] | None = None,
    fixable: bool = False,
) -> Result:
    """Return a result; `score` is clamped to 0..100 and rounded to one decimal."""
    return {
        "name": name,
        "title": TITLES[name],
        "status": status,
        "score": None if score is None else round(min(100.0, max(0.0, score)), 1),
        "summary": summary,
        "blocking": blocking or [],
        "details": dict(details or {}),
        "fixable": fixable,
    }


def not_applicable(name: str, reason: str, **details: Any) -> Result:
    """Return the result of a check that has nothing to look at; it counts neither for nor against the repository."""
    return made(name, NOT_APPLICABLE, reason, details=details)


def errored(name: str, reason: str, **details: Any) -> Result:
    """Return the result of a check that applies but could not be carried out; it scores 0 and does not pass."""
    return made(name, ERRORED, reason, score=0.0, blocking=[reason], details=details)


def clean(name: str, raw: object) -> Result:
    """Return `raw` as a well-formed result of check `name`; what is not one becomes an errored result."""
    if not isinstance(raw, Mapping) or not isinstance(raw.get("status"), str) or raw["status"] not in STATUSES:
        return errored(name, "The check left no result")
    score = raw.get("score")
    blocking, details = raw.get("blocking"), raw.get("details")
    return made(
        name,
        raw["status"],
        str(raw.get("summary", ""))[:_MAX_TEXT],
        score=score if _is_number(score) else None,
        blocking=[str(line)[:_MAX_TEXT] for line in blocking][:_MAX_BLOCKING] if isinstance(blocking, list) else [],
        details=details if isinstance(details, Mapping) else {},
        fixable=raw.get("fixable") is True,
    )


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e6 < value < 1e6


def counted(count: int, noun: str) -> str:
    """Return `1 issue`, `2 issues`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def floored(value: float) -> str:
    """Return a percentage cut to one decimal (79.96 is not 80), without a trailing `.0`."""
    return f"{math.floor(value * 10 + 1e-9) / 10:g}"
