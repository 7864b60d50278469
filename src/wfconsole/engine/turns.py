"""Whose turn it is at a run's workspace: who may be in it together, and who waits until the others are out.

Owns the rule and the queue. Refuses to know what is done in a turn. The decision that would surprise: nobody overtakes one who
waits and could not go beside him, or a change would wait for as long as steps follow one another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

Purpose = Literal["working", "reading", "copying", "changing"]

_TOGETHER: dict[Purpose, frozenset[Purpose]] = {
    "working": frozenset({"working", "reading"}),
    "reading": frozenset({"working", "reading", "copying"}),
    "copying": frozenset({"reading", "copying"}),
    "changing": frozenset(),
}
"""Steps that share the workspace work in it together; it is copied when none does, and changed when nobody looks."""


@dataclass(slots=True, eq=False)
class Turn:
    """A place in the queue, or in the workspace."""

    purpose: Purpose
    granted: asyncio.Event = field(default_factory=asyncio.Event)


class Turns:
    """One run's. Not thread-safe; bound to the loop of its first use."""

    def __init__(self) -> None:
        self._inside: list[Turn] = []
        self._waiting: list[Turn] = []

    async def take(self, purpose: Purpose) -> Turn:
        """Wait for a turn; it lasts until it is given back."""
        turn = Turn(purpose)
        self._waiting.append(turn)
        self._admit()
        try:
            await turn.granted.wait()
        except asyncio.CancelledError:
            self.give(turn)
            raise
        return turn

    def give(self, turn: Turn) -> None:
        """Give a turn back, also one that was not had yet; once more does nothing."""
        for place in (self._inside, self._waiting):
            if turn in place:
                place.remove(turn)
        self._admit()

    @asynccontextmanager
    async def during(self, purpose: Purpose) -> AsyncIterator[None]:
        turn = await self.take(purpose)
        try:
            yield
        finally:
            self.give(turn)

    def _admit(self) -> None:
        before: list[Turn] = []
        for turn in list(self._waiting):
            if all(other.purpose in _TOGETHER[turn.purpose] for other in (*self._inside, *before)):
                self._waiting.remove(turn)
                self._inside.append(turn)
                turn.granted.set()
            else:
                before.append(turn)
