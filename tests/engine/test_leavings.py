"""What attempts leave: outputs that try to mislead, artifacts that the next step must be able to read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.rig import Rig, plan, play, step
from tests.fakes.sandbox import Script
from wfconsole.domain.events import ArtifactRecorded, StepFailed
from wfconsole.domain.plan import OutputSpec
from wfconsole.ports import SandboxSpec

NUMBER = OutputSpec(name="n", type="integer", source="stdout")


def writes(name: str, text: str) -> Callable[[SandboxSpec], None]:
    """An effect that writes one file beside the logs."""

    def effect(spec: SandboxSpec) -> None:
        (spec.out_dir / name).write_text(text)

    return effect


def test_stdout_is_that_of_the_last_command(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {"a": Script(stdout=(b"1\n", b"2\n"))})
    state = play(lambda: rig.run(plan(step("a", commands=(("one",), ("two",)), outputs=(NUMBER,)))))
    assert state.step("a").outputs == {"n": 2}


@pytest.mark.parametrize("name", ["77.stdout", "\u00b2.stdout", "-1.stdout"])
def test_a_log_that_a_step_made_up_is_not_taken_for_its_stdout(tmp_path: Path, name: str) -> None:
    rig = Rig(tmp_path, {"a": Script(stdout=(b"5\n",), effect=writes(name, "666"))})
    state = play(lambda: rig.run(plan(step("a", outputs=(NUMBER,)))))
    assert state.step("a").outputs == {"n": 5}


@pytest.mark.parametrize("text", ['{"n": 1e999}', '{"n": -1e999}', '{"n": [1e999]}'])
def test_a_number_that_no_journal_can_hold_fails_the_step_and_not_the_run_loop(tmp_path: Path, text: str) -> None:
    rig = Rig(tmp_path, {"a": Script(effect=writes("output.json", text))})
    state = play(lambda: rig.run(plan(step("a", outputs=(OutputSpec(name="n", type="any"),)))))
    failed = [record.event for record in play(rig.records) if isinstance(record.event, StepFailed)]
    assert state.status == "failed"
    assert [event.cause.code for event in failed] == ["OUTPUT_INVALID"]


def test_folders_of_artifacts_can_be_listed_by_the_next_steps_user_whatever_our_umask(tmp_path: Path) -> None:
    def leave(spec: SandboxSpec) -> None:
        (spec.mounts[0].source / "deep").mkdir()
        (spec.mounts[0].source / "deep" / "file").write_text("x")

    rig = Rig(tmp_path, {"a": Script(effect=leave)})
    before = os.umask(0o077)
    try:
        play(lambda: rig.run(plan(step("a", artifacts=("deep/*",)), step("b", needs=["a"]))))
    finally:
        os.umask(before)
    left = rig.folder("run-1").artifacts / "a"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (left, left / "deep")} == {0o755}


def test_a_file_that_is_a_report_and_matches_the_artifacts_too_is_recorded_as_the_report(tmp_path: Path) -> None:
    def leave(spec: SandboxSpec) -> None:
        (spec.mounts[0].source / "unit.xml").write_text("<testsuite/>")
        (spec.mounts[0].source / "other.xml").write_text("<x/>")

    rig = Rig(tmp_path, {"a": Script(effect=leave)})
    play(lambda: rig.run(plan(step("a", artifacts=("*.xml",), reports={"junit": "unit.xml"}))))
    found = [record.event.artifact for record in play(rig.records) if isinstance(record.event, ArtifactRecorded)]
    assert sorted((artifact.name, artifact.kind) for artifact in found) == [
        ("other.xml", "file"),
        ("unit.xml", "report"),
    ]


def test_a_full_disk_under_an_attempt_is_an_error_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path)

    async def full(_spec: SandboxSpec) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rig.sandbox, "prepare", full)
    assert play(lambda: rig.run(plan(step("a")))).status == "failed"
    (failed,) = [record.event for record in play(rig.records) if isinstance(record.event, StepFailed)]
    assert (failed.outcome, failed.cause.code) == ("errored", "DISK_FULL")
