"""Hooks and the events file hear of what is recorded while nobody drives the run, in order, and of what a dead process left."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.scenarios.cli import Wfconsole
from tests.scenarios.gate_runs import go_on, journal, plain, waiting
from wfconsole.domain.events import Record, RunResumed
from wfconsole.domain.records import Actor
from wfconsole.main.telling import Channel

GATE = "steps: {ship: {approval: {title: Ship?}}, bad: {needs: [ship], check: [{that: 'false', message: never}]}}\n"
KEEP = "import sys; open(sys.argv[1], 'a').write(sys.argv[2] + '\\n')"
ACTOR = Actor(user="ann", host="desk")


def configured(place: Path, **hooks: Sequence[str]) -> Wfconsole:
    """The program with an events file and these hooks."""
    wf = Wfconsole(place / "home")
    wf.home.mkdir(exist_ok=True)
    lines = [f"{name} = {json.dumps(argv)}" for name, argv in hooks.items()]
    (wf.home / "config.toml").write_text("\n".join(['events_file = "told.jsonl"', "[hooks]", *lines, ""]))
    return wf


def told(wf: Wfconsole) -> list[int]:
    return [json.loads(line)["seq"] for line in (wf.home / "told.jsonl").read_text().splitlines()]


def test_what_a_decision_leads_to_is_told_by_whoever_decided(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    wf = configured(tmp_path, run_failed=[sys.executable, "-c", KEEP, str(kept)])
    run_id = waiting(wf, plain(tmp_path, "gate", GATE))
    assert not kept.exists()
    assert wf.run("approve", run_id).code == 0
    assert (wf.show(run_id)["status"], kept.read_text()) == ("failed", "run_failed\n")
    assert wf.run("reject", run_id, "ship", "--reason", "late").code == 6
    lines = [json.loads(line) for line in (wf.home / "told.jsonl").read_text().splitlines()]
    assert lines == journal(wf, run_id)
    assert lines[-1]["type"] == "command_refused"


def test_a_hook_that_fails_after_a_decision_is_on_record(tmp_path: Path) -> None:
    text = "template: python\nsteps: {ship: {approval: {title: Ship?}}, bad: {needs: [ship], run: [[rm, -rf, /]]}}\n"
    wf = configured(tmp_path)
    run_id = waiting(wf, plain(tmp_path, "gate", text))
    configured(tmp_path, approval_requested=["/no/such/hook"])
    assert wf.run("approve", run_id).code == 0
    (failed,) = [event for event in journal(wf, run_id) if event["type"] == "event_channel_failed"]
    assert (failed["subscriber"], "No such file" in failed["error"]) == ("hooks", True)
    assert wf.show(run_id)["waiting_for"] == ["bad"]


@pytest.mark.parametrize("left", ["decision_recorded", "run_created"])
def test_what_a_dead_process_left_untold_the_next_one_tells_in_order(tmp_path: Path, left: str) -> None:
    wf = configured(tmp_path)
    run_id = waiting(wf, plain(tmp_path, "gate", GATE.replace("'false'", "'true'")))
    assert wf.run("pause", run_id).code == 0
    assert wf.run("approve", run_id).code == 0
    events = journal(wf, run_id)
    at = next(event["seq"] for event in events if event["type"] == left)
    (wf.folder(run_id) / "told" / "events_file").write_text(f"{at:020d}\n")
    before = told(wf)
    assert before == [event["seq"] for event in events]
    assert wf.run("resume", run_id).code == 0
    assert go_on(wf, run_id)["status"] == "succeeded"
    assert told(wf) == [*before, *range(at + 1, len(journal(wf, run_id)) + 1)]


def test_a_channel_that_is_new_to_a_run_hears_what_comes_after(tmp_path: Path) -> None:
    wf = Wfconsole(tmp_path / "home")
    run_id = waiting(wf, plain(tmp_path, "gate", GATE))
    seen = len(journal(wf, run_id))
    configured(tmp_path)
    assert wf.run("approve", run_id).code == 0
    assert told(wf) == [*range(seen + 1, len(journal(wf, run_id)) + 1)]


def test_whoever_fails_at_an_event_hears_of_the_next_and_the_first_failure_is_told(tmp_path: Path) -> None:
    heard: list[int] = []

    def subscriber(_run_id: str, record: Record) -> None:
        heard.append(record.seq)
        if record.seq < 3:
            raise OSError(f"no {record.seq}")

    records = [Record(seq=n, at=n, correlation_id="c", actor=ACTOR, event=RunResumed()) for n in range(1, 5)]
    channel = Channel(subscriber, tmp_path / "told" / "one", 0)
    channel.catch_up("r", records[:3])
    assert (heard, channel.failures()) == ([1, 2, 3], [(1, "OSError: no 1")])
    with pytest.raises(RuntimeError, match="no 1"):
        channel("r", records[3])
    channel("r", records[3])
    Channel(subscriber, tmp_path / "told" / "one", 0).catch_up("r", records)
    assert heard == [1, 2, 3, 4]


@pytest.mark.parametrize("place", ["gone/told/one", "told/one"])
def test_without_a_place_to_keep_it_nobody_is_told_less(tmp_path: Path, place: str) -> None:
    heard: list[int] = []
    (tmp_path / "told").mkdir()
    (tmp_path / "told" / "one").write_bytes(b"what is this")
    channel = Channel(lambda _run_id, record: heard.append(record.seq), tmp_path / place, 1)
    channel.catch_up(
        "r", [Record(seq=n, at=n, correlation_id="c", actor=ACTOR, event=RunResumed()) for n in range(1, 4)]
    )
    assert heard == [2, 3]
