"""`run` and `shell` steps: one attempt in one sandbox, from the resolved commands to the outcome.

Owns the order: prepare, go, wait, read what was left. Refuses to know Docker. A command that fails is an outcome; so is a
sandbox that cannot be had. Whatever the step left is collected also when it failed: that is when one wants to look at it. What
would surprise: nothing is removed here. The container is the only witness of the outcome until that is recorded, so the caller,
who is told of it by `hold`, removes it then; or its next owner would run the commands a second time.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wfconsole.domain.facts import AttemptEnded
from wfconsole.domain.failures import cause
from wfconsole.domain.plan import Json, StepPlan
from wfconsole.domain.policy.classify import classify, signal_of, warnings
from wfconsole.domain.policy.drift import TAINTED, Drift
from wfconsole.domain.policy.paths import WORKSPACE, resolve
from wfconsole.domain.records import CommandRecord, FailureCause, OutcomeStatus, StreamRef
from wfconsole.ports import (
    NO_WISH,
    Artifacts,
    Clock,
    Collector,
    CommandEnd,
    DriftError,
    Mount,
    RunFolder,
    Sandbox,
    SandboxEnd,
    SandboxHandle,
    SandboxSpec,
    Screen,
    Secrets,
    WfconsoleError,
)
from wfconsole.steps.drift import keep_drift
from wfconsole.steps.harvest import Harvest, harvest
from wfconsole.steps.screen import Hiding, ScreenedCollector, Withheld, screen_of

OUTPUT_FILE = "output.json"
_OUTCOMES: dict[str, OutcomeStatus] = {
    "POLICY_BLOCKED": "failed",
    "OUTPUT_INVALID": "failed",
    "SANDBOX_LOST": "abandoned",
}
"""What an error of the sandbox's own makes of the attempt; any other is `errored`. Lost: it began, and nothing of it is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPorts:
    """What a step may use of the world."""

    sandbox: Sandbox
    artifacts: Artifacts
    collector: Collector
    clock: Clock
    secrets: Secrets | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One claimed attempt of a `run` or `shell` step. `upstream` are steps whose artifacts it sees; `resolved` as recorded.

    `secrets` are the names of all secrets of the run; of those that the step does not read it may find what another left.
    `fell_back`: the plan's template is another one than the recipe's, because that had drifted. `workspace`: the attempt's
    own; None: the run's. `resumed`: some attempt of the run has ended before.
    `wanted`: no stop is asked for.
    """

    run_id: str
    plan: StepPlan
    attempt: int
    resolved: dict[str, Json]
    folder: RunFolder
    upstream: tuple[str, ...] = ()
    output_bytes: int = 64 * 1024**2
    secrets: tuple[str, ...] = ()
    fell_back: bool = False
    workspace: Path | None = None
    resumed: bool = False
    wanted: Callable[[], bool] = field(default=lambda: True, compare=False)

    @property
    def name(self) -> str:
        return f"{self.plan.step_id}#{self.attempt}"

    @property
    def in_dir(self) -> Path:
        """There for as long as the sandbox is."""
        return self.folder.attempt(self.plan.step_id, self.attempt) / "in"


@dataclass(slots=True)
class _Result:
    """What is known at the end; becomes the fact."""

    outcome: OutcomeStatus
    cause: FailureCause | None = None
    details: dict[str, Any] = field(default_factory=dict)


Stopped = Callable[[], Awaitable[bool]]
Hold = Callable[[SandboxHandle], None]


async def run_command(job: Job, ports: StepPorts, stopped: Stopped, hold: Hold) -> AttemptEnded:
    """Carry the attempt out; errors of sandbox and disk are outcomes.

    `stopped()` returns when a stop is asked for, with True for a forced one. `hold` is told which sandbox there is to be
    removed when the outcome is durable.
    """
    try:
        result = await _in_sandbox(job, ports, stopped, hold)
    except DriftError as error:
        result = _Result("errored", error.cause, await _drift_details(job, ports, error.drift))
    except (WfconsoleError, OSError) as error:
        return not_carried_out(job, ports, error)
    return _ended(job, ports, result)


def not_carried_out(job: Job, ports: StepPorts, error: WfconsoleError | OSError) -> AttemptEnded:
    """The attempt whose sandbox, or whose disk, could not be had."""
    if isinstance(error, WfconsoleError):
        return _ended(job, ports, _Result(_OUTCOMES.get(error.code, "errored"), error.cause))
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return _ended(job, ports, _Result("errored", cause("DISK_FULL" if full else "INTERNAL", str(error))))


def _ended(job: Job, ports: StepPorts, result: _Result) -> AttemptEnded:
    return AttemptEnded(
        fact_id=f"{job.name}:ended",
        at=ports.clock.now_ms(),
        step_id=job.plan.step_id,
        attempt=job.attempt,
        outcome=result.outcome,
        cause=result.cause,
        template=job.plan.template,
        **result.details,
    )


async def _drift_details(job: Job, ports: StepPorts, drift: Drift) -> dict[str, Any]:
    """What the fact says of a drift; when the disk has no room for the artifact the drift is told without it."""
    try:
        kept = await keep_drift(
            ports.artifacts,
            job.folder,
            drift,
            run_id=job.run_id,
            step_id=job.plan.step_id,
            attempt=job.attempt,
            fell_back=job.fell_back,
        )
    except (WfconsoleError, OSError):
        return {"drift": drift}
    return {"drift": drift, "artifacts": (kept,), "fingerprint": drift.observed or None}


async def _in_sandbox(job: Job, ports: StepPorts, stopped: Stopped, hold: Hold) -> _Result:
    screen = await screen_of(ports.secrets, job.secrets)
    spec = await _with_secrets(await asyncio.to_thread(sandbox_spec, job), job, ports, screen)
    if screen is not None:
        ports = replace(ports, collector=ScreenedCollector(ports.collector, screen))
    is_new = not job.in_dir.exists()
    try:
        handle = await ports.sandbox.prepare(spec)
    except WfconsoleError as error:
        if is_new and error.code == "SANDBOX_UNAVAILABLE" and not job.wanted():
            return _stopped_before()
        raise
    hold(handle)
    asked: list[bool] = []

    async def noted() -> bool:
        asked.append(await stopped())
        return asked[-1]

    async with _stopping(ports.sandbox, handle, noted) as broken:
        working = asyncio.ensure_future(_go_and_wait(job, ports, handle, asked))
        try:
            either: set[asyncio.Future[Any]] = {working, broken}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                broken.result()  # the stop failed, and nothing else would ever end the attempt
            return await working
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


async def _with_secrets(spec: SandboxSpec, job: Job, ports: StepPorts, screen: Screen | None) -> SandboxSpec:
    """What the step reads, and what is hidden of all that it writes. A missing secret is the sandbox's to judge."""
    if isinstance(screen, Withheld):
        return replace(spec, withheld=screen.why)
    if not isinstance(screen, Hiding) or ports.secrets is None:
        return spec
    return replace(spec, secrets=await ports.secrets.read(job.plan.secrets), hide=screen.values)


