"""One state folder and one repository for each module of scenarios: runs are shared, because each costs seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.cli import Wfconsole, repository


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for this module's recipes and projects."""
    return tmp_path_factory.mktemp("scenarios")


@pytest.fixture(scope="module")
def wf(place: Path) -> Wfconsole:
    """The program over a state folder of this module's own."""
    return Wfconsole(place / "home")


@pytest.fixture(scope="module")
def repo(place: Path) -> Path:
    """A small repository."""
    return repository(place / "repo")
