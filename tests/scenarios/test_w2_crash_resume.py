"""W2: the process that drives a run is killed after `s1` and before `s2`; a worker goes on, and each step took effect once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.scenarios.cli import Wfconsole, containers, let_go, recipe, step
from tests.scenarios.killing import killed

pytestmark = pytest.mark.engine

ONCE = [{"step": "s1", "count(*)": 1}, {"step": "s2", "count(*)": 1}]
SQL = "SELECT step, count(*) FROM marks WHERE run_id='{}' GROUP BY step"
"""The query of the seed; `db query` takes no parameters."""
PLAIN = """
steps:
  s1: {run: [[python, -c, "open('effects', 'a').write('s1 ')"]]}
  s2: {needs: [s1], run: [[python, -c, "open('effects', 'a').write('s2 ')"]]}
"""
HELD = """
steps:
  s1: {run: [[python, -c, "open('effects', 'a').write('s1 ')"]]}
  s2: {needs: [s1], run: [[python, -c, "open('effects', 'a').write('s2 ')"], [python, hold.py, s2]]}
"""


@pytest.mark.parametrize("at", ["preparing s2#1", "going s2#1"])
def test_w2_killed_after_s1_and_before_s2_each_has_one_mark_and_one_effect(wf: Wfconsole, repo: Path, at: str) -> None:
    path = recipe(repo.parent, "plain", PLAIN)
    key = at.partition(" ")[0]
    killed(wf, at, "run", str(path), "-i", f"repo={repo}", "--id", key)
    run_id = wf.show(key)["run_id"]
    effects = wf.folder(run_id) / "workspace" / "effects"
    assert wf.rows(SQL.format(run_id)) == ONCE[:1]
    assert effects.read_text() == "s1 "
    before = wf.show(key)
    assert (before["status"], step(before, "s1")["status"]) == ("running", "succeeded")

    worked = wf.run("worker", "--until-idle")

    assert worked.code == 0, worked.err
    after = wf.show(run_id)
    assert (after["status"], [len(each["attempts"]) for each in after["steps"]]) == ("succeeded", [1, 1])
    assert step(after, "s1") == step(before, "s1")
    assert wf.rows(SQL.format(run_id)) == ONCE
    assert effects.read_text() == "s1 s2 "
    assert containers(run_id) == []
    assert wf.run("audit", "verify", run_id).code == 0


def test_w2_killed_from_outside_when_s1_was_told_each_has_one_mark_and_one_effect(wf: Wfconsole, repo: Path) -> None:
    with wf.live("run", recipe(repo.parent, "held", HELD), "-i", f"repo={repo}", "--json") as live:
        live.event("step_succeeded", step_id="s1")
        os.kill(live.process.pid, signal.SIGKILL)
        live.process.wait()
        run_id = live.run_id
    let_go(wf, run_id, "s2")
    worked = wf.run("worker", "--until-idle")
    assert worked.code == 0, worked.err
    assert wf.show(run_id)["status"] == "succeeded"
    assert wf.rows(SQL.format(run_id)) == ONCE
    assert (wf.folder(run_id) / "workspace" / "effects").read_text() == "s1 s2 "
    again = wf.run("worker", "--until-idle")
    assert (again.code, wf.rows(SQL.format(run_id))) == (0, ONCE)
