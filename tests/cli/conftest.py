"""The desk that every command line is tried at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.desk import Desk


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Desk]:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("WFCONSOLE_DEBUG", "_WFCONSOLE_COMPLETE", "COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    found = Desk(monkeypatch, tmp_path)
    yield found
    found.door.artifacts.close()
