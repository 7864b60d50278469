"""A fan-out in one line and as a grid: how many children ended how, one cell each.

Owns the order of the cells. Refuses to know the children themselves: of a `map` the RunView has counts; where the status of each
child is known (``statuses``, in input order) the cells stand in that order, else in the order of the counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wfconsole.domain.plan import Json
from wfconsole.views.words import glyph


def cells(children: Mapping[str, Json]) -> Sequence[str]:
    """The status of each child."""
    known = children.get("statuses")
    if known is not None:
        return tuple(known)
    done = [name for name in ("succeeded", "failed", "running") for _ in range(children[name])]
    return (*done, *["pending"] * max(0, children["total"] - len(done)))


def counts(children: Mapping[str, Json]) -> str:
    """``58 succeeded  3 failed (5 allowed)  12 running  27 pending``."""
    waiting = max(0, children["total"] - children["succeeded"] - children["failed"] - children["running"])
    allowed = f" ({children['tolerance']} allowed)" if children["tolerance"] else ""
    return (
        f"{children['succeeded']} succeeded  {children['failed']} failed{allowed}  "
        f"{children['running']} running  {waiting} pending"
    )


def next_failure(statuses: Sequence[str], after: int) -> int | None:
    """The place of the next failed child behind `after`, around the end; None when none failed."""
    count = len(statuses)
    places = ((after + 1 + step) % count for step in range(count))
    return next((place for place in places if statuses[place] in {"failed", "timed_out", "errored", "cancelled"}), None)


def mark(status: str, *, ascii_only: bool = False) -> str:
    """The cell of a child."""
    return glyph(status, ascii_only=ascii_only)
