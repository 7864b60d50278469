"""The automatic fix: ruff's safe fixes, in sources only.

Owns the promise that tests are never changed. The one decision that would surprise: it hashes every test before and
after although it never names a test to ruff, and puts all files back when a hash differs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quality_gate.lint import checked, mendable, parse
from quality_gate.project import Project
from quality_gate.tool import Room

_BATCH = 500


class ChangedTestsError(Exception):
    """A fix changed a test; everything was put back."""


def fix(room: Room) -> dict[str, Any]:
    """Apply the safe fixes in the workspace; return `{changed, files}`. Raises ChangedTestsError."""
    target = room.out / "before.json"
    checked(room, ["--output-format=json", f"--output-file={target}", "."])
    names = mendable(parse(target.read_text(encoding="utf-8"), room.workspace)) if target.is_file() else []
    tests = digests(room.workspace)
    before = {name: (room.workspace / name).read_bytes() for name in names}
    for batch in _batches(names):
        ran, _ = checked(room, ["--fix", "--exit-zero", "--no-unsafe-fixes", *batch])
        print(ran.output)
    guard(room.workspace, tests, before)
    changed = [name for name, content in before.items() if (room.workspace / name).read_bytes() != content]
    return {"changed": bool(changed), "files": changed}


def guard(root: Path, tests: dict[str, str], before: dict[str, bytes]) -> None:
    """Put the files in `before` back and raise ChangedTestsError when the tests no longer have the digests `tests`."""
    now = digests(root)
    if now == tests:
        return
    for name, content in before.items():
        (root / name).write_bytes(content)
    different = sorted(name for name in tests.keys() | now.keys() if tests.get(name) != now.get(name))
    raise ChangedTestsError(f"The fix changed tests and was undone: {json.dumps(different)}")


def digests(root: Path) -> dict[str, str]:
    """Return name to sha256 of every test file."""
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in Project(root=root).test_files}


def _batches(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _BATCH):
        yield [f"./{name}" for name in names[start : start + _BATCH]]
