"""What goes wrong with a container or its engine, provoked for real: whose fault it was is always told apart.

The command failed (STEP_FAILED, OOM_KILLED), the sandbox was lost (SANDBOX_LOST), or the engine is away (SANDBOX_UNAVAILABLE).
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.sandbox_contract import until
from tests.fakes.images import ensure_busybox_test, lock
from tests.sandbox.lab import Lab
from tests.sandbox.private import POSSIBLE, PrivateEngine, running
from wfconsole.domain.policy.classify import classify, warnings
from wfconsole.ports import SandboxEnd, SandboxHandle, SandboxLimits, SandboxSpec, WfconsoleError
from wfconsole.sandbox import engine as engine_module, patience, wait as wait_module
from wfconsole.sandbox.docker import DockerSandbox
from wfconsole.sandbox.locks import HostLocks

pytestmark = pytest.mark.engine

needs_private_engine = pytest.mark.skipif(not POSSIBLE, reason="a private dockerd needs root, dockerd and unshare")
WAITS = ("sh", "-c", "echo begun; until [ -e go ]; do sleep 0.1; done; echo went")
"""A command that ends well as soon as the test lets it."""

Act = Callable[[Lab, SandboxHandle], None]


def from_outside(lab: Lab, spec: SandboxSpec, act: Act) -> tuple[str, str | None]:
    async def between(_: DockerSandbox, handle: SandboxHandle) -> None:
        await until((spec.out_dir / "0.start").exists)
        await asyncio.to_thread(act, lab, handle)

    return lab.play(spec, between).said


def test_fault_7_a_container_that_somebody_killed_is_lost(lab: Lab) -> None:
    said = from_outside(lab, lab.spec(("sleep", "600")), lambda lab, handle: lab.client.kill(handle.container_id))
    assert said == ("abandoned", "SANDBOX_LOST")


def test_fault_8_a_container_that_somebody_removed_is_lost(lab: Lab) -> None:
    def remove(lab: Lab, handle: SandboxHandle) -> None:
        lab.client.remove_container(handle.container_id, force=True)

    assert from_outside(lab, lab.spec(("sleep", "600")), remove) == ("abandoned", "SANDBOX_LOST")


def test_fault_9_a_container_that_somebody_paused_goes_on_when_it_is_let(lab: Lab) -> None:
    def pause(lab: Lab, handle: SandboxHandle) -> None:
        lab.client.pause(handle.container_id)
        (lab.workspace / "go").touch()
        lab.client.unpause(handle.container_id)

    assert from_outside(lab, lab.spec(WAITS), pause) == ("succeeded", None)


def test_a_command_that_kills_itself_has_failed_and_nothing_was_lost(lab: Lab) -> None:
    assert lab.sh("kill -9 $$").said == ("failed", "STEP_FAILED")


GREEDY = "awk 'BEGIN { s = \"x\"; while (1) s = s s }'"
LITTLE = SandboxLimits(memory_bytes=32 * 1024**2)


def test_fault_13_a_command_without_memory_failed_and_the_reason_is_told(lab: Lab) -> None:
    assert lab.sh(f"exec {GREEDY}", limits=LITTLE).said == ("failed", "OOM_KILLED")


def test_fault_13_a_child_without_memory_is_a_warning_when_the_step_succeeds(lab: Lab) -> None:
    result = lab.sh(f"{GREEDY}; echo it was $?; exit 0", limits=LITTLE)
    assert result.out() == b"it was 137\n"
    assert result.said == ("succeeded", None)
    assert "want of memory" in warnings(result.end)[0]


@pytest.fixture(scope="module")
def private() -> Iterator[PrivateEngine]:
    """One that lets containers live on without it; of one that takes them down with it see `test_restart`."""
    with running("--live-restore") as engine:
        with closing(engine.client()) as client:
            ensure_busybox_test(client)
        yield engine


class Scene:
    """One attempt on the private engine, under way."""

    def __init__(self, engine: PrivateEngine, top: Path) -> None:
        self.engine = engine
        self.kept = HostLocks(top / "locks")
        lock(self.kept, host=engine.host)
        self.lab = Lab(top, engine.client(), self.kept)
        self.sandbox = DockerSandbox(
            database_id=self.lab.database_id,
            owner="o",
            cache=top / "cache",
            gates=top / "gates",
            locks=self.kept,
            docker_host=engine.host,
        )
        self.spec = self.lab.spec(WAITS)

    @asynccontextmanager
    async def under_way(self) -> Any:
        handle = await self.sandbox.prepare(self.spec)
        assert await self.sandbox.go(handle)
        waiting = asyncio.create_task(self.sandbox.wait(handle))
        await until((self.spec.out_dir / "0.start").exists)
        try:
            yield handle, waiting
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await self.sandbox.stop(handle, force=True)
            await self.sandbox.remove(handle)
            await self.sandbox.close()
            assert self.lab.containers() == []
            self.lab.client.close()

    def let_go(self) -> None:
        (self.lab.workspace / "go").touch()

    def said(self, end: SandboxEnd) -> tuple[str, str | None]:
        status, cause = classify(end, timeout_ms=None, output_limit=10**6, commands=self.spec.commands)
        return status, cause.code if cause else None

    def signal(self, number: signal.Signals) -> None:
        assert self.engine.process is not None
        self.engine.process.send_signal(number)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scene(), 60)

    asyncio.run(bounded())


@needs_private_engine
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_fault_10_an_engine_that_restarts_with_live_restore_keeps_the_step(
    private: PrivateEngine, tmp_path: Path, number: signal.Signals
) -> None:
    scene = Scene(private, tmp_path)

    async def play() -> None:
        async with scene.under_way() as (_, waiting):
            await asyncio.to_thread(private.end, number)
            await asyncio.to_thread(private.start)
            scene.let_go()
            assert scene.said(await waiting) == ("succeeded", None)
            assert (scene.spec.out_dir / "0.stdout").read_bytes() == b"begun\nwent\n"

    run(play)


@needs_private_engine
def test_fault_12_an_engine_that_hangs_for_a_while_costs_nothing(private: PrivateEngine, tmp_path: Path) -> None:
    scene = Scene(private, tmp_path)

    async def play() -> None:
        async with scene.under_way() as (_, waiting):
            scene.signal(signal.SIGSTOP)
            scene.let_go()
            await until((scene.spec.out_dir / "0.exit").exists)
            assert not waiting.done()
            scene.signal(signal.SIGCONT)
            assert scene.said(await waiting) == ("succeeded", None)

    run(play)


@needs_private_engine
def test_fault_12_an_engine_that_hangs_for_good_is_away_and_the_given_up_attempt_does_not_outlive_the_next(
    private: PrivateEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "CALL_S", 2.0)
    monkeypatch.setattr(patience, "PATIENCE_S", 0.5)
    monkeypatch.setattr(wait_module, "SLICE_S", 0.5)
    scene = Scene(private, tmp_path)

    async def play() -> None:
        async with scene.under_way() as (handle, waiting):
            scene.signal(signal.SIGSTOP)
            with pytest.raises(WfconsoleError) as caught:
                await waiting
            assert caught.value.code == "SANDBOX_UNAVAILABLE"
            assert "restart the engine" in caught.value.hint
            await until((scene.spec.out_dir / "0.exit").exists)  # its runner ends it, without the engine
            scene.signal(signal.SIGCONT)
            folder = tmp_path / "next"
            again = replace(
                scene.spec, attempt=2, in_dir=folder / "in", out_dir=folder / "out", scratch=folder / "scratch"
            )
            following = await scene.sandbox.prepare(again)
            names = [container["Id"] for container in scene.lab.containers()]
            await scene.sandbox.remove(following)
            assert names == [following.container_id]
            assert handle.container_id not in names

    run(play)


@needs_private_engine
def test_fault_11_an_engine_that_is_away_is_told_with_the_remedy_and_nothing_begins(
    private: PrivateEngine, tmp_path: Path
) -> None:
    scene = Scene(private, tmp_path)
    private.end(signal.SIGTERM)

    async def play() -> None:
        with pytest.raises(WfconsoleError) as caught:
            await scene.sandbox.prepare(scene.spec)
        assert caught.value.code == "SANDBOX_UNAVAILABLE"
        assert "Docker" in caught.value.hint
        assert not scene.spec.out_dir.exists() or not list(scene.spec.out_dir.iterdir())
        await asyncio.to_thread(private.start)
        async with scene.under_way() as (_, waiting):
            scene.let_go()
            assert scene.said(await waiting) == ("succeeded", None)

    run(play)


@needs_private_engine
def test_fault_10_an_owner_that_is_up_before_the_engine_adopts_what_has_begun(
    private: PrivateEngine, tmp_path: Path
) -> None:
    scene = Scene(private, tmp_path)

    async def play() -> None:
        async with scene.under_way() as (handle, waiting):
            waiting.cancel()
            await asyncio.to_thread(private.end, signal.SIGTERM)
            scene.let_go()
            adopting = asyncio.create_task(scene.sandbox.prepare(scene.spec))
            await asyncio.to_thread(private.start)
            adopted = await adopting
            assert adopted.container_id == handle.container_id
            assert scene.said(await scene.sandbox.wait(adopted)) == ("succeeded", None)

    run(play)
