"""Where a check tries something: real sandboxes over a folder of their own, and the table that all checks are in.

Owns running one attempt to its end and tidying up after it. Refuses to judge: a check returns what is wrong, in words, or None.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from wfconsole.domain.policy.classify import classify
from wfconsole.ports import Mount, Sandbox, SandboxEnd, SandboxHandle, SandboxSpec

TEMPLATE = "python"
Area = Literal["runs", "limits", "walls", "network", "secrets"]
During = Callable[[Sandbox, SandboxHandle], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One finished attempt."""

    spec: SandboxSpec
    end: SandboxEnd
    workspace: Path

    def out(self, index: int = 0) -> bytes:
        return self._stream(f"{index}.stdout")

    def err(self, index: int = 0) -> bytes:
        return self._stream(f"{index}.stderr")

    @property
    def lines(self) -> list[str]:
        return self.out().decode("utf-8", "replace").splitlines()

    @property
    def said(self) -> tuple[str, str | None]:
        """Outcome and failure code."""
        limit = self.spec.limits.output_bytes
        status, cause = classify(
            self.end, timeout_ms=self.spec.timeout_ms, output_limit=limit, commands=self.spec.commands
        )
        return status, cause.code if cause else None

    def _stream(self, name: str) -> bytes:
        path = self.spec.out_dir / name
        return path.read_bytes() if path.is_file() and not path.is_symlink() else b""


class Bench:
    """Attempts 1, 2, ... under `folder`, each with a workspace of its own."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.folder = folder
        self._sandbox = sandbox
        self._attempts = 0
        self._shared: dict[str, asyncio.Task[dict[str, Any]]] = {}

    def spec(self, *commands: tuple[str, ...], **changes: Any) -> SandboxSpec:
        """What `changes` do not say is plain: no network, a writable workspace, a minute."""
        self._attempts += 1
        place = self.folder / str(self._attempts)
        workspace = place / "workspace"
        workspace.mkdir(parents=True)
        plain = SandboxSpec(
            run_id="doctor",
            step_id=f"check-{self._attempts}",  # attempts of one step end those before them
            attempt=1,
            template=TEMPLATE,
            commands=commands,
            in_dir=place / "in",
            out_dir=place / "out",
            scratch=place / "scratch",
            mounts=(Mount(source=workspace, target="/workspace", read_only=False),),
            timeout_ms=60_000,
        )
        return replace(plain, **changes)

    async def play(self, spec: SandboxSpec, during: During | None = None) -> Trial:
        """Prepare, go, wait, remove; `during` is done after go."""
        handle = await self._sandbox.prepare(spec)
        try:
            await self._sandbox.go(handle)
            if during is not None:
                await during(self._sandbox, handle)
            end = await self._sandbox.wait(handle)
        finally:
            await self._sandbox.stop(handle, force=True)
            await self._sandbox.remove(handle)
        return Trial(spec=spec, end=end, workspace=spec.mounts[0].source)

    async def run(self, *commands: tuple[str, ...], **changes: Any) -> Trial:
        return await self.play(self.spec(*commands, **changes))

    async def sh(self, script: str, **changes: Any) -> Trial:
        return await self.run(("sh", "-c", script), **changes)

    async def python(self, script: str, **changes: Any) -> Trial:
        return await self.run(("python3", "-c", script), **changes)

    async def once(self, script: str) -> dict[str, Any]:
        """The JSON object that a Python script prints; a script that several checks share is run once."""
        if script not in self._shared:
            self._shared[script] = asyncio.ensure_future(self._object(script))
        return await asyncio.shield(self._shared[script])

    async def _object(self, script: str) -> dict[str, Any]:
        trial = await self.python(script)
        found: dict[str, Any] = json.loads(trial.out() or b"{}")
        return found


Try = Callable[[Bench], Awaitable[str | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformity:
    """One check: `claim` is the sentence that holds when it passes."""

    area: Area
    name: str
    claim: str
    attempt: Try


TABLE: list[Conformity] = []


def check(area: Area, claim: str) -> Callable[[Try], Try]:
    """Put a function into the table, under its own name."""

    def enter(function: Try) -> Try:
        name = getattr(function, "__name__", "check").replace("_", "-")
        TABLE.append(Conformity(area=area, name=name, claim=claim, attempt=function))
        return function

    return enter


def differs(found: object, wanted: object) -> str | None:
    """What is wrong when the two are not equal."""
    return None if found == wanted else f"{_short(found)} instead of {_short(wanted)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
