"""Making the project known as an installed distribution, without installing it.

Owns a `dist-info` folder beside the copy, so that `importlib.metadata` finds the version and the entry points that
many test suites ask for. It refuses to build anything: a build backend would need the network.
"""

from __future__ import annotations

import re
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from quality_gate.project import Project

_FALLBACK_VERSION = "0.0.0"


def announce(project: Project, site: Path) -> None:
    """Write the distribution's metadata under `site`, when the project has a name."""
    headers = _headers(project)
    name = headers.get("Name")
    if name is None:
        return
    folder = site / f"{re.sub(r'[-_.]+', '_', name)}-{headers.get('Version', _FALLBACK_VERSION)}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{key}: {value}" for key, value in headers.items()]
    (folder / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines, ""]), encoding="utf-8")
    (folder / "entry_points.txt").write_text(entry_points(project.table("project") or {}), encoding="utf-8")


def entry_points(project: dict[str, Any]) -> str:
    """Return entry_points.txt for a `[project]` table."""
    groups = {"console_scripts": project.get("scripts"), "gui_scripts": project.get("gui-scripts")}
    groups |= project.get("entry-points") or {}
    lines: list[str] = []
    for group, entries in groups.items():
        if isinstance(entries, dict) and entries:
            lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()), ""]
    return "\n".join(lines)


def _headers(project: Project) -> dict[str, str]:
    found: dict[str, str] = {}
    if "PKG-INFO" in project.files:
        parsed = HeaderParser().parsestr(project.text("PKG-INFO"))
        found = {key: parsed[key] for key in ("Name", "Version", "Summary") if parsed[key]}
    table = project.table("project") or {}
    for key, field in (("Name", "name"), ("Version", "version")):
        value = table.get(field)
        if key not in found and isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9._+!-]{1,100}", value):
            found[key] = value
    return found
