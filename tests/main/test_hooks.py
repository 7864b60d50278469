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
