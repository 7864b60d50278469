"""An engine that is away for a while, and a name that a dead owner's request still has: neither costs the run its step."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.images import ensure_busybox_test, lock
from tests.sandbox.lab import Lab
from tests.sandbox.private import POSSIBLE, PrivateEngine, running
from wfconsole.ports import SandboxSpec, WfconsoleError
from wfconsole.sandbox import patience
from wfconsole.sandbox.docker import DockerSandbox
from wfconsole.sandbox.engine import AwayError, Engine
from wfconsole.sandbox.locks import HostLocks

needs_private_engine = pytest.mark.skipif(not POSSIBLE, reason="a private dockerd needs root, dockerd and unshare")


@pytest.fixture(scope="module")
def private() -> Iterator[PrivateEngine]:
    with running() as engine:
        with closing(engine.client()) as client:
            ensure_busybox_test(client)
        yield engine


class Away:
    """An engine that was restarted: it comes back as soon as somebody is told that it is waited for."""

    def __init__(self, engine: PrivateEngine, top: Path, **how: Any) -> None:
        self.engine = engine
        self.said: list[str] = []
        self.waited = asyncio.Event()
        kept = HostLocks(top / "locks")
        lock(kept, host=engine.host)
        with closing(engine.client()) as client:
            self.lab = Lab(top, client, kept)
        self.sandbox = DockerSandbox(
            database_id=self.lab.database_id, owner="o", cache=top / "cache", gates=top / "gates", locks=kept,
            docker_host=engine.host, say=self.say, **how,
        )  # fmt: skip

    def say(self, text: str) -> None:
        self.said.append(text)
        self.waited.set()

    async def comes_back(self) -> None:
        await self.waited.wait()
        await asyncio.to_thread(self.engine.start)

    async def prepares(self, spec: SandboxSpec) -> None:
        """With the engine away; then the attempt goes and ends well."""
        coming = asyncio.create_task(self.comes_back())
        handle = await self.sandbox.prepare(spec)
        await coming
        assert await self.sandbox.go(handle)
        assert (await self.sandbox.wait(handle)).exit_code == 0
        await self.sandbox.remove(handle)


def play(away: Away, spec: SandboxSpec, *, seen: bool = False) -> None:
    async def whole() -> None:
        if seen:
            await away.sandbox.remove(await away.sandbox.prepare(replace(spec, attempt=9)))
        await asyncio.to_thread(away.engine.end, signal.SIGTERM)
        try:
            await asyncio.wait_for(away.prepares(spec), 60)
        finally:
            if away.engine.process is not None and away.engine.process.poll() is not None:
                away.engine.start()
            await away.sandbox.close()

    asyncio.run(whole())


@pytest.mark.engine
@needs_private_engine
def test_an_engine_that_this_process_has_reached_is_waited_for(private: PrivateEngine, tmp_path: Path) -> None:
    away = Away(private, tmp_path)
    play(away, away.lab.spec(("true",)), seen=True)
    assert len(away.said) == 1
    assert "waiting for it, at most 120 s" in away.said[0]


@pytest.mark.engine
@needs_private_engine
def test_an_engine_is_waited_for_when_the_run_had_sandboxes_before(private: PrivateEngine, tmp_path: Path) -> None:
    away = Away(private, tmp_path)
    play(away, away.lab.spec(("true",), resumed=True))
    assert away.said


@pytest.mark.engine
@needs_private_engine
def test_an_engine_is_waited_for_when_nobody_looks_on(private: PrivateEngine, tmp_path: Path) -> None:
    away = Away(private, tmp_path, unattended=True)
    play(away, away.lab.spec(("true",)))
    assert away.said


@pytest.mark.engine
@needs_private_engine
def test_an_engine_that_nobody_has_reached_is_not_waited_for(private: PrivateEngine, tmp_path: Path) -> None:
    away = Away(private, tmp_path)
    with pytest.raises(AwayError):
        play(away, away.lab.spec(("true",)))
    assert away.said == []


@pytest.mark.engine
@needs_private_engine
def test_what_is_to_be_removed_waits_for_the_engine(private: PrivateEngine, tmp_path: Path) -> None:
    away = Away(private, tmp_path)

    async def whole() -> None:
        handle = await away.sandbox.prepare(away.lab.spec(("true",)))
        await asyncio.to_thread(private.end, signal.SIGTERM)
        coming = asyncio.create_task(away.comes_back())
        await asyncio.wait_for(away.sandbox.remove(handle), 60)
        await coming
        await away.sandbox.close()

    asyncio.run(whole())
    with closing(private.client()) as client:
        assert client.containers(all=True) == []


@pytest.mark.engine
def test_a_name_that_a_dead_owners_request_has_taken_is_freed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a container is being made, its name is taken and nobody can ask for it by name."""
    spec = lab.spec(("true",))

    async def whole() -> tuple[str, str]:
        sandbox, other = lab.sandbox(), lab.sandbox()
        dead = await other.prepare(spec)
        looked: list[str] = []
        existing = sandbox._existing

        async def not_yet(name: str) -> dict[str, Any] | None:
            looked.append(name)
            return None if len(looked) == 1 else await existing(name)

        monkeypatch.setattr(sandbox, "_existing", not_yet)
        handle = await sandbox.prepare(spec)
        assert await sandbox.go(handle)
        assert (await sandbox.wait(handle)).exit_code == 0
        await sandbox.remove(handle)
        await sandbox.close()
        await other.close()
        return dead.container_id, handle.container_id

    first, second = asyncio.run(whole())
    assert first != second
    assert lab.containers() == []


