"""The difference of a workspace against its pin: `git apply` takes it, and nothing planted in the workspace is run."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.workspace.conftest import ENVIRONMENT, Copy, Git
from tests.workspace.test_copy import listing
from wfconsole.domain.facts import WorkspacePin
from wfconsole.ports import RunFolder, WfconsoleError
from wfconsole.workspace.copy import GitWorkspaces
from wfconsole.workspace.snapshot import SnapshotLimits


def diff(folder: RunFolder, pin: WorkspacePin) -> bytes | None:
    return asyncio.run(GitWorkspaces().diff(folder, pin))


def applied(patch: bytes, source: Path, to: Path) -> Path:
    """A fresh checkout of `source` with the patch applied by git."""
    for words in (["clone", "-q", str(source), str(to)],):
        subprocess.run(["git", *words], env=ENVIRONMENT, check=True, capture_output=True)
    done = subprocess.run(
        ["git", "apply", "--binary", "-"], cwd=to, env=ENVIRONMENT, input=patch, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    shutil.rmtree(to / ".git")
    return to


def modes(folder: Path) -> dict[str, bool]:
    return {
        str(path.relative_to(folder)): bool(path.lstat().st_mode & 0o100)
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_an_unchanged_workspace_has_no_diff(copy: Copy, folder: RunFolder) -> None:
    made = copy()
    os.utime(folder.workspace / "a.txt", (1, 1))
    (folder.workspace / "empty").mkdir()
    assert diff(folder, made.pin) is None


def test_git_apply_takes_every_kind_of_change(
    copy: Copy, source: Path, folder: RunFolder, git: Git, tmp_path: Path
) -> None:
    (source / ".gitattributes").write_text("*.bin binary\n")
    (source / ".gitignore").write_text("ignored\n")
    for plain in ("gone", "noeol", "to-link", "mode", "crlf.c", "bin"):
        (source / plain).write_bytes(b"line\r\n" * 30 + plain.encode())
    (source / "link").symlink_to("gone")
    (source / "link2").symlink_to("a")
    git(source, "add", "-A")
    git(source, "commit", "-qm", "more")
    made = copy()
    work = folder.workspace
    (work / "gone").unlink()
    (work / "noeol").write_bytes(b"line\r\n" * 30 + b"other")
    (work / "mode").chmod(0o755)
    (work / "run.sh").chmod(0o644)
    (work / "crlf.c").write_bytes(b"line\n" * 30)
    (work / "bin").write_bytes(os.urandom(3000) + b"\0")
    (work / "sub" / "b").write_bytes(b"\0\xfe")
    (work / "to-link").unlink()
    (work / "to-link").symlink_to("x y")
    (work / "link").unlink()
    (work / "link").write_bytes(b"now a file")
    (work / "link2").unlink()
    (work / "link2").symlink_to("/etc/passwd")
    (work / "empty").write_bytes(b"")
    (work / "ignored").write_bytes(b"kept although ignored")
    (work / "new.bin").write_bytes(b"text\n")
    (work / "deep" / "er").mkdir(parents=True)
    for name in (
        b"\xff\xfe",
        "ü".encode(),
        b'q"uo\\te',
        b"tab\tnew\nline",
        b" lead",
        b"trail ",
        b"-dash",
        b"a b/"[:-1],
    ):
        with open(os.path.join(os.fsencode(work / "deep" / "er"), name), "wb") as file:
            file.write(b"x " + name)
    (work / "large").write_bytes(b"0123456789abcde\n" * 200_000)
    patch = diff(folder, made.pin)
    assert patch is not None
    result = applied(patch, source, tmp_path / "fresh")
    assert listing(result) == listing(work)
    assert modes(result) == modes(work)
    # the same question again gives the same answer
    assert diff(folder, made.pin) == patch


def test_a_planted_git_folder_is_neither_honoured_nor_recorded(
    copy: Copy, folder: RunFolder, git: Git, tmp_path: Path
) -> None:
    made = copy()
    canary = tmp_path / "canary"
    work = folder.workspace
    git(work, "init", "-q")
    git(work, "config", "core.fsmonitor", f"touch '{canary}'")
    git(work, "config", "filter.bad.clean", f"touch '{canary}'")
    (work / ".gitattributes").write_text("* filter=bad diff=bad -text\n")
    (work / "inner").mkdir()
    git(work / "inner", "init", "-q")
    (work / "inner" / "x").write_text("x\n")
    (work / "committed").mkdir()
    git(work / "committed", "init", "-q")
    git(work / "committed", "commit", "-q", "--allow-empty", "-m", "x")
    (work / "committed" / "y").write_text("y\n")
    (work / "file").mkdir()
    (work / "file" / ".git").write_text("gitdir: /nonexistent\n")
    (work / "loop").mkdir()
    (work / "loop" / ".GIT").symlink_to("..")
    patch = diff(folder, made.pin)
    assert patch is not None
    names = [line for line in patch.splitlines() if line.startswith(b"diff --git")]
    assert names == [
        b"diff --git a/.gitattributes b/.gitattributes",
        b"diff --git a/committed/y b/committed/y",
        b"diff --git a/inner/x b/inner/x",
    ]
    assert not canary.exists()


def test_pipes_are_passed_over_and_never_block(copy: Copy, folder: RunFolder) -> None:
    made = copy()
    os.mkfifo(folder.workspace / "pipe")
    assert diff(folder, made.pin) is None


def test_a_link_in_place_of_a_folder_is_recorded_as_a_link(copy: Copy, folder: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "b").write_text("the secret")
    made = copy()
    shutil.rmtree(folder.workspace / "sub")
    (folder.workspace / "sub").symlink_to(tmp_path / "secret")
    patch = diff(folder, made.pin)
    assert patch is not None
    assert b"the secret" not in patch
    assert b"new file mode 120000" in patch


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (SnapshotLimits(files=3), "more than 3 files"),
        (SnapshotLimits(total_bytes=30), "30 bytes"),
        (SnapshotLimits(depth=2), "deeper than 2"),
        (SnapshotLimits(diff_bytes=100), "larger than 100 bytes"),
    ],
)
def test_a_workspace_beyond_the_limits_is_refused(
    copy: Copy, folder: RunFolder, limits: SnapshotLimits, words: str
) -> None:
    made = copy()
    (folder.workspace / "x" / "y" / "z").mkdir(parents=True)
    (folder.workspace / "new").write_text("line\n" * 30)
    with pytest.raises(WfconsoleError, match=words) as caught:
        asyncio.run(GitWorkspaces(limits=limits).diff(folder, made.pin))
    assert caught.value.code == "WORKSPACE_INVALID"


def test_a_huge_hole_is_refused(copy: Copy, folder: RunFolder) -> None:
    made = copy()
    with (folder.workspace / "hole").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(WfconsoleError, match="hole in the workspace is a huge file"):
        diff(folder, made.pin)


def test_the_source_may_be_gone_by_then(copy: Copy, source: Path, folder: RunFolder) -> None:
    made = copy()
    shutil.rmtree(source)
    (folder.workspace / "a.txt").write_text("x")
    assert diff(folder, made.pin)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_another_account_are_compared_and_unreadable_ones_told(copy: Copy, source: Path) -> None:
    with tempfile.TemporaryDirectory() as top:
        place = Path(top)
        place.chmod(0o777)
        folder = RunFolder(place / "run")
        made = asyncio.run(GitWorkspaces(owner=(65532, 65532)).copy(source, "HEAD", folder))
        assert {path.lstat().st_uid for path in [folder.workspace, *folder.workspace.rglob("*")]} == {65532}
        os.seteuid(65532)
        (folder.workspace / "new").write_text("x")
        (folder.workspace / "new").chmod(0)
        os.seteuid(0)
        assert b"b/new" in (diff(folder, made.pin) or b"")
        shutil.chown(folder.git, 65533)
        for path in folder.git.rglob("*"):
            os.chown(path, 65533, 65533)
        os.seteuid(65533)
        try:
            with pytest.raises(WfconsoleError, match="new in the workspace cannot be read: Permission denied"):
                diff(folder, made.pin)
        finally:
            os.seteuid(0)
