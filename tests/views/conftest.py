"""Patches of real git, made with the words that the workspace uses, nobody's settings and no rename detection."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}
WORDS = (
    "diff-tree",
    "-r",
    "-p",
    "--binary",
    "--full-index",
    "--no-ext-diff",
    "--no-textconv",
    "--no-renames",
    "--no-color",
)
Entry = bytes | tuple[str, bytes]
"""A file's content, or (mode, content): 100755, 120000 with the target, 160000 with a commit's id in hex."""


def _git(folder: Path, *words: str | bytes, stdin: bytes = b"") -> bytes:
    done = subprocess.run(["git", *words], cwd=folder, env=ENVIRONMENT, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture
def change(tmp_path: Path) -> Callable[[Mapping[str | bytes, Entry], Mapping[str | bytes, Entry]], bytes]:
    """``change(before, after)``: the patch between two trees given as {path: entry}."""
    top = tmp_path / "trees"
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir()
    _git(top, "init", "-q")

    def tree(entries: Mapping[str | bytes, Entry]) -> str:
        lines = []
        for path, entry in entries.items():
            mode, content = entry if isinstance(entry, tuple) else ("100644", entry)
            name = path if isinstance(path, bytes) else path.encode()
            blob = content if mode == "160000" else _git(top, "hash-object", "-w", "--stdin", stdin=content).strip()
            lines.append(b"%b %b\t%b\0" % (mode.encode(), blob, name))
        _git(top, "read-tree", "--empty")
        _git(top, "update-index", "-z", "--index-info", stdin=b"".join(lines))
        return _git(top, "write-tree").decode().strip()

    def do(before: Mapping[str | bytes, Entry], after: Mapping[str | bytes, Entry]) -> bytes:
        return _git(top, *WORDS, tree(before), tree(after))

    return do
