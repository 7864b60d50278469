"""A whole engine on fakes: memory store, scripted sandbox, a clock that only tests move. Executes nothing, sleeps nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from tests.fakes.leases import LockHolds
from tests.fakes.sandbox import FakeSandbox, Script
from tests.fakes.store import MemoryStore
from wfconsole.domain.decide import decide
from wfconsole.domain.draft import Ruling
from wfconsole.domain.events import Record, wire_name
from wfconsole.domain.facts import AnyFact, DecideGate, RunClosed, SignatureCheck, StartRun, WorkspacePin
from wfconsole.domain.plan import CommandPolicy, Need, Plan, RecipeRef, RunBody, StepPlan
from wfconsole.domain.records import Actor
from wfconsole.domain.run import RunState
from wfconsole.engine.apart import Apart
from wfconsole.engine.attempt import EffectRunner, attempt_runner, sweeper
from wfconsole.engine.before import Anew
from wfconsole.engine.gates import gate_runner
from wfconsole.engine.local import LocalPorts
from wfconsole.engine.signals import Signals
from wfconsole.engine.succession import preparer
from wfconsole.engine.supervisor import Supervisor
from wfconsole.ports import Commit, RunFolder, Subscriber, WfconsoleError, WorkspaceCopy
from wfconsole.ports.copies import Copies
from wfconsole.steps.command import StepPorts
from wfconsole.steps.gate import GatePorts
from wfconsole.store.artifacts import DiskArtifacts
from wfconsole.store.locks import FileLocks
from wfconsole.workspace.apart import GitCopies
from wfconsole.workspace.collect import FileCollector

T = TypeVar("T")
ACTOR = Actor(user="op", host="build-1")


class TestClock:
    """Moves only when told to."""

    __test__ = False

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.now


def evaluate(source: str, scope: Mapping[str, Any]) -> Any:
    """Enough of an expression language for plans made by hand: Python names over dictionaries."""
    return eval(source, {"__builtins__": {}}, dict(scope))


def step(step_id: str, *argv: str, needs: Sequence[str] = (), **more: Any) -> StepPlan:
    """A `run` step of one command (or of the commands in `more`)."""
    commands = more.pop("commands", (argv or ("work",),))
    return StepPlan(
        step_id=step_id,
        kind="run",
        body=RunBody(commands=tuple(tuple(c) for c in commands)),
        needs=tuple(Need(step=name) for name in needs),
        **more,
    )


def plan(*steps: StepPlan, **more: Any) -> Plan:
    return Plan(
        recipe=RecipeRef(name="made", version="1.0.0", digest="0" * 64, origin="built-in"),
        text="{}",
        steps=steps,
        commands=more.pop("commands", CommandPolicy()),
        **more,
    )


class Unchanged:
    """`ports.Workspaces` of which nothing ever differs; what is kept is held in memory. `keeping` holds `keep` up."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, bytes]] = {}
        self.restored: list[tuple[str, str | None]] = []
        self.fails: list[WfconsoleError] = []
        self.keeping: asyncio.Event | None = None

    async def copy(self, source: Path, ref: str, folder: RunFolder) -> WorkspaceCopy:
        raise NotImplementedError

    async def diff(self, folder: RunFolder, pin: WorkspacePin) -> bytes | None:
        return None

    async def keep(self, folder: RunFolder) -> str:
        """A copy beside the run's folder, named by how many there are."""
        if self.keeping is not None:
            await self.keeping.wait()
        tree = f"tree-{len(self.kept)}"
        self.kept[tree] = {
            str(path.relative_to(folder.workspace)): path.read_bytes()
            for path in folder.workspace.rglob("*")
            if path.is_file()
        }
        return tree

    async def restore(self, source: RunFolder, folder: RunFolder, tree: str | None) -> None:
        self.restored.append((source.root.name, tree))
        if self.fails:
            raise self.fails.pop(0)
        folder.workspace.mkdir()
        for name, content in self.kept.get(tree or "", {}).items():
            (folder.workspace / name).write_bytes(content)


