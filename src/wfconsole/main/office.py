"""The door of one process: store, artifacts, sandbox, workspaces and the supervisor, put together."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from wfconsole.compiler.expressions import evaluate
from wfconsole.config import Settings
from wfconsole.control.office import Office, OfficePorts
from wfconsole.control.starting import Compiled, StartPorts
from wfconsole.domain.effects import StartAttempt
from wfconsole.domain.events import Record
from wfconsole.domain.facts import AnyFact, AttemptEnded, GateReady
from wfconsole.domain.plan import Json, Plan
from wfconsole.domain.run import RunState
from wfconsole.engine.apart import Apart
from wfconsole.engine.attempt import GateRunner, attempt_runner, sweeper
from wfconsole.engine.before import Anew
from wfconsole.engine.bundle import sealer
from wfconsole.engine.cards import CardKeeper, card_keeper
from wfconsole.engine.clock import SystemClock
from wfconsole.engine.close import run_closer
from wfconsole.engine.local import LocalPorts, Sealer
from wfconsole.engine.quarantine import setter_aside
from wfconsole.engine.succession import preparer, with_successor
from wfconsole.engine.supervisor import Supervisor
from wfconsole.main.outside import mailers, outside
from wfconsole.main.secrets import OperatorSecrets
from wfconsole.main.signing import admission, signer_of
from wfconsole.main.telling import Told, inform, record_failures, subscribers, teller
from wfconsole.ports import Evaluate, RunFolder, Store, WfconsoleError, Workspaces
from wfconsole.ports.delivery import Mailer
from wfconsole.sandbox.docker import DockerSandbox
from wfconsole.sandbox.folders import Account
from wfconsole.sandbox.locks import HostLocks
from wfconsole.steps.command import StepPorts
from wfconsole.steps.screen import ScreenedCollector, screen_of, screened_workspaces
from wfconsole.store.artifacts import DiskArtifacts
from wfconsole.store.leases import Leases
from wfconsole.store.locks import FileLocks
from wfconsole.store.sqlite import SqliteStore
from wfconsole.store.statements import UNFINISHED
from wfconsole.store.writer import Trouble
from wfconsole.views.run_view import run_view
from wfconsole.views.safe_text import safe_text
from wfconsole.workspace.apart import GitCopies
from wfconsole.workspace.before import GitBefore
from wfconsole.workspace.collect import FileCollector
from wfconsole.workspace.copy import GitWorkspaces

GO_ON_S, GO_ON_RUNS = 5.0, 20
"""How long, and with how many runs, a start is concerned that an earlier process ended and did not let go of."""


def _tell(text: str) -> None:
    """A line of diagnostics, from whatever thread."""
    sys.stderr.write(safe_text(text) + "\n")
    sys.stderr.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """The adapters of one open state folder, each made once."""

    settings: Settings
    store: SqliteStore
    artifacts: DiskArtifacts
    workspaces: GitWorkspaces
    copies: GitCopies
    before: GitBefore
    steps: StepPorts
    mailer: Callable[[], Mailer]
    told: Told = field(default_factory=dict)

    def folder(self, run_id: str) -> RunFolder:
        return RunFolder(self.settings.runs / run_id)

    @property
    def seal(self) -> Sealer:
        return sealer(self.store, self.folder, run_view)

    @property
    def cards(self) -> CardKeeper:
        return card_keeper(self.artifacts, self.folder)

    def evaluate_of(self, run_id: str) -> Evaluate:
        return evaluate_with(_pinned_files(self.folder(run_id)))


def _parts(settings: Settings, owner: str, *, unattended: bool) -> _Parts:
    """Raises STORE_CORRUPT, STORE_TOO_NEW, DISK_FULL."""
    store = SqliteStore.open(settings.state, trouble=Trouble(say=_tell))
    artifacts = DiskArtifacts(settings.artifacts)
    account = Account.here()
    sandboxed = (account.uid, account.gid) if os.geteuid() == 0 else None
    return _Parts(
        settings=settings,
        store=store,
        artifacts=artifacts,
        workspaces=GitWorkspaces(owner=sandboxed),
        copies=GitCopies(owner=sandboxed),
        before=GitBefore(owner=sandboxed),
        steps=StepPorts(
            sandbox=_sandbox(settings, store.database_id, owner, unattended=unattended),
            artifacts=artifacts,
            collector=FileCollector(artifacts=artifacts),
            clock=SystemClock(),
            secrets=OperatorSecrets(settings.secrets, settings.environ),
        ),
        mailer=mailers(settings),
    )


def _local_ports(
    parts: _Parts, admit: Callable[[AnyFact], Awaitable[AnyFact]], loop: asyncio.AbstractEventLoop
) -> Callable[[str], LocalPorts]:
    """What a run's driver is given; called in a thread, so that the loop stays free to read the journal for it."""
    steps, folder = parts.steps, parts.folder
    gate = _gate_runner(steps, parts.workspaces, folder, parts.store, parts.mailer)
    effect = outside(steps, parts.mailer, folder)
    close_run = run_closer(parts.workspaces, parts.artifacts, steps.clock, folder, steps.secrets)

    def journal_of(run_id: str) -> Sequence[Record]:
        return asyncio.run_coroutine_threadsafe(parts.store.load(run_id), loop).result()

    def ports_of(run_id: str) -> LocalPorts:
        told = subscribers(parts.settings, folder(run_id).root, lambda: journal_of(run_id))
        parts.told.setdefault(run_id, []).append(told)
        expressions = parts.evaluate_of(run_id)
        apart = Apart(parts.copies, expressions)
        return LocalPorts(
            store=parts.store,
            clock=steps.clock,
            evaluate=expressions,
            run_attempt=attempt_runner(
                steps, gate, folder, effect, apart, Anew(before=parts.before, load=parts.store.load)
            ),
            close_run=close_run,
            keep=lambda kept: parts.workspaces.keep(folder(kept)),
            seal=parts.seal,
            sweep=sweeper(steps, folder, apart),
            admit=admit,
            tell=teller(told),
            subscribers=told,
            cards=parts.cards,
        )

    return ports_of


