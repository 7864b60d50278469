"""A sandbox whose containers outlive the process: each is a folder, and its command is a stretch of time.

Obeys the port's contract as `tests.fakes.sandbox` does. With a file `writing` beside them each command writes a file into its
workspace, named after its step. Whoever sees a `go` mark first lets the container begin; that is noted once for each attempt and
for good in `executions`, and a second beginning of the same attempt in `twice`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from wfconsole.ports import CommandEnd, SandboxEnd, SandboxHandle, SandboxSpec, WfconsoleError
from wfconsole.sandbox import marks
from wfconsole.sandbox.labels import container_name

LOOK_S = 0.01


class DiskSandbox:
    """Containers in `folder`; a command takes `work_s` seconds of the boot's clock."""

    def __init__(self, folder: Path, *, work_s: float = 0.02, database_id: str = "fake0000") -> None:
        self._containers, self._executions, self._drafts = (
            folder / name for name in ("containers", "executions", "drafts")
        )
        for place in (self._containers, self._executions, self._drafts):
            place.mkdir(parents=True, exist_ok=True)
        self._twice = folder / "twice"
        self.writing = folder / "writing"
        self._work_ms = int(work_s * 1000)
        self._database_id = database_id

    def executions(self) -> list[str]:
        """``RUN STEP#ATTEMPT`` of every attempt that began."""
        return sorted(path.read_text().splitlines()[0] for path in self._executions.iterdir())

    async def begun(self, count: int) -> None:
        """Until so many attempts have begun, in whatever process."""
        while len(self.executions()) < count:  # noqa: ASYNC110  what another process does sets no event here
            await asyncio.sleep(LOOK_S)

    def twice(self) -> list[str]:
        """Attempts that began a second time."""
        return sorted(set(self._twice.read_text().splitlines())) if self._twice.exists() else []

    def left(self) -> list[str]:
        """Containers that nobody removed."""
        return sorted(path.name for path in self._containers.iterdir())

    async def prepare(self, spec: SandboxSpec) -> SandboxHandle:
        name = container_name(self._database_id, spec)
        place, go = self._containers / name, marks.read(spec.in_dir, marks.GO)
        handle = SandboxHandle(container_id=name, name=name, image_id="sha256:0", spec=spec)
        if go is not None:
            if not place.exists() or go.word == marks.VOID:
                raise WfconsoleError("SANDBOX_LOST", f"{name} began and is gone")
            return replace(handle, adopted=True)
        for folder in (spec.in_dir, spec.out_dir, spec.scratch):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
        place.mkdir(exist_ok=True)
        return handle

    async def go(self, handle: SandboxHandle) -> bool:
        try:
            mark = marks.make(handle.spec.in_dir, marks.GO, marks.BEGIN)
        except FileNotFoundError:
            return False
        if mark.word == marks.BEGIN:
            self._begin(handle, mark)
        return mark.word == marks.BEGIN

    async def wait(self, handle: SandboxHandle) -> SandboxEnd:
        place, spec = self._containers / handle.name, handle.spec
        while place.exists():
            go = marks.read(spec.in_dir, marks.GO)
            stopped = marks.read(spec.in_dir, marks.STOP) is not None
            if go is not None and go.word == marks.BEGIN:
                self._begin(handle, go)
                end = go.ticks + self._work_ms
                if stopped or marks.ticks_ms() >= end:
                    code = 143 if stopped else 0
                    return SandboxEnd(
                        started=True, exit_code=code, commands=(CommandEnd(index=0, exit_code=code),),
                        ended_by="stop" if stopped else None, started_at=go.at, finished_at=go.at + self._work_ms,
                    )  # fmt: skip
            elif stopped:
                return SandboxEnd(started=False, exit_code=0, ended_by="stop")
            await asyncio.sleep(LOOK_S)
        return SandboxEnd(started=False, exit_code=None, lost=True)

    async def stop(self, handle: SandboxHandle, *, force: bool = False) -> None:
        try:
            marks.make(handle.spec.in_dir, marks.STOP, "stop")
            marks.make(handle.spec.in_dir, marks.GO, marks.VOID)
        except FileNotFoundError:
            return

    async def remove(self, handle: SandboxHandle) -> None:
        shutil.rmtree(self._containers / handle.name, ignore_errors=True)
        shutil.rmtree(handle.spec.in_dir, ignore_errors=True)
        shutil.rmtree(handle.spec.scratch, ignore_errors=True)

    async def close(self) -> None:
        return

    def _begin(self, handle: SandboxHandle, go: marks.Mark) -> None:
        """What the engine's runner does when it finds `go`, whoever is alive then."""
        spec = handle.spec
        text = f"{spec.run_id} {spec.step_id}#{spec.attempt}"
        noted, draft = self._executions / handle.name, self._drafts / f"{handle.name}-{os.getpid()}"
        if not noted.exists():
            spec.out_dir.mkdir(parents=True, exist_ok=True)
            (spec.out_dir / "started").touch()
            (spec.out_dir / "0.stdout").write_text(f"{text}\n")
            if self.writing.exists():
                top = next(mount.source for mount in spec.mounts if mount.target == "/workspace")
                (top / spec.step_id).write_text(f"{text}\n")
            draft.write_text(f"{text}\n{go.ticks}\n")
            with suppress(FileExistsError):
                os.link(draft, noted)  # whole, or not there: whoever notes it may be killed at any byte
            draft.unlink()
        if noted.read_text().splitlines()[1] != str(go.ticks):
            with self._twice.open("a") as out:
                out.write(f"{text} at {go.at}\n")
