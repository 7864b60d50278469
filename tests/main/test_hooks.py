"""Hooks: the operator's commands get the event and never stop a run; what they fail at is on record."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from tests.scenarios.cli import Wfconsole, until
from tests.scenarios.gate_runs import journal, plain, waiting

SHIP = "steps: {ship: {approval: {title: Ship?}}, sent: {needs: [ship], set: {done: true}}}\n"
KEEP = "import sys; open(sys.argv[1], 'a').write(sys.argv[2] + ' ' + sys.stdin.read())"


def configured(place: Path, **hooks: list[str]) -> Wfconsole:
    """The program with these hooks."""
    wf = Wfconsole(place / "home")
    wf.home.mkdir()
    lines = [f"{name} = {json.dumps(argv)}" for name, argv in hooks.items()]
    (wf.home / "config.toml").write_text("\n".join(["[hooks]", *lines, ""]))
    return wf


def failures(wf: Wfconsole, run_id: str) -> list[str]:
    return [event["error"] for event in journal(wf, run_id) if event["type"] == "event_channel_failed"]


def test_a_hook_gets_its_event_on_stdin_before_the_run_is_let_go(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    argv = [sys.executable, "-c", KEEP, str(kept)]
    wf = configured(tmp_path, approval_requested=argv, run_failed=argv)
    run_id = waiting(wf, plain(tmp_path, "ship", SHIP))
    kind, _, text = kept.read_text().partition(" ")
    (asked,) = [event for event in journal(wf, run_id) if event["type"] == "approval_requested"]
    assert (kind, json.loads(text)) == ("approval_requested", asked)
    assert failures(wf, run_id) == []


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["/no/such/hook"], "No such file"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "ended with 3"),
    ],
)
def test_a_hook_that_fails_is_on_record_and_the_run_goes_on(tmp_path: Path, argv: list[str], words: str) -> None:
    wf = configured(tmp_path, approval_requested=argv)
    run_id = waiting(wf, plain(tmp_path, "ship", SHIP))
    (failure,) = failures(wf, run_id)
    assert words in failure
    assert wf.run("approve", run_id).code == 0
    assert wf.show(run_id)["status"] == "succeeded"


def test_a_hook_that_hangs_is_ended_after_its_time_and_holds_up_nobody(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import threading; threading.Event().wait()"]
    wf = configured(tmp_path, approval_requested=argv)
    with wf.live("run", plain(tmp_path, "ship", SHIP), "--json") as live:
        live.event("run_awaiting_approval")
        began = time.monotonic()
        assert wf.run("approve", live.run_id).code == 0
        until(lambda: wf.show(live.run_id)["status"] == "succeeded", live.stderr.decode)
        assert time.monotonic() - began < 8
        assert live.end().code == 0


def test_a_run_that_failed_calls_its_hook(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    wf = configured(tmp_path, run_failed=[sys.executable, "-c", KEEP, str(kept)])
    text = "steps: {bad: {check: [{that: 'false', message: never}]}}\n"
    assert wf.run("run", plain(tmp_path, "bad", text), "--json").code == 1
    assert kept.read_text().startswith("run_failed {")


def test_a_hook_of_an_unknown_event_is_refused(tmp_path: Path) -> None:
    wf = configured(tmp_path, run_started=["true"])
    refused = wf.run("run", plain(tmp_path, "ship", SHIP), "--json")
    assert (refused.code, refused.error["code"]) == (2, "INPUT_INVALID")
    assert "hooks.run_started" in refused.error["message"]


SHORT = "steps: {ship: {approval: {title: 'Ship it? \u2714', timeout: 1s, on_timeout: cancel_and_notify}}}\n"
TELL = """
import json, os, sys
names = ("EVENT", "RUN_ID", "RECIPE", "GATE_ID", "STEP_ID", "TITLE", "ACTION", "EXPIRES_AT")
found = {name: os.environ.get("WFCONSOLE_" + name) for name in names}
open(sys.argv[1], "w").write(json.dumps([found, json.loads(sys.stdin.read())]))
"""


def expired(wf: Wfconsole, place: Path) -> str:
    """A run that waited at its gate, was let go, and met its deadline under another process."""
    run_id = waiting(wf, plain(place, "short", SHORT))

    def over() -> bool:
        assert wf.run("worker", "--until-idle").code == 0
        return wf.show(run_id)["finished_at"] is not None

    until(over, lambda: f"{run_id} never expired")
    return run_id


def test_w3_cancel_and_notify_tells_the_operators_hook_which_gate_of_which_run_expired(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    wf = configured(tmp_path, approval_expired=[sys.executable, "-c", TELL, str(kept)])
    run_id = expired(wf, tmp_path)
    variables, event = json.loads(kept.read_text())
    view = wf.show(run_id)
    assert variables == {
        "EVENT": "approval_expired",
        "RUN_ID": run_id,
        "RECIPE": "short",
        "GATE_ID": "ship#1",
        "STEP_ID": "ship",
        "TITLE": "Ship it? \u2714",
        "ACTION": "cancel_and_notify",
        "EXPIRES_AT": view["approvals"][0]["expires_at"],
    }
    assert [event] == [each for each in journal(wf, run_id) if each["type"] == "approval_expired"]
    assert (event["run_id"], event["event"], view["status"]) == (run_id, "approval_timeout", "cancelled")
    assert failures(wf, run_id) == []


@pytest.mark.parametrize("hooks", [{}, {"run_failed": ["true"]}])
def test_w3_cancel_and_notify_without_a_hook_says_on_record_that_nobody_will_be_told(
    tmp_path: Path, hooks: dict[str, list[str]]
) -> None:
    wf = configured(tmp_path, **hooks)
    run_id = waiting(wf, plain(tmp_path, "short", SHORT.replace("1s", "1h")))
    (failure,) = failures(wf, run_id)
    assert "nobody will be told when ship#1 expires: config.toml has no hook approval_expired" in failure
    assert wf.show(run_id)["status"] == "awaiting_approval"
