"""Creating runs: keys, intents, pins, and what is left when it cannot be done."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.cli import Result, Wfconsole, git, let_go, recipe, repository, step

PURE = "steps: {one: {set: {a: 1}}}\n"
HELD = "steps: {hold: {run: [[python, hold.py, hold]]}, after: {needs: [hold], run: [[echo, as pinned]]}}\n"
GOAL = """
inputs:
  goal: {type: string, required: true}
  repo: {type: path, required: true}
  depth: {type: integer, default: 1}
workspace: {source: "${{ inputs.repo }}"}
limits: {cost_usd: 5}
steps: {one: {set: {said: "${{ inputs.goal }}"}}}
"""


def runs(wf: Wfconsole) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = wf.run("runs", "--json").json["runs"]
    return found


def folders(wf: Wfconsole) -> list[str]:
    return sorted(path.name for path in (wf.home / "runs").iterdir()) if (wf.home / "runs").exists() else []


def test_st_wf_001_2_the_same_key_is_the_same_run(wf: Wfconsole, repo: Path) -> None:
    line = ["run", str(recipe(repo.parent, "pure", PURE)), "-i", f"repo={repo}", "--id", "key/1", "--json"]
    first = wf.run(*line)
    before = wf.run("show", "key/1", "--json").stdout
    again = wf.run(*line)
    assert (first.code, again.code) == (0, 0), again.err
    assert again.view["run_id"] == first.view["run_id"]
    assert wf.run("show", "key/1", "--json").stdout == before
    assert folders(wf) == [first.view["run_id"]]


def test_st_wf_002_2_a_run_goes_on_by_its_key_when_its_recipe_is_gone(wf: Wfconsole, repo: Path) -> None:
    path = recipe(repo.parent, "passing", PURE)
    line = ["run", str(path), "-i", f"repo={repo}", "--id", "kept", "--json"]
    run_id = wf.run(*line, "--detach").json["run_id"]
    path.unlink()
    ended = wf.run(*line)
    assert (ended.code, ended.view["run_id"], ended.view["status"]) == (0, run_id, "succeeded"), ended.err


def test_w1_a_the_same_key_at_the_same_time_is_one_run(wf: Wfconsole, repo: Path) -> None:
    line = ["run", str(recipe(repo.parent, "pure", PURE)), "-i", f"repo={repo}", "--id", "race", "--json"]
    ends: list[Result] = []
    threads = [threading.Thread(target=lambda: ends.append(wf.run(*line))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [end.code for end in ends] == [0] * 4, [end.err for end in ends]
    assert len({end.view["run_id"] for end in ends}) == 1
    assert wf.rows("SELECT count(*) AS n FROM runs WHERE workflow_id = 'race'") == [{"n": 1}]
    assert folders(wf) == sorted(run["run_id"] for run in runs(wf))


def test_st_wf_001_3_inputs_checks_and_the_key_are_told_at_once_and_leave_nothing(wf: Wfconsole, repo: Path) -> None:
    path = recipe(
        repo.parent,
        "strict",
        """
        inputs:
          repo: {type: path, required: true}
          floor: {type: number, default: 80, minimum: 0}
          tone: {type: string, choices: [plain, loud], default: plain}
        check: [{that: inputs.floor < 101, message: no percentage, hint: "0 to 100"}, {that: inputs.tone != '', message: x}]
        workspace: {source: "${{ inputs.repo }}"}
        steps: {one: {set: {a: 1}}}
        """,
    )
    wf.run("runs")
    before, known = sorted(wf.home.rglob("*")), runs(wf)
    refused = wf.run("run", path, "-i", "floor=200", "-i", "tone=lowd", "-i", "tune=x", "--id", "no key", "--json")
    told = {problem["where"]: problem["code"] for problem in refused.error["details"]["problems"]}
    assert (refused.code, refused.error["code"]) == (2, "INPUT_INVALID")
    assert told == {
        "repo": "INPUT_MISSING",
        "tone": "INPUT_INVALID",
        "tune": "INPUT_INVALID",
        "check": "INPUT_INVALID",
        "--id": "INPUT_INVALID",
    }
    assert runs(wf) == known
    assert [path for path in sorted(wf.home.rglob("*")) if "-shm" not in path.name and "-wal" not in path.name] == [
        path for path in before if "-shm" not in path.name and "-wal" not in path.name
    ]


def test_a_key_that_is_none_is_refused(wf: Wfconsole, repo: Path) -> None:
    before = folders(wf)
    refused = wf.run("run", recipe(repo.parent, "pure", PURE), "-i", f"repo={repo}", "--id", "no key\n", "--json")
    assert (refused.code, refused.error["code"]) == (2, "INPUT_INVALID")
    assert folders(wf) == before


@pytest.mark.engine
def test_st_wf_002_2_a_changed_recipe_does_not_change_a_started_run(wf: Wfconsole, repo: Path) -> None:
    path = recipe(repo.parent, "held", HELD)
    digest = wf.run("recipes", "show", path, "--json").json["digest"]
    with wf.live("run", path, "-i", f"repo={repo}", "--json") as live:
        live.here("hold")
        recipe(repo.parent, "held", HELD.replace("as pinned", "changed").replace("after", "later"))
        (repo / "read.me").write_text("changed\n")
        let_go(wf, live.run_id, "hold")
        ended = live.end()
    git(repo, "checkout", "-q", "read.me")
    assert ended.code == 0, ended.err
    assert ended.view["recipe"]["digest"] == digest
    assert wf.run("logs", ended.view["run_id"], "after").stdout == b"as pinned\n"
    detached = wf.run("run", path, "-i", f"repo={repo}", "--id", "later", "--detach", "--json")
    recipe(repo.parent, "held", PURE)
    let_go(wf, detached.json["run_id"], "hold")
    driven = wf.run("run", path, "-i", f"repo={repo}", "--id", "later", "--json")
    assert (driven.code, step(driven.view, "later")["status"]) == (0, "succeeded"), driven.err


def test_st_wf_002_3_when_pinning_cannot_be_recorded_nothing_is_created(place: Path, repo: Path) -> None:
    """The store refuses the journal's first row, at the last moment that it can."""
    wf = Wfconsole(place / "refusing")
    path = recipe(place, "pure", PURE)
    assert wf.run("run", path, "-i", f"repo={repo}").code == 0
    before, known = folders(wf), runs(wf)
    with closing(sqlite3.connect(wf.home / "wfconsole.db")) as db, db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'no room'); END")
    refused = wf.run("run", path, "-i", f"repo={repo}", "--id", "never", "--json")
    assert (refused.code, refused.stdout) == (5, b""), refused.err
    assert refused.error["code"] == "VERSION_NOT_PINNED"
    assert "no room" in refused.error["message"]
    assert refused.error["hint"]
    assert folders(wf) == before
    assert runs(wf) == known
    assert wf.run("show", "never", "--json").error["code"] == "NOT_FOUND"


