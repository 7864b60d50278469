"""Pictures of the console for the README: each scene as an SVG without any address in it."""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.console.rig import Rig
from tests.console.scenes import SCENES

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
SHOWN = ("runs", "run", "card", "log", "launch")
_FONTS = re.compile(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)


def draw(name: str, home: Path) -> str:
    """The scene as SVG text."""
    scene = SCENES[name]
    with pytest.MonkeyPatch.context() as patch:
        rig = Rig(patch, home)
        scene.prepare(rig)

        async def picture() -> str:
            app = rig.console(**scene.settings)
            async with app.run_test(size=scene.size) as pilot:
                await scene.before()(pilot)
                return app.export_screenshot(title="wfconsole")

        try:
            return clean(asyncio.run(picture()))
        finally:
            rig.desk.door.artifacts.close()


def clean(svg: str) -> str:
    """Without fonts from elsewhere: the reader's own monospace is used."""
    return _FONTS.sub("", svg).replace("Fira Code", "monospace")


def words(svg: str) -> list[str]:
    """What can be read in a picture, in order."""
    return [" ".join(text.replace("&#160;", " ").split()) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def main(names: list[str]) -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in names or SHOWN:
        with tempfile.TemporaryDirectory() as home:
            (FOLDER / f"{name}.svg").write_text(draw(name, Path(home)))
        sys.stderr.write(f"docs/pictures/{name}.svg\n")
    return 0


def differences(name: str, home: Path) -> Any:
    """None when the committed picture still says what the console shows."""
    committed = words((FOLDER / f"{name}.svg").read_text())
    drawn = words(draw(name, home))
    return None if committed == drawn else (committed, drawn)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
