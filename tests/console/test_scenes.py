"""The scenes as pictures: those of the README are what the console shows, the others are kept as snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.console.pictures import FOLDER, SHOWN, differences
from tests.console.rig import NARROW, Rig
from tests.console.scenes import SCENES


@pytest.mark.parametrize("name", SHOWN)
def test_the_pictures_of_the_readme_are_current(name: str, tmp_path: Path) -> None:
    assert differences(name, tmp_path) is None, "run scripts/pictures"


def test_the_readme_shows_every_picture_and_they_name_no_address() -> None:
    readme = (FOLDER.parents[1] / "README.md").read_text()
    for path in FOLDER.glob("*.svg"):
        assert f"docs/pictures/{path.name}" in readme
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http" not in text


@pytest.mark.parametrize("theme", ["calm", "daylight", "mono"])
@pytest.mark.parametrize("name", ["palette", "settings"])
def test_scene(rig: Rig, snap_compare: Any, name: str, theme: str) -> None:
    scene = SCENES[name]
    scene.prepare(rig)
    assert snap_compare(rig.console(theme=theme), terminal_size=NARROW, run_before=scene.before())
