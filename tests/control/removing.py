"""A state folder on disk with ended runs in it, and a removal over it whose containers are a list."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.store.samples import ANNE, T0, Run, created, nothing_left, plan
from wfconsole.control.collection import Collection, CollectionPorts
from wfconsole.control.door import Answer
from wfconsole.control.removal import Removal, RemovalPorts
from wfconsole.domain import events as ev
from wfconsole.domain.decide import decide
from wfconsole.domain.evolve import fold
from wfconsole.domain.facts import AnyFact
from wfconsole.domain.policy.retention import Retention
from wfconsole.domain.records import ArtifactRecord
from wfconsole.ports import Commit, RunFolder, WfconsoleError
from wfconsole.ports.keeping import Container
from wfconsole.sandbox.folders import discard
from wfconsole.store.artifacts import DiskArtifacts
from wfconsole.store.blobs import DiskBlobs
from wfconsole.store.leases import TTL_S, Leases
from wfconsole.store.locks import FileLocks
from wfconsole.store.sqlite import SqliteStore
from wfconsole.store.tombstones import SqliteRemains

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = T0 + 400 * DAY


@dataclass
class FakeContainers:
    """`present` are the engine's, `private` names of which something lies on the tmpfs; `away` is raised by every call."""

    present: list[Container] = field(default_factory=list)
    private: list[str] = field(default_factory=list)
    away: WfconsoleError | None = None

    async def all(self) -> Sequence[Container]:
        self._answer()
        return list(self.present)

    async def of(self, run_id: str) -> Sequence[Container]:
        self._answer()
        return [one for one in self.present if one.run_id == run_id and one.ours]

    async def remove(self, container: Container) -> None:
        self._answer()
        assert container.ours
        self.present = [one for one in self.present if one != container]

    async def left(self) -> Sequence[str]:
        if self.private:
            self._answer()
        return [name for name in self.private if name not in {one.name for one in self.present}]

    async def wipe(self, name: str) -> None:
        self.private.remove(name)

    async def wipe_run(self, run_id: str) -> None:
        self.private = [name for name in self.private if f"-{run_id}-" not in name]

    async def close(self) -> None: ...

    def _answer(self) -> None:
        if self.away is not None:
            raise self.away


def container(run_id: str, *, ours: bool = True, step: str = "a", attempt: int = 1) -> Container:
    return Container(
        container_id=f"id-{run_id}-{step}-{attempt}-{ours}", name=f"wfc-{run_id}-{step}-{attempt}",
        database_id="ours" if ours else "theirs", run_id=run_id, step_id=step, attempt=attempt, running=False, ours=ours,
    )  # fmt: skip


@dataclass
class Yard:
    """An open state folder. Close it with `close`."""

    state: Path
    now: int = NOW
    containers: FakeContainers = field(default_factory=FakeContainers)
    ttl_s: float = TTL_S

    def __post_init__(self) -> None:
        self.store = SqliteStore.open(self.state)
        self.artifacts = DiskArtifacts(self.state / "artifacts")
        self.blobs = DiskBlobs(self.state / "artifacts")
        self.remains = SqliteRemains(self.store)
        self.locks = FileLocks(self.state / "locks")
        self.leases = Leases(self.store, self.locks, self.state / "owners", ttl_s=self.ttl_s)
        self.ports = RemovalPorts(
            remains=self.remains,
            blobs=self.blobs,
            containers=self.containers,
            send=self.send,
            acquire=self.leases.acquire,
            folder=self.folder,
            discard=discard,
            forget=lambda run_id: (self.state / "locks" / f"{run_id}.lock").unlink(missing_ok=True),
            now_ms=lambda: self.now,
        )

    @property
    def removal(self) -> Removal:
        return Removal(self.ports)

    def collection(self, retention: Retention | None = None, **changed: Any) -> Collection:
        ports = CollectionPorts(
            removal=self.removal,
            remains=self.remains,
            blobs=self.blobs,
            containers=self.containers,
            acquire=self.leases.acquire,
            folder=self.folder,
            runs=self.state / "runs",
            discard=discard,
            now_ms=lambda: self.now,
            drafts=lambda before: self.blobs.drafts(before=before),
            backups=list,
            retention=retention or Retention(),
            workspaces_ms=DAY,
        )
        return Collection(replace(ports, **changed))

    def folder(self, run_id: str) -> RunFolder:
        return RunFolder(self.state / "runs" / run_id)

    async def send(self, run_id: str, fact: AnyFact) -> Answer:
        """What the door does with a command for a run that nobody drives."""
        hold = await self.leases.acquire(run_id)
        assert hold is not None
        try:
            state = fold(await self.store.load(run_id))
            assert state is not None
            ruling = decide(state, fact, lambda _, __: None)
            if ruling.records:
                await self.store.commit(
                    Commit(run_id=run_id, expected_seq=state.seq, records=ruling.records, fact=fact, lease=hold.lease)
                )
        finally:
            await hold.release()
        return Answer(owned=False, records=ruling.records, refusal=ruling.refusal)

    async def close(self) -> None:
        await self.leases.close()
        await self.store.close()

    async def ended(
        self, run_id: str, *contents: bytes, over: bool = True, at: int = T0, recipe: str = "sample",
        retention: dict[str, int] | None = None, reuses: str | None = None,
    ) -> None:  # fmt: skip
        """A run with a folder, a log, a workspace and artifacts of these contents; still running with `over=False`."""
        run = Run(run_id, at=at)
        pinned = replace(plan("a", "b", recipe=recipe), retention=retention)
        await self.store.commit(run.next(created(run_id, pinned=pinned)))
        told: list[ev.Event] = [ev.RunStarted(owner="me")]
        if reuses is not None:
            told.append(ev.StepReused(step_id="b", reused_from=reuses))
        told += [ev.StepStarted(step_id="a", attempt=1, kind="run"), ev.StepSucceeded(step_id="a", attempt=1)]
        for number, content in enumerate(contents):
            sha256, size = await self.artifacts.put_bytes(content)
            told.append(
                ev.ArtifactRecorded(
                    artifact=ArtifactRecord(
                        artifact_id=f"a#1/{number}", step_id="a", attempt=1, name=f"{number}", kind="file",
                        sha256=sha256, bytes=size,
                    )
                )
            )  # fmt: skip
        if not contents:
            told.append(nothing_left("a"))
        if over:
            told += [] if reuses else [ev.StepSkipped(step_id="b", cause="when", reason="no")]
            told += [ev.RunClosing(), ev.RunSucceeded()]
        await self.store.commit(run.next(*told))
        folder = self.folder(run_id)
        for path, size in ((folder.logs("a", 1) / "0.stdout", 5000), (folder.workspace / "big", 50_000)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * size)
        folder.attempt("a", 1).mkdir(parents=True)


def killing(work: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    """`work`, killed with its process before or after it."""

    async def killed(*args: Any, **named: Any) -> Any:
        if after:
            await work(*args, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return killed


ACTOR = ANNE
