"""A recipe that is wrong, given to the program as its users have it: one clear finding, exit 2, and nothing was created."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from wfconsole.compiler.load import MAX_BYTES, MAX_DEPTH

SOURCES = Path(__file__).parents[2] / "src"
GOOD = "steps: {a: {set: {n: 1}}}\n"
LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 9))
WRONG = {
    "cycle": (
        "recipe: wrong\nsteps:\n  a: {run: x, needs: [b]}\n  b: {run: x, needs: [a]}\n",
        (3, 15, "steps.a.needs: these steps need each other: a → b → a", "remove one of the needs"),
    ),
    "unknown need": (
        "recipe: wrong\nsteps:\n  unit: {run: x}\n  b: {run: x, needs: [unti]}\n",
        (4, 23, "steps.b.needs.unti: unknown step 'unti'", "did you mean 'unit'?"),
    ),
    "duplicate key": (
        "recipe: wrong\nsteps:\n  a: {run: x}\n  a: {run: y}\n",
        (4, 3, "steps.a: the key 'a' a second time", "it was given in line 3; keep one"),
    ),
    "unknown key": (
        "recipe: wrong\nsteps:\n  a: {run: x, neeeds: []}\n",
        (3, 15, "steps.a.neeeds: unknown key of a step 'neeeds'", "did you mean 'needs'?"),
    ),
    "size": (
        f"recipe: wrong\n#{'x' * MAX_BYTES}\n{GOOD}",
        (1, 1, f"the recipe has {MAX_BYTES + 1} bytes; the limit is {MAX_BYTES}", "move data into `files` or inputs"),
    ),
    "depth": (
        "recipe: wrong\nstate: " + "[" * 9_999,
        (2, 7 + MAX_DEPTH, f"nested deeper than {MAX_DEPTH} levels", "flatten it"),
    ),
    "aliases": (
        f"recipe: wrong\n{LAUGHS}{GOOD}",
        (3, 10, "a1[0]: an alias (*a0)", "recipes take no aliases; write the value out, or use `defaults`"),
    ),
    "unknown template": (
        f"recipe: wrong\ntemplate: pyhton\n{GOOD}",
        (2, 11, "template: unknown template 'pyhton'", "did you mean 'python'?"),
    ),
    "unknown name in an expression": (
        "recipe: wrong\ninputs: {floor: {}}\nsteps:\n  a: {set: {n: '${{ inptus.floor }}'}}\n",
        (4, 17, "steps.a.set.n: unknown name 'inptus' in 'inptus.floor'", "did you mean 'inputs'?"),
    ),
    "a step that is not upstream": (
        "recipe: wrong\nsteps:\n  a: {set: {n: 1}}\n  b: {set: {n: '${{ steps.a.outputs.n }}'}}\n",
        (4, 17, "steps.b.set.n: the step 'a' is not upstream of this one in 'steps.a.outputs.n'",
         "add 'a' to `needs` (or what needs it)"),
    ),
}  # fmt: skip


def wfconsole(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "WFCONSOLE_HOME": str(folder / "home"), "PYTHONPATH": str(SOURCES)}
    return subprocess.run(
        [sys.executable, "-m", "wfconsole", *argv],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def left(folder: Path) -> dict[str, Any]:
    """How many rows each table of runs has, and which folders the state folder has."""
    home = folder / "home"
    with closing(sqlite3.connect(home / "wfconsole.db")) as db:
        tables = ("runs", "journal", "inbox", "steps", "attempts", "artifacts", "intents", "leases")
        counts = {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}
    folders = {f"{path.name}/": sorted(os.listdir(path)) for path in home.iterdir() if path.is_dir()}
    return {name: found for name, found in {**counts, **folders}.items() if found}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_recipe_is_one_clear_finding_exit_2_and_nothing_created(tmp_path: Path, name: str) -> None:
    text, (line, column, message, hint) = WRONG[name]
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    done = wfconsole(tmp_path, "run", str(path), "--id", "once", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    error = json.loads(done.stderr)["error"]
    assert error["code"] == "RECIPE_INVALID"
    found = [problem for problem in error["details"]["problems"] if problem["where"] == f"{path}:{line}:{column}"]
    assert [problem["hint"] for problem in found] == [hint]
    assert found[0]["message"].endswith(message)
    assert name == "aliases" or len(error["details"]["problems"]) == 1
    assert left(tmp_path) == {}


def test_a_recipe_that_is_right_does_leave_a_run(tmp_path: Path) -> None:
    """Else the tests above would see nothing whatever was created."""
    path = tmp_path / "right.yaml"
    path.write_text(f"recipe: right\n{GOOD}")
    done = wfconsole(tmp_path, "run", str(path), "--json")
    assert done.returncode == 0, done.stderr
    found = left(tmp_path)
    assert (found["runs"], found["steps"], len(found["runs/"])) == (1, 1, 1)


def test_a_kind_that_is_not_available_yet_is_valid_and_cannot_be_run(tmp_path: Path) -> None:
    path = tmp_path / "later.yaml"
    path.write_text("recipe: later\nsteps:\n  ask: {merge: {via: forge, number: 1}}\n")
    valid = wfconsole(tmp_path, "recipes", "validate", str(path), "--json")
    assert (valid.returncode, json.loads(valid.stdout)["valid"]) == (0, True)
    done = wfconsole(tmp_path, "run", str(path), "--json")
    assert done.returncode == 2
    (problem,) = json.loads(done.stderr)["error"]["details"]["problems"]
    assert problem["message"] == "ask: `merge` is not available in this version"
    assert problem["where"].startswith(f"{path}:3")
    assert left(tmp_path) == {}
