"""Bundles: complete, written once, also of runs that left odd files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.engine.rig import Rig, plan, play, step
from wfconsole.engine import bundle as bundles
from wfconsole.engine.bundle import MANIFEST, sealer
from wfconsole.ports import WfconsoleError


def ended(tmp_path: Path) -> tuple[Rig, Path]:
    """A run that is over, and the folder of its bundle."""
    rig = Rig(tmp_path)
    play(lambda: rig.run(plan(step("a"))))
    return rig, rig.folder("run-1").bundle


def seal(rig: Rig) -> None:
    play(lambda: sealer(rig.store, rig.folder, lambda _records: {"run_id": "run-1"})("run-1"))


def test_the_manifest_names_every_file_and_comes_last(tmp_path: Path) -> None:
    rig, folder = ended(tmp_path)
    odd = os.fsdecode(b"logs/a/1/caf\xe9.manifest.json.new")
    (folder / odd).write_bytes(b"odd")
    seal(rig)
    manifest = json.loads((folder / MANIFEST).read_bytes())
    listed = {entry["path"] for entry in manifest["files"]}
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert listed == there - {MANIFEST}
    assert {"events.jsonl", "recipe.json", odd} <= listed


def test_a_complete_bundle_is_not_written_again(tmp_path: Path) -> None:
    rig, folder = ended(tmp_path)
    seal(rig)
    (folder / "events.jsonl").write_text("changed by somebody")
    seal(rig)
    assert (folder / "events.jsonl").read_text() == "changed by somebody"


def test_what_a_step_made_unreadable_is_made_readable_and_pipes_are_left_out(tmp_path: Path) -> None:
    rig, folder = ended(tmp_path)
    closed = folder / "logs" / "closed"
    closed.mkdir()
    (closed / "file").write_text("text")
    (closed / "file").chmod(0)
    closed.chmod(0)
    os.mkfifo(folder / "logs" / "pipe")
    (folder / "logs" / "link").symlink_to("/etc/passwd")
    seal(rig)
    listed = {entry["path"] for entry in json.loads((folder / MANIFEST).read_bytes())["files"]}
    assert "logs/closed/file" in listed
    assert not {"logs/pipe", "logs/link"} & listed
    assert (closed / "file").stat().st_mode & 0o400


def test_a_full_disk_is_told_as_such_and_leaves_no_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig, folder = ended(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundles, "_write", full)
    with pytest.raises(WfconsoleError) as caught:
        seal(rig)
    assert caught.value.code == "DISK_FULL"
    assert not (folder / MANIFEST).exists()