def test_a_refusal_of_an_engine_that_is_there_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    async def whole() -> None:
        engine = Engine("unix:///none")

        async def answers(*_: object, **__: object) -> bool:
            return True

        async def refused() -> None:
            calls.append("asked")
            raise WfconsoleError("SANDBOX_UNAVAILABLE", "the Docker engine refused: no", "")

        monkeypatch.setattr(engine, "call", answers)
        with pytest.raises(WfconsoleError, match="refused"):
            await patience.patiently(engine, refused, lambda: 60)

    asyncio.run(whole())
    assert calls == ["asked"]


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSE_S", 0.001)
    calls: list[str] = []

    async def gone() -> None:
        calls.append("asked")
        raise AwayError("SANDBOX_UNAVAILABLE", "gone", "")

    with pytest.raises(AwayError):
        asyncio.run(patience.patiently(Engine("unix:///none"), gone, lambda: 0.05))
    assert len(calls) > 1


@pytest.mark.engine
@needs_private_engine
def test_a_cancel_does_not_wait_for_an_engine_that_is_away(
    private: PrivateEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_S", 3600.0)
    away = Away(private, tmp_path, unattended=True)
    spec = replace(away.lab.spec(("true",)), wanted=lambda: not away.waited.is_set())

    async def whole() -> None:
        await asyncio.to_thread(private.end, signal.SIGTERM)
        try:
            with pytest.raises(AwayError):
                await asyncio.wait_for(away.sandbox.prepare(spec), 60)
        finally:
            await asyncio.to_thread(private.start)
            await away.sandbox.close()

    asyncio.run(whole())
    assert not spec.in_dir.exists()


@pytest.mark.engine
@needs_private_engine
def test_who_waited_touches_nothing_that_the_next_owner_has_begun(private: PrivateEngine, tmp_path: Path) -> None:
    away = Away(private, tmp_path, unattended=True)
    (tmp_path / "other").mkdir()
    other = Away(private, tmp_path / "other", unattended=True)
    taken, asked = asyncio.Event(), []

    async def mine() -> bool:
        asked.append("?")
        if len(asked) == 1:
            return True
        await taken.wait()
        return False

    async def whole() -> None:
        spec = away.lab.spec(("true",))
        other.sandbox._database_id = away.lab.database_id
        await asyncio.to_thread(private.end, signal.SIGTERM)
        late = asyncio.create_task(away.sandbox.prepare(replace(spec, mine=mine)))
        await away.comes_back()
        handle = await other.sandbox.prepare(spec)
        assert await other.sandbox.go(handle)
        taken.set()
        with pytest.raises(WfconsoleError) as caught:
            await late
        assert caught.value.code == "OWNER_LOST"
        end = await other.sandbox.wait(handle)
        assert (end.exit_code, end.lost) == (0, False)
        await other.sandbox.remove(handle)
        await away.sandbox.close()
        await other.sandbox.close()

    asyncio.run(asyncio.wait_for(whole(), 120))


def test_many_who_wait_for_one_engine_say_it_once() -> None:
    said: list[str] = []
    tell = patience.seldom(said.append)
    tell("away")
    tell("away")
    assert said == ["away"]
