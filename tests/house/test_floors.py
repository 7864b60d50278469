"""The import contracts of pyproject.toml hold, and name every package there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.house.tree import ROOT, SOURCE


def test_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_each_package_has_exactly_one_floor() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in settings["contracts"] if contract["type"] == "layers")
    placed = [name.strip(" ()") for layer in layers for name in re.split(r"[|:]", layer)]
    assert len(placed) == len(set(placed))
    there = {path.stem for path in SOURCE.glob("*.py")} | {path.parent.name for path in SOURCE.glob("*/*.py")}
    assert there - {"__init__", "__main__"} <= set(placed)


@pytest.mark.parametrize("name", ["stray/__init__.py", "stray.py"])
def test_a_folder_or_module_that_nobody_placed_fails_the_build(tmp_path: Path, name: str) -> None:
    house = checkout(tmp_path)
    stray = house / "src/wfconsole" / name
    stray.parent.mkdir(exist_ok=True)
    stray.write_text('"""On no floor."""\n')
    done = lint(house)
    assert done.returncode == 1
    assert "- wfconsole.stray" in done.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("domain/decide.py", "import wfconsole.ports"),
        ("domain/decide.py", "import asyncio"),
        ("views/words.py", "import pathlib"),
        ("store/journal.py", "import wfconsole.sandbox"),
        ("engine/local.py", "import wfconsole.store"),
        ("engine/local.py", "import subprocess"),
        ("cli/runs.py", "import textual"),
        ("control/door.py", "import wfconsole.engine"),
        ("sandbox/engine.py", "import sqlite3"),
        ("store/sqlite.py", "import docker"),
        ("sandbox/engine.py", "import ruamel.yaml"),
    ],
)
def test_an_import_that_goes_up_or_aside_fails_the_build(tmp_path: Path, module: str, line: str) -> None:
    house = checkout(tmp_path)
    path = house / "src/wfconsole" / module
    path.write_text(f"{path.read_text()}\n{line}\n")
    assert "BROKEN" in lint(house).stdout


def checkout(folder: Path) -> Path:
    """A copy of what import-linter looks at."""
    shutil.copytree(SOURCE, folder / "src/wfconsole", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    return subprocess.run(
        [program, "--no-cache"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
