"""LocalDriver: the five verbs on asyncio and the store, for one run in this process.

Owns the tasks of the run's attempts, the queue their outcomes arrive in, and the run's subscribers. The decision that would
surprise: outcomes never pass through the inbox, because an outcome that is lost with the process is found again in the container;
commands from other processes do, and are looked for whenever the database has changed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import assert_never

from wfconsole.domain.decide import decide
from wfconsole.domain.draft import Ruling
from wfconsole.domain.effects import (
    CloseRun,
    Effect,
    KeepWorkspace,
    SealBundle,
    StartAttempt,
    StopAttempt,
    TellOperator,
)
from wfconsole.domain.events import EventChannelFailed, Record
from wfconsole.domain.evolve import evolve
from wfconsole.domain.facts import (
    AnyFact,
    AttemptEnded,
    AttemptFound,
    ChannelFailed,
    DecideGate,
    GateReady,
    OperatorTold,
    RunClosed,
    SnapshotTaken,
    Wakeup,
)
from wfconsole.domain.failures import cause
from wfconsole.domain.records import ArtifactRecord
from wfconsole.domain.run import RunState
from wfconsole.engine.cards import CardKeeper, no_cards
from wfconsole.engine.held import owner_lost
from wfconsole.engine.recovery import Recovery
from wfconsole.engine.signals import Signals
from wfconsole.engine.succession import with_successor
from wfconsole.ports import Clock, Commit, Evaluate, Store, Subscriber, WfconsoleError
from wfconsole.ports.owning import Hold

INBOX_POLL_S = 0.05
"""How often the inbox is looked at, however busy the run is; the database is the truth, a wake-up is only a hint."""

Release = Callable[[], Awaitable[None]]
"""Gives back what an attempt held (its container); called once its outcome is durable, and not before."""


class Attempt:
    """An attempt under way as its driver holds it: can be asked to stop at any time, also before its container exists.

    `at_hand` is told when there is a container, with True for one that an earlier owner began.
    """

    def __init__(
        self, *, hold: Hold | None = None, signals: Signals | None = None, at_hand: Callable[[bool], None] | None = None
    ) -> None:
        self.hold = hold
        self.signals = signals or Signals()
        self.at_hand: Callable[[bool], None] = at_hand or (lambda _adopted: None)
        self.stop_requested = asyncio.Event()
        self.force = False
        self.release: Release | None = None

    def stop(self, *, force: bool) -> None:
        self.force = self.force or force
        self.stop_requested.set()


AttemptRunner = Callable[[StartAttempt, RunState, Attempt], Awaitable[AttemptEnded | GateReady]]
Admit = Callable[[AnyFact], Awaitable[AnyFact]]
Sweeper = Callable[[StartAttempt, RunState], Awaitable[None]]
Tell = Callable[[str, Record], Awaitable[str | None]]
"""Calls the operator's hook with a record of this run; what went wrong, or None."""
Closer = Callable[[RunState], Awaitable[RunClosed]]
Sealer = Callable[[str], Awaitable[None]]
Keeper = Callable[[str], Awaitable[str]]
"""Keeps a run's workspace as it is; the id of the tree."""


async def _nobody(_run_id: str, _record: Record) -> str | None:
    return "no hook is set for approval_expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPorts:
    """What a LocalDriver needs: the store, a clock, and the functions that carry out effects and clean up after the dead.

    `admit` looks at a command before it is decided: a decision comes back with the verdict on its signature.
    """

    store: Store
    clock: Clock
    evaluate: Evaluate
    run_attempt: AttemptRunner
    close_run: Closer
    seal: Sealer
    sweep: Sweeper
    admit: Admit
    keep: Keeper | None = None
    subscribers: Mapping[str, Subscriber] = field(default_factory=dict)
    tell: Tell = _nobody
    signals: Signals = field(default_factory=Signals)
    cards: CardKeeper = no_cards


