"""`ports.Store` and `ports.Artifacts` in memory: the same contract, no files, no threads of its own."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from wfconsole.domain import events as ev
from wfconsole.domain.events import Record
from wfconsole.domain.facts import AnyFact, Command
from wfconsole.domain.lifecycle import STEP_TERMINAL
from wfconsole.ports import Commit, RunFilter, RunRow, StoreConflictError, WfconsoleError
from wfconsole.views.run_view import run_view

_STATUS: dict[type, str] = {
    ev.RunCreated: "pending",
    ev.RunStarted: "running",
    ev.RunResumed: "running",
    ev.RunPaused: "paused",
    ev.RunAwaitingApproval: "awaiting_approval",
    ev.RunSucceeded: "succeeded",
    ev.RunFailed: "failed",
    ev.RunCancelled: "cancelled",
}


@dataclass
class _Run:
    records: list[Record] = field(default_factory=list)
    decided: dict[str, int] = field(default_factory=dict)
    posted: dict[str, AnyFact] = field(default_factory=dict)


class MemoryStore:
    """Give it a list of errors in `fail_commits`: each is raised by one commit, before anything is written."""

    def __init__(self) -> None:
        self.database_id = "00000000-0000-4000-8000-000000000000"
        self.fail_commits: list[WfconsoleError] = []
        self.commits: list[Commit] = []
        self._runs: dict[str, _Run] = {}
        self._intents: dict[str, bytes] = {}
        self._told: list[tuple[str, Record]] = []
        self._moved: asyncio.Event | None = None
        self._closed = False

    async def load(self, run_id: str) -> Sequence[Record]:
        return list(self._run(run_id).records)

    async def commit(self, commit: Commit) -> None:
        await asyncio.sleep(0)
        if self.fail_commits:
            raise self.fail_commits.pop(0)
        both = [commit] if commit.successor is None else [commit, commit.successor]
        kept = {one.run_id: copy.deepcopy(self._runs.get(one.run_id)) for one in both if len(both) > 1}
        try:
            for one in both:
                self._commit(one)
        except WfconsoleError:
            for run_id, before in kept.items():
                self._runs.pop(run_id, None)
                self._runs.update({} if before is None else {run_id: before})
            raise
        self._ring()

    def _commit(self, commit: Commit) -> None:
        run = self._run(commit.run_id)
        here = commit.expected_seq
        if len(run.records) != here:
            there = tuple(run.records[here : here + len(commit.records)])
            same = there == commit.records if commit.records else run.decided.get(commit.fact.fact_id) == here
            if same:
                return
            raise _conflict(f"run {commit.run_id} has moved")
        self._check(run, commit)
        run.records.extend(commit.records)
        self._told += [(commit.run_id, record) for record in commit.records]
        fact = commit.fact
        if isinstance(fact, get_args(Command)) or fact.fact_id in run.posted or not commit.records:
            run.decided.setdefault(fact.fact_id, len(run.records))
        self._runs[commit.run_id] = run
        self.commits.append(commit)
        self._ring()

    def _check(self, run: _Run, commit: Commit) -> None:
        for number, record in enumerate(commit.records, start=commit.expected_seq + 1):
            if record.seq != number or isinstance(record.event, ev.RunCreated) != (number == 1):
                raise _conflict("the records of this commit do not follow each other")
        first = commit.records[0].event if commit.records else None
        if isinstance(first, ev.RunCreated) and first.workflow_id in {
            _created(other).workflow_id for other in self._runs.values() if other.records
        }:
            raise _conflict("one run per workflow_id")
        claims = [
            (record.event.step_id, record.event.attempt)
            for record in (*run.records, *commit.records)
            if isinstance(record.event, ev.StepStarted)
        ]
        if len(claims) != len(set(claims)):
            raise _conflict("this attempt is already claimed")

    async def post(self, run_id: str, fact: AnyFact) -> None:
        run = self._runs.setdefault(run_id, _Run())
        if fact.fact_id not in run.decided:
            run.posted.setdefault(fact.fact_id, fact)

    async def pending(self, run_id: str) -> Sequence[AnyFact]:
        run = self._run(run_id)
        return [fact for fact_id, fact in run.posted.items() if fact_id not in run.decided]

    async def event_hash(self, run_id: str, seq: int | None = None) -> tuple[int, str]:
        last = len(self._run(run_id).records)
        wanted = last if seq is None else seq
        if not 0 < wanted <= last:
            raise WfconsoleError("NOT_FOUND", f"run {run_id} has no event {wanted}")
        return wanted, hashlib.sha256(f"{run_id}#{wanted}".encode()).hexdigest()

    async def changes(self, run_id: str, after_seq: int) -> AsyncIterator[Sequence[Record]]:
        seen = after_seq
        while not self._closed:
            fresh = self._run(run_id).records[seen:]
            if fresh:
                seen += len(fresh)
                yield fresh
            else:
                self._moved = self._moved or asyncio.Event()
                await self._moved.wait()

    async def version(self) -> int:
        return sum(len(run.records) + len(run.posted) for run in self._runs.values())

    async def find_run(self, ref: str) -> str:
        known = self._newest_first()
        if ref == "@latest":
            return _only(ref, known[:1])
        if ref in known:
            return ref
        by_workflow = await self.run_of_workflow(ref)
        if by_workflow is not None:
            return by_workflow
        return _only(ref, [i for i in known if i.startswith(ref) or i.endswith(ref)] if len(ref) >= 3 else [])

    async def run_of_workflow(self, workflow_id: str) -> str | None:
        for run_id in self._newest_first():
            if _created(self._runs[run_id]).workflow_id == workflow_id:
                return run_id
        return None

    async def runs(self, where: RunFilter) -> Sequence[RunRow]:
        rows = [_row(run_id, self._runs[run_id].records) for run_id in self._newest_first()]
        found = [
            row
            for row in rows
            if (where.statuses is None or row.status in where.statuses)
            and (where.recipe is None or row.recipe == where.recipe)
            and (where.project is None or row.project == where.project)
            and (where.since_ms is None or row.created_at >= where.since_ms)
        ]
        return found[: where.limit]

    async def newest(self, limit: int) -> Sequence[tuple[str, Record]]:
        return list(reversed(self._told))[:limit]

    async def save_intent(self, intent_id: str, canonical: bytes, at: int) -> None:
        self._intents.setdefault(intent_id, canonical)

    async def load_intent(self, ref: str) -> tuple[str, bytes]:
        found = _only(ref, sorted(i for i in self._intents if i.startswith(ref)) if len(ref) >= 3 else [])
        return found, self._intents[found]

    async def query(self, sql: str) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        raise NotImplementedError("the store in memory has no SQL")

    async def close(self) -> None:
        self._closed = True
        self._ring()

    def _run(self, run_id: str) -> _Run:
        return self._runs.get(run_id) or _Run()

    def _newest_first(self) -> list[str]:
        known = {run_id: run.records[0].at for run_id, run in self._runs.items() if run.records}
        return sorted(known, key=lambda run_id: (known[run_id], run_id), reverse=True)

    def _ring(self) -> None:
        if self._moved is not None:
            self._moved.set()
            self._moved = None


class MemoryArtifacts:
    """Content in a temporary folder that goes with the object; as immutable as a test needs it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="artifacts-", ignore_cleanup_errors=True)

    async def put_file(self, path: Path) -> tuple[str, int]:
        return await self.put_bytes(await asyncio.to_thread(path.read_bytes))

    async def put_bytes(self, data: bytes) -> tuple[str, int]:
        digest = hashlib.sha256(data).hexdigest()
        place = Path(self._folder.name) / digest
        if not place.exists():
            place.write_bytes(data)
            place.chmod(0o444)
        return digest, len(data)

    def path(self, sha256: str) -> Path:
        place = Path(self._folder.name) / sha256
        if len(sha256) != 64 or not place.is_file():
            raise FileNotFoundError(f"no artifact {sha256}")
        return place

    def close(self) -> None:
        self._folder.cleanup()


