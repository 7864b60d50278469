"""Coverage on the card: compared with what the same gate showed when it was last approved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.cli import Wfconsole, git, recipe, repository
from tests.scenarios.gate_runs import card, go_on, waiting

FLOW = """
steps:
  unit: {run: [[cat, cov.json]], reports: {coverage: cov.json}}
  ship: {needs: [unit], approval: {title: Ship?, context: {tests: [unit], risk: auto}}}
"""


def noted(wf: Wfconsole, path: Path, project: Path, percent: float) -> tuple[str, list[tuple[str, str]]]:
    """The run that measured this coverage, and what its card says of it."""
    (project / "cov.json").write_text(f'{{"totals": {{"percent_covered": {percent}}}}}')
    git(project, "commit", "-qam", f"{percent}")
    run_id = waiting(wf, path, "-i", f"repo={project}")
    notes: list[dict[str, Any]] = card(wf, run_id, "ship")["context"]["risk"]["notes"]
    return run_id, [(note["level"], note["saw"]) for note in notes if note["rule"] == "coverage_fell"]


@pytest.mark.engine
def test_st_wf_005_1_coverage_that_fell_since_the_last_approval_is_a_risk(tmp_path: Path) -> None:
    wf = Wfconsole(tmp_path / "home")
    project = repository(tmp_path / "project", {"cov.json": "{}"})
    path = recipe(tmp_path, "covered", FLOW)
    first, none = noted(wf, path, project, 90)
    assert none == []
    assert wf.run("approve", first).code == 0
    assert go_on(wf, first)["status"] == "succeeded"
    lower, fell = noted(wf, path, project, 82.5)
    assert fell == [("high", "coverage fell from 90.0 % to 82.5 %")]
    assert wf.run("reject", lower, "--reason", "no").code == 0
    go_on(wf, lower)
    again, fell = noted(wf, path, project, 88)  # what was rejected is nobody's measure
    assert fell == [("medium", "coverage fell from 90.0 % to 88.0 %")]
    assert wf.run("approve", again).code == 0
    assert go_on(wf, again)["status"] == "succeeded"
    assert noted(wf, path, project, 89)[1] == []
    other = repository(tmp_path / "other", {"cov.json": "{}"})
    assert noted(wf, path, other, 10)[1] == []
