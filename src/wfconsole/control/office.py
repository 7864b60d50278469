"""The door, open: `control.door.Door` over the ports that `main` hands in.

Refuses to know the engine: driving comes in as an object. A command goes to the run's loop when this process drives
it; otherwise, when nobody does, it is decided and recorded here; otherwise the inbox brings it to the owner, whose
answer is waited for.
"""

from __future__ import annotations

import asyncio
import errno
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from wfconsole.control.door import Answer, Created, Prepared, RunRequest
from wfconsole.control.export import write_export
from wfconsole.control.starting import StartPorts, create, prepare
from wfconsole.domain.decide import decide
from wfconsole.domain.draft import Refusal, Ruling
from wfconsole.domain.events import CommandRefused, Record, RunCancelled, RunFailed, RunSucceeded
from wfconsole.domain.evolve import fold
from wfconsole.domain.facts import AnyFact, CancelRun, DeleteRun, ResumeRun
from wfconsole.domain.plan import Json
from wfconsole.ports import Artifacts, Commit, Evaluate, RunFilter, RunFolder, RunRow, Store, WfconsoleError
from wfconsole.ports.owning import Hold

TURN_S = 1.0
ANSWER_TURNS = 20
"""How long the owner's answer is waited for; after each turn it is looked whether there still is an owner."""

_TERMINAL = (RunSucceeded, RunFailed, RunCancelled)


class Driving(Protocol):
    """Whoever drives runs in this process."""

    async def drive(self, run_id: str, *, until_waiting: bool = False) -> Any: ...

    async def deliver(self, run_id: str, fact: AnyFact) -> Ruling | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficePorts:
    """What the door stands on. `acquire` takes a run's lock, or gives None when a living process drives the run.

    `seal` writes the bundle of an ended run, `admit` looks at a command before it is decided, `prepare` makes the folder of a
    successor, `hint` wakes the owner of a run, `lift` takes back one that was set aside (whether it was); `cards` stores
    the question cards that a ruling speaks of, `inform` tells hooks and the like of what was recorded here after an event.
    """

    start: StartPorts
    artifacts: Artifacts
    driving: Driving
    acquire: Callable[[str], Awaitable[Hold | None]]
    evaluate_of: Callable[[str], Evaluate]
    seal: Callable[[str], Awaitable[None]]
    admit: Callable[[AnyFact], Awaitable[AnyFact]]
    complete: Callable[[Commit], Awaitable[Commit]]
    close: Callable[[], Awaitable[None]]
    prepare: Callable[[str], Awaitable[None]] | None = None
    cards: Callable[[str, Sequence[Record]], Awaitable[None]] | None = None
    inform: Callable[[str, int], Awaitable[None]] | None = None
    hint: Callable[[str], Awaitable[None]] | None = None
    lift: Callable[[str], Awaitable[bool]] | None = None
    not_let_go: Callable[[], Awaitable[Sequence[str]]] | None = None


