"""A state folder whose database was moved away or damaged: every command says so, exits 5, and makes nothing in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scenarios.cli import Wfconsole, recipe

COMMANDS = (("runs",), ("show", "kept"), ("worker", "--until-idle"))


@pytest.fixture(scope="module")
def filled(place: Path, repo: Path) -> Wfconsole:
    """A state folder with a backup and a run that failed, because it was given an engine that is not there."""
    wf = Wfconsole(place / "home").using(DOCKER_HOST=f"unix://{place}/none.sock")
    path = recipe(place, "small", "steps: {a: {run: [[cat, data.txt]]}}\n")
    assert wf.run("run", path, "-i", f"repo={repo}", "--id", "kept").code == 5
    assert wf.run("db", "backup").code == 0
    return wf


def moved(path: Path) -> None:
    path.rename(path.with_name("aside"))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def overwritten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[:8192] = bytes(byte ^ 0xFF for byte in content[:8192])
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [moved, emptied, overwritten])
def test_exec_block_15_a_moved_or_corrupt_database_is_an_error_at_start(
    filled: Wfconsole, harm: Callable[[Path], None]
) -> None:
    path = filled.home / "wfconsole.db"
    (saved,) = (filled.home / "backups").glob("*.db")
    whole = path.read_bytes()
    harm(path)
    left = path.read_bytes() if path.exists() else None
    for command in COMMANDS:
        refused = filled.run(*command, "--json")
        assert (refused.code, refused.error["code"]) == (5, "STORE_CORRUPT"), (command, refused.stdout)
        assert str(saved) in refused.error["hint"]
        assert (path.read_bytes() if path.exists() else None) == left, command
    path.write_bytes(whole)
    assert filled.show("kept")["status"] == "failed"
