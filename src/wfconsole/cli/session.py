"""What every command has at hand: the wiring, the output, and the way into asyncio.

Owns the life of the door: opened for one command, closed however the command ends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, TypeVar

import typer

from wfconsole.cli.output import Output
from wfconsole.control.wiring import Wiring

if TYPE_CHECKING:
    from wfconsole.control.door import Door

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Session:
    """One command's surroundings."""

    wiring: Wiring
    out: Output

    def with_door(self, work: Callable[[Door], Awaitable[int]]) -> int:
        """Run `work` on an event loop with the door open; its exit status."""
        import asyncio  # 40 ms that `COMMAND --help` does not pay

        async def inside() -> int:
            door = await self.wiring.open_door()
            try:
                return await work(door)
            finally:
                # A door over real adapters has more to close than its store.
                await getattr(door, "close", door.store.close)()

        return asyncio.run(inside())


def run_async(work: Awaitable[_Result]) -> _Result:
    """Wait for what a port promises, on an event loop of its own."""
    import asyncio

    async def inside() -> _Result:
        return await work

    return asyncio.run(inside())


def session_of(ctx: typer.Context) -> Session:
    found: Session = ctx.find_object(Session) or _missing()
    return found


def _missing() -> NoReturn:
    raise RuntimeError("commands run inside run_cli")