class Office:
    """One open state folder."""

    def __init__(self, ports: OfficePorts) -> None:
        self._ports = ports

    @property
    def store(self) -> Store:
        return self._ports.start.store

    @property
    def artifacts(self) -> Artifacts:
        return self._ports.artifacts

    def folder(self, run_id: str) -> RunFolder:
        return self._ports.start.folder(run_id)

    async def prepare(self, request: RunRequest) -> Prepared:
        return await prepare(request, self._ports.start)

    async def create(self, prepared: Prepared) -> Created:
        return await create(prepared, self._ports.start)

    async def drive(self, run_id: str, *, until_waiting: bool = False) -> None:
        await self._ports.driving.drive(run_id, until_waiting=until_waiting)

    async def not_let_go(self) -> Sequence[str]:
        """Runs that are over and whose owner may have died before it cleaned up after them; to be driven once more."""
        return await self._ports.not_let_go() if self._ports.not_let_go is not None else ()

    async def acquire(self, run_id: str) -> Hold | None:
        """The lease of a run, also of one that is being removed; None while a living process has it."""
        return await self._ports.acquire(run_id)

    async def send(self, run_id: str, fact: AnyFact) -> Answer:
        """A cancel that nobody is there to carry out is carried out here, to the end of the run.

        Raises STORE_BUSY when the owner does not answer in time; the command then stays in its inbox.
        """
        if isinstance(fact, ResumeRun | CancelRun) and self._ports.lift is not None and await self._ports.lift(run_id):
            known = fold(await self.store.load(run_id)) if isinstance(fact, ResumeRun) else None
            if known is not None and known.status != "paused" and known.aside is None:
                return Answer(owned=False, records=(), refusal=None)  # it was set aside, and that is all that kept it
        ruling = await self._ports.driving.deliver(run_id, fact)
        if ruling is not None:
            return Answer(records=ruling.records, refusal=ruling.refusal)
        answer = await self._decide_here(run_id, fact) or await self._ask_owner(run_id, fact)
        if not answer.owned and answer.refusal is None:
            if isinstance(fact, CancelRun):
                await self._finish(run_id)
            elif not isinstance(fact, DeleteRun):
                await self._seal_if_open(run_id)  # a decision can be what ends a run
        return answer

    async def _decide_here(self, run_id: str, fact: AnyFact) -> Answer | None:
        """Decide without an owner; None when there is one."""
        hold = await self._ports.acquire(run_id)
        if hold is None:
            return None
        try:
            await self._ready(run_id)
            records = await self.store.load(run_id)
            state = fold(records)
            if state is None:
                raise _unknown(run_id)
            decided = tuple(record for record in records if record.correlation_id == fact.fact_id)
            if decided:
                return Answer(owned=False, records=decided, refusal=_refusal(decided))
            ruling = decide(state, await self._ports.admit(fact), self._ports.evaluate_of(run_id))
            if ruling.records:
                if self._ports.cards is not None:
                    await self._ports.cards(run_id, ruling.records)
                commit = Commit(
                    run_id=run_id, expected_seq=state.seq, records=ruling.records, fact=fact, lease=hold.lease
                )
                await self.store.commit(await self._ports.complete(commit))
                if self._ports.inform is not None:
                    await self._ports.inform(run_id, state.seq)
            return Answer(owned=False, records=ruling.records, refusal=ruling.refusal)
        finally:
            await hold.release()

    async def _ready(self, run_id: str) -> None:
        """Have a successor's folder made; one that cannot go on can still be cancelled, and driving it says what is wrong."""
        if self._ports.prepare is not None:
            with suppress(WfconsoleError):
                await self._ports.prepare(run_id)

    async def _finish(self, run_id: str) -> None:
        if not _is_over(await self.store.load(run_id)):
            try:
                await self.drive(run_id)
            except WfconsoleError as error:
                if error.code != "OWNER_LOST":  # that: somebody else has taken the run meanwhile, and ends it
                    raise
        await self._seal_if_open(run_id)

    async def _seal_if_open(self, run_id: str) -> None:
        """A run can have ended where nobody sealed it: before it began, or just when its owner died."""
        manifest = self.folder(run_id).bundle / "manifest.json"
        if not manifest.exists() and _is_over(await self.store.load(run_id)):
            await self._ports.seal(run_id)

    async def _ask_owner(self, run_id: str, fact: AnyFact) -> Answer:
        """Post the command and wait for what becomes of it; an owner that goes away meanwhile leaves the deciding to us."""
        before = await self.store.load(run_id)
        earlier = tuple(record for record in before if record.correlation_id == fact.fact_id)
        if earlier:
            return Answer(records=earlier, refusal=_refusal(earlier))
        await self.store.post(run_id, fact)
        if self._ports.hint is not None:
            await self._ports.hint(run_id)
        for _ in range(ANSWER_TURNS):
            try:
                async with asyncio.timeout(TURN_S):
                    async for batch in self.store.changes(run_id, before[-1].seq if before else 0):
                        answer = tuple(record for record in batch if record.correlation_id == fact.fact_id)
                        if answer:
                            return Answer(records=answer, refusal=_refusal(answer))
            except TimeoutError:
                decided = await self._decide_here(run_id, fact)
                if decided is not None:
                    return decided
        raise WfconsoleError(
            "STORE_BUSY",
            f"the owner of run {run_id} has not answered",
            "the command stays in its inbox; look again",
        )

    async def watch(self, run_id: str, after_seq: int = 0) -> AsyncIterator[Sequence[Record]]:
        """Ends after the batch that holds a terminal event, or at once when the run ended before `after_seq`."""
        known = await self.store.load(run_id)
        if not known:
            raise _unknown(run_id)
        earlier = [record for record in known if record.seq > after_seq]
        if earlier:
            yield earlier
        if _is_over(known):
            return
        last = max(after_seq, known[-1].seq)
        async for batch in self.store.changes(run_id, last):
            yield batch
            if _is_over(batch):
                return

    async def records(self, ref: str) -> tuple[str, Sequence[Record]]:
        run_id = await self.store.find_run(ref)
        return run_id, await self.store.load(run_id)

    async def runs(self, where: RunFilter) -> Sequence[RunRow]:
        return await self.store.runs(where)

    async def export(self, run_id: str, target: Path) -> Mapping[str, Json]:
        await self._seal_if_open(run_id)
        try:
            return await asyncio.to_thread(write_export, self.folder(run_id).bundle, run_id, target)
        except (OSError, tarfile.TarError) as error:
            full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
            code = "DISK_FULL" if full else "INPUT_INVALID"
            raise WfconsoleError(code, f"{target} cannot be written: {error}", "choose another place") from error

    async def close(self) -> None:
        await self._ports.close()


def _is_over(records: Sequence[Record]) -> bool:
    return any(isinstance(record.event, _TERMINAL) for record in records)


def _unknown(run_id: str) -> WfconsoleError:
    return WfconsoleError("NOT_FOUND", f"there is no run {run_id}", "`wfconsole runs` lists them")


def _refusal(records: Sequence[Record]) -> Refusal | None:
    for record in records:
        if isinstance(record.event, CommandRefused):
            event = record.event
            return Refusal(code=event.code, reason=event.reason, hint=event.hint)
    return None
