"""A real sandbox for one test: run commands in the tiny image and look at what they left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.fakes.images import BUSYBOX_TEST, locks
from wfconsole.domain.policy.classify import classify
from wfconsole.ports import Mount, SandboxEnd, SandboxHandle, SandboxSpec
from wfconsole.sandbox.docker import DockerSandbox
from wfconsole.sandbox.labels import DATABASE
from wfconsole.sandbox.locks import HostLocks

Play = Callable[[DockerSandbox, SandboxHandle], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Result:
    """One finished attempt; `ms` from go to the end as the evidence has it."""

    spec: SandboxSpec
    end: SandboxEnd

    def out(self, index: int = 0) -> bytes:
        return (self.spec.out_dir / f"{index}.stdout").read_bytes()

    def err(self, index: int = 0) -> bytes:
        return (self.spec.out_dir / f"{index}.stderr").read_bytes()

    @property
    def said(self) -> tuple[str, str | None]:
        limit = self.spec.limits.output_bytes
        status, cause = classify(
            self.end, timeout_ms=self.spec.timeout_ms, output_limit=limit, commands=self.spec.commands
        )
        return status, cause.code if cause else None

    @property
    def ms(self) -> int:
        assert self.end.started_at is not None
        assert self.end.finished_at is not None
        return self.end.finished_at - self.end.started_at


class Lab:
    """Attempts 1, 2, ... under one folder; the workspace is shared by them."""

    def __init__(self, top: Path, client: Any, kept: HostLocks | None = None) -> None:
        self.top = top
        self.client = client
        self.database_id = f"{os.urandom(4).hex()}-{top.name}"  # names carry its first eight letters
        self.workspace = top / "workspace"
        self.workspace.mkdir()
        self.locks = kept or locks()
        self._attempts = 0

    def sandbox(self) -> DockerSandbox:
        return DockerSandbox(
            database_id=self.database_id,
            owner="lab",
            cache=self.top / "cache",
            gates=self.top / "gates",
            locks=self.locks,
        )

    def spec(self, *commands: tuple[str, ...], **changes: Any) -> SandboxSpec:
        self._attempts += 1
        folder = self.top / str(self._attempts)
        plain = SandboxSpec(
            run_id="lab",
            step_id="step",
            attempt=self._attempts,
            template=BUSYBOX_TEST,
            commands=commands,
            in_dir=folder / "in",
            out_dir=folder / "out",
            scratch=folder / "scratch",
            mounts=(Mount(source=self.workspace, target="/workspace", read_only=False),),
            timeout_ms=60_000,
        )
        return replace(plain, **changes)

    def run(self, *commands: tuple[str, ...], **changes: Any) -> Result:
        """Prepare, go, wait, remove."""
        return self.play(self.spec(*commands, **changes))

    def sh(self, script: str, **changes: Any) -> Result:
        return self.run(("sh", "-c", script), **changes)

    def play(self, spec: SandboxSpec, between: Play | None = None) -> Result:
        """Like `run`; `between` is played after go and before the end is awaited."""

        async def whole() -> SandboxEnd:
            sandbox = self.sandbox()
            handle = await sandbox.prepare(spec)
            try:
                assert await sandbox.go(handle)
                if between is not None:
                    await between(sandbox, handle)
                return await sandbox.wait(handle)
            finally:
                await sandbox.stop(handle, force=True)
                await sandbox.remove(handle)
                await sandbox.close()

        return Result(spec, asyncio.run(whole()))

    def containers(self) -> list[Any]:
        found: list[Any] = self.client.containers(all=True, filters={"label": f"{DATABASE}={self.database_id}"})
        return found
