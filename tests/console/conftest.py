from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.rig import Rig


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Rig]:
    for name in ("NO_COLOR", "COLUMNS", "LINES", "SSH_CONNECTION", "TMUX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    found = Rig(monkeypatch, tmp_path)
    yield found
    found.desk.door.artifacts.close()
