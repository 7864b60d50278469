"""Patience with an engine that is away: whoever restarts it must not cost a run its work.

Owns how long a call is made again, and when it is not. Refuses to know what the calls are: they must be repeatable. What would
surprise: an engine that nobody has seen is not waited for, since then there probably is none, and its user wants to be told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from wfconsole.ports import WfconsoleError
from wfconsole.sandbox import marks
from wfconsole.sandbox.engine import AwayError, Engine

T = TypeVar("T")
PATIENCE_S = 120.0
"""How long an engine may be away before what needs it is given up: an upgrade takes a minute, a call that hangs half of one."""

SHORT_S = 10.0
"""The same for what is only tidied up while somebody waits for the command to end."""

PAUSE_S = 0.5
TOLD_MS = 20_000


async def patiently(
    engine: Engine,
    work: Callable[[], Awaitable[T]],
    seconds: Callable[[], float],
    say: Callable[[str], None] | None = None,
    wanted: Callable[[], bool] = lambda: True,
) -> T:
    """What `work` returns, tried again while the engine is away and it is `wanted`; `say` is told once.

    `seconds` is asked at each failure how long in all. Raises the last failure.
    """
    began = marks.ticks_ms()
    told = False
    while True:
        try:
            return await work()
        except WfconsoleError as error:
            most = seconds()
            over = marks.ticks_ms() >= began + most * 1000 or not wanted()
            if error.code != "SANDBOX_UNAVAILABLE" or over or not await _is_away(engine, error):
                raise
            if say is not None and not told:
                say(f"{error.message}: waiting for it, at most {most:.0f} s")
                told = True
        await asyncio.sleep(PAUSE_S)


def seldom(say: Callable[[str], None] | None) -> Callable[[str], None]:
    """`say` for many who wait for the same engine: one of them tells, the others need not."""
    told: list[float] = []

    def tell(text: str) -> None:
        now = marks.ticks_ms()
        if say is not None and (not told or now - told[-1] >= TOLD_MS):
            told[:] = [now]
            say(text)

    return tell


async def _is_away(engine: Engine, error: WfconsoleError) -> bool:
    """An engine that is going down still refuses what it is asked for, with all kinds of reasons."""
    if isinstance(error, AwayError):
        return True
    try:
        await engine.call(lambda client: client.ping())
    except AwayError:
        return True
    except WfconsoleError:
        return False
    return False