class LocalDriver:
    """Drives one run; make one for each. Not thread-safe except `deliver`."""

    def __init__(self, run_id: str, ports: LocalPorts, hold: Hold | None = None, owner: str = "") -> None:
        self.recovery: Recovery | None = None
        self._run_id = run_id
        self._ports = ports
        self._hold = hold
        self._owner = owner
        self._turn: asyncio.Timeout | None = None
        self._facts: asyncio.Queue[AnyFact] = asyncio.Queue()
        self._attempts: dict[str, Attempt] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: dict[str, asyncio.Future[Ruling | None]] = {}
        self._releases: dict[str, Release] = {}
        self._releasing: set[asyncio.Task[None]] = set()
        self._looked_at = float("-inf")
        self._closed = False
        self._deaf: set[str] = set()
        self._pending: list[AnyFact] = []
        self._taken: set[str] = set()

    @property
    def has_pending(self) -> bool:
        """Is there a fact, found in the inbox or come in otherwise, that has not been decided yet?"""
        return bool(self._pending) or not self._facts.empty()

    @property
    def decisions_at(self) -> tuple[int, ...]:
        """When the decisions that have not been taken yet were made (ms since the epoch)."""
        return tuple(fact.at for fact in self._pending if isinstance(fact, DecideGate))

    @property
    def evaluate(self) -> Evaluate:
        return self._ports.evaluate

    async def load(self, run_id: str) -> Sequence[Record]:
        return await self._ports.store.load(run_id)

    async def commit(self, run_id: str, seq: int, ruling: Ruling, fact: AnyFact) -> None:
        if ruling.records:
            await self._ports.cards(run_id, ruling.records)
            lease = self._hold.lease if self._hold is not None else None
            commit = Commit(run_id=run_id, expected_seq=seq, records=ruling.records, fact=fact, lease=lease)
            asked = self._hold.moment() if self._hold is not None else 0.0
            self._ports.signals.emit("committing", run_id)
            await self._ports.store.commit(await with_successor(self._ports.store, commit))
            if self._hold is not None:
                self._hold.confirm(asked)
        self._ports.signals.emit("committed", run_id)
        if self.recovery is not None:
            self.recovery.committed(ruling.records)
        release = self._releases.pop(fact.fact_id, None)
        if release is not None:
            _spawn(self._releasing, _released(release))
        for record in ruling.records:
            self._publish(record)
        answer = self._answers.pop(fact.fact_id, None)
        if answer is not None and not answer.done():
            answer.set_result(ruling)

    async def introduce(self, state: RunState, records: Sequence[Record]) -> None:
        """Tell subscribers what was recorded before anybody drove the run; that one fails is on record before it goes on."""
        for record in records:
            self._publish(record)
        while not self._facts.empty():
            fact = self._facts.get_nowait()
            ruling = decide(state, fact, self.evaluate)
            await self.commit(self._run_id, state.seq, ruling, fact)
            for record in ruling.records:
                state = evolve(state, record)

    async def start(self, effect: Effect, state: RunState) -> None:
        match effect:
            case StartAttempt():
                attempt = self._attempts[f"{effect.step_id}#{effect.attempt}"] = self._attempt(effect)
                _spawn(self._tasks, self._run(effect, state, attempt))
            case StopAttempt():
                running = self._attempts.get(f"{effect.step_id}#{effect.attempt}")
                if running is not None:
                    running.stop(force=effect.force)
            case KeepWorkspace():
                _spawn(self._tasks, self._keep(effect.step_id))
            case TellOperator():
                _spawn(self._tasks, self._tell(effect))
            case CloseRun():
                _spawn(self._tasks, self._close(state))
            case SealBundle():
                self._ports.signals.emit("sealing", self._run_id)
                if await self._is_mine():  # else the next owner does it, unless the run was deleted meanwhile
                    await self._ports.seal(self._run_id)
            case _:
                assert_never(effect)

    def _attempt(self, effect: StartAttempt) -> Attempt:
        name = f"{effect.step_id}#{effect.attempt}"

        def at_hand(adopted: bool) -> None:
            if adopted:
                at, fact_id = self._ports.clock.now_ms(), f"found:{name}:{self._owner}"
                self._facts.put_nowait(
                    AttemptFound(
                        fact_id=fact_id, at=at, step_id=effect.step_id, attempt=effect.attempt, owner=self._owner
                    )
                )
            elif self.recovery is not None:
                self.recovery.begun(name)

        return Attempt(hold=self._hold, signals=self._ports.signals, at_hand=at_hand)

    def nudge(self) -> None:
        """Look into the inbox now."""
        self._looked_at = float("-inf")
        if self._turn is not None:
            self._turn.reschedule(asyncio.get_running_loop().time())

    async def next_fact(self, run_id: str, wakeup: int | None) -> AnyFact | None:  # noqa: ARG002  # the port has it
        while True:
            if self._hold is not None and self._hold.lost:
                raise owner_lost(self._run_id)
            overdue = wakeup is not None and wakeup <= self._ports.clock.now_ms()
            if overdue or time.monotonic() - self._looked_at >= INBOX_POLL_S:
                await self.look_into_inbox()  # what was posted before a deadline counts, however late its owner looks
            if self._pending:
                return self._pending.pop(0)
            if not self._facts.empty():
                return self._facts.get_nowait()
            wait = INBOX_POLL_S
            if wakeup is not None:
                wait = min(wait, (wakeup - self._ports.clock.now_ms()) / 1000)
                if wait <= 0:
                    return Wakeup(fact_id=f"wakeup:{wakeup}", at=max(wakeup, self._ports.clock.now_ms()))
            with suppress(TimeoutError):
                arrived = await self._arrival(wait)
                if wakeup is None or wakeup > self._ports.clock.now_ms():
                    return arrived
                await self.look_into_inbox()
                self._pending.append(arrived)

    async def _arrival(self, wait: float) -> AnyFact:
        """The next fact of this process. Raises TimeoutError after `wait` seconds, or when there is a hint."""
        try:
            async with asyncio.timeout(wait) as self._turn:
                return await self._facts.get()
        finally:
            self._turn = None

    async def look_into_inbox(self) -> None:
        """Take what came in by other processes; each fact once, also one whose ruling is empty and commits nothing."""
        for fact in await self._ports.store.pending(self._run_id):
            if fact.fact_id not in self._taken:
                self._taken.add(fact.fact_id)
                self._pending.append(await self._ports.admit(fact))
        self._looked_at = time.monotonic()

    async def deliver(self, fact: AnyFact) -> Ruling | None:
        """Hand a command to the loop and wait for what it decides; None when the loop ended without having decided it.

        Must be called on the driver's event loop. The same command delivered twice has one answer.
        """
        if self._closed:
            return None
        answer = self._answers.get(fact.fact_id)
        if answer is None:
            answer = self._answers[fact.fact_id] = asyncio.get_running_loop().create_future()
            await self._facts.put(await self._ports.admit(fact))
        return await asyncio.shield(answer)

    def sweep(self, effect: StartAttempt, state: RunState) -> None:
        """Have what an ended attempt may have left removed, beside everything else."""

        async def swept() -> None:
            if await self._is_mine():
                await self._ports.sweep(effect, state)

        _spawn(self._releasing, _released(swept))

    async def _is_mine(self) -> bool:
        return self._hold is None or await self._hold.is_mine()

    async def close(self) -> None:
        """Nothing of this driver goes on afterwards; containers of attempts whose outcome is not recorded do."""
        self._closed = True
        for answer in self._answers.values():
            if not answer.done():
                answer.set_result(None)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._releasing, return_exceptions=True)

    async def _run(self, effect: StartAttempt, state: RunState, attempt: Attempt) -> None:
        name = f"{effect.step_id}#{effect.attempt}"
        ended: AttemptEnded | GateReady
        try:
            ended = await self._ports.run_attempt(effect, state, attempt)
        except Exception as error:  # noqa: BLE001 - an attempt always ends with an outcome, also when we have a bug
            ended = AttemptEnded(
                fact_id=f"{name}:ended",
                at=self._ports.clock.now_ms(),
                step_id=effect.step_id,
                attempt=effect.attempt,
                outcome="errored",
                cause=cause("INTERNAL", f"{type(error).__name__}: {error}"),
            )
        del self._attempts[name]
        if attempt.release is not None:
            self._releases[ended.fact_id] = attempt.release
        self._ports.signals.emit("attempt_ended", name)
        await self._facts.put(ended)

    async def _keep(self, step_id: str) -> None:
        """Keep the workspace; when that cannot be, the step that it is kept for cannot begin, and says why."""
        tree, why = None, None
        try:
            if self._ports.keep is None:
                raise WfconsoleError("INTERNAL", "nobody keeps workspaces here")
            tree = await self._ports.keep(self._run_id)
        except WfconsoleError as error:
            why = error.cause
        except Exception as error:  # noqa: BLE001 - the step always hears of it, also when we have a bug
            why = cause("INTERNAL", f"{type(error).__name__}: {error}")
        at = self._ports.clock.now_ms()
        self._ports.signals.emit("workspace_kept", step_id)
        await self._facts.put(SnapshotTaken(fact_id=f"kept:{step_id}", at=at, step_id=step_id, tree=tree, cause=why))

    async def _tell(self, effect: TellOperator) -> None:
        """Whatever goes wrong is told; the run waits for it no longer than the hook's time limit."""
        try:
            if not await self._is_mine():
                return  # the next owner tells
            problem = await self._ports.tell(self._run_id, effect.record)
        except Exception as error:  # noqa: BLE001 - a run always ends, also when nobody can be told
            problem = f"{type(error).__name__}: {error}"
        at, step_id = self._ports.clock.now_ms(), effect.gate_id.partition("#")[0]
        fact_id, seq = f"told:{effect.gate_id}", effect.record.seq
        await self._facts.put(
            OperatorTold(fact_id=fact_id, at=at, gate_id=effect.gate_id, step_id=step_id, seq=seq, problem=problem)
        )

    async def _close(self, state: RunState) -> None:
        try:
            closed = await self._ports.close_run(state)
        except Exception as error:  # noqa: BLE001 - a run always ends, also when its diff cannot be taken
            reason = f"the diff could not be taken: {type(error).__name__}: {error}"
            none = ArtifactRecord(
                artifact_id="run/none", step_id=None, attempt=None, name="none", kind="none", reason=reason
            )
            closed = RunClosed(fact_id="run:closed", at=self._ports.clock.now_ms(), artifacts=(none,))
        self._ports.signals.emit("closed_run", self._run_id)
        await self._facts.put(closed)

    def _publish(self, record: Record) -> None:
        """Tell every subscriber; one that fails is reported once until it works again, and never stops the run."""
        for name, subscriber in self._ports.subscribers.items():
            try:
                subscriber(self._run_id, record)
            except Exception as error:  # noqa: BLE001 - whatever a subscriber raises is its failure, not the run's
                if name in self._deaf or isinstance(record.event, EventChannelFailed):
                    continue
                self._deaf.add(name)
                self._facts.put_nowait(
                    ChannelFailed(
                        fact_id=f"channel:{name}:{record.seq}",
                        at=self._ports.clock.now_ms(),
                        subscriber=name,
                        error=f"{type(error).__name__}: {error}",
                        failed_seq=record.seq,
                    )
                )
            else:
                self._deaf.discard(name)


def _spawn(tasks: set[asyncio.Task[None]], work: Awaitable[None]) -> None:
    task: asyncio.Task[None] = asyncio.ensure_future(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def _released(release: Release) -> None:
    """The outcome is recorded: a container that cannot be removed changes nothing of it. Its labels say whose it was."""
    with suppress(WfconsoleError):
        await release()
