"""Exporting a bundle: whole, as the manifest says, or not at all."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.control.rig import Desk
from tests.engine.rig import plan, play, step
from wfconsole.ports import WfconsoleError


def ended(tmp_path: Path) -> tuple[Desk, Path]:
    """A desk with one run that is over and not sealed, and the folder of its bundle."""
    desk = Desk(tmp_path)
    play(lambda: desk.rig.run(plan(step("a"))))
    return desk, desk.rig.folder("run-1").bundle


def export(desk: Desk, target: Path) -> None:
    play(lambda: desk.office.export("run-1", target))


def test_a_bundle_that_nobody_sealed_is_completed_and_exported_whole(tmp_path: Path) -> None:
    desk, bundle = ended(tmp_path)
    odd = os.fsdecode(b"caf\xe9\n.txt")
    (bundle / odd).write_bytes(b"odd")
    os.link(bundle / odd, bundle / "same")
    target = tmp_path / "out.tar.gz"
    told = play(lambda: desk.office.export("run-1", target))
    with tarfile.open(target) as archive:
        found = {member.name: member for member in archive.getmembers()}
        manifest = archive.extractfile("run-1/manifest.json")
        assert manifest is not None
        listed = {f"run-1/{entry['path']}": entry for entry in json.load(manifest)["files"]}
    assert set(found) == {*listed, "run-1/manifest.json"}
    assert f"run-1/{odd}" in found
    assert all(member.isreg() and member.uid == 0 for member in found.values())
    assert all(found[name].size == entry["bytes"] for name, entry in listed.items())
    assert told["files"] == len(found)


def changed(bundle: Path) -> None:
    (bundle / "recipe.json").write_text("{ }")


def removed(bundle: Path) -> None:
    (bundle / "recipe.json").unlink()


def linked(bundle: Path) -> None:
    (bundle / "recipe.json").rename(bundle / "elsewhere")
    (bundle / "recipe.json").symlink_to("elsewhere")


def piped(bundle: Path) -> None:
    (bundle / "recipe.json").unlink()
    os.mkfifo(bundle / "recipe.json")


def no_json(bundle: Path) -> None:
    (bundle / "manifest.json").write_text("{")


def no_list(bundle: Path) -> None:
    (bundle / "manifest.json").write_text('{"files": [1]}')


def leads_out(bundle: Path) -> None:
    (bundle / "manifest.json").write_text('{"files": [{"path": "../../x", "sha256": ""}]}')


@pytest.mark.parametrize("alter", [changed, removed, linked, piped, no_json, no_list, leads_out])
def test_an_altered_bundle_is_refused_and_leaves_no_file(tmp_path: Path, alter: Callable[[Path], None]) -> None:
    desk, bundle = ended(tmp_path)
    export(desk, tmp_path / "first.tar.gz")
    alter(bundle)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(WfconsoleError) as caught:
        export(desk, out / "second.tar.gz")
    assert caught.value.code == "STORE_CORRUPT"
    assert list(out.iterdir()) == []


def test_a_run_that_is_not_over_has_no_bundle(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    play(lambda: desk.rig.create(plan(step("a"))))
    with pytest.raises(WfconsoleError) as caught:
        export(desk, tmp_path / "out.tar.gz")
    assert caught.value.code == "NOT_FOUND"
    assert not (tmp_path / "out.tar.gz").exists()


@pytest.mark.parametrize("target", ["taken", "no/such/folder/x.tar.gz"])
def test_a_target_that_cannot_be_written_is_the_callers_mistake(tmp_path: Path, target: str) -> None:
    desk, _ = ended(tmp_path)
    (tmp_path / "taken").write_text("precious")
    with pytest.raises(WfconsoleError) as caught:
        export(desk, tmp_path / target)
    assert caught.value.code == "INPUT_INVALID"
    assert (tmp_path / "taken").read_text() == "precious"
