"""The door of one process: store, artifacts, sandbox, workspaces and the supervisor, put together."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from wfconsole.compiler.expressions import evaluate
from wfconsole.config import Settings
from wfconsole.control.office import Office, OfficePorts
from wfconsole.control.starting import Compiled, StartPorts
from wfconsole.domain.codec import canonical, wire
from wfconsole.domain.effects import StartAttempt
from wfconsole.domain.events import Record, RunCreated
from wfconsole.domain.facts import AttemptEnded, ChannelFailed, GateReady
from wfconsole.domain.plan import Json, RecipeRef
from wfconsole.domain.run import RunState
from wfconsole.engine.attempt import GateRunner, attempt_runner, sweeper
from wfconsole.engine.bundle import sealer
from wfconsole.engine.clock import SystemClock
from wfconsole.engine.close import run_closer
from wfconsole.engine.local import LocalPorts
from wfconsole.engine.supervisor import Supervisor
from wfconsole.main.hooks import Hooks
from wfconsole.main.signing import admission, signer_of
from wfconsole.ports import Evaluate, RunFolder, Store, Subscriber, WfconsoleError, Workspaces
from wfconsole.sandbox.docker import DockerSandbox
from wfconsole.sandbox.folders import Account
from wfconsole.steps.command import StepPorts
from wfconsole.store.artifacts import DiskArtifacts
from wfconsole.store.locks import FileLocks
from wfconsole.store.sqlite import SqliteStore
from wfconsole.views.run_view import run_view
from wfconsole.workspace.collect import FileCollector
from wfconsole.workspace.copy import GitWorkspaces


async def open_office(settings: Settings) -> Office:
    """Everything a front end needs. Contacts no engine before a step starts. Raises STORE_CORRUPT, STORE_TOO_NEW."""
    loop = asyncio.get_running_loop()
    store = SqliteStore.open(settings.state)
    artifacts = DiskArtifacts(settings.artifacts)
    account = Account.here()
    workspaces = GitWorkspaces(owner=(account.uid, account.gid) if os.geteuid() == 0 else None)
    clock = SystemClock()
    locks = FileLocks(settings.state / "locks")
    owner = f"{socket.gethostname()}:{os.getpid()}"
    sandbox = _sandbox(settings, store.database_id, owner)
    steps = StepPorts(sandbox=sandbox, artifacts=artifacts, collector=FileCollector(artifacts=artifacts), clock=clock)

    admit = admission(signer_of(settings), store)

    def folder(run_id: str) -> RunFolder:
        return RunFolder(settings.runs / run_id)

    def evaluate_of(run_id: str) -> Evaluate:
        return evaluate_with(_pinned_files(folder(run_id)))

    def journal_of(run_id: str) -> Sequence[Record]:
        return asyncio.run_coroutine_threadsafe(store.load(run_id), loop).result()

    gate = _gate_runner(steps, workspaces, folder, store)
    seal = sealer(store, folder, run_view)
    told: dict[str, dict[str, Subscriber]] = {}

    def ports_of(run_id: str) -> LocalPorts:
        """Called in a thread: the loop stays free to read the journal for it."""
        told[run_id] = subscribers(settings, lambda: journal_of(run_id))
        return LocalPorts(
            store=store,
            clock=clock,
            evaluate=evaluate_of(run_id),
            run_attempt=attempt_runner(steps, gate, folder),
            close_run=run_closer(workspaces, artifacts, clock, folder),
            seal=seal,
            sweep=sweeper(steps, folder),
            admit=admit,
            subscribers=told[run_id],
        )

    async def close() -> None:
        await _close(office, told, sandbox)

    office = Office(
        OfficePorts(
            start=_start_ports(settings, store, workspaces, folder),
            artifacts=artifacts,
            driving=Supervisor(owner, locks, ports_of),
            acquire=locks.acquire,
            evaluate_of=evaluate_of,
            seal=seal,
            admit=admit,
            close=close,
        )
    )
    return office


async def _close(office: Office, told: Mapping[str, Mapping[str, Subscriber]], sandbox: DockerSandbox) -> None:
    try:
        await _record_failures(office, told)
        await sandbox.close()
    finally:
        await office.store.close()


async def _record_failures(office: Office, told: Mapping[str, Mapping[str, Subscriber]]) -> None:
    """Put on record what hooks failed at after the last event; a run that is over, or another's by now, is left alone."""
    for run_id, hook in [(run_id, each.get("hooks")) for run_id, each in told.items()]:
        for seq, error in await asyncio.to_thread(hook.close) if isinstance(hook, Hooks) else ():
            fact_id, now = f"channel:hooks:{uuid.uuid4().hex}", SystemClock().now_ms()
            with suppress(WfconsoleError):
                fact = ChannelFailed(fact_id=fact_id, at=now, subscriber="hooks", error=error, failed_seq=seq)
                await office.send(run_id, fact)


