"""What an attempt leaves behind: commands, artifacts, its outcome. Values only, shared by facts, events and views.

Refuses to know how any of it was obtained. Paths are relative to the run's folder, never absolute, so that a journal
says the same on every host.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from wfconsole.domain.plan import Json

OutcomeStatus = Literal["succeeded", "failed", "errored", "timed_out", "cancelled", "abandoned"]
"""`failed`: the command said no. `errored`: we could not run it. `abandoned`: its owner died and nothing of it is left."""

ArtifactKind = Literal[
    "file", "report", "diff", "patch", "context", "question_card", "env_drift", "successes", "failures", "comparison",
    "none",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRef:
    """A stored log: `path` relative to the run's folder, `bytes` its length."""

    path: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRecord:
    """One executed command. `exit_code` is the shell's number (128+n for `signal` n), None when it was never started.

    Times are milliseconds since the epoch. `error` is a failure code (COMMAND_NOT_FOUND ...) when it could not be run.
    """

    index: int
    argv: tuple[str, ...]
    cwd: str
    exit_code: int | None = None
    signal: int | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    started_at: int | None = None
    finished_at: int | None = None
    stdout: StreamRef | None = None
    stderr: StreamRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRecord:
    """One artifact, or with kind `none` the explicit statement that a step left nothing (`reason` says why).

    `sha256` and `bytes` are None for kind `none` only. `artifact_id` is derived: ``STEP#N/NAME``.
    """

    artifact_id: str
    step_id: str | None
    attempt: int | None
    name: str
    kind: ArtifactKind
    sha256: str | None = None
    bytes: int | None = None
    media_type: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCause:
    """Why something did not succeed: a code of the catalogue, a sentence for this case, and what to do about it."""

    code: str
    message: str
    hint: str = ""
    details: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it. `surface` is cli, console, engine or timer; `ssh` the client address of an SSH session when there is one."""

    user: str
    host: str
    surface: str = "cli"
    ssh: str | None = None

    @property
    def name(self) -> str:
        return f"{self.user}@{self.host}"


ENGINE = Actor(user="wfconsole", host="", surface="engine")
"""The actor of transitions that nobody asked for: the engine itself."""

TIMER = Actor(user="wfconsole", host="", surface="timer")
"""The actor of what a deadline did, whatever fact it was that found the deadline over."""
