"""Storing the question cards of blocked commands, before the ruling that opens their gates is committed.

Refuses to know what is on a card. Other gates store theirs while they gather what they show.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from wfconsole.domain.cards import blocked_cards
from wfconsole.domain.events import Record
from wfconsole.ports import Artifacts, RunFolder
from wfconsole.steps.keeping import AttemptPlace, keep

CardKeeper = Callable[[str, Sequence[Record]], Awaitable[None]]
"""Stores what these records of a run speak of and what only they tell. Raises DISK_FULL, OSError."""


def card_keeper(artifacts: Artifacts, folder: Callable[[str], RunFolder]) -> CardKeeper:
    """A function that stores the cards; `folder` says where a run's files are."""

    async def keep_cards(run_id: str, records: Sequence[Record]) -> None:
        for record, data in blocked_cards(each.event for each in records):
            await keep(
                artifacts,
                AttemptPlace(folder=folder(run_id), step_id=record.step_id or "", attempt=record.attempt or 0),
                kind=record.kind,
                name=record.name,
                media_type=record.media_type or "",
                data=data,
            )

    return keep_cards


async def no_cards(run_id: str, records: Sequence[Record]) -> None:
    """For journals whose cards nobody asks for."""
