"""A console over a fake door with a frozen clock: what every test of the console starts from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.fakes.desk import Desk
from wfconsole.console.app import Console
from wfconsole.console.settings import ConsoleSettings

THEMES = Path(__file__).resolve().parents[2] / "themes"
WIDE, NARROW = (120, 40), (80, 24)


class Rig:
    """`desk.door` takes journals (`desk.door.add`) before the console opens; `desk.now` is the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        self.desk = Desk(monkeypatch, home)
        self.settings = ConsoleSettings(themes=(THEMES,), theme="calm")

    def console(self, target: str | None = None, **settings: Any) -> Console:
        return Console(self.desk.wiring(), replace(self.settings, **settings), target)

    @asynccontextmanager
    async def open(
        self, target: str | None = None, *, size: tuple[int, int] = NARROW, **settings: Any
    ) -> AsyncIterator[tuple[Console, Pilot[None]]]:
        """The console, running, its first picture drawn."""
        app = self.console(target, **settings)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.screen.is_current)
            yield app, pilot


async def until(pilot: Pilot[Any], holds: Callable[[], bool], *, seconds: float = 10.0) -> None:
    """Let the console work until `holds` is true; fails the test when it never gets there."""
    async with asyncio.timeout(seconds):
        while not holds():
            await pilot.pause(0.01)


def screen_text(app: Console) -> list[str]:
    """What is on the screen, a string a line, as an operator reads it."""
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips] or [""]
