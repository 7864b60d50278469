"""A ruling in the making: a fork of the state that each event is applied to as soon as it is decided.

So what follows from an event (a need met, a group over) is read from the state that the event leaves, and the rules that keep
the state are written once, in `evolve`. The run's own state does not change until the ruling is committed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wfconsole.domain.events import Event, Record
from wfconsole.domain.evolve import evolve
from wfconsole.domain.facts import Fact
from wfconsole.domain.run import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What was asked is not allowed now. The same sentence stands on the screen, in the CLI's error and in the journal."""

    code: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What `decide` says: the records to append (possibly none) and, for a command that is not allowed, the refusal."""

    records: tuple[Record, ...] = ()
    refusal: Refusal | None = None


@dataclass(slots=True)
class Draft:
    """`state` is a fork and already includes `records`."""

    state: RunState
    fact: Fact
    records: list[Record] = field(default_factory=list)

    @property
    def at(self) -> int:
        """The time of everything in this ruling: the fact's, but never before the run's last event."""
        return max(self.fact.at, self.state.at)

    def emit(self, event: Event) -> None:
        record = Record(
            seq=self.state.seq + 1, at=self.at, correlation_id=self.fact.fact_id, actor=self.fact.actor, event=event
        )
        evolve(self.state, record)
        self.records.append(record)
