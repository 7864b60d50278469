"""The sandbox contract, against the scripted fake and against a real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.sandbox_contract import Rig, SandboxContract
from tests.fakes.images import ensure_busybox_test, locks
from tests.fakes.sandbox import Container, FakeSandbox, Script
from wfconsole.ports import Sandbox, SandboxHandle, SandboxLimits, SandboxSpec
from wfconsole.sandbox.docker import DockerSandbox
from wfconsole.sandbox.labels import DATABASE


class FakeRig(Rig):
    def __init__(self, top: Path) -> None:
        super().__init__(top)
        self.containers: dict[str, Container] = {}
        self.script = Script()

    def sandbox(self) -> Sandbox:
        return FakeSandbox(default=self.script, containers=self.containers)

    def exits(self, *codes: int, stdout: tuple[bytes, ...] = ()) -> SandboxSpec:
        self.script = Script(exits=codes, stdout=stdout)
        return self.spec(commands=tuple(("program",) for _ in codes))

    def unknown(self) -> SandboxSpec:
        self.script = Script(errors={0: "COMMAND_NOT_FOUND"})
        return self.spec()

    def hangs(self) -> SandboxSpec:
        self.script = Script(hangs=True)
        return self.spec()

    def oom(self) -> SandboxSpec:
        self.script = Script(exits=(137,), oom=True)
        return self.spec()

    async def take_away(self, handle: SandboxHandle) -> None:
        self.containers.pop(handle.name)

    def leftovers(self) -> int:
        return len(self.containers)


class DockerRig(Rig):
    def __init__(self, top: Path, client: Any, database_id: str) -> None:
        super().__init__(top)
        self.client = client
        self.database_id = database_id

    def sandbox(self) -> Sandbox:
        return DockerSandbox(
            database_id=self.database_id,
            owner="contract",
            cache=self.top / "cache",
            gates=self.top / "gates",
            locks=locks(),
        )

    def exits(self, *codes: int, stdout: tuple[bytes, ...] = ()) -> SandboxSpec:
        commands: list[tuple[str, ...]] = []
        for index, code in enumerate(codes):
            octal = "".join(f"\\{byte:03o}" for byte in (stdout[index] if index < len(stdout) else b""))
            commands.append(("sh", "-c", 'printf "$0"; exit "$1"', octal, str(code)))
        return self.spec(commands=tuple(commands))

    def unknown(self) -> SandboxSpec:
        return self.spec(commands=(("no-such-program", "--help"),))

    def hangs(self) -> SandboxSpec:
        return self.spec(commands=(("sleep", "600"),))

    def oom(self) -> SandboxSpec:
        return self.spec(
            commands=(("awk", 'BEGIN { s = "x"; while (1) s = s s }'),),
            limits=SandboxLimits(memory_bytes=32 * 1024**2),
        )

    async def take_away(self, handle: SandboxHandle) -> None:
        self.client.remove_container(handle.container_id, force=True)

    def leftovers(self) -> int:
        return len(self.client.containers(all=True, filters={"label": f"{DATABASE}={self.database_id}"}))


class TestFake(SandboxContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Rig:
        return FakeRig(tmp_path)


@pytest.mark.engine
class TestDocker(SandboxContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Iterator[Rig]:
        from wfconsole.sandbox.client import LocalClient

        client = LocalClient(version="auto")
        ensure_busybox_test(client)
        rig = DockerRig(tmp_path, client, f"contract-{tmp_path.name}")
        yield rig
        for left in client.containers(all=True, filters={"label": f"{DATABASE}={rig.database_id}"}):
            client.remove_container(left["Id"], force=True)
        client.close()
