"""A scripted sandbox: obeys the port's contract, executes nothing, writes the files that a real one would leave.

What an attempt does is a `Script`, looked up by (step_id, attempt), then by step_id, else `default`. Deadlines do not pass
by themselves: a script that hangs ends at once as timed out when its spec has a timeout, else when it is stopped.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from wfconsole.ports import CommandEnd, SandboxEnd, SandboxHandle, SandboxSpec, WfconsoleError
from wfconsole.sandbox import marks
from wfconsole.sandbox.labels import container_name

T = TypeVar("T")
IMAGE = "sha256:" + "fa" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What the commands of one attempt do. Tuples are by command; a short one is filled up (0, no output)."""

    exits: tuple[int, ...] = ()
    stdout: tuple[bytes, ...] = ()
    stderr: tuple[bytes, ...] = ()
    errors: Mapping[int, str] = field(default_factory=dict)
    """By command: COMMAND_NOT_FOUND or SPAWN_ERROR."""
    hold: asyncio.Event | None = None
    """The first command runs until the event is set, or the attempt is stopped."""
    hangs: bool = False
    oom: bool = False
    lost: bool = False
    refuses: WfconsoleError | None = None
    """Raised by prepare."""
    effect: Callable[[SandboxSpec], None] | None = None
    """Called when the first command begins: write outputs, change the workspace, as a command would."""


@dataclass(slots=True)
class Container:
    """The state of one faked container."""

    handle: SandboxHandle
    script: Script
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    running: bool = False
    end: SandboxEnd | None = None


