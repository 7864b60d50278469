"""The parts of a gate's context, read as the work of strangers: the workspace's diff, test reports, listed files.

Owns the limits and the sentence for each part that cannot be made. Refuses to know the card. Nothing here raises for a part: what
is missing is collected, so that the operator is told everything at once.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wfconsole.domain.facts import WorkspacePin
from wfconsole.domain.plan import Json
from wfconsole.domain.records import ArtifactRecord
from wfconsole.ports import Artifacts, Collector, RunFolder, WfconsoleError, Workspaces
from wfconsole.views import secrets
from wfconsole.views.tests_summary import REPORT_BYTES, ReportError, TestSummary, summarise

FILE_BYTES = 4 * 1024 * 1024
FILE_LINES, FILE_CHARS, LINE_CHARS = 400, 64_000, 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A declared part that cannot be made: `part` names it, `problem` is a sentence, `hint` says what to do."""

    part: str
    problem: str
    hint: str


@dataclass(slots=True)
class Gaps:
    """What is missing so far."""

    found: list[Missing] = field(default_factory=list)

    def add(self, part: str, problem: str, hint: str) -> None:
        self.found.append(Missing(part=part, problem=problem, hint=hint))


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTests:
    """The tests of one step, and the digests of the reports that say so."""

    summary: TestSummary
    reports: tuple[dict[str, Json], ...]


async def read_diff(workspaces: Workspaces, folder: RunFolder, pin: WorkspacePin | None, gaps: Gaps) -> bytes | None:
    """The patch; None when nothing changed, when there is nothing to compare with, and when it is among the `gaps`."""
    if pin is None:
        return None
    try:
        return await workspaces.diff(folder, pin)
    except WfconsoleError as error:
        gaps.add(
            "diff",
            f"The diff of the workspace cannot be made: {error}",
            error.hint or "see that the run's folder is whole and readable",
        )
        return None


async def read_tests(
    artifacts: Artifacts, steps: Sequence[str], reports: Mapping[str, tuple[ArtifactRecord, ...]], gaps: Gaps
) -> tuple[StepTests, ...]:
    """A summary for each named step; of a group, its members' reports count as its own."""
    found = []
    for step in steps:
        records = [
            record
            for owner in sorted(reports)
            if owner == step or owner.startswith(f"{step}/")
            for record in reports[owner]
            if record.kind == "report" and record.sha256 is not None
        ]
        one = await _step_tests(artifacts, step, records, gaps)
        if one is not None:
            found.append(one)
    return tuple(found)


async def _step_tests(
    artifacts: Artifacts, step: str, records: Sequence[ArtifactRecord], gaps: Gaps
) -> StepTests | None:
    part = f"tests of {step}"
    hint = f"let {step} write a JUnit or coverage report and name it under `reports`, or take {step} out of `tests`"
    if not records:
        gaps.add(part, f"{step} left no report.", hint)
        return None
    data: list[bytes] = []
    for record in records:
        if (record.bytes or 0) > REPORT_BYTES:
            gaps.add(part, f"{record.name} is larger than {REPORT_BYTES // 1024**2} MiB.", hint)
            return None
        try:
            data.append(await asyncio.to_thread(artifacts.path(record.sha256 or "").read_bytes))
        except OSError:
            gaps.add(part, f"{record.name} was recorded and is no longer stored.", "retry the run")
            return None
    try:
        summary = await asyncio.to_thread(summarise, step, data)
    except ReportError as error:
        names = ", ".join(record.name for record in records)
        gaps.add(part, f"{names}: {error}", hint)
        return None
    told = tuple({"name": record.name, "sha256": record.sha256, "bytes": record.bytes} for record in records)
    return StepTests(summary=summary, reports=told)


async def read_files(
    collector: Collector, root: Path, paths: Sequence[str], gaps: Gaps
) -> tuple[tuple[str, bytes], ...]:
    """(path, whole content) of each listed file of the workspace."""
    found = []
    for path in paths:
        hint = f"let a step write {path}, or take it out of `files`"
        try:
            data = await collector.read(root=root, path=path, limit=FILE_BYTES)
        except WfconsoleError as error:
            gaps.add(f"file {path}", str(error), error.hint or hint)
            continue
        if data is None:
            gaps.add(f"file {path}", f"{path} is not in the workspace.", hint)
        else:
            found.append((path, data))
    return tuple(found)


def file_document(path: str, data: bytes) -> dict[str, Json]:
    """A file as a card shows it: its first lines with secrets hidden, and the digest of all of it."""
    told: dict[str, Json] = {
        "path": path,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "binary": b"\0" in data[:8192],
    }
    if told["binary"]:
        return {**told, "lines": [], "cut": True}
    whole = data[: FILE_CHARS * 4].decode("utf-8", "surrogateescape")[:FILE_CHARS].split("\n")
    if whole[-1] == "":
        whole.pop()
    lines = [line[:LINE_CHARS] for line in secrets.masked(whole[:FILE_LINES])]
    cut = len(data) > FILE_CHARS or len(whole) > FILE_LINES or any(len(line) > LINE_CHARS for line in whole)
    return {**told, "lines": lines, "cut": cut}
