"""What an approver has to see, gathered before a gate opens: one document with a digest, and the artifacts behind it.

Owns the shape of the card's data. Refuses to know clocks, and who will look: the same workspace and reports give the same
bytes, so that a decision can be bound to them. The decision that would surprise: a part that cannot be made is never left
out; all that is missing is told at once as CONTEXT_INCOMPLETE, and nobody is asked.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from wfconsole.domain.codec import canonical
from wfconsole.domain.facts import WorkspacePin
from wfconsole.domain.failures import CATALOGUE
from wfconsole.domain.plan import ContextSpec, Json
from wfconsole.domain.records import ArtifactKind, ArtifactRecord
from wfconsole.ports import Artifacts, Collector, RunFolder, WfconsoleError, Workspaces
from wfconsole.ports.delivery import Mailer
from wfconsole.steps.evidence import Gaps, Missing, StepTests, file_document, read_diff, read_files, read_tests
from wfconsole.steps.keeping import keep
from wfconsole.steps.letters import previewed
from wfconsole.views import diff, risk as risks, secrets, tests_summary
from wfconsole.views.risk import CustomRule, RiskFacts

DIFF_NAME, CONTEXT_NAME = "context/diff.patch", "context.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextPorts:
    """What the gathering of a context may use of the world."""

    workspaces: Workspaces
    artifacts: Artifacts
    collector: Collector
    mailer: Mailer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateJob:
    """One attempt of a gate. `reports` are the artifacts of the steps that `spec.tests` names, by step.

    `preview` holds what each step of `spec.preview` would do, shown as it is. `pin` is None for a run without a workspace.
    """

    run_id: str
    step_id: str
    attempt: int
    title: str
    folder: RunFolder
    pin: WorkspacePin | None
    spec: ContextSpec = field(default_factory=ContextSpec)
    preview: Mapping[str, Json] = field(default_factory=dict)
    reports: Mapping[str, tuple[ArtifactRecord, ...]] = field(default_factory=dict)
    facts: RiskFacts = field(default_factory=RiskFacts)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateContext:
    """`document` is the card's data, `digest` the sha256 of its canonical bytes; `artifacts` are stored and not yet recorded."""

    document: dict[str, Json]
    digest: str
    artifacts: tuple[ArtifactRecord, ...]


class ContextIncomplete(WfconsoleError):  # noqa: N818 (the word of the contract)
    """Parts of a declared context cannot be made: `missing` has each with what to do."""

    def __init__(self, missing: Sequence[Missing]) -> None:
        self.missing = tuple(missing)
        hints = dict.fromkeys(part.hint.rstrip(".") for part in missing if part.hint)
        super().__init__(
            "CONTEXT_INCOMPLETE",
            "; ".join(f"{part.part}: {part.problem.rstrip('.')}" for part in missing),
            "; ".join(hints) or CATALOGUE["CONTEXT_INCOMPLETE"].hint,
            {"missing": [asdict(part) for part in missing]},
        )


async def build_context(job: GateJob, ports: ContextPorts) -> GateContext:
    """Gather, judge and store everything. Raises ContextIncomplete; nothing is stored unless every part is there."""
    gaps, spec = Gaps(), job.spec
    wanted = spec.diff or spec.risk
    patch = await read_diff(ports.workspaces, job.folder, job.pin, gaps) if wanted else None
    tests = await read_tests(ports.artifacts, spec.tests, job.reports, gaps)
    files = await read_files(ports.collector, job.folder.workspace, spec.files, gaps)
    rules = _rules(spec, gaps)
    preview = await _previews(job, ports, gaps)
    if gaps.found:
        raise ContextIncomplete(gaps.found)
    document = await asyncio.to_thread(_document, replace(job, preview=preview), patch, tests, files, rules)
    data = canonical(document)
    try:
        artifacts = await _store(job, ports.artifacts, patch, files, data)
    except (WfconsoleError, OSError) as error:
        hint = getattr(error, "hint", "") or "see that the state folder can be written"
        part = Missing(part="context", problem=f"It cannot be stored: {error}", hint=hint)
        raise ContextIncomplete([part]) from error
    return GateContext(document=document, digest=hashlib.sha256(data).hexdigest(), artifacts=artifacts)


