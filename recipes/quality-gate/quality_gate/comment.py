"""The pull request comment, in Markdown. Pure.

Owns its layout. The one decision that would surprise: every text that came from the repository is escaped character by
character, since a test's name may hold Markdown, HTML, a mention of a user or a terminal's escape sequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quality_gate.result import floored

_SIGNS = {"passed": "✓ passed", "failed": "✗ failed", "errored": "✗ errored", "not_applicable": "○ not applicable"}
_SHOWN = {character: f"\\{character}" for character in "\\`*_[]#|~"} | {
    "<": "&lt;",
    ">": "&gt;",
    "&": "&amp;",
    "@": "&#64;",
}
_MAX_FILES = 20


def comment(result: Mapping[str, Any], fixed: list[str], *, required_score: float) -> str:
    """Return the comment; `result` is what `score.scored` returned plus `pr_number` and `branch`."""
    verdict = "✓ can be merged" if result["can_merge"] else "✗ cannot be merged"
    parts = [
        f"## Quality gate: {verdict}",
        "",
        f"{_subject(result)}Overall score **{result['overall_score']:g}** (required {floored(required_score)}).",
        "",
        *table(result["checks"]),
    ]
    if result["blocking_issues"]:
        parts += ["", "### Blocking issues", "", *(f"- {escaped(line)}" for line in result["blocking_issues"])]
    if fixed:
        more = [f"- and {len(fixed) - _MAX_FILES} more"] if len(fixed) > _MAX_FILES else []
        files = [f"- {escaped(name)}" for name in fixed[:_MAX_FILES]]
        parts += [
            "",
            "### Automatic fixes",
            "",
            "Safe lint fixes were applied and all checks ran again.",
            "",
            *files,
            *more,
        ]
    return "\n".join([*parts, ""])


def table(checks: list[Mapping[str, Any]]) -> list[str]:
    """Return the lines of the table of checks."""
    rows = [
        f"| {check['title']} | {_SIGNS[check['status']]} | {'yes' if check['required'] else 'no'} | "
        f"{'' if check['score'] is None else format(check['score'], 'g')} | {escaped(check['summary'])} |"
        for check in checks
    ]
    return ["| Check | Status | Required | Score | Summary |", "| --- | --- | --- | --- | --- |", *rows]


def escaped(text: str) -> str:
    """Return `text` as one line of inert Markdown; control and bidirectional characters become U+FFFD."""
    line = " ".join(text.split())
    shown = "".join(character if character.isprintable() else "\ufffd" for character in line)
    inert = "".join(_SHOWN.get(character, character) for character in shown).replace("://", "&#58;//")
    return f"\\{inert}" if inert[:1] in {"-", "+", "="} else inert


def _subject(result: Mapping[str, Any]) -> str:
    number, branch = result.get("pr_number"), result.get("branch")
    parts = [f"Pull request {number}" if number else "", f"branch {escaped(str(branch))}" if branch else ""]
    named = ", ".join(part for part in parts if part)
    return f"{named[:1].upper()}{named[1:]}. " if named else ""