async def _go_and_wait(job: Job, ports: StepPorts, handle: SandboxHandle, asked: list[bool]) -> _Result:
    """`asked` has the stops that were asked for by now: without one only an owner that had hung can have been in the way."""
    if not await ports.sandbox.go(handle):
        if not asked:
            return _Result("abandoned", cause("SANDBOX_LOST", "its sandbox was taken away before it began"))
        await ports.sandbox.stop(handle, force=True)
        return _stopped_before()
    end = await ports.sandbox.wait(handle)
    return await _read(job, ports, handle, end)


def _stopped_before() -> _Result:
    return _Result("cancelled", cause("STEP_FAILED", "stopped before it began", ""))


@asynccontextmanager
async def _stopping(sandbox: Sandbox, handle: SandboxHandle, stopped: Stopped) -> AsyncIterator[asyncio.Future[None]]:
    """Stop the sandbox whenever it is asked for; the future is done when that failed.

    A forced stop does not wait for the graceful one before it.
    """
    broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    tasks: set[asyncio.Task[None]] = set()

    async def stop(*, force: bool) -> None:
        try:
            await sandbox.stop(handle, force=force)
        except Exception as error:  # noqa: BLE001 - raised where the attempt is waited for
            if not broken.done():
                broken.set_exception(error)

    async def listen() -> None:
        while True:
            tasks.add(asyncio.ensure_future(stop(force=await stopped())))

    tasks.add(asyncio.ensure_future(listen()))
    try:
        yield broken
    finally:
        for task in tasks:
            task.cancel()
        if not broken.cancel():
            broken.exception()  # seen: the attempt ended by itself nevertheless


def sandbox_spec(job: Job) -> SandboxSpec:
    """The attempt as the sandbox runs it; makes the attempt's folders."""
    folder, plan, resolved = job.folder, job.plan, job.resolved
    attempt = folder.attempt(plan.step_id, job.attempt)
    scratch = attempt / "scratch"
    workspace = job.workspace or folder.workspace
    for path in (scratch, folder.logs(plan.step_id, job.attempt), workspace):
        path.mkdir(parents=True, exist_ok=True)
    mounts = [Mount(source=workspace, target="/workspace", read_only=plan.isolation == "read_only")]
    mounts += [Mount(source=path, target=f"/inputs/{path.name}") for path in _children(folder.inputs)]
    mounts += [Mount(source=folder.recipe, target="/recipe")] if folder.recipe.is_dir() else []
    mounts += [Mount(source=folder.rejection, target="/rejection")] if folder.rejection.is_dir() else []
    for step_id in job.upstream:
        source = folder.artifacts / step_id
        if source.is_dir():
            _listable(source)
            mounts.append(Mount(source=source, target=f"/artifacts/{step_id}"))
    return SandboxSpec(
        run_id=job.run_id,
        step_id=plan.step_id,
        attempt=job.attempt,
        template=plan.template,
        commands=tuple(tuple(argv) for argv in resolved["commands"]),
        in_dir=job.in_dir,
        out_dir=folder.logs(plan.step_id, job.attempt),
        scratch=scratch,
        halt_on_error=plan.halt_on_error,
        workdir=resolve(WORKSPACE, resolved["workdir"]),
        env=_environment(job),
        stdin=None if resolved.get("stdin") is None else resolved["stdin"].encode("utf-8", "surrogateescape"),
        mounts=tuple(mounts),
        network=_network(resolved.get("network")),
        limits=replace(NO_WISH, output_bytes=job.output_bytes),
        timeout_ms=plan.timeout_ms,
        resumed=job.resumed,
        wanted=job.wanted,
    )


