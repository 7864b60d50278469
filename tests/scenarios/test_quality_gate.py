"""quality-gate, the recipe that comes with the program, on a project that can be merged and on one that cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.cli import Result, Wfconsole, git, repository, step

pytestmark = pytest.mark.engine

CHECKS = {
    "unit_tests", "integration_tests", "lint", "security_scan", "code_coverage", "performance", "dependency_audit",
    "static_analysis",
}  # fmt: skip
CALC = """import os
import sys


def add(a, b):
    return a + b


def sign(number):
    if number < 0:
        return -1
    return 1
"""
PROJECT = '[project]\nname = "calc"\nversion = "1.0"\n[tool.pytest.ini_options]\npythonpath = ["."]\n'
GOOD = {
    "calc.py": CALC,
    "pyproject.toml": PROJECT,
    "tests/test_calc.py": "import pytest\n\nfrom calc import add, sign\n\n\n"
    "@pytest.mark.parametrize('n', range(50))\ndef test_add(n):\n    assert add(n, 1) == n + 1\n\n\n"
    "def test_sign():\n    assert (sign(-3), sign(3)) == (-1, 1)\n",
    "tests/integration/test_both.py": "from calc import add, sign\n\n\ndef test_both():\n    assert sign(add(1, -3)) == -1\n",
}
STORE = """import os
import sqlite3


def find(db: sqlite3.Connection, name):
    return db.execute("SELECT * FROM users WHERE name = '" + name + "'").fetchall()


def add(a, b):
    return a + b
"""
CONSTANTS = "".join(f"LIMIT_{n} = {n}\n" for n in range(8))
UNTESTED = "\n".join(f"def spare_{n}(value):\n    return value * {n}\n\n" for n in range(6))
BAD = {
    "store.py": STORE + "\n\n" + CONSTANTS + "\n\n" + UNTESTED.rstrip() + "\n",
    "pyproject.toml": PROJECT.replace("calc", "store"),
    "tests/test_store.py": "import pytest\n\nfrom store import add\n\n\n"
    "@pytest.mark.parametrize('n', range(50))\ndef test_add(n):\n    assert add(n, 1) == n + 1 + (n < 5)\n",
}


@pytest.fixture(scope="module")
def good_repo(place: Path) -> Path:
    return repository(place / "good project", GOOD)


@pytest.fixture(scope="module")
def good(wf: Wfconsole, good_repo: Path) -> Result:
    return wf.run("run", "quality-gate", "-i", f"repo={good_repo}", "-i", "pr_number=123", "--json")


@pytest.fixture(scope="module")
def bad(wf: Wfconsole, place: Path) -> Result:
    repo = repository(place / "bad", BAD)
    git(repo, "branch", "feature/new-api")
    more = ["-i", "pr_number=124", "-i", "branch=feature/new-api"]
    return wf.run("run", "quality-gate", "-i", f"repo={repo}", *more, "--json")


def by_name(outputs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in outputs["checks"]}


def test_quality_gate_1_all_eight_pass_with_lint_fixed_and_can_merge(good: Result) -> None:
    outputs = good.view["outputs"]
    assert (good.code, good.view["status"]) == (0, "succeeded"), (outputs, good.view["failure"])
    assert outputs["pr_number"] == 123
    assert (outputs["all_checks_passed"], outputs["required_checks_passed"], outputs["can_merge"]) == (True, True, True)
    assert set(by_name(outputs)) == CHECKS
    assert {check["status"] for check in outputs["checks"]} <= {"passed", "not_applicable"}
    assert outputs["overall_score"] >= 85
    assert (outputs["auto_fixes_applied"], outputs["blocking_issues"]) == (True, [])
    assert step(good.view, "first/lint")["outputs"]["result"]["status"] == "failed"
    assert step(good.view, "again/lint")["outputs"]["result"]["status"] == "passed"


def test_quality_gate_1_leaves_the_fix_as_a_diff_and_the_repository_alone(
    wf: Wfconsole, good: Result, good_repo: Path
) -> None:
    assert git(good_repo, "status", "--porcelain") == b""
    patch = wf.run("artifacts", good.view["run_id"], "diff.patch", "-o", "-").stdout
    git(good_repo, "apply", "--check", "-", stdin=patch)
    assert b"-import os" in patch
    comment = wf.run("artifacts", good.view["run_id"], "comment.md", "-o", "-").out
    assert "123" in comment.splitlines()[2]


def test_quality_gate_2_lists_what_blocks_and_cannot_merge(wf: Wfconsole, bad: Result) -> None:
    outputs = bad.view["outputs"]
    assert (bad.code, bad.view["status"], bad.view["failure"]["code"]) == (1, "failed", "CHECK_FAILED"), bad.err
    assert (outputs["pr_number"], outputs["branch"]) == (124, "feature/new-api")
    assert (outputs["all_checks_passed"], outputs["required_checks_passed"], outputs["can_merge"]) == (False,) * 3
    assert outputs["blocking_issues"] == [
        "[Unit Tests] 5 test failures",
        "[Code Coverage] Coverage 72% < required 80%",
        "[Security Scan] Critical: SQL injection vulnerability",
    ]
    assert outputs["auto_fixes_applied"] is True
    assert outputs["overall_score"] < 85
    assert all(text in bad.view["failure"]["message"] for text in outputs["blocking_issues"])
    comment = wf.run("artifacts", bad.view["run_id"], "comment.md", "-o", "-").out
    assert "cannot be merged" in comment.splitlines()[0]
    assert "5 test failures" in comment
    assert bad.view["failure"]["last_successful_step"] == "comment"
    hint, run_id = bad.view["failure"]["hint"], bad.view["run_id"]
    assert (f"`wfconsole artifacts {run_id} comment.md`" in hint, f"`wfconsole logs {run_id} again`" in hint) == (
        True,
    ) * 2
    assert "again/unit_tests |   5 test failures" in wf.run("logs", run_id, "again").out
