"""Moments on the wire: ISO 8601 in UTC with milliseconds, and back.

Stands apart from the codec because the console's first picture needs it, and not the hundred classes that a codec knows.
"""

from __future__ import annotations

from datetime import UTC, datetime


def iso(at: int) -> str:
    """Milliseconds since the epoch as ISO 8601 UTC with milliseconds."""
    seconds, millis = divmod(at, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{millis:03d}Z"


def from_iso(text: str) -> int:
    """The reverse of `iso`. Raises ValueError for what is no moment."""
    moment = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1000 + int(text[20:23])


def moment(at: int | None) -> str | None:
    """`iso` of a moment that may not have come yet."""
    return None if at is None else iso(at)


def elapsed(started: int | None, finished: int | None) -> int | None:
    """Milliseconds; None for what has not begun or not ended."""
    return None if started is None or finished is None else finished - started