def _created(run: _Run) -> ev.RunCreated:
    event = run.records[0].event
    assert isinstance(event, ev.RunCreated)
    return event


def _row(run_id: str, records: Sequence[Record]) -> RunRow:
    created = records[0].event
    assert isinstance(created, ev.RunCreated)
    status = next(_STATUS[type(r.event)] for r in reversed(records) if type(r.event) in _STATUS)
    started = _at(records, (ev.RunStarted,))
    view = run_view(records)
    return RunRow(
        run_id=run_id,
        workflow_id=created.workflow_id,
        status=status,
        recipe=created.plan.recipe.name,
        version=created.plan.recipe.version,
        project=created.project,
        created_at=records[0].at,
        started_at=started,
        finished_at=_at(records, (ev.RunSucceeded, ev.RunFailed, ev.RunCancelled)),
        seq=len(records),
        view={name: view[name] for name in _IN_VIEW},
        steps_total=len(view["steps"]),
        steps_over=sum(step["status"] in STEP_TERMINAL for step in view["steps"]),
    )


_IN_VIEW = (
    "created_at", "duration_ms", "failure", "finished_at", "inputs", "intent_hash", "outputs", "project", "recipe", "run_id",
    "started_at", "status", "trace_id", "trigger", "waiting_for", "workflow_id",
)  # fmt: skip
"""What the real store keeps of a run's view in its row."""


def _at(records: Iterable[Record], kinds: tuple[type, ...]) -> int | None:
    return next((record.at for record in records if isinstance(record.event, kinds)), None)


def _only(ref: str, found: Sequence[str]) -> str:
    if len(found) != 1:
        details = {"candidates": list(found)} if found else {}
        raise WfconsoleError("NOT_FOUND", f"{ref!r} names {len(found)} things", "give the id", details)
    return found[0]


def _conflict(message: str) -> StoreConflictError:
    return StoreConflictError("STORE_BUSY", message, "look at the run and try again")
