"""The door of one process: store, artifacts, sandbox, workspaces and the supervisor, put together."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from wfconsole.compiler.expressions import evaluate
from wfconsole.config import Settings
from wfconsole.control.office import Office, OfficePorts
from wfconsole.control.starting import StartPorts
from wfconsole.domain.codec import canonical, wire
from wfconsole.domain.events import Record, RunCreated
from wfconsole.domain.plan import Json
from wfconsole.engine.attempt import attempt_runner
from wfconsole.engine.bundle import sealer
from wfconsole.engine.clock import SystemClock
from wfconsole.engine.close import run_closer
from wfconsole.engine.local import LocalPorts
from wfconsole.engine.supervisor import Supervisor
from wfconsole.main.recipes import compile_for_run
from wfconsole.ports import Evaluate, RunFolder, Subscriber
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
    store = SqliteStore.open(settings.state)
    artifacts = DiskArtifacts(settings.artifacts)
    account = Account.here()
    workspaces = GitWorkspaces(owner=(account.uid, account.gid) if os.geteuid() == 0 else None)
    clock = SystemClock()
    locks = FileLocks(settings.state / "locks")
    owner = f"{socket.gethostname()}:{os.getpid()}"
    sandbox = DockerSandbox(
        database_id=store.database_id,
        owner=owner,
        cache=settings.cache / "sandbox",
        gates=settings.account / "gates",
        docker_host=settings.environ.get("DOCKER_HOST"),
    )
    steps = StepPorts(sandbox=sandbox, artifacts=artifacts, collector=FileCollector(artifacts=artifacts), clock=clock)

    def folder(run_id: str) -> RunFolder:
        return RunFolder(settings.runs / run_id)

    def evaluate_of(run_id: str) -> Evaluate:
        return evaluate_with(_pinned_files(folder(run_id)))

    def ports_of(run_id: str) -> LocalPorts:
        return LocalPorts(
            store=store,
            clock=clock,
            evaluate=evaluate_of(run_id),
            run_attempt=attempt_runner(steps, folder),
            close_run=run_closer(workspaces, artifacts, clock, folder),
            seal=sealer(store, folder, run_view),
            subscribers=subscribers(settings),
        )

    async def close() -> None:
        await sandbox.close()
        await store.close()

    start = StartPorts(
        store=store,
        workspaces=workspaces,
        clock=clock,
        folder=folder,
        compile=lambda name: compile_for_run(settings, name),
        evaluate_with=evaluate_with,
        trace_url=settings.trace_url,
        project=settings.project,
    )
    return Office(
        OfficePorts(
            start=start,
            artifacts=artifacts,
            driving=Supervisor(owner, locks, ports_of),
            acquire=locks.acquire,
            evaluate_of=evaluate_of,
            close=close,
        )
    )


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


def subscribers(settings: Settings) -> dict[str, Subscriber]:
    """Who is told of every event besides the journal."""
    return {} if settings.events_file is None else {"events_file": EventsFile(settings.events_file)}


class EventsFile:
    """Appends every event as a JSON line to a file that the operator named. A failure to write is the caller's to record."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._recipe = ("", "")

    def __call__(self, run_id: str, record: Record) -> None:
        if isinstance(record.event, RunCreated):
            recipe = record.event.plan.recipe
            self._recipe = (recipe.name, recipe.version)
        document: Json = wire(record, run_id=run_id, name=self._recipe[0], version=self._recipe[1])
        with self._path.open("ab") as out:
            out.write(canonical(document) + b"\n")
