"""An office on fakes: the engine's rig behind the door, a workspace copier that a test can break."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from tests.engine.rig import ACTOR, Rig, admit, evaluate, plan as plan_of
from tests.fakes.leases import LockHolds
from wfconsole.control.door import Prepared, Problem, RunRequest
from wfconsole.control.office import Office, OfficePorts
from wfconsole.control.starting import Compiled, StartPorts
from wfconsole.domain.facts import WorkspacePin
from wfconsole.domain.plan import Plan, StepPlan
from wfconsole.engine.bundle import sealer
from wfconsole.engine.succession import preparer, with_successor
from wfconsole.ports import RunFolder, WorkspaceCopy
from wfconsole.store.artifacts import DiskArtifacts
from wfconsole.store.locks import FileLocks


class Copier:
    """`ports.Workspaces` that writes one file; `before` is awaited first and may raise."""

    def __init__(self) -> None:
        self.sources: list[Path] = []
        self.before: Callable[[], Awaitable[None]] | None = None

    async def copy(self, source: Path, ref: str, folder: RunFolder) -> WorkspaceCopy:
        self.sources.append(source)
        folder.workspace.mkdir()
        if self.before is not None:
            await self.before()
        (folder.workspace / "file").write_text("copied")
        return WorkspaceCopy(pin=WorkspacePin(source=str(source), ref=ref, commit=None, tree="0" * 40))

    async def diff(self, folder: RunFolder, pin: WorkspacePin) -> bytes | None:
        return None

    async def keep(self, folder: RunFolder) -> str:
        raise NotImplementedError

    async def restore(self, source: RunFolder, folder: RunFolder, tree: str | None) -> None:
        raise NotImplementedError


class Desk:
    """One process's office; `rig` is the engine in it. A second desk on the same rig is a second process."""

    def __init__(self, tmp: Path, rig: Rig | None = None, name: str = "owner-1") -> None:
        self.rig = rig or Rig(tmp)
        self.copier = Copier()
        self.compiled = Compiled(plan=plan_of(), problems=(), files={})
        self.closed = False
        self.locks = FileLocks(tmp / "locks")
        self.start = StartPorts(
            store=self.rig.store,
            workspaces=self.copier,
            clock=self.rig.clock,
            folder=self.rig.folder,
            compile=lambda _name: self.compiled,
            evaluate_with=lambda _files: evaluate,
        )
        self.office = Office(
            OfficePorts(
                start=self.start,
                artifacts=DiskArtifacts(tmp / "artifacts"),
                driving=self.rig.new_owner(name),
                acquire=LockHolds(self.locks).acquire,
                evaluate_of=lambda _run_id: evaluate,
                seal=sealer(self.rig.store, self.rig.folder, lambda _records: {}),
                admit=admit,
                complete=lambda commit: with_successor(self.rig.store, commit),
                prepare=preparer(self.rig.store, self.rig.workspaces, self.rig.folder),
                close=self._close,
            )
        )

    async def _close(self) -> None:
        self.closed = True

    def compiles_to(self, *steps: StepPlan, files: Mapping[str, bytes] | None = None, **more: Any) -> Plan:
        made = plan_of(*steps, **more)
        self.compiled = Compiled(plan=made, problems=(), files=files or {})
        return made

    def has_problems(self, *problems: Problem) -> None:
        self.compiled = Compiled(plan=None, problems=problems, files={})

    async def prepare(self, **more: Any) -> Prepared:
        return await self.office.prepare(RunRequest(recipe="made", actor=ACTOR, **more))

    def folders(self) -> list[str]:
        """The run folders that there are."""
        runs = self.rig.tmp / "runs"
        return sorted(path.name for path in runs.iterdir()) if runs.is_dir() else []
