"""The commands that act or look at the machine: cancel, pause, resume, intent, recipes, templates, doctor, db, config."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.desk import Desk
from tests.fakes.journals import RUN_ID, Journal, plan, step
from wfconsole.control.door import Problem
from wfconsole.control.wiring import Check
from wfconsole.domain.facts import CancelRun, PauseRun


@pytest.fixture
def running(desk: Desk) -> Desk:
    journal = Journal(plan(step("a"), step("b", "a")))
    journal.take()
    desk.door.add(journal)
    return desk


def test_pause_resume_and_cancel(running: Desk) -> None:
    assert running.run("pause", RUN_ID, "--reason", "lunch").text == f"{RUN_ID}  pausing: 1 step draining\n"
    assert running.run("resume", RUN_ID).code == 0
    assert running.run("cancel", "@latest", "--reason", "enough", "--json").json == {
        "run_id": RUN_ID,
        "status": "cancelled",
        "pausing": None,
    }
    pause, _, cancel = running.door.sent
    assert isinstance(pause, PauseRun)
    assert isinstance(cancel, CancelRun)
    assert (pause.reason, cancel.reason, cancel.actor.user, cancel.at) == ("lunch", "enough", "ann", running.now)


def test_what_the_state_does_not_allow_exits_6_with_the_reason(running: Desk) -> None:
    ran = running.run("resume", RUN_ID)
    assert ran.code == 6
    assert ran.err.splitlines()[0] == f"error: TRANSITION_REFUSED: run {RUN_ID} is not paused: running"
    running.run("cancel", RUN_ID)
    over = running.run("cancel", RUN_ID)
    assert (over.code, over.err.splitlines()[-1]) == (6, f"hint: wfconsole show {RUN_ID}")


def test_rollback_is_for_later(running: Desk) -> None:
    assert running.run("cancel", RUN_ID, "--rollback").code == 2
    assert running.door.sent == []


def test_intent_submit_and_run(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "intent.json").write_text('{"goal": "g"}')
    assert desk.run("intent", "submit", str(tmp_path / "intent.json")).text == "ab" * 32 + "\n"
    assert desk.run("intent", "submit", "-", "--json", stdin=b'{"goal": "g"}').json["intent"] == {"goal": "g"}
    assert desk.run("intent", "run", "abab").code == 2
    ran = desk.run("intent", "run", "abab", "--recipe", "quality-gate", "--json")
    assert ran.objects[-1]["run"]["status"] == "succeeded"
    assert (desk.door.requests[0].trigger, desk.door.requests[0].intent_hash) == ("intent", "abab")
    assert desk.run("intent", "submit", "/does/not/exist").code == 2


def test_recipes_list_tells_what_is_hidden_on_stderr(desk: Desk) -> None:
    ran = desk.run("recipes", "list")
    assert ran.lines == ["RECIPE        VERSION  FROM     DESCRIPTION", "quality-gate  1.0.0    project  Eight checks"]
    assert ran.err == "quality-gate: the one in project hides the one in built-in\n"
    assert desk.run("recipes", "list", "--json").json["recipes"][0]["shadows"] == ["built-in"]


def test_recipes_show(desk: Desk) -> None:
    assert desk.run("recipes", "show", "quality-gate").lines == [
        "quality-gate@1.0.0  abababababab  built-in",
        "q.yaml",
        "Eight checks␛[2J",
        "",
        "inputs",
        "  repo  path  required  What to check",
        "",
        "steps",
        "  unit  run  after lint",
    ]
    assert desk.run("recipes", "show", "quality-gate", "--json").json["text"] == "recipe: quality-gate\n"
    assert desk.run("recipes", "show", "other").code == 2


def test_recipes_validate_lists_every_finding(desk: Desk) -> None:
    assert (desk.run("recipes", "validate", "r.yaml").text, desk.run("recipes", "validate", "r.yaml").code) == (
        "valid\n",
        0,
    )
    warning = Problem(code="POLICY_BLOCKED", message="rm /x", where="r.yaml:9:3", severity="warning")
    desk.recipes.findings = [warning]
    assert desk.run("recipes", "validate", "r.yaml").code == 0
    desk.recipes.findings = [
        Problem(code="RECIPE_INVALID", message="unknown key", hint="steps?", where="r.yaml:1:1"),
        warning,
    ]
    ran = desk.run("recipes", "validate", "r.yaml")
    assert ran.code == 2
    assert ran.lines == [
        "r.yaml:1:1: error: RECIPE_INVALID: unknown key",
        "    hint: steps?",
        "r.yaml:9:3: warning: POLICY_BLOCKED: rm /x",
        "not valid",
    ]
    document = desk.run("recipes", "validate", "r.yaml", "--json").json
    assert (document["valid"], len(document["findings"])) == (False, 2)


def test_recipes_schema_is_json_either_way(desk: Desk) -> None:
    assert desk.run("recipes", "schema").json == desk.run("recipes", "schema", "--json").json == {"type": "object"}


def test_templates(desk: Desk) -> None:
    assert desk.run("templates", "list").lines[1] == "python    ok     sha256:00"
    shown = desk.run("templates", "show", "python")
    assert shown.lines == [
        "name   python", "state  ok", "env", "  PATH  /bin", "differences", "  one", "  ␛[2Jtwo", "tools",
        "  TOOL  VERSION  PROGRAM       SHA256", "  git   2.39.5   /usr/bin/git  0123456789ab",
        "  ruff  >=0.6    -             -",
    ]  # fmt: skip
    built = desk.run("templates", "build", "python", "--json")
    assert (built.json["state"], built.err) == ("ok", "unpacking\n")
    assert desk.run("templates", "lock", "python", "--json").json["state"] == "ok"
    frozen = desk.run("templates", "build", "python", "--frozen")
    assert (frozen.code, "not the committed one" in frozen.err) == (5, True)
    assert desk.run("templates", "check").code == 0
    desk.templates.state = "drift"
    drifted = desk.run("templates", "check", "python")
    assert (drifted.code, drifted.lines[-1]) == (5, "  python: layers: expected a, observed b")


def test_doctor_gives_a_remedy_and_exits_5_when_something_is_missing(desk: Desk) -> None:
    assert desk.run("doctor").text == "✓ engine: Docker 20.10\n"
    desk.checks.append(Check(name="disk", status="warn", message="2 GiB free", remedy="free some"))
    assert desk.run("doctor").code == 0
    desk.checks.append(Check(name="template", status="fail", message="missing", remedy="build it"))
    ran = desk.run("doctor", encoding="ascii")
    assert ran.code == 5
    assert ran.lines[1:] == [
        "! disk: 2 GiB free",
        "    remedy: free some",
        "x template: missing",
        "    remedy: build it",
    ]
    assert desk.run("doctor", "--json").json["checks"][2]["remedy"] == "build it"


def test_doctor_sandbox_prints_a_table_and_exits_5_when_a_wall_does_not_hold(desk: Desk) -> None:
    ran = desk.run("doctor", "sandbox")
    assert (ran.code, ran.err) == (0, "1 of 1 checks\n")
    assert ran.lines == ["walls", "  ✓ io-uring                 1.2s  io_uring is denied", "1 of 1 hold"]
    desk.conformity.append(
        Check(name="bpf", status="fail", message="bpf is denied: \x1b[2J", area="walls", remedy="another engine")
    )
    ran = desk.run("doctor", "sandbox")
    assert ran.code == 5
    assert ran.lines[2:] == [
        "  ✗ bpf                      0.0s  bpf is denied: ␛[2J", "1 of 2 hold", "    remedy: another engine"
    ]  # fmt: skip
    desk.conformity.append(
        Check(name="timeout-kills-children", status="ok", message=" ".join(["word"] * 20), area="walls", ms=14_300)
    )
    ran = desk.run("doctor", "sandbox")
    assert ran.lines[3].startswith("  ✓ timeout-kills-children  14.3s  word")
    assert ran.lines[4].startswith(" " * 35 + "word")
    assert max(map(len, ran.lines)) <= 80
    ran = desk.run("doctor", "sandbox", "--json")
    assert (ran.code, ran.err) == (5, "")
    assert ran.json["failed"] == 1
    assert ran.json["checks"][0]["area"] == "walls"
    assert desk.run("doctor", "--json").json["checks"][0]["name"] == "engine"


def test_db_query(desk: Desk) -> None:
    desk.door.store.answer = (("id", "id", "data"), ((1, None, b"\x00\xff"), (2, "x\x1b", b"")))
    assert desk.run("db", "query", "select").lines == ["id  id  data", "1       00ff", "2   x␛"]
    assert desk.run("db", "query", "select", "--json").json == {
        "columns": ["id", "id", "data"],
        "rows": [{"id": 1, "id_2": None, "data": "00ff"}, {"id": 2, "id_2": "x\x1b", "data": ""}],
    }


def test_config_show_says_where_a_setting_comes_from(desk: Desk) -> None:
    assert desk.run("config", "show").lines == ["settings.keep = 30d  (default)", "folders.state = /s"]
    assert desk.run("config", "show", "--json").json["folders"] == {"state": "/s"}
