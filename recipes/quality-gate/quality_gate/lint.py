"""The check lint, and which of its findings `ruff` can mend safely.

Owns ruff's command line and the meaning of its JSON. Formatting is no part of it. The one decision that would surprise:
a configuration that this ruff cannot read does not stop the check; it goes on with ruff's own rules and says so.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from quality_gate.project import Project, is_test
from quality_gate.result import FAILED, PASSED, Result, counted, errored, made, not_applicable
from quality_gate.tool import Ran, Room, run

_NAME = "lint"
_CONFIG_ERROR = 2
_MAX_LISTED = 100
_PENALTY = 20.0


def lint(room: Room) -> Result:
    """Check all Python files with the project's ruff configuration, or with ruff's default rules."""
    project = Project(root=room.workspace)
    if not project.python_files:
        return not_applicable(_NAME, "No Python files found")
    target = room.out / "lint.json"
    ran, notes = checked(room, ["--output-format=json", f"--output-file={target}", "."])
    if ran.timed_out or not target.is_file():
        return errored(_NAME, f"ruff gave no report (exit status {ran.exit_code}): {ran.output[-300:]}")
    findings = parse(target.read_text(encoding="utf-8"), room.workspace)
    result = judged(findings, project.lines(project.python_files), notes)
    print(listing(findings))
    return result


def checked(room: Room, arguments: list[str]) -> tuple[Ran, list[str]]:
    """Run `ruff check` in the workspace; a configuration it refuses is left out the second time."""
    argv = ["ruff", "check", "--no-cache", "--force-exclude"]
    ran = run(room, [*argv, *arguments], cwd=room.workspace)
    if ran.exit_code != _CONFIG_ERROR:
        return ran, []
    reason = " ".join(ran.output.split())[:300]
    return run(room, [*argv, "--isolated", *arguments], cwd=room.workspace), [
        f"ruff refused the project's configuration and used its own rules: {reason}"
    ]


def parse(text: str, root: Path) -> list[dict[str, Any]]:
    """Return ruff's findings as `{file, line, rule, message, fix}`; `fix` is its applicability or None."""
    return [
        {
            "file": _relative(item["filename"], root),
            "line": (item.get("location") or {}).get("row"),
            "rule": item.get("code") or "syntax",
            "message": item.get("message", ""),
            "fix": (item.get("fix") or {}).get("applicability"),
        }
        for item in json.loads(text)
    ]


def mendable(findings: list[dict[str, Any]]) -> list[str]:
    """Return the files in which ruff has a safe fix for a finding; tests are never among them."""
    return sorted({item["file"] for item in findings if item["fix"] == "safe" and not is_test(item["file"])})


def judged(findings: list[dict[str, Any]], lines: int, notes: list[str]) -> Result:
    """Return the verdict: any finding fails; 20 points for each finding in 100 lines."""
    fixable = sum(1 for item in findings if item["fix"] == "safe" and not is_test(item["file"]))
    details = {
        "issues": len(findings),
        "fixable": fixable,
        "rules": dict(Counter(item["rule"] for item in findings).most_common()),
        "findings": findings[:_MAX_LISTED],
        "notes": notes,
    }
    if not findings:
        return made(_NAME, PASSED, "No issues", score=100.0, details=details)
    summary = counted(len(findings), "issue") + (f" ({fixable} fixable)" if fixable else "")
    score = 100.0 - _PENALTY * 100.0 * len(findings) / max(100, lines)
    return made(
        _NAME, FAILED, summary, score=min(95.0, score), blocking=[summary], details=details, fixable=fixable > 0
    )  # fmt: skip


def listing(findings: list[dict[str, Any]]) -> str:
    """Return the findings as lines `file:line: RULE message`."""
    shown = [f"{item['file']}:{item['line']}: {item['rule']} {item['message']}" for item in findings[:_MAX_LISTED]]
    more = len(findings) - len(shown)
    return "\n".join([*shown, f"... and {more} more"] if more else shown)


def _relative(name: str, root: Path) -> str:
    path = Path(name)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
