"""The readers of tool outputs, on outputs recorded from the real tools inside the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from quality_gate import coverage, junit, lint, security, static, tests
from quality_gate.suite import Suite
from quality_gate.tool import Ran


def suite(report: junit.Report | None, exit_code: int | None = 1, output: str = "") -> Suite:
    return Suite(ran=Ran(exit_code=exit_code, output=output, seconds=1.0, cpu_seconds=1.0), report=report)


def test_pytest_report_counts_and_missing_modules(recorded: Path) -> None:
    report = junit.parse((recorded / "pytest.xml").read_text(encoding="utf-8"))
    assert (report.passed, report.failed, report.errors, report.skipped) == (48, 6, 1, 1)
    assert report.missing == ("not_there", "numpy")
    assert report.explained == 2
    assert report.failures[0].kind == "error"
    assert tests.problems(report) == ["6 test failures", "1 test error", "Missing modules: not_there, numpy"]


def test_seed_003_quality_gate_five_failures_of_fifty() -> None:
    result = tests.judged("unit_tests", suite(junit.Report(passed=45, failed=5)), 10)
    assert (result["status"], result["score"], result["blocking"]) == ("failed", 75.0, ["5 test failures"])
    assert result["summary"] == "45/50 passed"


def test_a_suite_that_only_lacks_modules_is_errored_and_says_which() -> None:
    report = junit.Report(passed=3, errors=2, explained=2, missing=("freezegun",))
    result = tests.judged("unit_tests", suite(report), 10)
    assert (result["status"], result["score"]) == ("errored", 0.0)
    assert result["blocking"] == ["Cannot run 2 tests or test files: missing freezegun"]


@pytest.mark.parametrize(
    ("found", "status", "summary"),
    [
        (suite(None, None), "errored", "The tests did not end within 10 s"),
        (suite(junit.Report(), 5), "not_applicable", "pytest collected no tests"),
        (suite(junit.Report(skipped=3), 0), "not_applicable", "All tests were skipped (3)"),
        (suite(None, -11, "x\nboom"), "errored", "pytest gave no report (exit status -11): boom"),
        (suite(junit.Report(passed=2), 3), "failed", "2/2 passed"),
        (suite(junit.Report(passed=2, skipped=1), 0), "passed", "2/2 passed, 1 skipped"),
    ],
)
def test_how_a_suite_ended_is_told_apart(found: Suite, status: str, summary: str) -> None:
    result = tests.judged("unit_tests", found, 10)
    assert (result["status"], result["summary"]) == (status, summary)


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("E   ModuleNotFoundError: No module named 'dateutil.parser'", {"dateutil"}),
        ("E       fixture 'benchmark' not found", {"pytest-benchmark"}),
        ("E       fixture 'my_own' not found", set()),
        ("async def functions are not natively supported.", {"pytest-asyncio"}),
    ],
)
def test_what_a_failure_would_have_needed(text: str, needed: set[str]) -> None:
    assert junit.needs(text) == needed


@given(st.text())
def test_a_report_is_read_or_refused(text: str) -> None:
    try:
        junit.parse(text)
    except ValueError as error:
        assert "not a JUnit report" in str(error)  # noqa: PT017 - either end is right


def test_ruff_findings_and_the_files_a_fix_may_touch(recorded: Path) -> None:
    findings = lint.parse((recorded / "ruff.json").read_text(encoding="utf-8"), Path("/workspace"))
    assert len(findings) == 7
    assert findings[0] == {
        "file": "src/shop/__init__.py", "line": 1, "rule": "F401", "message": "`os` imported but unused", "fix": None,
    }  # fmt: skip
    assert {item["file"] for item in findings if item["fix"] == "safe"} >= {"src/shop/db.py", "tests/test_db.py"}
    assert lint.mendable(findings) == ["src/shop/db.py"]
    result = lint.judged(findings, 1000, [])
    assert (result["status"], result["blocking"], result["fixable"]) == ("failed", ["7 issues (1 fixable)"], True)
    assert result["score"] == 86.0
    assert lint.judged([], 1000, [])["status"] == "passed"


def test_bandit_findings_have_levels_and_words(recorded: Path) -> None:
    findings = security.parse((recorded / "bandit.json").read_text(encoding="utf-8"))
    assert [(item["level"], item["rule"], item["file"], item["line"]) for item in findings] == [
        ("critical", "B608", "src/shop/db.py", 7),
        ("critical", "B602", "src/shop/db.py", 15),
        ("high", "B324", "src/shop/db.py", 11),
        ("low", "B404", "src/shop/db.py", 2),
    ]
    result = security.judged(findings, [])
    assert result["blocking"] == [
        "Critical: SQL injection vulnerability",
        "Critical: Shell injection vulnerability",
        "High: Weak hash (MD5 or SHA-1)",
    ]
    assert (result["status"], result["score"]) == ("failed", 0.0)


@pytest.mark.parametrize(
    ("rule", "severity", "confidence", "level"),
    [
        ("B608", "MEDIUM", "MEDIUM", "critical"),
        ("B608", "MEDIUM", "LOW", "medium"),
        ("B602", "LOW", "HIGH", "low"),
        ("B324", "HIGH", "HIGH", "high"),
        ("B324", "HIGH", "LOW", "medium"),
        ("B101", "LOW", "HIGH", "low"),
        ("B999", "UNDEFINED", "UNDEFINED", "low"),
    ],
)
def test_levels(rule: str, severity: str, confidence: str, level: str) -> None:
    assert security.level(rule, severity, confidence) == level


def test_medium_and_low_findings_cost_points_up_to_a_cap() -> None:
    medium = {"level": "medium", "title": "x", "file": "a.py", "line": 1, "rule": "B1"}
    assert security.judged([medium] * 2, [])["score"] == 84.0
    assert security.judged([medium] * 50, [])["score"] == 60.0
    assert security.judged([medium] * 50, [])["status"] == "passed"


def test_coverage_totals(recorded: Path, tmp_path: Path) -> None:
    found = coverage.totals(recorded / "coverage.json")
    assert found is not None
    assert coverage.judged(found["percent_covered"], 80.0, {})["summary"] == "Coverage 76.9% < required 80%"
    (tmp_path / "bad.json").write_text('{"totals": {"num_statements": 0}}', encoding="utf-8")
    assert coverage.totals(tmp_path / "bad.json") is None
    assert coverage.totals(tmp_path / "none.json") is None


def test_radon_and_mypy_outputs(recorded: Path) -> None:
    functions = static.blocks((recorded / "radon-cc.json").read_text(encoding="utf-8"))
    assert {item["name"] for item in functions} == {"find", "digest", "ping", "wrong"}
    index = static.indexes((recorded / "radon-mi.json").read_text(encoding="utf-8"))
    assert min(index.values()) == 68.8
    types = static.type_errors((recorded / "mypy.txt").read_text(encoding="utf-8"))
    assert types == ['src/shop/db.py:19: Incompatible return value type (got "str", expected "int")  [return-value]']
    assert static.judged(functions, index, [], types, 20)["score"] == 98.0


def test_static_analysis_fails_on_syntax_errors_and_low_scores() -> None:
    broken = static.judged([], {}, [{"file": "a.py", "line": 3, "message": "invalid syntax"}], None, 10)
    assert (broken["status"], broken["score"]) == ("failed", 0.0)
    assert broken["blocking"] == ["Syntax error in a.py, line 3: invalid syntax"]
    tangled = {"file": "a.py", "name": "f", "line": 1, "complexity": 40}
    poor = static.judged([tangled], {"a.py": 5.0}, [], None, 10)
    assert (poor["score"], poor["blocking"]) == (38.0, ["Score 38 < 70: 1 function too complex"])
