"""The check security_scan: bandit over the sources.

Owns the severity of a finding and its wording. Tests are not scanned. The one decision that would surprise: bandit's
severities are raised to Critical where untrusted text becomes code or a query (SQL that reaches `execute`, a shell
command that is built from variables), because bandit has no word above HIGH.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from quality_gate.project import Project
from quality_gate.result import FAILED, PASSED, Result, counted, errored, made, not_applicable
from quality_gate.tool import Room, module, run

_NAME = "security_scan"
_BATCH = 2000
_MAX_LISTED = 100
_PENALTIES = {"critical": 100.0, "high": 40.0, "medium": 8.0, "low": 0.5}
_CAPS = {"critical": 100.0, "high": 100.0, "medium": 40.0, "low": 10.0}
_LEVELS = tuple(_PENALTIES)
_BLOCKING = ("critical", "high")
_CRITICAL = {"B608": "MEDIUM", "B602": "HIGH", "B605": "HIGH", "B610": "MEDIUM", "B611": "MEDIUM"}
"""Test id to the confidence (B602, B605: the severity) from which a finding is critical."""

TITLES = {
    "B102": "exec of code",
    "B103": "File permissions open to all",
    "B105": "Hard-coded password",
    "B108": "Predictable temporary file",
    "B113": "HTTP request without a timeout",
    "B201": "Flask debug mode (remote code execution)",
    "B202": "Archive extraction outside the target folder",
    "B301": "Deserialization of untrusted data",
    "B302": "Deserialization of untrusted data",
    "B303": "Weak hash",
    "B304": "Weak cipher",
    "B305": "Weak cipher mode",
    "B307": "eval of an expression",
    "B310": "URL opened with any scheme",
    "B314": "XML parser open to entity attacks",
    "B321": "Clear-text FTP",
    "B324": "Weak hash (MD5 or SHA-1)",
    "B401": "Clear-text telnet",
    "B501": "TLS certificate not verified",
    "B502": "Insecure TLS version",
    "B503": "Insecure TLS version",
    "B505": "Weak cryptographic key",
    "B506": "Unsafe YAML loading",
    "B507": "SSH host key not verified",
    "B602": "Shell injection vulnerability",
    "B605": "Shell injection vulnerability",
    "B608": "SQL injection vulnerability",
    "B610": "SQL injection vulnerability",
    "B611": "SQL injection vulnerability",
    "B614": "Deserialization of untrusted data",
    "B701": "Cross-site scripting (templates without escaping)",
    "B702": "Cross-site scripting (templates without escaping)",
    "B703": "Cross-site scripting (mark_safe)",
}


def security_scan(room: Room) -> Result:
    """Scan all sources that are no tests."""
    project = Project(root=room.workspace)
    names = list(project.source_files)
    if not names:
        return not_applicable(_NAME, "No Python sources found")
    findings: list[dict[str, Any]] = []
    errors: list[str] = []
    for start in range(0, len(names), _BATCH):
        target = room.out / f"security-{start // _BATCH}.json"
        batch = [f"./{name}" for name in names[start : start + _BATCH]]
        argv = [*module("bandit"), "-q", *_config(project), "-f", "json", "-o", str(target), *batch]
        ran = run(room, argv, cwd=room.workspace)
        if ran.timed_out or not target.is_file():
            return errored(_NAME, f"bandit gave no report (exit status {ran.exit_code}): {ran.output[-300:]}")
        text = target.read_text(encoding="utf-8")
        findings += parse(text)
        errors += unread(text)
    print(listing(findings))
    return judged(findings, errors)


def parse(text: str) -> list[dict[str, Any]]:
    """Return bandit's findings as `{file, line, rule, title, level, confidence, message}`, worst first."""
    findings = [
        {
            "file": str(Path(item["filename"]).as_posix()).removeprefix("./"),
            "line": item.get("line_number"),
            "rule": item["test_id"],
            "title": TITLES.get(item["test_id"], str(item.get("issue_text", "")).split(". ")[0].rstrip(".")),
            "level": level(item["test_id"], item["issue_severity"], item["issue_confidence"]),
            "confidence": str(item["issue_confidence"]).lower(),
            "message": item.get("issue_text", ""),
        }
        for item in json.loads(text)["results"]
    ]
    return sorted(findings, key=lambda item: (_LEVELS.index(item["level"]), item["file"], item["line"] or 0))


def unread(text: str) -> list[str]:
    """Return the files that bandit could not read, with its reason."""
    return [f"{item.get('filename')}: {item.get('reason')}" for item in json.loads(text).get("errors", [])]


def level(rule: str, severity: str, confidence: str) -> str:
    """Return critical, high, medium or low. A high finding of low confidence counts as medium."""
    measure = severity if rule in {"B602", "B605"} else confidence
    order = ("UNDEFINED", "LOW", "MEDIUM", "HIGH")
    if rule in _CRITICAL and measure in order and order.index(measure) >= order.index(_CRITICAL[rule]):
        return "critical"
    if severity == "HIGH" and confidence == "LOW":
        return "medium"
    return severity.lower() if severity.lower() in _LEVELS else "low"


def judged(findings: list[dict[str, Any]], errors: list[str]) -> Result:
    """Return the verdict: critical and high findings block; each level has its penalty and cap."""
    counts = Counter(item["level"] for item in findings)
    penalty = sum(min(_CAPS[name], _PENALTIES[name] * counts[name]) for name in _LEVELS)
    details = {
        "counts": {name: counts[name] for name in _LEVELS},
        "findings": findings[:_MAX_LISTED],
        "unread": errors[:_MAX_LISTED],
    }
    blocking = messages([item for item in findings if item["level"] in _BLOCKING])
    summary = ", ".join(f"{counts[name]} {name}" for name in _LEVELS if counts[name]) or "No vulnerabilities"
    if errors:
        summary += f" ({counted(len(errors), 'file')} could not be read)"
    status = FAILED if blocking else PASSED
    return made(_NAME, status, summary, score=100.0 - penalty, blocking=blocking, details=details)


def messages(findings: list[dict[str, Any]]) -> list[str]:
    """Return one line a level and title: `Critical: SQL injection vulnerability`, with `(3 places)` when repeated."""
    counts = Counter((item["level"], item["title"]) for item in findings)
    return [
        f"{name.capitalize()}: {title}" + (f" ({count} places)" if count > 1 else "")
        for (name, title), count in counts.items()
    ]


def listing(findings: list[dict[str, Any]]) -> str:
    """Return the findings as lines `file:line: level RULE message`."""
    return "\n".join(
        f"{item['file']}:{item['line']}: {item['level']} {item['rule']} {item['message']}"
        for item in findings[:_MAX_LISTED]
    )


def _config(project: Project) -> list[str]:
    return ["-c", "pyproject.toml"] if project.table("tool", "bandit") is not None else []
