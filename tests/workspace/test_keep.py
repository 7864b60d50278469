"""A workspace kept before a step and restored in the folder of a successor: the same files, and nothing shared."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.workspace.conftest import Copy
from tests.workspace.test_diff import diff, modes
from wfconsole.ports import RunFolder, WfconsoleError
from wfconsole.workspace.copy import GitWorkspaces


@pytest.fixture
def after(tmp_path: Path) -> RunFolder:
    found = RunFolder(tmp_path / "run two")
    found.root.mkdir()
    return found


def keep(folder: RunFolder) -> str:
    return asyncio.run(GitWorkspaces().keep(folder))


def restore(source: RunFolder, folder: RunFolder, tree: str | None) -> None:
    asyncio.run(GitWorkspaces().restore(source, folder, tree))


def content(folder: Path) -> dict[bytes, bytes | None]:
    """Every path with its bytes, links with their target, folders with None."""
    top = os.fsencode(folder)
    found: dict[bytes, bytes | None] = {}
    for here, folders, names in os.walk(top):
        for name in folders + names:
            path = os.path.join(here, name)
            key = os.path.relpath(path, top)
            if os.path.islink(path):
                found[key] = b"-> " + os.readlink(path)
            else:
                found[key] = Path(os.fsdecode(path)).read_bytes() if name in names else None
    return found


def change(workspace: Path) -> None:
    (workspace / "a.txt").write_bytes(b"three\r\n")
    (workspace / "sub" / "b").unlink()
    (workspace / "empty" / "inner").mkdir(parents=True)
    (workspace / "tool").write_bytes(b"#!/bin/sh\n")
    (workspace / "tool").chmod(0o755)
    (workspace / "link").symlink_to("a.txt")
    Path(os.fsdecode(os.fsencode(workspace) + b"/\xff name")).write_bytes(b"x")


def test_what_was_kept_is_restored_to_the_byte_whatever_became_of_it_since(
    copy: Copy, folder: RunFolder, after: RunFolder
) -> None:
    made = copy()
    change(folder.workspace)
    before, executable = content(folder.workspace), modes(folder.workspace)
    tree = keep(folder)
    assert tree == keep(folder)
    (folder.workspace / "a.txt").write_bytes(b"later")
    (folder.workspace / "later").write_bytes(b"later")
    restore(folder, after, tree)
    assert content(after.workspace) == before
    assert modes(after.workspace) == executable
    (after.workspace / "a.txt").write_bytes(b"one\r\ntwo\n")
    patch = diff(after, made.pin)
    assert patch is not None
    assert b"a/a.txt" not in patch
    assert b"+#!/bin/sh" in patch


def test_a_run_without_a_repository_keeps_its_workspace_too(folder: RunFolder, after: RunFolder) -> None:
    folder.workspace.mkdir(parents=True)
    (folder.workspace / "a").write_bytes(b"1")
    (folder.git / "half made").mkdir(parents=True)
    restore(folder, after, keep(folder))
    assert content(after.workspace) == {b"a": b"1"}


def test_without_a_tree_the_workspace_is_empty(folder: RunFolder, after: RunFolder) -> None:
    folder.workspace.mkdir(parents=True)
    (folder.workspace / "a").write_bytes(b"1")
    restore(folder, after, None)
    assert content(after.workspace) == {}
    assert after.workspace.stat().st_mode & 0o777 == 0o755


def test_a_tree_that_the_source_does_not_have_is_refused(copy: Copy, folder: RunFolder, after: RunFolder) -> None:
    copy()
    with pytest.raises(WfconsoleError) as caught:
        restore(folder, after, "7" * 40)
    assert caught.value.code == "WORKSPACE_INVALID"


def test_nothing_that_a_step_planted_in_the_workspace_gets_into_the_restored_one(
    copy: Copy, folder: RunFolder, after: RunFolder
) -> None:
    copy()
    (folder.workspace / "sub" / ".git").mkdir()
    (folder.workspace / "sub" / ".git" / "config").write_text("[core]\n\tfsmonitor = touch /tmp/never\n")
    (folder.workspace / ".GIT").mkdir()
    restore(folder, after, keep(folder))
    assert not [path for path in content(after.workspace) if b".git" in path.lower()]
