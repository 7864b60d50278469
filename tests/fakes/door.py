"""A door over memory: runs are real journals of the domain, and what each attempt does is scripted by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.fakes.journals import OK, START, Journal, Result
from tests.fakes.store import MemoryArtifacts, MemoryStore
from wfconsole.control.door import Answer, Created, InvalidRequestError, Prepared, Problem, RunRequest
from wfconsole.domain.draft import Refusal
from wfconsole.domain.effects import StartAttempt
from wfconsole.domain.events import CommandRefused, Record, RunCancelled, RunFailed, RunRetried, RunSucceeded
from wfconsole.domain.facts import AnyFact, DecideGate, SignatureCheck, Wakeup
from wfconsole.domain.plan import Json, Plan
from wfconsole.domain.succession import succession
from wfconsole.ports import Commit, RunFilter, RunFolder, RunRow, WfconsoleError

_TERMINAL = RunSucceeded | RunFailed | RunCancelled


class ReopenedStore(MemoryStore):
    """A store that several commands of one test open and close one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = 0
        self.answer: tuple[Sequence[str], Sequence[Sequence[Any]]] = ((), ())

    async def close(self) -> None:
        self.closed += 1
        self._ring()

    async def query(self, sql: str) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        return self.answer


class FakeDoor:
    """`results` says how each attempt ends; None holds it until somebody stops it. `on_start` is told of each attempt."""

    def __init__(self, made: Plan, home: Path) -> None:
        self.plan = made
        self.home = home
        self.store = ReopenedStore()
        self.artifacts = MemoryArtifacts()
        self.results: Callable[[str, int], Result | None] = lambda _step, _attempt: OK
        self.on_start: Callable[[StartAttempt], None] = lambda _effect: None
        self.on_finish: Callable[[], None] = lambda: None
        self.problems: list[Problem] = []
        self.warnings: tuple[Problem, ...] = ()
        self.drive_error: Exception | None = None
        self.requests: list[RunRequest] = []
        self.sent: list[AnyFact] = []
        self.owned = True
        self.send_error: WfconsoleError | None = None
        self.check: Callable[[DecideGate], SignatureCheck] = lambda fact: SignatureCheck(
            valid=True, principal=str(fact.payload.get("actor")), key="SHA256:ann"
        )
        self.journals: dict[str, Journal] = {}

    def folder(self, run_id: str) -> RunFolder:
        return RunFolder(self.home / "runs" / run_id)

    def add(self, journal: Journal) -> str:
        """Put a journal that the test has made into the store; its run id."""
        created = journal.records[0].event
        run_id = str(getattr(created, "run_id", ""))
        self.journals[run_id] = journal
        asyncio.run(self._sync(run_id))
        return run_id

    async def _sync(self, run_id: str) -> None:
        known = len(await self.store.load(run_id))
        records = tuple(self.journals[run_id].records[known:])
        if records:
            fact = Wakeup(fact_id=f"sync:{known}", at=START)
            await self.store.commit(Commit(run_id=run_id, expected_seq=known, records=records, fact=fact))
            if isinstance(records[-1].event, RunRetried):
                await self._succeed(run_id)

    async def _succeed(self, run_id: str) -> None:
        """Create the run that goes on."""
        start = succession(self.journals[run_id].records)
        journal = Journal(
            start.plan,
            run_id=start.run_id,
            workflow_id=start.workflow_id,
            inputs=start.inputs,
            actor=start.actor,
            lineage=start.lineage,
            taken=start.taken,
        )
        self.journals[start.run_id] = journal
        await self._sync(start.run_id)

    async def prepare(self, request: RunRequest) -> Prepared:
        self.requests.append(request)
        if self.problems:
            raise InvalidRequestError("INPUT_INVALID", "2 problems", self.problems, "see the recipe")
        inputs: dict[str, Json] = {**request.values, **request.inputs}
        return Prepared(request=request, plan=self.plan, inputs=inputs, files={}, warnings=self.warnings)

    async def create(self, prepared: Prepared) -> Created:
        key = prepared.request.workflow_id
        existing = await self.store.run_of_workflow(key) if key else None
        if existing is not None:
            return Created(run_id=existing, existed=True)
        run_id = f"01JZ8Q4V7M3K9T2B6W5X0YHR{len(self.journals):02d}"
        self.journals[run_id] = Journal(
            prepared.plan,
            run_id=run_id,
            workflow_id=key or run_id,
            inputs=dict(prepared.inputs),
            actor=prepared.request.actor,
        )
        await self._sync(run_id)
        return Created(run_id=run_id)

    async def drive(self, run_id: str, *, until_waiting: bool = False) -> None:
        if self.drive_error is not None:
            raise self.drive_error
        journal = self.journals[run_id]
        journal.take()
        told: set[tuple[str, int]] = set()
        while journal.state is not None and not journal.state.is_terminal:
            await self._sync(run_id)
            if until_waiting and journal.state.status == "awaiting_approval":
                return
            for effect in [one for one in journal.open if (one.step_id, one.attempt) not in told]:
                told.add((effect.step_id, effect.attempt))
                self.on_start(effect)
            await asyncio.sleep(0)
            self._advance(journal)
        await self._sync(run_id)
        self.on_finish()

    def _advance(self, journal: Journal) -> None:
        """End the first attempt that the script lets end; else let time pass."""
        for effect in list(journal.open):
            if journal.is_gate(effect):
                journal.ready(effect)
                return
            result = self.results(effect.step_id, effect.attempt)
            if result is not None:
                journal.end(effect, result)
                return
        if not journal.open:
            journal.wake()

    async def send(self, run_id: str, fact: AnyFact) -> Answer:
        if self.send_error is not None:
            raise self.send_error
        if isinstance(fact, DecideGate):
            fact = replace(fact, check=self.check(fact))
        self.sent.append(fact)
        records = self.journals[run_id].give(fact)
        await self._sync(run_id)
        refused = next((record.event for record in records if isinstance(record.event, CommandRefused)), None)
        if refused is not None:
            return Answer(
                records=tuple(records), refusal=Refusal(code=refused.code, reason=refused.reason, hint=refused.hint)
            )
        return Answer(owned=self.owned, records=tuple(records))

    async def close(self) -> None:
        await self.store.close()

    async def watch(self, run_id: str, after_seq: int = 0) -> AsyncIterator[Sequence[Record]]:
        async for batch in self.store.changes(run_id, after_seq):
            yield batch
            if any(isinstance(record.event, _TERMINAL) for record in batch):
                return

    async def records(self, ref: str) -> tuple[str, Sequence[Record]]:
        run_id = await self.store.find_run(ref)
        return run_id, await self.store.load(run_id)

    async def runs(self, where: RunFilter) -> Sequence[RunRow]:
        return await self.store.runs(where)

    async def export(self, run_id: str, target: Path) -> Mapping[str, Json]:
        if target.suffix != ".gz":
            raise WfconsoleError("INPUT_INVALID", f"{target} is no .tar.gz")
        target.write_bytes(b"bundle")
        return {"run_id": run_id, "files": []}
