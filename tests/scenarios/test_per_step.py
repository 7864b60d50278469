"""Parallel steps with workspaces of their own, against the real engine and by the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.cli import Live, Wfconsole, git, recipe, repository, step, until

pytestmark = pytest.mark.engine

EDIT = """
import os, pathlib, sys, time
name, *files = sys.argv[1:]
assert not list(pathlib.Path().glob("*.mine")), "another step's files"
pathlib.Path(name + ".mine").touch()
while len(os.listdir("/scratch")) < 1:
    time.sleep(0.02)
for file in files:
    pathlib.Path(file).write_text(name + "\\n")
"""
FLOW = """
inputs: {{repo: {{type: path, required: true}}}}
workspace: {{source: "${{{{ inputs.repo }}}}", isolation: per_step}}
steps:
  left: {{run: [[python, edit.py, left, {left}]]}}
  right: {{run: [[python, edit.py, right, {right}]]}}
  both: {{needs: [left, right], isolation: read_only, run: [[cat, left.mine, right.mine, {left}, {right}]]}}
"""


@pytest.fixture(scope="module")
def project(place: Path) -> Path:
    return repository(place / "edited", {"edit.py": EDIT, "a.txt": "0\n", "b.txt": "0\n"})


def let_both_go(wf: Wfconsole, live: Live) -> None:
    """Each has its copy, and only then both go on: neither begins with what the other left."""
    for name in ("left", "right"):
        attempt = wf.folder(live.run_id) / "attempts" / name / "1"
        until((attempt / "workspace" / f"{name}.mine").exists, lambda: "a step does not begin")
    for name in ("left", "right"):
        (wf.folder(live.run_id) / "attempts" / name / "1" / "scratch" / "go").touch()


def test_exec_block_gap_3_parallel_steps_edit_different_files_and_what_needs_them_sees_both(
    wf: Wfconsole, place: Path, project: Path
) -> None:
    flow = recipe(place, "apart", FLOW.format(left="a.txt", right="b.txt"))
    with wf.live("run", flow, "-i", f"repo={project}", "--json") as live:
        let_both_go(wf, live)
        ended = live.end()
    assert ended.code == 0, ended.err
    view, run = ended.view, wf.folder(live.run_id)
    assert wf.run("logs", live.run_id, "both", "--stdout").out == "left\nright\n"
    patches = {artifact["step_id"]: artifact["name"] for artifact in view["artifacts"] if artifact["kind"] == "patch"}
    assert patches == {"left": "workspace.patch", "right": "workspace.patch"}
    for name in patches:
        git(project, "apply", str(run / "bundle" / "artifacts" / name / "workspace.patch"))
    assert (project / "a.txt").read_text() == (run / "workspace" / "a.txt").read_text() == "left\n"
    assert (project / "b.txt").read_text() == "right\n"
    git(project, "checkout", "--", ".")
    git(project, "clean", "-fdq")
    assert not list(run.glob("attempts/*/*/workspace"))


def test_exec_block_gap_3_parallel_steps_edit_the_same_file_and_the_later_one_says_which_and_with_whom(
    wf: Wfconsole, place: Path, project: Path
) -> None:
    flow = recipe(place, "apart", FLOW.format(left="a.txt", right="a.txt"))
    with wf.live("run", flow, "-i", f"repo={project}", "--json") as live:
        let_both_go(wf, live)
        ended = live.end()
    assert ended.code == 1, ended.err
    view = ended.view
    first, later = sorted(("left", "right"), key=lambda name: str(step(view, name)["status"]), reverse=True)
    assert (step(view, first)["status"], step(view, later)["status"]) == ("succeeded", "failed")
    failure = step(view, later)["failure"]
    assert failure["code"] == "PATCH_CONFLICT"
    assert failure["details"] == {"files": ["a.txt"], "steps": [later, first]}
    assert (wf.folder(live.run_id) / "workspace" / "a.txt").read_text() == f"{first}\n"
