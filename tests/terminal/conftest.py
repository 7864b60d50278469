"""One folder of recipes and one state folder for each module here, and what these tests need besides the engine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import REQUIRED
from tests.scenarios import locks
from tests.scenarios.cli import HOLD, Wfconsole

RECIPES = {
    "hold": """
        files: [hold.py]
        steps: {one: {run: [[python, /recipe/hold.py, one]]}, two: {needs: [one], run: [[echo, done]]}}
        """,
    "small": """
        inputs: {word: {type: string, required: true, description: What to say}}
        steps:
          say: {run: [[echo, "${{ inputs.word }}"]]}
          gate: {needs: [say], approval: {title: Ship it?, context: {risk: auto}}}
          after: {needs: [gate], run: [[echo, done]]}
        """,
    "wrong": """
        manual_retry: {run: allow, step: deny, reason: steps depend on each other}
        steps: {good: {run: [['true']]}, bad: {needs: [good], run: [['false']]}}
        """,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with these recipes, in which the program is started."""
    folder = tmp_path_factory.mktemp("terminal")
    (folder / "recipes").mkdir()
    (folder / "recipes" / "hold.py").write_text(HOLD)
    for name, text in RECIPES.items():
        (folder / "recipes" / f"{name}.yaml").write_text(f"recipe: {name}\nversion: 1.0.0\n{_dedent(text)}")
    return folder


def _dedent(text: str) -> str:
    from textwrap import dedent

    return dedent(text.lstrip("\n"))


@pytest.fixture(scope="module")
def wf(place: Path) -> Wfconsole:
    """The program over a state folder of this module's own, that holds the template's lock."""
    made = Wfconsole(place / "home", {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}, place)
    locks.put(made.home, ("worker",), made.environment)
    return made


def needs(*programs: str) -> None:
    """Skip where a program is missing; under `scripts/test`, whose set-up installs them, fail."""
    missing = [name for name in programs if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]
    if missing and os.environ.get(REQUIRED) == "required":
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
