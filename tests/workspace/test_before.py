"""A workspace is put back exactly as it was kept, whatever was done to it between; and only what was touched is read again."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from wfconsole.ports import RunFolder
from wfconsole.workspace import snapshot
from wfconsole.workspace.before import GitBefore, in_folder, in_tree
from wfconsole.workspace.git import Git
from wfconsole.workspace.index import RACY_NS, Index, is_known, marks_of

NAMES = ("a", "b", "d/a", "d/b", "d/e/a", "a/a", ".git/a", "d/.GIT", "d/.git~kept/a")
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(("write", "link", "folder", "remove", "mode")),
        st.sampled_from(NAMES),
        st.text("xy", max_size=3),
    ),
    max_size=5,
)


def act(top: Path, what: str, name: str, text: str) -> None:
    path = top / name
    if what in {"remove", "link", "folder"} or path.is_dir() or path.is_symlink():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if what == "remove":
        return
    for above in reversed(path.relative_to(top).parents):
        folder = top / above
        if not folder.is_dir() or folder.is_symlink():
            folder.unlink()
            folder.mkdir()
        folder.mkdir(exist_ok=True)
    if what == "folder":
        path.mkdir()
    elif what == "link":
        path.symlink_to(text or "nowhere")
    else:
        path.write_text(text)
        path.chmod(0o755 if what == "mode" else 0o644)


def act_all(top: Path, actions: list[tuple[str, str, str]]) -> None:
    for what, name, text in actions:
        try:
            act(top, what, name, text)
        except (FileNotFoundError, NotADirectoryError):
            continue


def picture(top: Path) -> dict[str, tuple[str, str]]:
    found = {}
    for path in sorted(top.rglob("*")):
        if path.is_symlink():
            told = "link", os.readlink(path)
        elif path.is_dir():
            told = "folder", ""
        else:
            told = ("program" if path.stat().st_mode & 0o111 else "file"), path.read_text()
        found[str(path.relative_to(top))] = told
    return found


@settings(max_examples=30, deadline=None)
@given(rounds=st.lists(ACTIONS, min_size=1, max_size=3), back=st.integers(0, 2))
def test_whatever_was_done_the_workspace_is_put_back(rounds: list[list[tuple[str, str, str]]], back: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, before = RunFolder(Path(place)), GitBefore()
        folder.workspace.mkdir()
        pictures = []
        for number, actions in enumerate(rounds):
            act_all(folder.workspace, actions)
            pictures.append(picture(folder.workspace))
            asyncio.run(before.keep(folder, f"s#{number}", None))
        chosen = min(back, len(rounds) - 1)
        act_all(folder.workspace, rounds[-1] + rounds[0])
        assert asyncio.run(before.put_back(folder, f"s#{chosen}", "s#9"))
        assert picture(folder.workspace) == pictures[chosen]
        whole = Index.read(folder.root / "before/index")
        assert whole is not None
        asyncio.run(before.keep(folder, "s#10", None))
        whole = Index.read(folder.root / "before/index")
        assert whole is not None
        if whole.files and not any(
            b".git" in path.lower() for path in whole.files
        ):  # built up bit by bit, it is the tree that reading everything gives
            git = Git(program="git", git_dir=folder.git)
            assert whole.tree == snapshot.take(git, folder.workspace, snapshot.SnapshotLimits())


def test_nothing_changed_is_no_work_for_git(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.workspace.mkdir()
    (folder.workspace / "a").write_text("x")
    os.utime(folder.workspace / "a", (1, 1))
    asyncio.run(GitBefore().keep(folder, "s#1", None))
    index = Index.read(tmp_path / "before/index")
    assert index is not None
    info = (folder.workspace / "a").stat()
    index.files[b"a"] = marks_of(info, info.st_ctime_ns + 2 * RACY_NS)  # as if it had been looked at a moment later
    index.write(tmp_path / "before/index")
    asyncio.run(GitBefore(git="/nonexistent/git").keep(folder, "s#2", None))
    notes = [(tmp_path / f"before/s#{number}.json").read_text() for number in (1, 2)]
    assert notes[0] == notes[1]
    assert index.tree in notes[0]


def test_a_pristine_workspace_is_not_read(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.workspace.mkdir()
    (folder.workspace / "a").write_text("x")
    asyncio.run(GitBefore(git="/nonexistent/git").keep(folder, "s#1", "ab" * 20))
    assert "ab" * 20 in (tmp_path / "before/s#1.json").read_text()


def test_a_file_that_was_changed_just_now_is_never_taken_for_known(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    info = path.stat()
    assert not is_known(marks_of(info, info.st_ctime_ns + RACY_NS - 1), info)
    assert is_known(marks_of(info, info.st_ctime_ns + RACY_NS + 1), info)


def test_what_was_not_kept_is_not_put_back(tmp_path: Path) -> None:
    folder, before = RunFolder(tmp_path), GitBefore()
    folder.workspace.mkdir()
    asyncio.run(before.pass_over(folder, "s#1"))
    assert asyncio.run(before.knows(folder, "s#1"))
    assert not asyncio.run(before.knows(folder, "s#2"))
    assert not asyncio.run(before.put_back(folder, "s#1", "s#2"))
    assert not asyncio.run(before.put_back(folder, "s#7", "s#2"))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"tree": "x"}'])
def test_a_torn_index_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "index").write_bytes(content)
    assert Index.read(tmp_path / "index") is None


@given(
    st.lists(
        st.sampled_from((b"a", b".git", b".GIT", b".git~kept", b".git~kept~kept", b"x.git", b".gitmodules")), min_size=1
    )
)
def test_every_path_has_one_name_in_a_tree_and_the_way_back(names: list[bytes]) -> None:
    path = b"/".join(names)
    assert in_folder(in_tree(path)) == path
    assert b".git" not in in_tree(path).lower().split(b"/")


def test_w2_what_a_lost_attempt_did_to_a_repository_in_the_workspace_is_undone(tmp_path: Path) -> None:
    """Its own, and one within it: their history, their index and their hooks are what they were."""
    folder, before = RunFolder(tmp_path), GitBefore()
    nested = folder.workspace / "lib"
    nested.mkdir(parents=True)
    for top in (folder.workspace, nested):
        git(top, "init", "--quiet", "--initial-branch=main")
        (top / "file").write_text("1")
        git(top, "add", "file")
        git(top, "commit", "--quiet", "--message=one")
    told = [git(top, "log", "--format=%H %s", "--all") for top in (folder.workspace, nested)]
    asyncio.run(before.keep(folder, "s#1", None))
    for top in (folder.workspace, nested):
        (top / "file").write_text("2")
        git(top, "commit", "--quiet", "--all", "--message=two")
        git(top, "checkout", "--quiet", "-b", "other")
        (top / ".git/hooks").mkdir(exist_ok=True)
        (top / ".git/hooks/pre-commit").write_text("false")
    shutil.rmtree(nested / ".git/refs")
    git(folder.workspace, "gc", "--quiet")
    assert asyncio.run(before.put_back(folder, "s#1", "s#2"))
    for top, log in zip((folder.workspace, nested), told, strict=True):
        assert git(top, "log", "--format=%H %s", "--all") == log
        assert git(top, "branch", "--show-current") == "main\n"
        assert git(top, "status", "--porcelain", "--untracked-files=no") == ""
        assert git(top, "fsck", "--strict") == ""
        assert not (top / ".git/hooks/pre-commit").exists()


def git(top: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "gc.auto=0")
    done = subprocess.run(["git", *who, *words], cwd=top, capture_output=True, text=True, check=True)
    return done.stdout
