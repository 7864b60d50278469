"""The checks unit_tests and integration_tests.

Owns what a test run means. It refuses to know command lines. The one decision that would surprise: a suite whose only
trouble is that modules are not installed is errored, not failed: it says nothing about the code, and it still blocks.
"""

from __future__ import annotations

from typing import Literal

from quality_gate.junit import Report
from quality_gate.project import Project
from quality_gate.result import FAILED, PASSED, Result, counted, errored, made, not_applicable
from quality_gate.suite import Suite, no_report, prepared, run_suite
from quality_gate.tool import Room

_NOTHING_COLLECTED = 5
_FAILING = 15.0


def unit_tests(room: Room) -> Result:
    """Run every test that is no integration test."""
    project = Project(root=room.workspace)
    if not set(project.test_modules) - set(_of_folders(project)):
        no_report(room, "unit")
        return not_applicable("unit_tests", "No tests found (test_*.py or *_test.py)")
    return _checked(room, "unit_tests", "unit")


def integration_tests(room: Room) -> Result:
    """Run the tests in integration folders and those with the marker `integration`."""
    project = Project(root=room.workspace)
    if not project.integration_folders and not project.integration_files:
        no_report(room, "integration")
        return not_applicable("integration_tests", "No integration tests found (a folder or a marker `integration`)")
    return _checked(room, "integration_tests", "integration")


def _checked(room: Room, name: str, selection: Literal["unit", "integration"]) -> Result:
    suite = run_suite(room, prepared(room), selection)
    print(suite.ran.output)
    return judged(name, suite, room.limit_s)


def judged(name: str, suite: Suite, limit_s: float) -> Result:
    """Return the verdict on one run of the suite."""
    if suite.ran.timed_out:
        return errored(name, f"The tests did not end within {limit_s:g} s")
    if suite.ran.exit_code == _NOTHING_COLLECTED:
        return not_applicable(name, "pytest collected no tests", notes=list(suite.notes))
    if suite.report is None:
        last = suite.ran.output.strip().rsplit("\n", 1)[-1][:300]
        return errored(name, f"pytest gave no report (exit status {suite.ran.exit_code}): {last}")
    if suite.report.ran == 0 and suite.ran.exit_code == 0:
        return not_applicable(name, f"All tests were skipped ({suite.report.skipped})", **_details(suite, suite.report))
    return _scored(name, suite, suite.report)


def _scored(name: str, suite: Suite, report: Report) -> Result:
    details = _details(suite, report)
    blocking = problems(report)
    if not blocking and suite.ran.exit_code == 0:
        summary = f"{report.passed}/{report.ran} passed" + (f", {report.skipped} skipped" if report.skipped else "")
        return made(name, PASSED, summary, score=100.0, details=details)
    if not blocking:
        blocking = [f"pytest ended with exit status {suite.ran.exit_code}"]
    if report.missing and report.explained == report.failed + report.errors:
        return errored(name, blocking[0], **details)
    score = 100.0 * report.passed / max(1, report.ran) - _FAILING
    return made(name, FAILED, f"{report.passed}/{report.ran} passed", score=score, blocking=blocking, details=details)


def problems(report: Report) -> list[str]:
    """Return the blocking lines of a report: `5 test failures`, `1 test error`, `Cannot run ...: missing x`."""
    if report.missing and report.explained == report.failed + report.errors:
        what = counted(report.explained, "test or test file").replace("test or test files", "tests or test files")
        return [f"Cannot run {what}: missing {', '.join(report.missing)}"]
    lines = [counted(report.failed, "test failure")] if report.failed else []
    lines += [counted(report.errors, "test error")] if report.errors else []
    return [*lines, f"Missing modules: {', '.join(report.missing)}"] if report.missing else lines


def _details(suite: Suite, report: Report) -> dict[str, object]:
    return {
        "total": report.ran,
        "passed": report.passed,
        "failed": report.failed,
        "errors": report.errors,
        "skipped": report.skipped,
        "seconds": round(suite.ran.seconds, 2),
        "missing": list(report.missing),
        "failures": [f"{failure.test}: {failure.message}" for failure in report.failures],
        "notes": list(suite.notes),
    }


def _of_folders(project: Project) -> list[str]:
    return [
        name for name in project.test_modules if name.startswith(tuple(f + "/" for f in project.integration_folders))
    ]
