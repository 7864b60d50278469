"""The sandbox's port: containers of attempts, as specification, handle and evidence. Part of `ports`, whose conventions hold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from wfconsole.domain.policy.drift import Drift


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


NO_WISH = SandboxLimits(
    memory_bytes=2**60,
    cpus=2.0**20,
    pids=2**60,
    tmp_bytes=2**60,
    home_bytes=2**60,
    file_bytes=2**60,
    output_bytes=2**60,
)
"""Limits of a step that asks for none of its own: those of its template hold."""


async def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """One attempt as the sandbox runs it: everything resolved, nothing to look up.

    `in_dir` (mounted read-only: runner, argv, env, secrets, go) and `out_dir` (the sandbox's: started, logs, exit records)
    are made by the sandbox. `workdir` is an absolute path inside the container. `scratch` is an empty host folder mounted
    writable at /scratch, on disk, thrown away afterwards. `network` is none, bridge, or a tuple of host:port.

    `secrets` become files in /run/secrets. With `hide` (values that must not be stored) what the sandbox writes lies on the
    host's tmpfs, and only its redacted form reaches `out_dir`. `withheld` says why it is not known what to hide: then an
    attempt that has begun is still waited for, of its output nothing reaches `out_dir`, and one that has not begun is
    refused. `resumed`: the run has had sandboxes before, so that an engine that does not answer is only away.
    `wanted` is asked while it is waited for: an attempt that has not begun, and that nobody wants any more, waits no longer.
    `mine` is asked before each act that follows a wait: another owner may have taken the run over meanwhile.
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
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    hide: tuple[bytes, ...] = field(default=(), repr=False)
    withheld: str | None = None
    network: str | tuple[str, ...] = "none"
    limits: SandboxLimits = field(default_factory=SandboxLimits)
    timeout_ms: int | None = None
    resumed: bool = False
    wanted: Callable[[], bool] = field(default=lambda: True, repr=False, compare=False)
    mine: Callable[[], Awaitable[bool]] = field(default=_always, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEnd:
    """What the runner recorded of one command; stdout and stderr lie in `out_dir` as ``K.stdout`` and ``K.stderr``.

    `exit_code` is the shell's number (128+n for signal n); None when the command was started and never ended.
    `error` is COMMAND_NOT_FOUND, SPAWN_ERROR or POLICY_BLOCKED (its folder is not in the workspace) when it was not started.
    """

    index: int
    exit_code: int | None
    started_at: int | None = None
    finished_at: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxEnd:
    """How a container ended, as evidence; `domain.policy.classify` turns it into an outcome.

    `ended_by` says why we ended it: the deadline, the output limit, a disk nearly full, a stop that was asked for, or
    nothing. `lost`: the engine or somebody else took the container away. `started`: the runner began its first command.
    `redacted` is how many places of the output were hidden, `refused` what the network's proxy did not let through, as
    ``host:port``. `drift`: the container was changed while it ran.
    """

    started: bool
    exit_code: int | None
    commands: tuple[CommandEnd, ...] = ()
    oom_killed: bool = False
    ended_by: Literal["timeout", "output_limit", "disk", "stop"] | None = None
    lost: bool = False
    error: str | None = None
    started_at: int | None = None
    finished_at: int | None = None
    redacted: int = 0
    refused: tuple[str, ...] = ()
    drift: Drift | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxHandle:
    """A created container: `name` is derived from run, step and attempt, `image_id` is what it was created from.

    `spec` is what was asked for within what the template allows; `fingerprint` is the digest of the environment. `adopted`:
    another owner began it.
    """

    container_id: str
    name: str
    image_id: str
    spec: SandboxSpec
    fingerprint: str = ""
    adopted: bool = False


class Sandbox(Protocol):
    """Containers of attempts. Verbs in the order of their use: prepare, go, wait, (stop), remove.

    Every engine call has a deadline; starts, stops and removals pass a gate. Raises WfconsoleError with
    SANDBOX_UNAVAILABLE, TEMPLATE_MISSING, or ENV_DRIFT. A failed command is never an exception.
    """

    async def prepare(self, spec: SandboxSpec) -> SandboxHandle:
        """Create the container, compare it with the template's lock, start it; its runner waits for `go` and has run nothing."""
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