async def _previews(job: GateJob, ports: ContextPorts, gaps: Gaps) -> dict[str, Json]:
    """What each previewed step would do, as it will be compared with what it then does."""
    found: dict[str, Json] = {}
    for name in job.spec.preview:
        shown = job.preview.get(name)
        try:
            if shown is None:
                raise WfconsoleError("CONTEXT_INCOMPLETE", f"What {name} would do is not known.")
            found[name] = await previewed(shown, job.folder, ports.collector, ports.mailer)
        except WfconsoleError as error:
            gaps.add(f"preview of {name}", error.message, error.hint or f"see that {name} can be prepared")
    return found


def _rules(spec: ContextSpec, gaps: Gaps) -> tuple[CustomRule, ...]:
    found = []
    for rule in spec.rules:
        try:
            found.append(risks.custom_rule(rule))
        except ValueError as error:
            gaps.add("risk", f"A rule of the recipe cannot be used: {error}.", "mend the rule in the recipe")
    return tuple(found)


def _document(
    job: GateJob,
    patch: bytes | None,
    tests: tuple[StepTests, ...],
    files: tuple[tuple[str, bytes], ...],
    rules: tuple[CustomRule, ...],
) -> dict[str, Json]:
    """Runs in a thread: it takes as long as the diff is large."""
    summary, hunks = diff.parse(patch or b"", mask=secrets.masked)
    total = tests_summary.totals([one.summary for one in tests])
    facts = _facts(job.facts, total if tests else None)
    return {
        "schema_version": SCHEMA_VERSION,
        "title": job.title,
        "diff": _diff_document(job, summary, patch) if job.spec.diff else None,
        "tests": _tests_document(total, tests) if job.spec.tests else None,
        "risk": risks.document(risks.risk(summary, hunks, facts, rules)) if job.spec.risk else None,
        "files": [file_document(path, data) for path, data in files],
        "preview": {name: job.preview[name] for name in job.spec.preview},
    }


def _facts(given: RiskFacts, total: tests_summary.TestSummary | None) -> RiskFacts:
    """What the tests say is added where the caller has said nothing."""
    if total is None:
        return given
    after = given.coverage_after
    return replace(
        given,
        tests_run=total.ran if given.tests_run is None else given.tests_run,
        tests_failed=given.tests_failed or total.failed + total.errors,
        coverage_after=total.coverage_percent if after is None else after,
    )


def _diff_document(job: GateJob, summary: diff.DiffSummary, patch: bytes | None) -> dict[str, Json]:
    """The digest of the whole patch stands in the document, so that the document's digest binds all of it."""
    told = diff.document(summary)
    if patch is None:
        why = "Nothing in the workspace changed." if job.pin else "The run has no workspace to compare with."
        return {**told, "note": why, "artifact": None}
    whole = {"name": DIFF_NAME, "sha256": hashlib.sha256(patch).hexdigest(), "bytes": len(patch)}
    return {**told, "artifact": whole}


def _tests_document(total: tests_summary.TestSummary, tests: Sequence[StepTests]) -> dict[str, Json]:
    steps = [{**tests_summary.document(one.summary), "reports": list(one.reports)} for one in tests]
    return {"total": tests_summary.document(total), "steps": steps}


async def _store(
    job: GateJob, artifacts: Artifacts, patch: bytes | None, files: Sequence[tuple[str, bytes]], data: bytes
) -> tuple[ArtifactRecord, ...]:
    """The patch, the listed files and last the document that names them by digest."""
    wanted: list[tuple[ArtifactKind, str, str, bytes]] = []
    if patch is not None:
        wanted.append(("diff", DIFF_NAME, "text/x-diff", patch))
    wanted += [("file", f"context/files/{path}", "application/octet-stream", content) for path, content in files]
    wanted.append(("context", CONTEXT_NAME, "application/json", data))
    records = []
    for kind, name, media_type, content in wanted:
        kept = await keep(artifacts, job, kind=kind, name=name, media_type=media_type, data=content)
        records.append(kept)
    return tuple(records)
