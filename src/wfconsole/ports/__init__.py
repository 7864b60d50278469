"""Every port of the engine in one place: the store, the sandbox, workspaces, artifacts, signing, expressions, the clock.

Adapters live in the packages of their trade and are handed in by `main`; the engine and the steps see these protocols and
the domain, nothing else. All times are milliseconds since the epoch, all sizes bytes, all paths absolute unless said.
No port binds to an event loop before its first await.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from wfconsole.ports.owning import Lease as Lease
from wfconsole.ports.sandbox import (
    NO_WISH as NO_WISH,
    CommandEnd as CommandEnd,
    Mount as Mount,
    Sandbox as Sandbox,
    SandboxEnd as SandboxEnd,
    SandboxHandle as SandboxHandle,
    SandboxLimits as SandboxLimits,
    SandboxSpec as SandboxSpec,
)
from wfconsole.ports.secrets import Screen as Screen, Secrets as Secrets

if TYPE_CHECKING:  # every command imports this module; the domain's classes cost 60 ms
    from wfconsole.domain.events import Record
    from wfconsole.domain.facts import AnyFact, WorkspacePin
    from wfconsole.domain.plan import Json
    from wfconsole.domain.policy.drift import Drift
    from wfconsole.domain.records import ArtifactKind, ArtifactRecord, FailureCause


class WfconsoleError(Exception):
    """Something outside the run went wrong: carries the failure code, a sentence and what to do."""

    def __init__(self, code: str, message: str, hint: str = "", details: Mapping[str, Json] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.details: dict[str, Json] = dict(details or {})

    @property
    def cause(self) -> FailureCause:
        from wfconsole.domain.records import FailureCause  # noqa: PLC0415 - see above

        return FailureCause(code=self.code, message=self.message, hint=self.hint, details=self.details)


class StoreConflictError(WfconsoleError):
    """The run's journal is not where the committer believed it to be; nothing was written. Reload and decide again."""


class DriftError(WfconsoleError):
    """The sandbox is not what its template's lock says, found before any command started. Code ENV_DRIFT."""

    def __init__(self, drift: Drift) -> None:
        from wfconsole.domain.policy.drift import remedy, sentence  # noqa: PLC0415 - see above

        super().__init__("ENV_DRIFT", sentence(drift), remedy(drift), {"fields": list(drift.fields)})
        self.drift = drift


class Clock(Protocol):
    """Wall time in milliseconds. Never goes back within a run: the driver takes max(now, last `at`)."""

    def now_ms(self) -> int: ...


