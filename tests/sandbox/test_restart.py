"""An engine that dies under a running step: a private one, so that nobody else's containers are touched."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.sandbox_contract import until
from tests.fakes.images import ensure_busybox_test, lock
from tests.sandbox.lab import Lab
from wfconsole.domain.policy.classify import classify
from wfconsole.ports import SandboxHandle, WfconsoleError
from wfconsole.sandbox import wait as wait_module
from wfconsole.sandbox.docker import DockerSandbox
from wfconsole.sandbox.locks import HostLocks

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("dockerd") or not shutil.which("unshare"),
        reason="a private dockerd needs root, dockerd and unshare",
    ),
]


class PrivateEngine:
    """A second dockerd with folders and a network of its own.

    Without its own network namespace ``--bridge none`` would remove the bridge of the engine that is already there.
    """

    def __init__(self, top: Path, *options: str) -> None:
        self.top = top
        self.options = options
        self.host = f"unix://{top}/docker.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        for left in ("docker.pid", "exec/containerd/containerd.pid"):  # of a daemon that was killed
            (self.top / left).unlink(missing_ok=True)
        with (self.top / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "unshare", "--net", "dockerd", "--data-root", f"{self.top}/data", "--exec-root", f"{self.top}/exec",
                    "--pidfile", f"{self.top}/docker.pid", "-H", self.host, "--bridge", "none", "--iptables=false",
                    *self.options,
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        self.client().close()

    def client(self) -> Any:
        from wfconsole.sandbox.client import LocalClient

        for _ in range(300):
            with closing(socket.socket(socket.AF_UNIX)) as probe:
                if probe.connect_ex(f"{self.top}/docker.sock") == 0:
                    return LocalClient(base_url=self.host, version="auto")
            time.sleep(0.1)  # a daemon tells nobody that it is up
        pytest.skip(f"a private dockerd does not start here: {(self.top / 'log').read_text()[-300:]}")

    def end(self, number: signal.Signals) -> None:
        """End the daemon; with KILL also its containerd, which it would leave behind."""
        assert self.process is not None
        containerd = self.top / "exec" / "containerd" / "containerd.pid"
        pid = int(containerd.read_text()) if number is signal.SIGKILL and containerd.exists() else None
        self.process.send_signal(number)
        self.process.wait(60)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def clear(self) -> None:
        """Remove what it kept; a daemon leaves its data folder mounted on itself."""
        subprocess.run(["umount", "--lazy", f"{self.top}/data"], check=False, capture_output=True)
        shutil.rmtree(self.top, ignore_errors=True)


@pytest.fixture
def private() -> Iterator[PrivateEngine]:
    top = Path(tempfile.mkdtemp(prefix="wfd-"))
    engine = PrivateEngine(top)
    engine.start()
    client = engine.client()
    ensure_busybox_test(client)
    client.close()
    try:
        yield engine
    finally:
        if engine.process is not None and engine.process.poll() is None:
            engine.end(signal.SIGTERM)
        engine.clear()


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
    assert scene(private, tmp_path, number, back=True) == ("errored", "SANDBOX_LOST")


def test_an_engine_that_stays_away_is_unavailable(
    private: PrivateEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait_module, "PATIENCE_S", 1.0)
    with pytest.raises(WfconsoleError) as caught:
        scene(private, tmp_path, signal.SIGTERM, back=False)
    assert caught.value.code == "SANDBOX_UNAVAILABLE"