def _network(value: Json) -> str | tuple[str, ...]:
    """A list is a tuple there; what is in it the sandbox judges."""
    return tuple(str(place) for place in value) if isinstance(value, list | tuple) else value or "none"


def _listable(top: Path) -> None:
    """The sandbox is another user, and our umask may have closed the folders to it."""
    for folder, _, _ in os.walk(top):
        Path(folder).chmod(0o755)


def _children(folder: Any) -> list[Any]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _environment(job: Job) -> dict[str, str]:
    return {
        **job.resolved["env"],
        "WFCONSOLE_RUN_ID": job.run_id,
        "WFCONSOLE_STEP_ID": job.plan.step_id,
        "WFCONSOLE_ATTEMPT": str(job.attempt),
        "WFCONSOLE_IDEMPOTENCY_KEY": f"{job.run_id}:{job.plan.step_id}",
        "WFCONSOLE_OUTPUT": f"/out/{OUTPUT_FILE}",
        "WFCONSOLE_SCRATCH": "/scratch",
    }


async def _read(job: Job, ports: StepPorts, handle: SandboxHandle, end: SandboxEnd) -> _Result:
    """Everything that the ended sandbox tells and left."""
    outcome, why = classify(
        end, timeout_ms=job.plan.timeout_ms, output_limit=handle.spec.limits.output_bytes, commands=handle.spec.commands
    )
    records = tuple(_command_record(job, handle.spec, command) for command in end.commands)
    found: Harvest = await harvest(
        job.plan, job.attempt, job.folder, handle.spec, ports, succeeded=outcome == "succeeded"
    )
    if outcome == "succeeded" and found.problem is not None:
        outcome, why = "failed", found.problem
    started, finished = end.started_at, end.finished_at
    result = _Result(
        outcome,
        why,
        {
            "exit_code": end.exit_code,
            "commands": records,
            "outputs": found.outputs,
            "artifacts": found.artifacts,
            "fingerprint": handle.fingerprint or handle.image_id,
            "cost_usd": found.cost_usd,
            "sandbox_ms": max(0, finished - started) if started is not None and finished is not None else 0,
            "output_bytes": sum(ref.bytes for record in records for ref in (record.stdout, record.stderr) if ref),
            "warnings": (*warnings(end), *_told(handle.spec, end, ports), *found.warnings),
        },
    )
    if end.drift is not None:
        drifted = await _drift_details(job, ports, end.drift)
        kept = (*result.details["artifacts"], *drifted.get("artifacts", ()))
        result.details.update(drift=end.drift, artifacts=kept, fingerprint=TAINTED)
    return result


def _told(spec: SandboxSpec, end: SandboxEnd, ports: StepPorts) -> Iterator[str]:
    """What was kept from being stored, and what the network kept from the step."""
    if spec.withheld is not None:
        yield f"SECRET_MISSING: the output is withheld, since nobody can tell what to hide in it: {spec.withheld}"
    screen = ports.collector.screen if isinstance(ports.collector, ScreenedCollector) else None
    hidden = end.redacted + (screen.count if isinstance(screen, Hiding) else 0)
    if hidden:
        yield f"{hidden} place{'s' * (hidden > 1)} that held a secret {'were' if hidden > 1 else 'was'} hidden"
    for place in end.refused:
        yield f"the network let nothing through to {place}: the step's `network` does not list it"


def _command_record(job: Job, spec: SandboxSpec, command: CommandEnd) -> CommandRecord:
    code = command.exit_code
    return CommandRecord(
        index=command.index,
        argv=spec.commands[command.index],
        cwd=spec.workdir,
        exit_code=None if command.error else code,
        signal=None if command.error else signal_of(code),
        error=command.error,
        started_at=command.started_at,
        finished_at=command.finished_at,
        stdout=_stream(job, spec, command.index, "stdout"),
        stderr=_stream(job, spec, command.index, "stderr"),
    )


def _stream(job: Job, spec: SandboxSpec, index: int, name: str) -> StreamRef | None:
    path = spec.out_dir / f"{index}.{name}"
    try:
        size = path.lstat().st_size
    except FileNotFoundError:
        return None
    return StreamRef(path=str(path.relative_to(job.folder.root)), bytes=size)