def _gate_runner(
    steps: StepPorts, workspaces: Workspaces, folder: Callable[[str], RunFolder], store: Store
) -> GateRunner:
    """Imports what gates need when the first one is met."""

    async def run(effect: StartAttempt, state: RunState) -> AttemptEnded | GateReady:
        from wfconsole.engine.gates import gate_runner
        from wfconsole.steps.gate import GatePorts

        ports = GatePorts(
            workspaces=workspaces, artifacts=steps.artifacts, collector=steps.collector, clock=steps.clock
        )
        return await gate_runner(ports, folder, store.load)(effect, state)

    return run


def _sandbox(settings: Settings, database_id: str, owner: str) -> DockerSandbox:
    return DockerSandbox(
        database_id=database_id,
        owner=owner,
        cache=settings.cache / "sandbox",
        gates=settings.account / "gates",
        docker_host=settings.environ.get("DOCKER_HOST"),
    )


def _start_ports(
    settings: Settings, store: Store, workspaces: Workspaces, folder: Callable[[str], RunFolder]
) -> StartPorts:
    return StartPorts(
        store=store,
        workspaces=workspaces,
        clock=SystemClock(),
        folder=folder,
        compile=lambda name: _compile(settings, name),
        evaluate_with=evaluate_with,
        trace_url=settings.trace_url,
        project=settings.project,
        signer=signer_of(settings),
    )


def _compile(settings: Settings, name: str) -> Compiled:
    from wfconsole.main.recipes import compile_for_run  # 15 ms that only starting a run pays

    return compile_for_run(settings, name)


def evaluate_with(files: Mapping[str, bytes]) -> Evaluate:
    """The evaluator, with the recipe's pinned files in reach of `file()`."""
    texts = {name: data.decode("utf-8", "replace") for name, data in files.items()}
    return lambda source, scope: evaluate(source, {**scope, "files": texts})


def _pinned_files(folder: RunFolder) -> dict[str, bytes]:
    if not folder.recipe.is_dir():
        return {}
    return {
        str(path.relative_to(folder.recipe)): path.read_bytes()
        for path in sorted(folder.recipe.rglob("*"))
        if path.is_file()
    }


def subscribers(settings: Settings, journal: Callable[[], Sequence[Record]]) -> dict[str, Subscriber]:
    """Who is told of every event besides the journal."""
    if settings.events_file is None and not settings.hooks:
        return {}
    created = next((record.event for record in journal() if isinstance(record.event, RunCreated)), None)
    found: dict[str, Subscriber] = {}
    if created is not None and settings.events_file is not None:
        found["events_file"] = EventsFile(settings.events_file, created.plan.recipe)
    if created is not None and settings.hooks:
        found["hooks"] = Hooks(settings.hooks, created.plan.recipe)
    return found


class EventsFile:
    """Appends every event as a JSON line to a file that the operator named. A failure to write is the caller's to record.

    Never waits: a pipe that nobody reads, or not fast enough, is a failure to write.
    """

    def __init__(self, path: Path, recipe: RecipeRef) -> None:
        self._path = path
        self._recipe = recipe
        self._torn = False

    def __call__(self, run_id: str, record: Record) -> None:
        document: Json = wire(record, run_id=run_id, name=self._recipe.name, version=self._recipe.version)
        line = b"\n" * self._torn + canonical(document) + b"\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o666)
        try:
            written = os.write(descriptor, line)
        finally:
            os.close(descriptor)
        self._torn = written < len(line)
        if self._torn:
            raise OSError(errno.ENOSPC, f"only {written} of {len(line)} bytes were taken", str(self._path))
