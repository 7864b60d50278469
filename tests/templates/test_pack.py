"""Tars come out the same twice, and the engine's importer takes them (it refuses a path that comes twice)."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from wfconsole.sandbox.templates import pack


def _base(path: Path) -> Path:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in ("./usr", "./usr/bin", "./usr/local", "./usr/local/bin"):
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE
            tar.addfile(entry)
        entry = tarfile.TarInfo("./usr/bin/python3")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"p"))
    return path


def _tools(folder: Path) -> Path:
    (folder / "usr/local/bin").mkdir(parents=True)
    command = folder / "usr/local/bin/tool"
    command.write_text("x")
    command.chmod(0o700)
    (folder / "usr/local/lib").mkdir()
    (folder / "usr/local/lib/a.py").write_text("a")
    return folder


def test_the_overlay_follows_the_base_without_naming_a_path_twice(tmp_path: Path) -> None:
    pack.joined(_base(tmp_path / "base.tar"), _tools(tmp_path / "tools"), tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as tar:
        names = tar.getnames()
        assert len(names) == len(set(names))
        assert tar.getmember("./usr/bin/python").linkname == "python3"
        assert {f"./{name}" for name in pack.MOUNT_POINTS} <= set(names)
        assert tar.getmember("./usr/local/bin/tool").mode == 0o755
        assert tar.getmember("./usr/local/lib/a.py").mode == 0o644
        assert {(member.mtime, member.uid, member.gid) for member in tar} == {(0, 0, 0)}


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    base = _base(tmp_path / "base.tar")
    for name in ("one", "two"):
        pack.joined(base, _tools(tmp_path / name), tmp_path / f"{name}.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_a_build_context_holds_the_dockerfile_and_the_overlay(tmp_path: Path) -> None:
    pack.context("FROM x\n", _tools(tmp_path / "tools"), tmp_path / "context.tar")
    with tarfile.open(tmp_path / "context.tar") as tar:
        assert tar.getnames() == ["Dockerfile", "overlay.tar"]
        content = tar.extractfile("Dockerfile")
        assert content is not None
        assert content.read() == b"FROM x\n"
