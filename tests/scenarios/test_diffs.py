"""The diff of a run on the real engine: whatever a step does to its files, `git apply` makes the same of a fresh clone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.scenarios.cli import Wfconsole, git, recipe

pytestmark = pytest.mark.engine

LATIN = b"lat\xe9in.txt"
ODD = b'tab\tnl\nq"uote\\.txt'
CHANGE = r"""
import os, shutil

def write(name, data):
    with open(name, "wb") as out:
        out.write(data)

write("plain.txt", b"one\nTWO\nthree\n")
write("crlf.txt", b"a\r\nB\r\nc\n")
data = bytearray(open("binary.dat", "rb").read())
data[5000] = 7
write("binary.dat", data)
write("random.bin", os.urandom(50_000))
for name in ("gone.txt", "gone.bin", "gone.empty"):
    os.remove(name)
os.chmod("mode.sh", 0o755)
os.rename("deep/er/moved.txt", "deep/moved here.txt")
write(b"lat\xe9in.txt", b"changed\n")
os.rename(b'tab\tnl\nq"uote\\.txt', b'tab2\t\n"')
write(b"new\xff\xfe.bin", b"\0\1")
write("no newline", b"none either")
shutil.rmtree("folder")
write("folder", b"now a file\n")
os.remove("file")
os.makedirs("file")
write("file/inside", b"x")
os.remove("link")
os.symlink("/etc/passwd", "link")
write("empty", b"")
write("new crlf", b"x\r\ny\r\n")
write("looks.patch", b"--- a/x\n+++ b/y\n@@ -1 +1 @@\n")
write("program", b"#!/bin/sh\n")
os.chmod("program", 0o755)
write(".gitignore", b"*.ign\n")
write("kept.ign", b"although ignored\n")
raise SystemExit(1)
"""


def tree(top: Path) -> dict[bytes, tuple[bytes, bool]]:
    """Content and executable bit of every file and link but git's own."""
    found = {}
    for here, folders, files in os.walk(os.fsencode(top)):
        folders[:] = [name for name in folders if name != b".git"]
        for name in [*files, *(name for name in folders if os.path.islink(os.path.join(here, name)))]:
            path = os.path.join(here, name)
            link = os.path.islink(path)
            data = os.readlink(path) if link else Path(os.fsdecode(path)).read_bytes()
            found[os.path.relpath(path, os.fsencode(top))] = (data, not link and os.access(path, os.X_OK))
    return found


@pytest.fixture(scope="module")
def project(place: Path) -> Path:
    """Files of every kind that the step is going to change, with a program that changes them."""
    top = place / "project"
    files = {
        b"plain.txt": b"one\ntwo\nthree\n", b"crlf.txt": b"a\r\nb\r\nc\r\n", b"binary.dat": bytes(range(256)) * 40,
        b"random.bin": os.urandom(60_000), b"gone.txt": b"x\n", b"gone.bin": os.urandom(500), b"gone.empty": b"",
        b"mode.sh": b"#!/bin/sh\n", b"deep/er/moved.txt": b"r\n" * 50, LATIN: b"latin\n", ODD: b"odd\n",
        b"no newline": b"none", b"folder/in/it": b"f\n", b"file": b"f\n", b"looks.patch": b"--- a/x\n", b"same": b"same\n",
        b"change.py": CHANGE.encode(),
    }  # fmt: skip
    for name, content in files.items():
        path = Path(os.fsdecode(os.path.join(os.fsencode(top), name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (top / "link").symlink_to("plain.txt")
    git(top, "init", "-q", "-b", "main")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "first")
    return top


@pytest.mark.parametrize("words", [[], ["--index"]], ids=["files", "index"])
def test_git_apply_makes_of_a_clone_what_the_run_made_of_its_copy(
    wf: Wfconsole, place: Path, project: Path, words: list[str]
) -> None:
    """Also of a run that failed: that is when one wants to see it."""
    path = recipe(place, "changes", "steps: {change: {run: [[python, change.py]]}}\n")
    ended = wf.run("run", path, "-i", f"repo={project}", "--id", "changes", "--json")
    assert ended.view["status"] == "failed", ended.err
    (diff,) = [each for each in ended.view["artifacts"] if each["kind"] == "diff"]
    fetched = wf.run("artifacts", "changes", diff["name"], "-o", "-")
    clone = place / f"clone{len(words)}"
    git(place, "clone", "-q", str(project), str(clone))
    git(clone, "apply", *words, "-", stdin=fetched.stdout)
    made = tree(wf.folder(ended.view["run_id"]) / "workspace")
    assert len(made) == 21
    assert tree(clone) == made
    assert git(project, "status", "--porcelain") == b""


def test_a_run_that_changes_nothing_has_no_diff(wf: Wfconsole, place: Path, project: Path) -> None:
    path = recipe(place, "reads", "steps: {read: {run: [[touch, same], [mkdir, empty]]}}\n")
    ended = wf.run("run", path, "-i", f"repo={project}", "--json")
    assert ended.code == 0, ended.err
    assert {each["kind"] for each in ended.view["artifacts"]} == {"none"}
