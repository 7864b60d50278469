"""Copies of a repository or folder: what is in them, what is told, what is refused."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from tests.workspace.conftest import Copy, Git
from wfconsole.ports import RunFolder, WfconsoleError


def listing(folder: Path) -> dict[bytes, bytes]:
    found = {}
    top = os.fsencode(folder)
    for here, folders, files in os.walk(top):
        for name in [*files, *folders]:
            path = os.path.join(here, name)
            key = os.path.relpath(path, top)
            if os.path.islink(path):
                found[key] = b"-> " + os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    found[key] = file.read()
            elif not os.listdir(path):
                found[key] = b"(empty folder)"
    return found


FIRST = {b"a.txt": b"one\r\ntwo\n", b"run.sh": b"#!/bin/sh\n", b"sub/b": b"\0\xff"}


def refused(copy: Copy, ref: str = "HEAD", of: Path | None = None) -> WfconsoleError:
    with pytest.raises(WfconsoleError) as caught:
        copy(ref, of=of)
    assert caught.value.code == "WORKSPACE_INVALID"
    assert caught.value.message.endswith(".")
    return caught.value


def test_head_is_exported_byte_by_byte(copy: Copy, source: Path, folder: RunFolder, git: Git) -> None:
    made = copy()
    assert listing(folder.workspace) == FIRST
    assert made.warnings == ()
    assert made.pin.commit == git(source, "rev-parse", "HEAD")
    assert made.pin.tree == git(source, "rev-parse", "HEAD^{tree}")
    assert (made.pin.source, made.pin.ref) == (str(source), "HEAD")
    assert folder.workspace.joinpath("run.sh").stat().st_mode & 0o777 == 0o755
    assert folder.workspace.joinpath("a.txt").stat().st_mode & 0o777 == 0o644


def test_bytes_are_kept_whatever_the_attributes_say(copy: Copy, source: Path, folder: RunFolder, git: Git) -> None:
    git(source, "config", "core.autocrlf", "true")
    (source / ".gitattributes").write_text("*.txt text eol=crlf ident\n")
    (source / "id.txt").write_bytes(b"$Id$\nx\n")
    git(source, "add", "-A")
    git(source, "commit", "-qm", "x")
    made = copy()
    assert (folder.workspace / "id.txt").read_bytes() == b"$Id$\nx\n"
    assert made.pin.tree == git(source, "rev-parse", "HEAD^{tree}")


@pytest.mark.parametrize("ref", ["side", "v1", "HEAD~0", "main", "COMMIT", "COMMIT7"])
def test_branches_tags_and_commits_name_what_is_copied(
    copy: Copy, source: Path, folder: RunFolder, git: Git, ref: str
) -> None:
    git(source, "branch", "side")
    git(source, "tag", "-am", "x", "v1")
    commit = git(source, "rev-parse", "HEAD")
    made = copy({"COMMIT": commit, "COMMIT7": commit[:7]}.get(ref, ref))
    assert made.pin.commit == commit
    assert listing(folder.workspace) == FIRST


def test_uncommitted_changes_are_left_out_and_told(copy: Copy, source: Path, folder: RunFolder, git: Git) -> None:
    (source / "a.txt").write_text("changed")
    (source / "staged").write_text("x")
    git(source, "add", "staged")
    (source / "new").write_text("x")
    made = copy()
    assert listing(folder.workspace) == FIRST
    assert made.warnings == (
        "Uncommitted changes are not in the copy: a.txt, staged.",
        "Untracked files are not in the copy: new.",
    )


def test_files_that_were_only_touched_are_no_change(copy: Copy, source: Path) -> None:
    for name in ("a.txt", "sub/b"):
        os.utime(source / name, (1, 1))
    assert copy().warnings == ()


def test_every_kind_of_uncommitted_change_is_seen(copy: Copy, source: Path, git: Git) -> None:
    for name in ("gone", "mode", "kind", "same", "size", "skip"):
        (source / name).write_text(name)
    (source / "link").symlink_to("gone")
    git(source, "add", "-A")
    git(source, "commit", "-qm", "more")
    git(source, "update-index", "--skip-worktree", "skip")
    (source / "gone").unlink()
    (source / "skip").unlink()
    (source / "mode").chmod(0o755)
    (source / "kind").unlink()
    (source / "kind").symlink_to("kind")
    (source / "same").write_text("emas")
    (source / "link").unlink()
    (source / "link").symlink_to("other")
    told = copy().warnings
    assert told == ("Uncommitted changes are not in the copy: gone, kind, link and 2 more.",)
    git(source, "config", "core.fileMode", "false")
    assert "and 1 more" in copy(into=RunFolder(source.parent / "second")).warnings[0]


def test_another_branch_says_nothing_about_uncommitted_changes(copy: Copy, source: Path, git: Git) -> None:
    git(source, "tag", "old")
    git(source, "commit", "-q", "--allow-empty", "-m", "x")
    (source / "a.txt").write_text("changed")
    assert copy("old").warnings == ()


def test_worktree_takes_tracked_and_untracked_files_as_they_lie(
    copy: Copy, source: Path, folder: RunFolder, git: Git
) -> None:
    (source / ".gitignore").write_text("*.log\n")
    (source / "x.log").write_text("x")
    (source / "new").write_text("n")
    (source / "a.txt").unlink()
    made = copy("worktree")
    assert listing(folder.workspace) == {
        b".gitignore": b"*.log\n", b"new": b"n", b"run.sh": b"#!/bin/sh\n", b"sub/b": b"\0\xff",
    }  # fmt: skip
    assert made.pin.commit == git(source, "rev-parse", "HEAD")
    assert made.warnings == ()


def test_a_tracked_folder_that_became_a_link_is_not_followed(
    copy: Copy, source: Path, folder: RunFolder, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b").write_text("secret")
    (source / "sub" / "b").unlink()
    (source / "sub").rmdir()
    (source / "sub").symlink_to(outside)
    made = copy("worktree")
    assert b"secret" not in listing(folder.workspace).values()
    assert made.warnings == ("Links point outside the workspace and lead nowhere in it: sub.",)


def test_a_plain_folder_is_copied_with_a_warning(copy: Copy, folder: RunFolder, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    (plain / "empty").mkdir(parents=True)
    (plain / "x y\nz").write_bytes(b"1")
    (plain / "x y\nz").chmod(0o700)
    (plain / ".git").mkdir()
    (plain / ".git" / "config").write_text("[alias]\n")
    os.mkfifo(plain / "pipe")
    (plain / "out").symlink_to("/etc/passwd")
    (plain / "up").symlink_to("../other")
    (plain / "in").symlink_to("empty")
    with open(plain / "hole", "wb") as file:
        file.truncate(1 << 40)
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(plain)
        server.bind("sock")
        os.chdir(here)
    made = copy(of=plain)
    assert listing(folder.workspace) == {
        b"empty": b"(empty folder)", b"x y\nz": b"1", b"out": b"-> /etc/passwd", b"up": b"-> ../other", b"in": b"-> empty",
    }  # fmt: skip
    assert (folder.workspace / "x y\nz").stat().st_mode & 0o777 == 0o755
    assert made.pin.commit is None
    assert made.warnings == (
        f"{plain} is no git repository; it is copied as it lies and ref HEAD is ignored.",
        "Links point outside the workspace and lead nowhere in it: out, up.",
        "Nested git folders are left out: .git.",
        "Pipes, sockets and devices are left out: pipe, sock.",
        "Huge files full of holes are left out: hole.",
    )


def test_names_that_are_not_utf8_are_kept(copy: Copy, folder: RunFolder, source: Path, git: Git) -> None:
    names = [b"\xff\xfe", "ü".encode(), b'q"uo\\te', b"tab\tnew\nline", b" lead", b"-dash"]
    for name in names:
        with open(os.path.join(os.fsencode(source), name), "wb") as file:
            file.write(name)
    git(source, "add", "-A")
    git(source, "commit", "-qm", "names")
    made = copy()
    assert {name: listing(folder.workspace)[name] for name in names} == {name: name for name in names}
    assert made.pin.tree == git(source, "rev-parse", "HEAD^{tree}")


def test_submodules_are_empty_folders_and_named(
    copy: Copy, folder: RunFolder, source: Path, git: Git, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "x")
    git(source, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "libs/one")
    git(source, "commit", "-qm", "module")
    for ref, into in (("HEAD", folder), ("worktree", RunFolder(tmp_path / "second"))):
        made = copy(ref, into=into)
        assert list((into.workspace / "libs" / "one").iterdir()) == []
        assert made.warnings == ("Submodules are not fetched; their folders are empty: libs/one.",)


def test_a_nested_repository_is_copied_without_its_git_folder(
    copy: Copy, folder: RunFolder, source: Path, git: Git
) -> None:
    inner = source / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "x").write_text("x")
    made = copy("worktree")
    assert (folder.workspace / "inner" / "x").read_text() == "x"
    assert not (folder.workspace / "inner" / ".git").exists()
    assert made.warnings == ("Nested git folders are left out: inner/.git.",)


def test_lfs_pointers_are_told(copy: Copy, source: Path, git: Git) -> None:
    (source / "big.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    git(source, "add", "-A")
    git(source, "commit", "-qm", "x")
    assert copy().warnings == ("Files are Git LFS pointers, not their contents: big.bin.",)
    assert "pointers" in copy("worktree", into=RunFolder(source.parent / "second")).warnings[0]


def test_bare_repositories_and_linked_worktrees_work(copy: Copy, source: Path, git: Git, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(source), "bare.git")
    git(source, "worktree", "add", "-q", str(tmp_path / "linked"))
    for number, of in enumerate((tmp_path / "bare.git", tmp_path / "linked")):
        into = RunFolder(tmp_path / f"run{number}")
        made = copy(of=of, into=into)
        assert listing(into.workspace) == FIRST
        assert made.warnings == ()
    assert "bare" in refused(copy, "worktree", tmp_path / "bare.git").message


def test_a_shallow_clone_and_packed_refs_work(
    copy: Copy, folder: RunFolder, source: Path, git: Git, tmp_path: Path
) -> None:
    git(source, "commit", "-q", "--allow-empty", "-m", "x")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{source}", "shallow")
    git(tmp_path / "shallow", "pack-refs", "--all")
    copy(of=tmp_path / "shallow")
    assert listing(folder.workspace) == FIRST


def test_a_large_file_is_streamed(copy: Copy, folder: RunFolder, source: Path, git: Git) -> None:
    block = os.urandom(1 << 20)
    with (source / "large").open("wb") as file:
        for _ in range(200):
            file.write(block)
    git(source, "-c", "core.compression=0", "add", "-A")
    git(source, "commit", "-qm", "large")
    copy()
    with (folder.workspace / "large").open("rb") as file:
        assert sum(chunk == block for chunk in iter(lambda: file.read(1 << 20), b"")) == 200


def test_an_unknown_ref_names_those_that_are_near(copy: Copy, source: Path, git: Git) -> None:
    git(source, "branch", "feature/login")
    assert "feature/login" in refused(copy, "feature/logn").hint
    assert "main" in refused(copy, "zzz").hint
    for ref in ("--all", "", "HEAD:a.txt", "main..main", "-n1"):
        assert "no revision" in refused(copy, ref).message


def test_an_empty_repository_is_refused_and_its_worktree_is_not(
    copy: Copy, folder: RunFolder, git: Git, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    assert "worktree" in refused(copy, of=empty).hint
    assert not folder.workspace.exists()
    (empty / "x").write_text("x")
    assert copy("worktree", of=empty).pin.commit is None
    assert listing(folder.workspace) == {b"x": b"x"}


def test_a_folder_inside_a_repository_names_the_top(copy: Copy, folder: RunFolder, source: Path) -> None:
    assert str(source) in refused(copy, of=source / "sub").hint
    copy("worktree", of=source / "sub")
    assert listing(folder.workspace) == {b"b": b"\0\xff"}


def test_missing_folders_and_files_are_refused(copy: Copy, source: Path) -> None:
    assert "does not exist" in refused(copy, of=source / "nope").message
    assert "is a file" in refused(copy, of=source / "a.txt").message


def test_a_broken_repository_is_refused_with_gits_own_words(copy: Copy, source: Path, folder: RunFolder) -> None:
    (source / ".git" / "config").write_text("[core\n")
    assert "config" in refused(copy).message
    assert not folder.workspace.exists()


def test_a_missing_object_is_refused(copy: Copy, source: Path, git: Git) -> None:
    blob = git(source, "rev-parse", "HEAD:a.txt")
    (source / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    assert "lacks the object" in refused(copy).message


def test_a_second_copy_into_the_same_run_is_refused(copy: Copy) -> None:
    copy()
    assert "already" in refused(copy).message


def test_a_run_folder_inside_the_source_is_left_out(copy: Copy, tmp_path: Path) -> None:
    into = RunFolder(tmp_path / "plain" / "state" / "run")
    into.root.mkdir(parents=True)
    made = copy("worktree", of=tmp_path / "plain", into=into)
    assert made.warnings == ("The folder of this run is left out: state/run.",)
    assert not (into.workspace / "state" / "run").exists()


def test_a_missing_git_is_told(source: Path, folder: RunFolder) -> None:
    import asyncio

    from wfconsole.workspace.copy import GitWorkspaces

    with pytest.raises(WfconsoleError, match="was not found"):
        asyncio.run(GitWorkspaces(git="no-such-git").copy(source, "HEAD", folder))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_this_account_cannot_read_is_refused(copy: Copy) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o777)
        plain = place / "plain"
        (plain / "inner").mkdir(parents=True)
        (plain / "secret").write_text("x")
        (plain / "secret").chmod(0)
        os.seteuid(65532)
        try:
            with pytest.raises(WfconsoleError, match=r"secret cannot be read: Permission denied\."):
                copy(of=plain, into=RunFolder(place / "one"))
            os.seteuid(0)
            (plain / "secret").chmod(0o644)
            (plain / "inner").chmod(0)
            os.seteuid(65532)
            with pytest.raises(WfconsoleError, match="inner cannot be read"):
                copy(of=plain, into=RunFolder(place / "two"))
            os.seteuid(0)
            plain.chmod(0)
            os.seteuid(65532)
            with pytest.raises(WfconsoleError, match="plain cannot be read"):
                copy(of=plain, into=RunFolder(place / "three"))
        finally:
            os.seteuid(0)
