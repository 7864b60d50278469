"""An engine that dies under a running step: a private one, so that nobody else's containers are touched."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.contracts.sandbox_contract import until
from tests.fakes.images import ensure_busybox_test, lock
from tests.sandbox.lab import Lab
from tests.sandbox.private import POSSIBLE, PrivateEngine, running
from wfconsole.domain.policy.classify import classify
from wfconsole.ports import SandboxHandle, WfconsoleError
from wfconsole.sandbox import patience
from wfconsole.sandbox.docker import DockerSandbox
from wfconsole.sandbox.locks import HostLocks

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not POSSIBLE, reason="a private dockerd needs root, dockerd and unshare"),
]


@pytest.fixture
def private() -> Iterator[PrivateEngine]:
    with running() as engine:
        with closing(engine.client()) as client:
            ensure_busybox_test(client)
        yield engine


def scene(private: PrivateEngine, top: Path, number: signal.Signals, *, back: bool) -> tuple[str, str | None]:
    client = private.client()
    kept = HostLocks(top / "locks")
    lock(kept, host=private.host)
    lab = Lab(top, client, kept)
    spec = lab.spec(("sleep", "600"))

    async def whole() -> tuple[str, str | None]:
        sandbox = DockerSandbox(
            database_id="private",
            owner="o",
            cache=top / "cache",
            gates=top / "gates",
            locks=kept,
            docker_host=private.host,
        )
        handle: SandboxHandle = await sandbox.prepare(spec)
        assert await sandbox.go(handle)
        waiting = asyncio.create_task(sandbox.wait(handle))
        await until((spec.out_dir / "0.start").exists)
        await asyncio.to_thread(private.end, number)
        if back:
            await asyncio.to_thread(private.start)
        end = await waiting
        status, cause = classify(end, timeout_ms=None, output_limit=1, commands=spec.commands)
        await sandbox.remove(handle)
        await sandbox.close()
        return status, cause.code if cause else None

    try:
        return asyncio.run(whole())
    finally:
        client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_engine_that_restarts_loses_the_step_and_says_so(
    private: PrivateEngine, tmp_path: Path, number: signal.Signals
) -> None:
    assert scene(private, tmp_path, number, back=True) == ("abandoned", "SANDBOX_LOST")


def test_an_engine_that_stays_away_is_unavailable(
    private: PrivateEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_S", 1.0)
    with pytest.raises(WfconsoleError) as caught:
        scene(private, tmp_path, signal.SIGTERM, back=False)
    assert caught.value.code == "SANDBOX_UNAVAILABLE"