async def open_office(settings: Settings, *, go_on: bool = True, unattended: bool = False) -> Office:
    """Everything a front end needs; `unattended`: nobody looks on. Raises STORE_CORRUPT, STORE_TOO_NEW, DISK_FULL.

    Contacts no engine before a step starts, unless `go_on` and an earlier process did not come to the end: of a removal, or of
    what follows the end of a run. That is ended here.
    """
    owner = f"{socket.gethostname()}:{os.getpid()}"
    parts = _parts(settings, owner, unattended=unattended)
    store, folder = parts.store, parts.folder
    leases = Leases(store, FileLocks(settings.state / "locks"), settings.state / "owners")
    admit = admission(signer_of(settings), store)
    prepare = preparer(store, parts.workspaces, folder)
    ports_of = _local_ports(parts, admit, asyncio.get_running_loop())

    async def told(run_id: str, seq: int) -> None:
        await inform(settings, store, folder(run_id).root, parts.told, run_id, seq)

    aside = setter_aside(store, SystemClock(), told)
    supervisor = Supervisor(owner, leases, ports_of, prepare, _tell, aside)
    leases.on_hint(supervisor.nudge)

    async def close() -> None:
        await _close(office, parts, leases)

    office = Office(
        OfficePorts(
            start=replace(_start_ports(settings, store, parts.workspaces, folder), secrets=parts.steps.secrets),
            artifacts=parts.artifacts,
            driving=supervisor,
            complete=lambda commit: with_successor(store, commit),
            prepare=prepare,
            acquire=leases.acquire,
            hint=leases.hint,
            lift=leases.lift,
            not_let_go=leases.not_let_go,
            evaluate_of=parts.evaluate_of,
            seal=parts.seal,
            admit=admit,
            close=close,
            cards=parts.cards,
            inform=told,
        )
    )
    if go_on and await store.rows(UNFINISHED):
        from wfconsole.main.cleaning import go_on_removing

        await go_on_removing(settings, office)
    if go_on:
        await _end_what_the_dead_left(office)
    return office


async def _end_what_the_dead_left(office: Office) -> None:
    """Tell the last events of runs whose owner died between the end and the telling, write their bundles, free what they held.

    Some of them: the next start goes on.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(GO_ON_S):
            for run_id in (await office.not_let_go())[:GO_ON_RUNS]:
                with suppress(WfconsoleError):  # an owner that lives, an engine that is away, a disk that is full
                    await office.drive(run_id)


async def _close(office: Office, parts: _Parts, leases: Leases) -> None:
    try:
        await record_failures(office, parts.told)
        await leases.close()
        await parts.steps.sandbox.close()
    finally:
        await office.store.close()


def _gate_runner(
    steps: StepPorts,
    workspaces: Workspaces,
    folder: Callable[[str], RunFolder],
    store: Store,
    mailer: Callable[[], Mailer],
) -> GateRunner:
    """Imports what gates need when the first one is met."""

    async def run(effect: StartAttempt, state: RunState) -> AttemptEnded | GateReady:
        from wfconsole.engine.baseline import coverage_before
        from wfconsole.engine.gates import gate_runner
        from wfconsole.steps.gate import GatePorts

        screen = await screen_of(steps.secrets, state.plan.secrets)
        ports = GatePorts(
            workspaces=workspaces if screen is None else screened_workspaces(workspaces, screen),
            artifacts=steps.artifacts,
            collector=steps.collector if screen is None else ScreenedCollector(steps.collector, screen),
            clock=steps.clock,
            mailer=mailer(),
        )
        before = partial(coverage_before, store)
        return await gate_runner(ports, folder, store.load, before)(effect, state)

    return run


def _sandbox(settings: Settings, database_id: str, owner: str, *, unattended: bool) -> DockerSandbox:
    return DockerSandbox(
        database_id=database_id,
        owner=owner,
        cache=settings.cache / "sandbox",
        gates=settings.account / "gates",
        locks=HostLocks(settings.template_locks, settings.template_folders),
        docker_host=settings.environ.get("DOCKER_HOST"),
        unattended=unattended,
        say=_tell,
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
        permit=lambda plan, inputs, evaluate: _permit(settings, plan, inputs, evaluate),
    )


def _compile(settings: Settings, name: str) -> Compiled:
    from wfconsole.main.recipes import compile_for_run  # 15 ms that only starting a run pays

    return compile_for_run(settings, name)


def _permit(settings: Settings, plan: Plan, inputs: Mapping[str, Json], evaluate: Evaluate) -> None:
    from wfconsole.main.trust import permit

    permit(settings, plan, inputs, evaluate)


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
