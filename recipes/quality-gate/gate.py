"""Entry point of every step of quality-gate: `gate.py check NAME | score | fix | comment`.

Owns the environment: where the workspace is, where results go. `check` reads settings from QUALITY_GATE_*, `score` and
`comment` read one JSON document on stdin; each writes its outputs to $WFCONSOLE_OUTPUT. The exit status is 0 when the
work could be done, whatever the verdict.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quality_gate import (
    comment as markdown,
    coverage,
    dependencies,
    fix,
    lint,
    performance,
    score,
    security,
    static,
    tests,
)
from quality_gate.result import Result
from quality_gate.tool import Room

CHECKS: dict[str, Callable[[Room], Result]] = {
    "unit_tests": tests.unit_tests,
    "integration_tests": tests.integration_tests,
    "lint": lint.lint,
    "security_scan": security.security_scan,
    "code_coverage": lambda room: coverage.code_coverage(room, float(os.environ.get("QUALITY_GATE_COVERAGE", "80"))),
    "performance": lambda room: performance.performance(room, os.environ.get("QUALITY_GATE_BASELINE", "")),
    "dependency_audit": dependencies.dependency_audit,
    "static_analysis": static.static_analysis,
}


def check(room: Room, name: str) -> dict[str, Any]:
    result = CHECKS[name](room)
    print(f"\n{result['title']}: {result['status']} - {result['summary']}")
    for line in result["blocking"]:
        print(f"  {line}")
    return {"result": result}


def scored(document: dict[str, Any]) -> dict[str, Any]:
    result = score.scored(
        document["reports"],
        required=document["required_checks"],
        required_score=document["required_score"],
        required_coverage=document["required_coverage"],
    )
    print(f"Overall score {result['overall_score']:g}, can merge: {'yes' if result['can_merge'] else 'no'}")
    for line in result["blocking_issues"]:
        print(f"  {line}")
    return {"result": result, "fixable": result["fixable"]}


def commented(room: Room, document: dict[str, Any]) -> dict[str, Any]:
    text = markdown.comment(
        {**document["result"], "pr_number": document["pr_number"], "branch": document["branch"]},
        document["fixed"] or [],
        required_score=document["required_score"],
    )
    (room.scratch / "comment.md").write_text(text, encoding="utf-8")
    print(text)
    return {"can_merge": document["result"]["can_merge"]}


def main(arguments: list[str]) -> int:
    room = Room(
        workspace=Path.cwd(),
        scratch=Path(os.environ["WFCONSOLE_SCRATCH"]),
        limit_s=float(os.environ.get("QUALITY_GATE_LIMIT_S", "480")),
    )
    match arguments:
        case ["check", name] if name in CHECKS:
            outputs = check(room, name)
        case ["score"]:
            outputs = scored(json.load(sys.stdin))
        case ["fix"]:
            outputs = fix.fix(room)
        case ["comment"]:
            outputs = commented(room, json.load(sys.stdin))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    text = json.dumps(outputs)
    Path(os.environ["WFCONSOLE_OUTPUT"]).write_text(text, encoding="utf-8")
    if arguments[0] in {"check", "fix"}:  # every check leaves what it found, also one that does not apply
        kept = room.scratch / "out"
        kept.mkdir(exist_ok=True)
        (kept / "result.json").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
