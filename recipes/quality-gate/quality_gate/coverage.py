"""The check code_coverage: how much of the sources the whole suite reaches.

Owns the measurement and its threshold. It refuses to judge the tests themselves. The one decision that would surprise:
a repository with sources and no tests has 0 % coverage, it is not exempt.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from quality_gate.project import Project
from quality_gate.result import FAILED, PASSED, Result, errored, floored, made, not_applicable
from quality_gate.suite import Suite, forget, prepared, run_suite
from quality_gate.tool import Room, module, run

_NAME = "code_coverage"
_RC_FILE = """[run]
source = {root}
omit =
{omit}
data_file = {data}
"""


def code_coverage(room: Room, required: float) -> Result:
    """Run all tests under coverage and compare the percentage with `required`."""
    project = Project(root=room.workspace)
    if not project.source_files:
        return not_applicable(_NAME, "No Python sources found")
    if not project.test_modules:
        return judged(0.0, required, {"notes": ["no tests found"], "missing": []})
    suite, totals = _measured(room, prepared(room), own=_has_config(project))
    if totals is None and _has_config(project) and not suite.ran.timed_out:
        forget(Project(root=room.scratch / "src"))
        suite, totals = _measured(room, prepared(room), own=False)
    if suite.ran.timed_out:
        return errored(_NAME, f"The tests did not end within {room.limit_s:g} s")
    if totals is None:
        return errored(_NAME, "coverage measured nothing", output=suite.ran.output[-2000:])
    return judged(totals["percent_covered"], required, _details(suite, totals))


def judged(percent: float, required: float, details: dict[str, Any]) -> Result:
    """Return the verdict on a percentage; the score is the percentage."""
    details = {"percent": float(floored(percent)), "required": required, **details}
    if percent >= required:
        return made(
            _NAME, PASSED, f"{floored(percent)}% (required {floored(required)}%)", score=percent, details=details
        )
    why = f"Coverage {floored(percent)}% < required {floored(required)}%"
    return made(_NAME, FAILED, why, score=percent, blocking=[why], details=details)


def _measured(room: Room, project: Project, *, own: bool) -> tuple[Suite, dict[str, Any] | None]:
    rc = [] if own else [f"--rcfile={_rc_file(room, project)}"]
    suite = run_suite(room, project, "all", through=[sys.executable, "-m", "coverage", "run", *rc])
    print(suite.ran.output)
    target = room.out / "coverage.json"
    run(room, [*module("coverage"), "combine", *rc], cwd=project.root)
    done = run(
        room, [*module("coverage"), "json", *rc, "--fail-under=0", "-i", "-o", str(target)], cwd=project.root
    )  # fmt: skip
    print(done.output)
    return suite, totals(target)


def totals(report: Path) -> dict[str, Any] | None:
    """Return the totals of coverage's JSON report, or None when there is no usable one."""
    try:
        found = json.loads(report.read_text(encoding="utf-8"))["totals"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    usable = isinstance(found, dict) and found.get("num_statements", 0) > 0 and "percent_covered" in found
    return found if usable else None


def _has_config(project: Project) -> bool:
    return (
        ".coveragerc" in project.files
        or project.has_section("setup.cfg", "coverage:run")
        or project.has_section("tox.ini", "coverage:run")
        or project.table("tool", "coverage", "run") is not None
    )


def _rc_file(room: Room, project: Project) -> Path:
    source = project.root / "src" if (project.root / "src").is_dir() else project.root
    omitted = [*(str(project.root / name) for name in project.test_files), str(project.root / "setup.py")]
    path = room.scratch / "coveragerc"
    omit = "\n".join(f"    {name}" for name in omitted)
    path.write_text(_RC_FILE.format(root=source, omit=omit, data=room.scratch / "coverage.data"), encoding="utf-8")
    return path


def _details(suite: Suite, found: dict[str, Any]) -> dict[str, Any]:
    report = suite.report
    return {
        "statements": found.get("num_statements"),
        "missing_lines": found.get("missing_lines"),
        "tests_failed": None if report is None else report.failed + report.errors,
        "missing": [] if report is None else list(report.missing),
        "notes": list(suite.notes),
    }
