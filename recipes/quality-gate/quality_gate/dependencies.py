"""The check dependency_audit: a lock, pins, and a shipped list of known-bad releases. Offline.

Owns the verdict on manifests. It asks no index, so it cannot know what was published yesterday: README says how to
extend the list. The one decision that would surprise: a library without a lock passes with a lower score; only a
known-bad release fails the check.
"""

from __future__ import annotations

import json
import operator
import re
from pathlib import Path
from typing import Any

from quality_gate.manifests import Manifests, normal, read
from quality_gate.project import Project
from quality_gate.result import FAILED, PASSED, Result, counted, made, not_applicable
from quality_gate.tool import Room

_NAME = "dependency_audit"
_LIST = Path(__file__).resolve().parent.parent / "known-bad.json"
_NO_LOCK, _UNPINNED, _UNPINNED_CAP, _DIRECT, _BAD = 20.0, 3.0, 20.0, 5.0, 40.0
_MAX_LISTED = 100


def dependency_audit(room: Room) -> Result:
    """Audit the manifests of the repository."""
    found = read(Project(root=room.workspace))
    if not found.declared_in and not found.locks and not found.broken:
        return not_applicable(_NAME, "No dependency files found")
    result = judged(found, json.loads(_LIST.read_text(encoding="utf-8"))["releases"])
    print(json.dumps(result["details"], indent=2))
    return result


def judged(found: Manifests, known_bad: list[dict[str, str]]) -> Result:
    """Return the verdict on what was read."""
    bad = matches(found, known_bad)
    unpinned = [item for item in found.requirements if item.must_pin and not item.version and not item.direct]
    direct = [item for item in found.requirements if item.direct]
    unlocked = bool(found.requirements) and not found.locks
    penalty = (
        _BAD * len(bad)
        + (_NO_LOCK if unlocked else 0.0)
        + min(_UNPINNED_CAP, _UNPINNED * len(unpinned))
        + min(_UNPINNED_CAP, _DIRECT * len(direct))
        + _NO_LOCK * len(found.broken)
    )
    details = {
        "declared_in": list(found.declared_in),
        "locks": list(found.locks),
        "declared": len(found.requirements),
        "locked": len(found.locked),
        "unpinned": [f"{item.source}: {item.name}{item.spec}" for item in unpinned[:_MAX_LISTED]],
        "direct": [f"{item.source}: {item.name}" for item in direct[:_MAX_LISTED]],
        "unreadable": list(found.broken),
        "known_bad": bad,
    }
    blocking = [f"{row['severity'].capitalize()}: {row['name']} {row['version']} ({row['id']})" for row in bad]
    blocking += [f"{name} cannot be read" for name in found.broken]
    status = FAILED if blocking else PASSED
    return made(_NAME, status, _summary(details, unlocked), score=100.0 - penalty, blocking=blocking, details=details)


def matches(found: Manifests, known_bad: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return `{name, version, id, severity, why, source}` for each chosen release on the list."""
    chosen = [(item.ecosystem, item.name, item.version, item.source) for item in found.locked]
    chosen += [(item.ecosystem, item.name, item.version or "", item.source) for item in found.requirements]
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for ecosystem, name, version, source in chosen:
        known_as = normal(name) if ecosystem == "python" else name
        for entry in known_bad:
            if (entry["ecosystem"], entry["name"]) == (ecosystem, known_as) and is_affected(
                version, entry.get("versions", "*")
            ):
                row = {key: entry[key] for key in ("id", "severity", "why")}
                shown = {"name": entry["name"], "version": version or "(any)", "source": source}
                rows.setdefault((entry["name"], version, entry["id"]), {**shown, **row})
    return list(rows.values())


def is_affected(version: str, versions: str) -> bool:
    """Tell whether `version` is in `versions`: `*`, or comma-joined bounds such as `>=1.0,<1.4.2` or `==2.0.1`.

    An unknown version ('' for a range in a manifest) is affected only by `*`.
    """
    if versions == "*":
        return True
    return bool(version) and all(_holds(version, bound.strip()) for bound in versions.split(","))


def _holds(version: str, bound: str) -> bool:
    match = re.fullmatch(r"(==|>=|<=|<|>)\s*(\S+)", bound)
    if match is None:
        return False
    compare = {"==": operator.eq, ">=": operator.ge, "<=": operator.le, "<": operator.lt, ">": operator.gt}[match[1]]
    return bool(compare(_ordered(version), _ordered(match[2])))


def _ordered(version: str) -> tuple[tuple[int, ...], int]:
    public = version.strip().lower().removeprefix("v").split("+", 1)[0]
    release = re.match(r"\d+(?:\.\d+)*", public)
    numbers = [int(part) for part in release[0].split(".")] if release else [0]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    rest = public[release.end() :] if release else public
    is_early = re.match(r"[-_.]?(a|b|c|rc|alpha|beta|pre|dev)", rest) is not None
    return tuple(numbers), 0 if is_early else 1


def _summary(details: dict[str, Any], unlocked: bool) -> str:
    if not details["declared"] and not details["locked"]:
        return "No dependencies declared"
    parts = (
        [counted(len(details["known_bad"]), "known-bad release")] if details["known_bad"] else ["No known-bad release"]
    )
    parts += ["no lock file"] if unlocked else [f"locked by {', '.join(details['locks'])}"] if details["locks"] else []
    parts += [f"{len(details['unpinned'])} unpinned"] if details["unpinned"] else []
    parts += [f"{len(details['direct'])} by URL"] if details["direct"] else []
    return ", ".join(parts)
