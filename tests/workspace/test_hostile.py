"""Repositories that try to run something on the host, or to write outside of the copy."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from tests.workspace.conftest import ENVIRONMENT, Copy, Git
from wfconsole.ports import RunFolder, WfconsoleError
from wfconsole.workspace.copy import GitWorkspaces
from wfconsole.workspace.git import Git as TrustedGit


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture
def trap(tmp_path: Path, canary: Path) -> Path:
    """A program that says that it ran; it passes its input on, so that a filter works."""
    script = tmp_path / "trap.sh"
    script.write_text(f"#!/bin/sh\necho $0 $* >> '{canary}'\nexec cat\n")
    script.chmod(0o755)
    return script


def arm(source: Path, git: Git, trap: Path) -> None:
    """Set every trap that a repository's own folder can hold."""
    hooks = source / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "post-index-change", "pre-commit", "reference-transaction", "post-merge", "pre-auto-gc",
                 "fsmonitor-watchman", "pre-push", "update", "post-receive", "sendemail-validate"):  # fmt: skip
        (hooks / name).write_bytes(trap.read_bytes())
        (hooks / name).chmod(0o755)
    included = source / ".git" / "more"
    included.write_text(f'[core]\n\tfsmonitor = "{trap}"\n[alias]\n\tls-tree = "!{trap}"\n\trev-parse = "!{trap}"\n')
    settings = {
        "core.fsmonitor": trap, "core.pager": trap, "core.editor": trap, "core.sshCommand": trap, "core.askPass": trap,
        "core.gitProxy": trap, "core.alternateRefsCommand": trap, "core.hooksPath": hooks, "diff.external": trap,
        "diff.bad.textconv": trap, "diff.bad.command": trap, "filter.bad.clean": trap, "filter.bad.smudge": trap,
        "filter.bad.process": trap, "filter.bad.required": "true", "merge.bad.driver": trap, "credential.helper": trap,
        "gpg.program": trap, "log.showSignature": "true", "include.path": included, "pager.ls-files": trap,
        "pager.cat-file": trap, "pager.diff-files": trap, "interactive.diffFilter": trap, "uploadpack.packObjectsHook": trap,
        "remote.origin.uploadpack": trap, "remote.origin.url": f"ext::{trap} %S", "protocol.ext.allow": "always",
        "remote.origin.promisor": "true", "extensions.partialClone": "origin", "core.repositoryFormatVersion": "1",
        "fetch.recurseSubmodules": "true", "alias.cat-file": f"!{trap}", "trace2.eventTarget": f"{trap.parent}/trace",
        "submodule.inner.update": f"!{trap}", "submodule.inner.url": f"ext::{trap} %S", "submodule.recurse": "true",
        "diff.submodule": "log", "status.submoduleSummary": "true", "core.untrackedCache": "true",
        f"includeIf.gitdir:{source}/.path": included,
    }  # fmt: skip
    for name, value in settings.items():
        git(source, "config", name, str(value))
    (source / ".git" / "info" / "attributes").write_text("* filter=bad diff=bad merge=bad\n")


def hostile(source: Path, git: Git, trap: Path) -> None:
    (source / ".gitattributes").write_text("* filter=bad diff=bad merge=bad\n")
    git(source, "add", "-A")
    git(source, "commit", "-qm", "attributes")
    arm(source, git, trap)
    (source / "a.txt").write_text("changed")
    os.utime(source / "sub" / "b", (1, 1))


def test_the_traps_work(source: Path, git: Git, trap: Path, canary: Path) -> None:
    hostile(source, git, trap)
    for words in (["status"], ["diff"], ["checkout", "-q", "-b", "x"]):
        canary.unlink(missing_ok=True)
        subprocess.run(["git", *words], cwd=source, env=ENVIRONMENT, capture_output=True, check=False, timeout=20)
        assert canary.exists(), words


def test_nothing_of_a_hostile_repository_is_run(
    copy: Copy, source: Path, git: Git, trap: Path, canary: Path, tmp_path: Path
) -> None:
    hostile(source, git, trap)
    for ref in ("HEAD", "main", "worktree"):
        into = RunFolder(tmp_path / ref)
        made = copy(ref, into=into)
        (into.workspace / "new").write_text("x")
        assert asyncio.run(GitWorkspaces().diff(into, made.pin))
    with pytest.raises(WfconsoleError):
        copy("nope")
    assert not canary.exists(), canary.read_text()
    assert not (trap.parent / "trace").exists()


