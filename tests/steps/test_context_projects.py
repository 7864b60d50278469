"""The card of changes as real projects have them: every kind of change, any bytes in names and content, and very large diffs."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.steps import test_context
from wfconsole.domain.codec import canonical
from wfconsole.views.context_lines import diff_lines, hunk_lines, risk_lines

Make = Callable[[dict[str, bytes]], test_context.Lab]
make = test_context.make  # the fixture
FIRST = {
    "crlf.txt": b"one\r\ntwo\r\n",
    "run.sh": b"#!/bin/sh\n",
    "logo.bin": bytes(range(256)) * 8,
    "moved.py": b"".join(b"line %d\n" % n for n in range(40)),
    "gone.txt": b"x\n",
    os.fsdecode(b"caf\xe9.txt"): b"latin \xe9\n",
    "lib/part.txt": b"part\n",
}


def changed(lab: test_context.Lab) -> dict[str, Any]:
    """Every kind of change at once; the files of the diff by path."""
    root = lab.folder.workspace
    lab.write("crlf.txt", b"one\r\nthree\r\n")
    (root / "run.sh").chmod(0o755)
    lab.write("logo.bin", bytes(range(255, -1, -1)) * 9)
    (root / "moved.py").rename(root / "lib/moved.py")
    (root / "gone.txt").unlink()
    lab.write(os.fsdecode(b"caf\xe9.txt"), b"latin \xe8 and \xff\n")
    lab.write("esc\x1b[31m.txt", "\x1b]0;title\x07 \u202etxt\n")
    document = lab.build(lab.job()).document
    return {one["path"]: one for one in document["diff"]["files"]}


def test_st_wf_005_1_every_kind_of_change_is_on_the_card(make: Make) -> None:
    lab = make(FIRST)
    found = changed(lab)
    assert {path: one["status"] for path, one in found.items()} == {
        "crlf.txt": "modified",
        "run.sh": "mode",
        "logo.bin": "modified",
        "lib/moved.py": "renamed",
        "gone.txt": "deleted",
        os.fsdecode(b"caf\xe9.txt"): "modified",
        "esc\x1b[31m.txt": "added",
    }
    assert (found["run.sh"]["old_mode"], found["run.sh"]["new_mode"]) == ("100644", "100755")
    assert found["lib/moved.py"]["old_path"] == "moved.py"
    assert found["logo.bin"]["binary"]
    assert (found["crlf.txt"]["added"], found["crlf.txt"]["removed"]) == (1, 1)


def test_the_artifact_of_the_diff_makes_the_same_workspace_again(make: Make, tmp_path: Path) -> None:
    lab = make(FIRST)
    changed(lab)
    made = lab.build(lab.job())
    (diff,) = [artifact for artifact in made.artifacts if artifact.kind == "diff"]
    patch = lab.artifacts.path(diff.sha256 or "").read_bytes()
    subprocess.run(["git", "apply", "-"], cwd=tmp_path / "source", input=patch, check=True, capture_output=True)
    assert tree(tmp_path / "source") == tree(lab.folder.workspace)


def tree(root: Path) -> dict[str, tuple[bytes, bool]]:
    return {
        str(path.relative_to(root)): (path.read_bytes(), os.access(path, os.X_OK))
        for path in root.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(root).parts
    }


def test_the_card_in_words_has_no_control_character_of_a_name_or_a_line(make: Make) -> None:
    lab = make(FIRST)
    changed(lab)
    document = lab.build(lab.job()).document
    parts = (*diff_lines(document["diff"]), *hunk_lines(document["diff"]), *risk_lines(document["risk"]))
    text = "\n".join(parts)
    assert "caf" in text
    assert "moved.py -> lib/moved.py" in text
    assert not any((ord(char) < 32 and char != "\n") or char in "\u202e\x7f" for char in text)


def test_a_diff_of_50_mb_is_summed_up_on_the_card_and_whole_in_the_artifact(make: Make) -> None:
    lab = make({"small.txt": b"x\n"})
    lab.write(
        "big.txt",
        b"".join(b"value_%d = compute(%d)  # a line of ordinary length here\n" % (n, n) for n in range(900_000)),
    )
    began = time.process_time()
    made = lab.build(lab.job())
    spent = time.process_time() - began
    (diff,) = [artifact for artifact in made.artifacts if artifact.kind == "diff"]
    assert diff.bytes is not None
    assert diff.bytes > 50_000_000
    assert made.document["diff"]["added"] == 900_000
    assert made.document["diff"]["artifact"]["sha256"] == diff.sha256
    assert len(canonical(made.document)) < 200_000
    assert any(note["rule"] == "large_change" for note in made.document["risk"]["notes"])
    assert spent < 12