class FakeSandbox:
    """`calls` lists (verb, step_id, attempt) in order; `peak` is the most attempts that ran at once.

    Two instances that share `containers` are two owners of one engine.
    """

    def __init__(
        self,
        scripts: Mapping[str | tuple[str, int], Script] | None = None,
        *,
        default: Script | None = None,
        containers: dict[str, Container] | None = None,
        database_id: str = "fake0000",
    ) -> None:
        self.scripts: dict[str | tuple[str, int], Script] = dict(scripts or {})
        self.default = default or Script()
        self.containers: dict[str, Container] = {} if containers is None else containers
        self.calls: list[tuple[str, str, int]] = []
        self.peak = 0
        self._running = 0
        self._database_id = database_id
        self._clock = 1_700_000_000_000
        self._begun: dict[tuple[str, int], asyncio.Event] = {}

    async def begun(self, step_id: str, attempt: int = 1) -> None:
        """Until that attempt has begun its first command."""
        await self._begun.setdefault((step_id, attempt), asyncio.Event()).wait()

    async def prepare(self, spec: SandboxSpec) -> SandboxHandle:
        self._note("prepare", spec)
        script = self.scripts.get((spec.step_id, spec.attempt)) or self.scripts.get(spec.step_id) or self.default
        if script.refuses is not None:
            raise script.refuses
        name = container_name(self._database_id, spec)
        go = marks.read(spec.in_dir, marks.GO)
        existing = self.containers.get(name)
        if go is not None:
            if existing is None or go.word == marks.VOID:
                raise WfconsoleError("SANDBOX_LOST", f"{name} began and is gone")
            return replace(existing.handle, adopted=True)
        for folder in (spec.in_dir, spec.out_dir, spec.scratch):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        handle = SandboxHandle(container_id=f"id-{name}", name=name, image_id=IMAGE, spec=spec)
        self.containers[name] = Container(handle=handle, script=script)
        return handle

    async def go(self, handle: SandboxHandle) -> bool:
        self._note("go", handle.spec)
        try:
            mark = marks.make(handle.spec.in_dir, marks.GO, marks.BEGIN)
        except FileNotFoundError:
            return False
        container = self.containers.get(handle.name)
        if mark.word == marks.BEGIN and container is not None and not container.running and container.end is None:
            container.running = True
            self._running += 1
            self.peak = max(self.peak, self._running)
            (handle.spec.out_dir / "started").touch()
            if container.script.effect is not None:
                container.script.effect(handle.spec)
            container.begun.set()
            self._begun.setdefault((handle.spec.step_id, handle.spec.attempt), asyncio.Event()).set()
        return mark.word == marks.BEGIN

    async def wait(self, handle: SandboxHandle) -> SandboxEnd:
        self._note("wait", handle.spec)
        container = self.containers.get(handle.name)
        if container is None:
            return SandboxEnd(started=False, exit_code=None, lost=True)
        await _first(container.begun, container.stopped)
        if container.running and _stays(container):
            await _first(container.stopped, *([container.script.hold] if container.script.hold else []))
        if container.end is None:
            container.end = self._end(container)
            if container.running:
                container.running = False
                self._running -= 1
        return container.end

    async def stop(self, handle: SandboxHandle, *, force: bool = False) -> None:
        self._note("kill" if force else "stop", handle.spec)
        container = self.containers.get(handle.name)
        if container is None or container.end is not None:
            return
        marks.make(handle.spec.in_dir, marks.STOP, "stop")
        marks.make(handle.spec.in_dir, marks.GO, marks.VOID)
        container.stopped.set()

    async def remove(self, handle: SandboxHandle) -> None:
        self._note("remove", handle.spec)
        container = self.containers.pop(handle.name, None)
        if container is not None and container.running:
            self._running -= 1
        shutil.rmtree(handle.spec.in_dir, ignore_errors=True)
        shutil.rmtree(handle.spec.scratch, ignore_errors=True)

    async def close(self) -> None:
        return

    def _note(self, verb: str, spec: SandboxSpec) -> None:
        self.calls.append((verb, spec.step_id, spec.attempt))

    def _tick(self) -> int:
        self._clock += 10
        return self._clock

    def _end(self, container: Container) -> SandboxEnd:
        spec, script = container.handle.spec, container.script
        began = self._tick()
        if not container.running:
            return SandboxEnd(started=False, exit_code=0, ended_by="stop", finished_at=self._tick())
        if container.stopped.is_set() or script.hangs:
            first = CommandEnd(index=0, exit_code=143, started_at=self._tick(), finished_at=self._tick())
            by_us: Literal["stop", "timeout"] = "stop" if container.stopped.is_set() else "timeout"
            return SandboxEnd(
                started=True,
                exit_code=143,
                commands=(first,),
                ended_by=by_us,
                started_at=began,
                finished_at=self._tick(),
            )
        commands = self._commands(spec, script)
        written = sum((spec.out_dir / f"{c.index}.{s}").stat().st_size for c in commands for s in ("stdout", "stderr"))
        over = written > spec.limits.output_bytes
        failing = next((command.exit_code for command in commands if command.exit_code), 0)
        return SandboxEnd(
            started=True,
            exit_code=None if script.lost else failing,
            commands=commands,
            oom_killed=script.oom,
            ended_by="output_limit" if over else None,
            lost=script.lost,
            started_at=began,
            finished_at=self._tick(),
        )

    def _commands(self, spec: SandboxSpec, script: Script) -> tuple[CommandEnd, ...]:
        ends: list[CommandEnd] = []
        for index in range(len(spec.commands)):
            error = script.errors.get(index)
            code = {"COMMAND_NOT_FOUND": 127, "SPAWN_ERROR": 126}[error] if error else _at(script.exits, index, 0)
            for stream, content in (("stdout", script.stdout), ("stderr", script.stderr)):
                (spec.out_dir / f"{index}.{stream}").write_bytes(_at(content, index, b""))
            end = CommandEnd(
                index=index, exit_code=code, started_at=self._tick(), finished_at=self._tick(), error=error
            )
            ends.append(end)
            if code != 0 and spec.halt_on_error:
                break
        return tuple(ends)


def _at(values: tuple[T, ...], index: int, otherwise: T) -> T:
    return values[index] if index < len(values) else otherwise


def _stays(container: Container) -> bool:
    script = container.script
    return script.hold is not None or (script.hangs and container.handle.spec.timeout_ms is None)


async def _first(*events: asyncio.Event) -> None:
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
