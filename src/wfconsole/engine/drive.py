"""The run loop. It is the same under every driver; whatever differs between hosts and databases is behind five verbs.

Refuses to know steps, containers and databases. The order is the whole point: a ruling is durable before it is believed, and
believed before anything is done about it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from wfconsole.domain.decide import decide, next_wakeup
from wfconsole.domain.draft import Ruling
from wfconsole.domain.effects import Effect, effects
from wfconsole.domain.events import Record
from wfconsole.domain.evolve import evolve, fold
from wfconsole.domain.facts import AnyFact
from wfconsole.domain.run import RunState
from wfconsole.ports import Evaluate


class Driver(Protocol):
    """The seam between the loop and its host."""

    @property
    def evaluate(self) -> Evaluate: ...

    async def load(self, run_id: str) -> Sequence[Record]:
        """The journal so far."""
        ...

    async def commit(self, run_id: str, seq: int, ruling: Ruling, fact: AnyFact) -> None:
        """One transaction: append, project, consume the fact. Returns when it is durable."""
        ...

    async def start(self, effect: Effect, state: RunState) -> None:
        """Set the effect going (or stop what it says to stop); its end arrives as a fact. Reads `state`, keeps it not."""
        ...

    async def next_fact(self, run_id: str, wakeup: int | None) -> AnyFact | None:
        """The next fact, a Wakeup once `wakeup` (ms since the epoch) has passed, or None to let go of the run."""
        ...


def _never(_state: RunState) -> bool:
    return False


async def drive(run_id: str, driver: Driver, first: AnyFact, enough: Callable[[RunState], bool] = _never) -> RunState:
    """Drive the run from `first` on until it is over, `enough` says so, or the driver lets go; the state it is in then."""
    state = fold(await driver.load(run_id))
    fact: AnyFact | None = first
    while fact is not None:
        ruling = decide(state, fact, driver.evaluate)
        await driver.commit(run_id, state.seq if state else 0, ruling, fact)
        for record in ruling.records:
            state = evolve(state, record)
        if state is None:
            raise RuntimeError("a run begins with an event")
        for effect in effects(ruling.records):
            await driver.start(effect, state)
        if state.is_terminal or enough(state):
            return state
        fact = await driver.next_fact(run_id, next_wakeup(state))
    if state is None:
        raise RuntimeError("a run begins with an event")
    return state
