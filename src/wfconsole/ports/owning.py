"""Owning a run: the port of leases. Part of `ports`, whose conventions hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write one run: a process, and a number that grows each time that the run changes hands."""

    owner: str
    fence: int


class Hold(Protocol):
    """A run that this process owns."""

    @property
    def lease(self) -> Lease | None:
        """What commits name; None where nothing but a lock says who owns what."""
        ...

    @property
    def crashed(self) -> str | None:
        """From whom it was taken, when that owner had not let go: ``HOST:PID (dead)`` or ``(hung)``."""
        ...

    @property
    def lost(self) -> bool:
        """Whether it is known by now that another process has taken the run over."""
        ...

    def moment(self) -> float:
        """Now, on the clock of `confirm`; to be taken before the database is asked."""
        ...

    def confirm(self, asked: float) -> None:
        """A commit under this lease that was begun at the moment `asked` has gone through.

        Who is stopped between answer and `confirm` wakes with an answer that is as old as his sleep.
        """
        ...

    async def is_mine(self) -> bool:
        """To be asked before anything is started, stopped or removed."""
        ...

    async def release(self, setback: str | None = None) -> None:
        """Let go; with `setback`, why the run could not be driven, which is counted until something is written. Idempotent."""
        ...


class Holds(Protocol):
    """Who owns what. A dead owner is replaced at once, a hung one when its time has run out."""

    async def acquire(self, run_id: str, *, listens: bool = False) -> Hold | None:
        """Take the run, or None while a living process has it. `listens`: commands for it are to be hinted at."""
        ...

    async def setbacks(self, run_id: str) -> tuple[int, str | None]:
        """How often driving the run failed since something was last written, and how the last time."""
        ...
