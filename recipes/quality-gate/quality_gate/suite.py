"""Running the project's test suite in a copy of the repository.

Owns pytest's command line. It refuses to judge the outcome: `tests.py` and `coverage.py` do. The one decision that
would surprise: when pytest refuses the project's own `addopts` (a plugin that is not installed), the suite is run once
more without them, and the result says so.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from quality_gate import junit, metadata
from quality_gate.project import Project, copied
from quality_gate.tool import Ran, Room, run

_PLUGINS = Path(__file__).resolve().parent.parent / "plugin"
_USAGE_ERROR = 4
_MAX_REPORT_BYTES = 64 * 1024 * 1024
_EMPTY = '<?xml version="1.0" encoding="utf-8"?><testsuites/>\n'

Selection = Literal["unit", "integration", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One run of the suite; `report` is None when pytest left none; `notes` says what was not as the project has it."""

    ran: Ran
    report: junit.Report | None
    notes: tuple[str, ...] = ()


def prepared(room: Room) -> Project:
    """Return a copy of the repository in which tests may do as they like."""
    project = copied(room.workspace, room.scratch / "src")
    metadata.announce(project, room.folder("site"))
    return project


def no_report(room: Room, selection: Selection) -> Path:
    """Write an empty JUnit report, for a suite that was not run, and return its file."""
    path = room.out / f"{selection}.xml"
    path.write_text(_EMPTY, encoding="utf-8")
    return path


def run_suite(room: Room, project: Project, selection: Selection, *, through: list[str] | None = None) -> Suite:
    """Run the selected tests; `through` is an argv that runs a module in place of `python` (coverage)."""
    report = no_report(room, selection)
    argv = [*(through or [sys.executable]), "-m", "pytest", *_options(room, report)]
    paths, env = _paths(project, selection), _environment(room, project, selection)
    ran = run(room, [*argv, *paths], cwd=project.root, env=env)
    if ran.exit_code != _USAGE_ERROR:
        return Suite(ran=ran, report=_read(report))
    plain = [*argv, "-o", "addopts=", "-o", "required_plugins=", *paths]
    return Suite(
        ran=run(room, plain, cwd=project.root, env=env),
        report=_read(report),
        notes=("pytest refused the project's addopts; the suite was run without them",),
    )


def import_path(room: Room, project: Project) -> str:
    """Return the PYTHONPATH on which the project's packages are found without being installed."""
    folders = [project.root / "src"] if (project.root / "src").is_dir() else []
    return os.pathsep.join(str(folder) for folder in [*folders, project.root, room.folder("site"), _PLUGINS])


def _options(room: Room, report: Path) -> list[str]:
    options = [
        "-p", "quality_gate_select", "-q", "--color=no", "--tb=short", "--maxfail=0", "--continue-on-collection-errors",
        f"--junitxml={report}", "-o", f"cache_dir={room.folder('cache')}",
    ]  # fmt: skip
    return [*options, "--no-cov"] if find_spec("pytest_cov") else options


def _paths(project: Project, selection: Selection) -> list[str]:
    if selection == "integration":
        return [*project.integration_folders, *project.integration_files]
    if selection == "unit":
        return [f"--ignore={folder}" for folder in project.integration_folders]
    return []


def _environment(room: Room, project: Project, selection: Selection) -> dict[str, str]:
    return {
        "PYTHONPATH": import_path(room, project),
        "QUALITY_GATE_SELECT": selection,
        "QUALITY_GATE_FOLDERS": os.pathsep.join(str(project.root / name) for name in project.integration_folders),
    }


def _read(report: Path) -> junit.Report | None:
    try:
        if report.stat().st_size > _MAX_REPORT_BYTES:
            return None
        text = report.read_text(encoding="utf-8", errors="replace")
        return None if text == _EMPTY else junit.parse(text)
    except (OSError, ValueError):
        return None


def forget(project: Project) -> None:
    """Remove the copy, for a check that needs a fresh one."""
    shutil.rmtree(project.root)
