"""Repositories to copy, made by the real git with nobody's settings."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wfconsole.ports import RunFolder, WorkspaceCopy
from wfconsole.workspace.copy import GitWorkspaces

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_ALLOW_PROTOCOL": "file",
}

Git = Callable[..., str]
Copy = Callable[..., WorkspaceCopy]


@pytest.fixture
def git() -> Git:
    def run(folder: Path, *words: str) -> str:
        argv = ["git", "-c", "init.defaultBranch=main", *words]
        done = subprocess.run(argv, cwd=folder, env=ENVIRONMENT, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    return run


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run one")


@pytest.fixture
def source(tmp_path: Path, git: Git) -> Path:
    """A repository with one commit: a file, an executable, a folder."""
    top = tmp_path / "söurce repo"
    (top / "sub").mkdir(parents=True)
    git(top, "init", "-q")
    (top / "a.txt").write_bytes(b"one\r\ntwo\n")
    (top / "run.sh").write_bytes(b"#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    (top / "sub" / "b").write_bytes(b"\0\xff")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "first")
    return top


@pytest.fixture
def copy(source: Path, folder: RunFolder) -> Copy:
    def do(ref: str = "HEAD", *, of: Path | None = None, into: RunFolder | None = None) -> WorkspaceCopy:
        return asyncio.run(GitWorkspaces().copy(of or source, ref, into or folder))

    return do
