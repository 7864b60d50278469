"""How the inbox, the card and the retry dialog look. The clock and every id stand still."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from tests.console.rig import NARROW, WIDE, Rig, until
from tests.console.test_approvals import OTHER, THIRD, asking, incomplete
from tests.console.test_card import look_at_all, stored
from tests.console.test_retry import failing
from tests.fakes.gates import gated, question
from tests.fakes.journals import RUN_ID, Journal, plan, step
from wfconsole.console.app import Console
from wfconsole.console.screens.card import CardScreen
from wfconsole.console.screens.retry import RetryScreen
from wfconsole.domain.plan import CommandPolicy, InputSpec

Snap = Callable[..., bool]
Before = Callable[[Pilot[None]], Awaitable[None]]
FORM = (
    InputSpec(name="place", type="string", required=True, choices=("staging", "production"), description="Where to"),
    InputSpec(name="percent", type="integer", has_default=True, default=10, minimum=1, maximum=100),
)


def opened(gate: str, *keys: str, look: bool = False) -> Before:
    """The card is open, everything was looked at if wanted, then the keys are pressed."""

    async def before(pilot: Pilot[None]) -> None:
        app = cast("Console", pilot.app)
        app.open_card(RUN_ID, gate)
        await until(pilot, lambda: isinstance(app.screen, CardScreen) and app.screen.picture is not None)
        screen = cast("CardScreen", app.screen)
        if look:
            await look_at_all(pilot, screen)
        await pilot.press(*keys)
        await until(pilot, lambda: screen.current not in screen.unseen)
        await pilot.pause()

    return before


@pytest.mark.parametrize("size", [NARROW, WIDE])
@pytest.mark.parametrize("part", ["summary", "diff", "risk"])
def test_card(rig: Rig, snap_compare: Snap, size: tuple[int, int], part: str) -> None:
    rig.desk.door.add(gated(context=stored(rig)))
    keys = {"summary": (), "diff": ("d",), "risk": ("right_square_bracket",) * 3}[part]
    assert snap_compare(rig.console(), terminal_size=size, run_before=opened("gate#1", *keys))


def test_reject_panel(rig: Rig, snap_compare: Snap) -> None:
    rig.desk.door.add(gated(context=stored(rig)))
    assert snap_compare(rig.console(), terminal_size=NARROW, run_before=opened("gate#1", "x", *"too big", look=True))


def test_question_form(rig: Rig, snap_compare: Snap) -> None:
    rig.desk.door.add(gated(question("ask", form=FORM), context={}))
    keys = ("right_square_bracket", *"prod")

    async def before(pilot: Pilot[None]) -> None:
        await opened("ask#1", keys[0])(pilot)
        await until(pilot, lambda: type(pilot.app.focused).__name__ == "Input")
        await pilot.press(*keys[1:])
        await pilot.pause()

    assert snap_compare(rig.console(), terminal_size=NARROW, run_before=before)


def test_blocked_command(rig: Rig, snap_compare: Snap) -> None:
    made = plan(step("wipe", argv=("rm", "-rf", "build")), commands=CommandPolicy(deny=("rm",)))
    journal = Journal(made)
    journal.take()
    rig.desk.door.add(journal)
    assert snap_compare(rig.console(), terminal_size=NARROW, run_before=opened("wipe", "right_square_bracket"))


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_inbox(rig: Rig, snap_compare: Snap, size: tuple[int, int]) -> None:
    for journal in (gated(), incomplete(OTHER), asking(THIRD)):
        rig.desk.door.add(journal)
    rig.desk.now = gated().now

    async def before(pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await until(pilot, lambda: _rows(pilot) == 3)
        await pilot.press("j")
        await pilot.pause()

    assert snap_compare(rig.console(), terminal_size=size, run_before=before)


def _rows(pilot: Pilot[Any]) -> int:
    from wfconsole.console.lines import LineList

    return sum(len(found.rows) for found in pilot.app.screen.query(LineList))


def test_retry(rig: Rig, snap_compare: Snap) -> None:
    journal = failing()
    rig.desk.door.add(journal)
    assert journal.state is not None
    rig.desk.door.plan = journal.state.plan

    async def before(pilot: Pilot[None]) -> None:
        app = cast("Console", pilot.app)
        app.open_retry(RUN_ID)
        await until(pilot, lambda: isinstance(app.screen, RetryScreen) and app.screen.checked)
        await pilot.pause()

    assert snap_compare(rig.console(), terminal_size=NARROW, run_before=before)