def test_a_partial_clone_is_not_completed_by_running_its_remote(
    copy: Copy, source: Path, git: Git, trap: Path, canary: Path
) -> None:
    blob = git(source, "rev-parse", "HEAD:a.txt")
    arm(source, git, trap)
    (source / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(WfconsoleError, match=r"lacks the object|git could not"):
        copy()
    assert not canary.exists(), canary.read_text()


def test_the_settings_of_a_submodule_are_not_honoured(
    copy: Copy, source: Path, git: Git, trap: Path, canary: Path, tmp_path: Path
) -> None:
    inner = source / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "x").write_text("x")
    git(inner, "add", "-A")
    git(inner, "commit", "-qm", "x")
    git(source, "add", "-A")
    git(source, "commit", "-qm", "x")
    arm(inner, git, trap)
    (inner / "x").write_text("y")
    copy()
    copy("worktree", into=RunFolder(tmp_path / "second"))
    assert not canary.exists(), canary.read_text()


def test_settings_of_the_callers_environment_are_not_honoured(
    copy: Copy, source: Path, folder: RunFolder, trap: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(trap))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", "/nonexistent")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", f"'core.fsmonitor={trap}'")
    made = copy()
    (folder.workspace / "new").write_text("x")
    assert asyncio.run(GitWorkspaces().diff(folder, made.pin))
    assert not canary.exists()


def test_a_git_that_hangs_is_killed(tmp_path: Path) -> None:
    hang = tmp_path / "hang"
    hang.write_text("#!/bin/sh\nexec sleep 600\n")
    hang.chmod(0o755)
    with pytest.raises(WfconsoleError, match=r"longer than 0\.2 seconds"):
        TrustedGit(program=str(hang), git_dir=tmp_path, seconds=0.2).run("x")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_repository_of_another_account_can_be_copied(copy: Copy, source: Path) -> None:
    for path in [source, *source.rglob("*")]:
        os.chown(path, 65532, 65532, follow_symlinks=False)
    assert copy().pin.commit


def tree_of(source: Path, entries: bytes) -> str:
    """Store a tree that git would not make."""
    argv = ["git", "hash-object", "-w", "--literally", "-t", "tree", "--stdin"]
    done = subprocess.run(argv, cwd=source, env=ENVIRONMENT, input=entries, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.mark.parametrize("name", [b"..", b".git", b".GIT", b".", b"a/../../up", b"/tmp/abs"])
def test_forged_names_are_not_written(
    copy: Copy, source: Path, folder: RunFolder, git: Git, tmp_path: Path, name: bytes
) -> None:
    blob = bytes.fromhex(git(source, "rev-parse", "HEAD:a.txt"))
    inner = tree_of(source, b"100644 x\0" + blob)
    outer = tree_of(source, b"100644 good\0" + blob + b"40000 " + name + b"\0" + bytes.fromhex(inner))
    commit = git(source, "commit-tree", "-m", "x", outer)
    before = {path for path in tmp_path.rglob("*") if folder.root not in path.parents}
    made = copy(commit)
    assert [path.name for path in folder.workspace.iterdir()] == ["good"]
    assert "cannot be copied" in made.warnings[0]
    assert {path for path in tmp_path.rglob("*") if folder.root not in path.parents} - {folder.root} == before


def test_a_forged_tree_cannot_write_through_its_own_link(
    copy: Copy, source: Path, folder: RunFolder, git: Git, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=source, env=ENVIRONMENT, input=str(outside).encode(), capture_output=True,
        check=True,
    ).stdout.decode().strip()  # fmt: skip
    blob = bytes.fromhex(git(source, "rev-parse", "HEAD:a.txt"))
    inner = tree_of(source, b"100644 x\0" + blob)
    outer = tree_of(source, b"120000 d\0" + bytes.fromhex(target) + b"40000 d\0" + bytes.fromhex(inner))
    commit = git(source, "commit-tree", "-m", "x", outer)
    with pytest.raises(WfconsoleError) as caught:
        copy(commit)
    assert caught.value.code == "WORKSPACE_INVALID"
    assert list(outside.iterdir()) == []
    assert not folder.workspace.exists()
