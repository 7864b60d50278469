"""The record of a change: on disk before it has its name, and its name before any file is touched."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.workspace.test_apart import edit, lay
from wfconsole.ports import RunFolder
from wfconsole.workspace import replace
from wfconsole.workspace.apart import GitCopies


def test_a_change_begins_when_its_record_is_whole_and_on_disk(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies, order = GitCopies(), []
    folder.workspace.mkdir(parents=True)
    lay(folder.workspace, {"a": "1", "d/e/f/g": "2"})

    def work(top: Path) -> None:
        (top / "a").write_text("3")
        shutil.rmtree(top / "d")

    copy, changed = edit(copies, folder, "one", work)
    home = replace.home(folder)
    real_sync, real_put, real_rename = os.fsync, replace._put, Path.rename

    def names() -> list[str]:
        return sorted(path.name for path in home.iterdir() if path.suffix == ".pending")

    def sync(descriptor: int) -> None:
        mode, path = os.fstat(descriptor).st_mode, Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if home in (path.parent, path):
            order.append(("folder" if stat.S_ISDIR(mode) else "record", names()))
            if not stat.S_ISDIR(mode):
                assert json.loads(path.read_text())["name"] == "one#1"
        real_sync(descriptor)

    def rename(path: Path, target: Path) -> Path:
        if path.parent == home:
            order.append(("name", names()))
        return real_rename(path, target)

    def put(*words: Any) -> None:
        order.append(("change", names()))
        real_put(*words)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", sync)
        patched.setattr(replace, "_put", put)
        patched.setattr(Path, "rename", rename)
        asyncio.run(copies.apply(copy, changed, b"{}"))
    pending = ["000001.pending"]
    assert order == [("record", []), ("name", []), ("folder", pending), ("change", pending)]
    assert (folder.workspace / "a").read_text() == "3"
    assert not (folder.workspace / "d").exists(), "the deepest folder first, or it would keep those above it"