# ---------------------------------------------------------------------------------------------------------------- store


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One ruling to be written: append `records`, update the projections, mark `fact` as decided. All or nothing.

    `expected_seq` is the last sequence number the committer has seen (0: the run must not exist yet). `successor` creates the
    run that the last record names, in the same transaction: both are written, or neither. `lease` is the committer's right to
    write the run; a run that somebody ever had a lease of is written by whoever has it now, and by nobody else.
    """

    run_id: str
    expected_seq: int
    records: tuple[Record, ...]
    fact: AnyFact
    successor: Commit | None = None
    lease: Lease | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One line of the run list, from the projections. `view` holds the same facts nested as in RunView, for queries.

    `steps_over` of the `steps_total` steps have ended.
    """

    run_id: str
    workflow_id: str
    status: str
    recipe: str
    version: str
    project: str | None
    created_at: int
    started_at: int | None
    finished_at: int | None
    seq: int
    view: Mapping[str, Json] = field(default_factory=dict)
    steps_total: int = 0
    steps_over: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs to list; None means any. `statuses` are the canonical status words. Newest first."""

    statuses: tuple[str, ...] | None = None
    recipe: str | None = None
    project: str | None = None
    since_ms: int | None = None
    limit: int | None = None


class Store(Protocol):
    """The journal, the inbox, the projections and the intents of one state folder.

    Safe to use from several event loops and threads of one process; commits of one run are ordered, commits of different
    runs share transactions. Raises WfconsoleError with STORE_BUSY, STORE_CORRUPT, STORE_TOO_NEW or DISK_FULL.
    """

    async def load(self, run_id: str) -> Sequence[Record]:
        """The run's whole journal in order; empty when there is no such run."""
        ...

    async def commit(self, commit: Commit) -> None:
        """Durable when it returns (WAL, synchronous FULL). Idempotent: the same records at the same place succeed.

        Raises StoreConflictError when the journal has moved, or a constraint (one workflow_id per run, one claim per attempt)
        says no; OWNER_LOST when its lease is not the run's. Then nothing of it was written; other runs are not affected.
        """
        ...

    async def post(self, run_id: str, fact: AnyFact) -> None:
        """Put a command into the inbox for the run's owner. A fact_id that is already there changes nothing."""
        ...

    async def pending(self, run_id: str) -> Sequence[AnyFact]:
        """Facts of the inbox that no commit has decided yet, oldest first."""
        ...

    async def event_hash(self, run_id: str, seq: int | None = None) -> tuple[int, str]:
        """Sequence number and hash (hex) of one event of the run, by default its last. Raises NOT_FOUND."""
        ...

    def changes(self, run_id: str, after_seq: int) -> AsyncIterator[Sequence[Record]]:
        """Records after `after_seq` as they are committed, by any process, in order, never twice; ends with the caller."""
        ...

    async def version(self) -> int:
        """A number that differs whenever any process has committed since the last call; cheap enough to ask often."""
        ...

    async def find_run(self, ref: str) -> str:
        """The run id that `ref` names: an id, a unique first or last part, a workflow_id, or @latest. Raises NOT_FOUND."""
        ...

    async def run_of_workflow(self, workflow_id: str) -> str | None: ...

    async def runs(self, where: RunFilter) -> Sequence[RunRow]: ...

    async def newest(self, limit: int) -> Sequence[tuple[str, Record]]:
        """The records that were committed last, over all runs, newest first, each with its run id."""
        ...

    async def save_intent(self, intent_id: str, canonical: bytes, at: int) -> None:
        """Idempotent: `intent_id` is the sha256 of `canonical`."""
        ...

    async def load_intent(self, ref: str) -> tuple[str, bytes]:
        """Full id and canonical JSON of the intent that `ref` (an id or its unique first part) names. Raises NOT_FOUND."""
        ...

    async def query(self, sql: str) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Column names and rows of a read-only statement; anything that writes is refused by the database."""
        ...

    async def close(self) -> None: ...


class Artifacts(Protocol):
    """Content-addressed bytes on disk. Immutable; the same content is stored once. Safe across processes."""

    async def put_file(self, path: Path) -> tuple[str, int]:
        """Copy a host file in; sha256 in hex and length. The file is fully on disk when this returns."""
        ...

    async def put_bytes(self, data: bytes) -> tuple[str, int]: ...

    def path(self, sha256: str) -> Path:
        """Where the content lies; the file is read-only. FileNotFoundError when it is not stored."""
        ...


# ----------------------------------------------------------------------------------------------------------- workspaces


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where one run keeps its files; pure path arithmetic. Everything a bundle needs lies under `bundle`."""

    root: Path

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def git(self) -> Path:
        """The trusted git folder of the workspace, outside of it."""
        return self.root / "workspace.git"

    @property
    def inputs(self) -> Path:
        return self.root / "inputs"

    @property
    def recipe(self) -> Path:
        return self.root / "recipe"

    @property
    def rejection(self) -> Path:
        """Why the run before this one was rejected: ``reason.txt`` and ``rejection.json``; only a successor has it."""
        return self.root / "rejection"

    @property
    def bundle(self) -> Path:
        return self.root / "bundle"

    @property
    def artifacts(self) -> Path:
        return self.bundle / "artifacts"

    def attempt(self, step_id: str, attempt: int) -> Path:
        """Temporary folder of an attempt: `in`, scratch."""
        return self.root / "attempts" / step_id.replace("/", ".") / str(attempt)

    def outbox(self, step_id: str) -> Path:
        """What a step sends, and what became of it; one for all attempts of the step."""
        return self.root / "outbox" / step_id.replace("/", ".")

    def logs(self, step_id: str, attempt: int) -> Path:
        """The attempt's `out` folder: its logs stay here for good."""
        return self.bundle / "logs" / step_id.replace("/", ".") / str(attempt)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceCopy:
    """The copy that was made: its pin and what the operator should know (uncommitted changes, submodules, links out)."""

    pin: WorkspacePin
    warnings: tuple[str, ...] = ()