def intent(wf: Wfconsole, payload: dict[str, Any]) -> Result:
    return wf.run("intent", "submit", "-", "--json", stdin=json.dumps(payload).encode())


def test_an_intent_has_the_same_id_for_the_same_payload(wf: Wfconsole, repo: Path) -> None:
    payload = {"goal": "try it", "inputs": {"depth": 3, "repo": str(repo)}, "constraints": {"budgetUsd": 2}}
    first = intent(wf, payload)
    again = intent(wf, dict(reversed(payload.items())))
    assert first.code == 0, first.err
    assert first.json["intent_id"] == again.json["intent_id"]
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert first.json["intent_id"] == hashlib.sha256(canonical).hexdigest()
    fraction = intent(wf, {**payload, "constraints": {"budgetUsd": 2.0}})
    assert fraction.json["intent_id"] == first.json["intent_id"]
    assert intent(wf, {**payload, "goal": "another"}).json["intent_id"] != first.json["intent_id"]


def test_an_intent_runs_with_a_recipe_its_inputs_and_its_budget(wf: Wfconsole, repo: Path) -> None:
    path = recipe(repo.parent, "goal", GOAL)
    payload = {"goal": "try it", "inputs": {"depth": 3}, "constraints": {"budgetUsd": 2}, "project_path": str(repo)}
    intent_id = intent(wf, payload).json["intent_id"]
    done = wf.run("intent", "run", intent_id[:12], "--recipe", path, "--json")
    assert (done.code, done.view["status"]) == (0, "succeeded"), done.err
    assert done.view["intent_hash"] == intent_id
    assert done.view["trigger"]["kind"] == "intent"
    assert done.view["inputs"] == {"depth": 3, "goal": "try it", "repo": str(repo)}
    assert done.view["budget"]["limits"]["cost_usd"] == 2


def test_exec_block_19_an_intent_never_runs_on_another_project_than_its_own(wf: Wfconsole, repo: Path) -> None:
    other = repository(repo.parent / "other")
    before = folders(wf)
    path = recipe(repo.parent, "fixed", 'workspace: {source: "./repo"}\nsteps: {one: {set: {a: 1}}}\n')
    intent_id = intent(wf, {"goal": "this one", "project_path": str(other), "recipe": str(path)}).json["intent_id"]
    refused = wf.run("intent", "run", intent_id, "--json")
    assert (refused.code, refused.error["code"]) == (2, "INPUT_INVALID")
    (problem,) = refused.error["details"]["problems"]
    assert (problem["where"], str(other) in problem["message"]) == ("project_path", True)
    assert folders(wf) == before
    done = wf.run("intent", "run", intent_id, "--recipe", recipe(repo.parent, "goal", GOAL), "--json")
    assert (done.view["project"], done.view["inputs"]["repo"]) == ("other", str(other)), done.err


def test_an_intent_without_a_recipe_or_a_goal_is_refused_with_a_hint(wf: Wfconsole, repo: Path) -> None:
    before = folders(wf)
    intent_id = intent(wf, {"goal": "no recipe", "project_path": str(repo)}).json["intent_id"]
    refused = wf.run("intent", "run", intent_id, "--json")
    assert (refused.code, refused.error["code"]) == (2, "INPUT_MISSING")
    assert "--recipe" in refused.error["hint"]
    nameless = intent(wf, {"inputs": {}, "gaol": "x"})
    assert nameless.code == 2
    wheres = {problem["where"] for problem in nameless.error["details"]["problems"]}
    assert wheres == {"goal", "gaol"}
    assert wf.run("intent", "run", "feedbeef", "--json").code == 2
    assert folders(wf) == before


def test_recipe_findings_are_told_all_at_once_and_nothing_is_created(wf: Wfconsole, place: Path) -> None:
    repository(place / "unused")
    path = place / "wrong.yaml"
    path.write_text("recipe: wrong\nstepz: {}\nsteps:\n  a: {needs: [b], run: ['x | y']}\n  c: {run: [], nedes: [a]}\n")
    before = folders(wf)
    refused = wf.run("run", path, "--json")
    assert (refused.code, refused.error["code"]) == (2, "RECIPE_INVALID")
    places = {problem["where"].removeprefix(str(path)) for problem in refused.error["details"]["problems"]}
    assert len(places) >= 4
    assert any("steps" in problem["hint"] for problem in refused.error["details"]["problems"])
    assert wf.run("run", "no-such-recipe", "--json").error["code"] == "RECIPE_NOT_FOUND"
    assert folders(wf) == before