async def admit(fact: AnyFact) -> AnyFact:
    """Every signature holds, and is whose the payload says."""
    if isinstance(fact, DecideGate):
        return replace(fact, check=SignatureCheck(valid=True, principal=str(fact.payload.get("actor"))))
    return fact


class Rig:
    """One state folder and one process; `scripts` say what attempts do."""

    def __init__(self, tmp: Path, scripts: Mapping[str | tuple[str, int], Script] | None = None) -> None:
        self.tmp = tmp
        self.store = MemoryStore()
        self.clock = TestClock()
        self.sandbox = FakeSandbox(scripts or {})
        self.signals = Signals()
        self.subscribers: dict[str, Subscriber] = {}
        self.sealed: list[str] = []
        self.workspaces = Unchanged()
        self.copies: Copies = GitCopies()
        self.anew: Anew | None = None
        self.outside: EffectRunner | None = None
        self.supervisor = self.new_owner("owner-1")

    def new_owner(self, name: str) -> Supervisor:
        prepare = preparer(self.store, self.workspaces, self.folder)
        return Supervisor(name, LockHolds(FileLocks(self.tmp / "locks")), self.ports, prepare)

    def folder(self, run_id: str) -> RunFolder:
        return RunFolder(self.tmp / "runs" / run_id)

    def ports(self, run_id: str) -> LocalPorts:
        artifacts = DiskArtifacts(self.tmp / "artifacts")
        step_ports = StepPorts(
            sandbox=self.sandbox, artifacts=artifacts, collector=FileCollector(artifacts=artifacts), clock=self.clock
        )

        gates = GatePorts(
            workspaces=self.workspaces, artifacts=artifacts, collector=step_ports.collector, clock=self.clock
        )

        async def close(state: RunState) -> RunClosed:
            return RunClosed(fact_id="run:closed", at=self.clock.now_ms())

        async def seal(sealed: str) -> None:
            self.sealed.append(sealed)

        apart = Apart(self.copies, evaluate)
        gate = gate_runner(gates, self.folder, self.store.load)
        return LocalPorts(
            store=self.store,
            clock=self.clock,
            evaluate=evaluate,
            run_attempt=attempt_runner(step_ports, gate, self.folder, self.outside, apart, self.anew),
            close_run=close,
            seal=seal,
            sweep=sweeper(step_ports, self.folder, apart),
            admit=admit,
            keep=lambda kept: self.workspaces.keep(self.folder(kept)),
            subscribers=self.subscribers,
            signals=self.signals,
        )

    async def create(self, made: Plan, run_id: str = "run-1", **more: Any) -> str:
        fact = StartRun(
            fact_id=f"start:{run_id}",
            at=self.clock.now_ms(),
            actor=ACTOR,
            run_id=run_id,
            workflow_id=run_id,
            trace_id="ab" * 16,
            plan=made,
            **more,
        )
        ruling = decide(None, fact, evaluate)
        await self.store.commit(Commit(run_id=run_id, expected_seq=0, records=ruling.records, fact=fact))
        return run_id

    async def run(self, made: Plan, **more: Any) -> RunState:
        """Create and drive to the end."""
        return await self.supervisor.drive(await self.create(made, **more))

    async def deliver(self, run_id: str, fact: AnyFact) -> Ruling:
        ruling = await self.supervisor.deliver(run_id, fact)
        assert ruling is not None
        return ruling

    async def records(self, run_id: str = "run-1") -> Sequence[Record]:
        return await self.store.load(run_id)

    async def types(self, run_id: str = "run-1") -> list[str]:
        return [wire_name(type(record.event)) for record in await self.records(run_id)]


def play(scenario: Callable[[], Awaitable[T]]) -> T:
    """Run a scenario; one that hangs is an error, not a stuck suite."""

    async def bounded() -> T:
        return await asyncio.wait_for(scenario(), 20)

    return asyncio.run(bounded())