class Workspaces(Protocol):
    """Copies of the operator's repository. The original is only read; nothing in the copy is ever executed on the host."""

    async def copy(self, source: Path, ref: str, folder: RunFolder) -> WorkspaceCopy:
        """Copy `source` at `ref` into `folder.workspace`. Raises WfconsoleError WORKSPACE_INVALID with what to do."""
        ...

    async def diff(self, folder: RunFolder, pin: WorkspacePin) -> bytes | None:
        """What the workspace has become against the pin, as `git apply --binary` takes it; None when nothing changed."""
        ...

    async def keep(self, folder: RunFolder) -> str:
        """Keep the workspace as it is now; the id of the tree. Nothing may run in it meanwhile. Raises WORKSPACE_INVALID."""
        ...

    async def restore(self, source: RunFolder, folder: RunFolder, tree: str | None) -> None:
        """Make `folder`'s workspace and trusted git folder from those of `source`, whose `keep` gave `tree`.

        None: an empty workspace. `folder` must have neither; `source` is only read. Raises WORKSPACE_INVALID.
        """
        ...


# -------------------------------------------------------------------------------------------------------------- signing


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Whether a signature holds, and if so whose it is (`principal`), else why not (`problem`, a sentence).

    `key`: fingerprint ``SHA256:...`` of the key that signed, or claims to have; None when the signature cannot be read.
    """

    valid: bool
    principal: str | None = None
    key: str | None = None
    problem: str | None = None


class Signer(Protocol):
    """The operator's key, and the keys whose signatures count. Namespaces keep signatures of one purpose from another's.

    Blocking work goes to threads; every call ends within seconds. Raises WfconsoleError DECISION_NOT_APPLIED when the tool
    or the operator's own key cannot be used.
    """

    @property
    def has_allowed_signers(self) -> bool:
        """Whether principals come from an allowed_signers file; without one this operator is the only principal."""
        ...

    async def identity(self) -> str:
        """The principal that this operator signs as. Makes the operator's key when there is none."""
        ...

    async def sign(self, payload: bytes, *, namespace: str) -> str:
        """The armored signature of `payload`. Makes the operator's key when there is none."""
        ...

    async def verify(
        self, payload: bytes, armored: str, *, namespace: str, claimed: str, at: int | None = None
    ) -> Verification:
        """Whether `armored` is a signature of `payload` by `claimed`, the principal that the payload names.

        As of the moment `at`, None: now; keys that expire count as they did then. Nothing in `armored` or `claimed` makes
        this raise.
        """
        ...


# --------------------------------------------------------------------------------------------------------------- engine

Evaluate = Callable[[str, Mapping[str, Any]], Any]
"""``evaluate(source, scope)``: the value of a bare expression; deterministic and bounded; raises ExpressionError."""

Subscriber: TypeAlias = "Callable[[str, Record], None]"
"""Called with run id and record after each commit; an exception becomes an `event_channel_failed` event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What the collector took from a finished attempt's workspace."""

    artifacts: tuple[ArtifactRecord, ...] = ()
    refused: tuple[str, ...] = ()


class Collector(Protocol):
    """Takes files out of a workspace that hostile code wrote: regular files beneath it, within limits, no links followed."""

    async def collect(
        self,
        *,
        folder: RunFolder,
        step_id: str,
        attempt: int,
        patterns: Sequence[str],
        kind: ArtifactKind = "file",
        root: Path | None = None,
        screen: Screen | None = None,
    ) -> Collected:
        """Store every regular file that matches beneath `root` (default: the workspace), laid out under ``artifacts / STEP``.

        Refusals are sentences. `screen` hides secrets before anything is stored; a file that it refuses is not taken.
        """
        ...

    async def read(self, *, root: Path, path: str, limit: int) -> bytes | None:
        """A regular file beneath `root`, at most `limit` bytes; None when it is not there. Raises OUTPUT_INVALID else."""
        ...
