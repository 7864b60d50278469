"""What an ended attempt left: declared outputs, artifacts, reports, its cost. Everything is read as the work of a stranger.

A declared output that is missing or malformed fails a step that otherwise succeeded (OUTPUT_INVALID); of a failed
step only what is there is taken. Paths are relative to the workspace; with the prefix ``/scratch/`` to the attempt's
scratch folder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from wfconsole.domain.failures import cause
from wfconsole.domain.outputs import OutputError, at_path, parse_json, read_output, typed
from wfconsole.domain.plan import Json, OutputSpec, StepPlan
from wfconsole.domain.records import ArtifactKind, ArtifactRecord, FailureCause
from wfconsole.ports import Collector, RunFolder, SandboxSpec, WfconsoleError

OUTPUT_LIMIT = 4 * 1024**2
SCRATCH = "/scratch/"


class _Ports(Protocol):
    @property
    def collector(self) -> Collector: ...


@dataclass(slots=True)
class Harvest:
    """`problem` is the first declared thing that is not as declared."""

    outputs: dict[str, Json] = field(default_factory=dict)
    artifacts: tuple[ArtifactRecord, ...] = ()
    warnings: tuple[str, ...] = ()
    cost_usd: float | None = None
    problem: FailureCause | None = None


async def harvest(
    plan: StepPlan, attempt: int, folder: RunFolder, spec: SandboxSpec, ports: _Ports, *, succeeded: bool
) -> Harvest:
    """Take what the attempt left. Never raises: what cannot be read is the `problem` or a warning."""
    found = Harvest()
    reader = _Reader(folder, spec, ports.collector)
    for output in plan.outputs:
        if output.source == "expression":
            continue
        try:
            found.outputs[output.name] = await reader.output(output)
        except (OutputError, WfconsoleError) as error:
            found.outputs[output.name] = None
            found.problem = found.problem or cause("OUTPUT_INVALID", str(error), output=output.name)
    if plan.cost_usd is not None and succeeded:
        await _cost(plan, reader, found)
    job = _Place(plan=plan, attempt=attempt, folder=folder, spec=spec)
    await _collect(job, ports.collector, found)
    return found


async def _cost(plan: StepPlan, reader: _Reader, found: Harvest) -> None:
    spec = plan.cost_usd
    if spec is None:
        return
    try:
        data = await reader.file(spec.file)
        document = parse_json(data, spec.file)
        found.cost_usd = typed(at_path(document, spec.at, spec.file) if spec.at else document, "number", "cost_usd")
    except (OutputError, WfconsoleError) as error:
        found.problem = found.problem or cause("OUTPUT_INVALID", str(error), output="cost_usd")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Which attempt, and where it left things."""

    plan: StepPlan
    attempt: int
    folder: RunFolder
    spec: SandboxSpec


async def _collect(job: _Place, collector: Collector, found: Harvest) -> None:
    plan, folder, spec = job.plan, job.folder, job.spec
    wanted: list[tuple[ArtifactKind, list[str]]] = [
        ("report", list(plan.reports.values())),  # first: a report that also matches a pattern of artifacts is a report
        ("file", list(plan.artifacts)),
    ]
    for kind, patterns in wanted:
        scratch = [pattern.removeprefix(SCRATCH) for pattern in patterns if pattern.startswith(SCRATCH)]
        inside = [pattern for pattern in patterns if not pattern.startswith(SCRATCH)]
        for root, chosen in ((_workspace(folder, spec), inside), (spec.scratch, scratch)):
            if not chosen:
                continue
            taken = await collector.collect(
                folder=folder, step_id=plan.step_id, attempt=job.attempt, patterns=chosen, kind=kind, root=root
            )
            known = {artifact.name for artifact in found.artifacts}
            found.artifacts += tuple(artifact for artifact in taken.artifacts if artifact.name not in known)
            found.warnings += taken.refused


def _workspace(folder: RunFolder, spec: SandboxSpec) -> Path:
    """Where the step worked: in the run's workspace, or in one of its own."""
    return next((mount.source for mount in spec.mounts if mount.target == "/workspace"), folder.workspace)


class _Reader:
    """Reads declared files of one attempt, each once."""

    def __init__(self, folder: RunFolder, spec: SandboxSpec, collector: Collector) -> None:
        self._folder = folder
        self._spec = spec
        self._collector = collector
        self._result: Json = None

    async def output(self, output: OutputSpec) -> Json:
        """Raises OutputError, or WfconsoleError for a file that must not be read."""
        if output.source == "result":
            return await self._from_result(output)
        if output.source == "stdout":
            begun = [k for k in range(len(self._spec.commands)) if os.path.lexists(self._spec.out_dir / f"{k}.stdout")]
            last = begun[-1] if begun else 0
            return read_output(output, await self._read(self._spec.out_dir, f"{last}.stdout", "stdout"))
        return read_output(output, await self.file(output.file or ""))

    async def file(self, name: str) -> bytes:
        if name.startswith(SCRATCH):
            return await self._read(self._spec.scratch, name.removeprefix(SCRATCH), name)
        return await self._read(_workspace(self._folder, self._spec), name, name)

    async def _from_result(self, output: OutputSpec) -> Json:
        if self._result is None:
            data = await self._read(self._spec.out_dir, "output.json", "$WFCONSOLE_OUTPUT")
            self._result = typed(parse_json(data, "$WFCONSOLE_OUTPUT"), "object", "$WFCONSOLE_OUTPUT")
        if output.name not in self._result:
            raise OutputError(f"$WFCONSOLE_OUTPUT has no field {output.name}")
        return typed(self._result[output.name], output.type, f"output {output.name}")

    async def _read(self, root: Path, name: str, what: str) -> bytes:
        data = await self._collector.read(root=root, path=name, limit=OUTPUT_LIMIT)
        if data is None:
            raise OutputError(f"{what} was not written")
        return data
