"""What the engine's thread hands to the terminal: frozen pictures of the run list, of one run, of the inbox.

Owns no behaviour. Nothing in here changes after it was made, and nothing in here is escaped: every text passes the SafeText
door where it is drawn (`console.text`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wfconsole.views.run_document import run_document

if TYPE_CHECKING:
    from wfconsole.domain.events import Record
    from wfconsole.domain.plan import Json, Plan
    from wfconsole.ports import RunRow
    from wfconsole.views.history import History


@dataclass(frozen=True, slots=True, kw_only=True)
class RunList:
    """The newest runs, newest first, in the shape of `views.run_list.run_document`. `whole`: there are no more."""

    rows: tuple[Mapping[str, Json], ...]
    whole: bool = True

    @property
    def active(self) -> int:
        return sum(row["status"] in {"pending", "running", "paused", "awaiting_approval"} for row in self.rows)

    @property
    def waiting(self) -> int:
        return sum(bool(row.get("waiting_for")) and row["finished_at"] is None for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPicture:
    """One run as it was after event `seq`: the RunView document, its plan and its whole journal so far.

    `refusals`: why an action is not allowed now, by action id (``pause resume cancel``), in the words of the domain; what is
    not in there is allowed. `owned_here`: this process drives the run. `whole` is False for a first sketch of a long run,
    which has neither records nor the steps of the plan. `history` gives the run as it was; `folder` is where its files are.
    """

    run_id: str
    seq: int
    view: Mapping[str, Json]
    plan: Plan
    records: Sequence[Record] = ()
    refusals: Mapping[str, str] = field(default_factory=dict)
    owned_here: bool = False
    whole: bool = True
    history: History | None = None
    folder: str = ""

    @property
    def is_over(self) -> bool:
        return self.view["finished_at"] is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """What waits for a person, over all runs, most urgent first (`views.inbox.inbox`)."""

    entries: tuple[Mapping[str, Json], ...] = ()


def listed(rows: Sequence[RunRow], limit: int) -> RunList:
    """Rows as the store gives them; `limit` is how many were asked for."""
    return RunList(rows=tuple(run_document(row) for row in rows), whole=len(rows) < limit)
