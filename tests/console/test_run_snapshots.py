"""How the run screen looks: frozen clock, frozen ids."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.console.rig import NARROW, WIDE, Rig, until
from tests.console.test_run import broken
from tests.fakes.gates import approval, gated
from tests.fakes.journals import RUN_ID, Journal, step
from wfconsole.console.screens.run import RunScreen


def waiting() -> Journal:
    return gated(
        step("lint"), step("unit"), approval("gate", "lint", "unit", timeout_ms=3_600_000), step("ship", "gate")
    )


def opening(*keys: str) -> Callable[[Pilot[Any]], Awaitable[None]]:
    async def before(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        app.open_run(RUN_ID)
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.picture is not None)
        screen: RunScreen = app.screen
        for key in keys:
            await pilot.press(key)
        await until(pilot, lambda: (screen._at is None) == (screen._past is None))
        await pilot.pause()

    return before


@pytest.mark.parametrize(
    ("made", "size", "keys", "settings"),
    [
        (broken, NARROW, (), {}),
        (waiting, NARROW, (), {"ascii_only": True}),
        (waiting, WIDE, (), {}),
        (broken, WIDE, ("comma", "comma", "comma", "comma"), {}),
    ],
    ids=["failed-80x24", "waiting-ascii-80x24", "waiting-120x40", "past-120x40"],
)
def test_run(
    rig: Rig,
    snap_compare: Any,
    made: Callable[[], Journal],
    size: tuple[int, int],
    keys: tuple[str, ...],
    settings: Any,
) -> None:
    rig.desk.door.add(made())
    assert snap_compare(rig.console(**settings), terminal_size=size, run_before=opening(*keys))
