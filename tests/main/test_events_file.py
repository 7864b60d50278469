"""The events file: every event a line of its own, and never a reason to wait."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.engine.rig import Rig, plan, play, step
from wfconsole.config import read_settings
from wfconsole.domain.plan import RecipeRef
from wfconsole.main.telling import EventsFile

RECIPE = RecipeRef(name="made", version="1.0.0", digest="0" * 64, origin="built-in")


def driven(tmp_path: Path, target: Path) -> list[str]:
    """The types of a run's events when it wrote to `target`."""
    rig = Rig(tmp_path)
    rig.subscribers["events_file"] = EventsFile(target, RECIPE)
    assert play(lambda: rig.run(plan(step("a")))).status == "succeeded"
    return play(rig.types)


def test_every_event_is_a_line_in_order(tmp_path: Path) -> None:
    types = driven(tmp_path, tmp_path / "events.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [line["type"] for line in lines] == types
    assert "event_channel_failed" not in types


def test_a_pipe_that_nobody_reads_does_not_hold_the_run(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert driven(tmp_path, tmp_path / "pipe").count("event_channel_failed") == 1


def test_a_pipe_whose_reader_sleeps_does_not_hold_the_run(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(writer, b"x" * 2**21)  # as much as fits
        assert driven(tmp_path, pipe).count("event_channel_failed") == 1
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("target", ["/dev/full", "no/such/folder/events.jsonl"])
def test_st_wf_004_3_a_file_that_cannot_be_written_leaves_one_diagnostic(tmp_path: Path, target: str) -> None:
    assert driven(tmp_path, tmp_path / target).count("event_channel_failed") == 1


def test_a_relative_events_file_lies_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('events_file = "events.jsonl"\n')
    assert read_settings({"WFCONSOLE_HOME": str(tmp_path)}).events_file == tmp_path / "events.jsonl"
