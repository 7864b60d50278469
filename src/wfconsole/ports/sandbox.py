"""The sandbox's port: containers of attempts, as specification, handle and evidence. Part of `ports`, whose conventions hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A host folder or file as the sandbox sees it."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxLimits:
    """Ceilings of one container. `output_bytes` bounds stdout and stderr of all its commands together."""

    memory_bytes: int = 2 * 1024**3
    cpus: float = 2.0
    pids: int = 512
    tmp_bytes: int = 256 * 1024**2
    home_bytes: int = 512 * 1024**2
    file_bytes: int = 2 * 1024**3
    output_bytes: int = 64 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """One attempt as the sandbox runs it: everything resolved, nothing to look up.

    `in_dir` (mounted read-only: runner, argv, env, secrets, go) and `out_dir` (the sandbox's: started, logs, exit records) are
    made by the sandbox. `workdir` is an absolute path inside the container. `scratch` is an empty host folder
    mounted writable at /scratch, on disk, thrown away afterwards. `network` is none, bridge, or a tuple of host:port.
    """

    run_id: str
    step_id: str
    attempt: int
    template: str
    commands: tuple[tuple[str, ...], ...]
    in_dir: Path
    out_dir: Path
    scratch: Path
    halt_on_error: bool = True
    workdir: str = "/workspace"
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes | None = None
    mounts: tuple[Mount, ...] = ()
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    network: str | tuple[str, ...] = "none"
    limits: SandboxLimits = field(default_factory=SandboxLimits)
    timeout_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEnd:
    """What the runner recorded of one command; stdout and stderr lie in `out_dir` as ``K.stdout`` and ``K.stderr``.

    `exit_code` is the shell's number (128+n for signal n); None when the command was started and never ended.
    `error` is COMMAND_NOT_FOUND or SPAWN_ERROR when it could not be started.
    """

    index: int
    exit_code: int | None
    started_at: int | None = None
    finished_at: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxEnd:
    """How a container ended, as evidence; `domain.policy.classify` turns it into an outcome.

    `ended_by` says what we did to it: the deadline, the output limit, a stop that somebody asked for, or nothing.
    `lost`: the engine or somebody else took the container away. `started`: the runner began its first command.
    """

    started: bool
    exit_code: int | None
    commands: tuple[CommandEnd, ...] = ()
    oom_killed: bool = False
    ended_by: Literal["timeout", "output_limit", "stop"] | None = None
    lost: bool = False
    error: str | None = None
    started_at: int | None = None
    finished_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxHandle:
    """A created container: `name` is derived from run, step and attempt, `image_id` is what it was created from."""

    container_id: str
    name: str
    image_id: str
    spec: SandboxSpec


class Sandbox(Protocol):
    """Containers of attempts. Verbs in the order of their use: prepare, go, wait, (stop), remove.

    Every engine call has a deadline; starts, stops and removals pass a gate. Raises WfconsoleError with
    SANDBOX_UNAVAILABLE, TEMPLATE_MISSING, or ENV_DRIFT. A failed command is never an exception.
    """

    async def prepare(self, spec: SandboxSpec) -> SandboxHandle:
        """Create and start the container; its runner waits for `go` and has run nothing. Check the template first."""
        ...

    async def go(self, handle: SandboxHandle) -> bool:
        """Let it begin, once and for good. False: somebody gave the attempt up before. The deadline counts from here."""
        ...

    async def wait(self, handle: SandboxHandle) -> SandboxEnd:
        """Until the container is over; enforces the deadline and the output limit. Cancelling this stops nothing."""
        ...

    async def stop(self, handle: SandboxHandle, *, force: bool = False) -> None:
        """TERM, then KILL after the grace; `force`: KILL. Idempotent, also before `go` (then nothing ever runs)."""
        ...

    async def remove(self, handle: SandboxHandle) -> None:
        """Remove the container and `in_dir` and `scratch`; logs stay. Idempotent."""
        ...

    async def close(self) -> None: ...
