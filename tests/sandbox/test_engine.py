"""Engines that are not there, refuse, or say nothing: each is SANDBOX_UNAVAILABLE with what to do, and nothing runs."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from wfconsole.ports import SandboxSpec, WfconsoleError
from wfconsole.sandbox import engine as engine_module
from wfconsole.sandbox.docker import DockerSandbox
from wfconsole.sandbox.doctor import EngineReport, engine_report
from wfconsole.sandbox.engine import Engine
from wfconsole.sandbox.locks import HostLocks


def spec(top: Path) -> SandboxSpec:
    return SandboxSpec(
        run_id="r", step_id="s", attempt=1, template="t", commands=(("true",),),
        in_dir=top / "in", out_dir=top / "out", scratch=top / "scratch",
    )  # fmt: skip


def refusal(host: str | None, top: Path) -> WfconsoleError:
    async def whole() -> None:
        kept = HostLocks(top / "l")
        sandbox = DockerSandbox(
            database_id="db", owner="o", cache=top / "c", gates=top / "g", locks=kept, docker_host=host
        )
        await sandbox.prepare(spec(top))

    with pytest.raises(WfconsoleError) as caught:
        asyncio.run(whole())
    assert caught.value.code == "SANDBOX_UNAVAILABLE"
    assert caught.value.hint
    assert not (top / "in").exists()
    return caught.value


def test_no_socket(tmp_path: Path) -> None:
    assert "no Docker engine at" in refusal(f"unix://{tmp_path}/none.sock", tmp_path).message


@pytest.mark.parametrize("host", ["tcp://10.0.0.1:2375", "ssh://somebody@host", "http://localhost"])
def test_an_engine_of_another_host_is_refused(host: str, tmp_path: Path) -> None:
    assert "must run on it" in refusal(host, tmp_path).message


def test_docker_host_is_read_and_refused_when_remote(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    assert "tcp://10.0.0.1:2375" in refusal(None, tmp_path).message


def test_a_socket_that_nobody_listens_to(tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(path))
    assert "does not answer" in refusal(f"unix://{path}", tmp_path).message


def test_a_socket_without_permission(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    class Denied(socket.socket):
        connect = deny

    monkeypatch.setattr(socket, "socket", Denied)
    caught = refusal(f"unix://{tmp_path}/x.sock", tmp_path)
    assert "no permission" in caught.message
    assert "group docker" in caught.hint


@pytest.fixture
def mute(tmp_path: Path) -> Iterator[Path]:
    """An engine that takes connections and never says a word."""
    path = tmp_path / "mute.sock"
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(path))
        server.listen(16)
        yield path


def test_a_wedged_engine_is_not_waited_for(mute: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engine_module, "CALL_S", 1.0)
    caught = refusal(f"unix://{mute}", tmp_path)
    assert "no answer" in caught.message or "does not answer" in caught.message


def test_nothing_is_contacted_before_the_first_await(tmp_path: Path) -> None:
    DockerSandbox(
        database_id="db",
        owner="o",
        cache=tmp_path / "c",
        gates=tmp_path / "g",
        locks=HostLocks(tmp_path / "l"),
        docker_host="tcp://nowhere:1",
    )
    assert list(tmp_path.iterdir()) == []


def test_a_call_that_never_returns_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    async def whole() -> None:
        read, write = os.pipe()
        engine = Engine("unix:///none")
        monkeypatch.setattr(engine, "_connect", object)
        try:
            with pytest.raises(WfconsoleError) as caught:
                await engine.call(lambda _: os.read(read, 1), seconds=-4.9)
            assert caught.value.code == "SANDBOX_UNAVAILABLE"
        finally:
            os.close(write)
            os.close(read)

    asyncio.run(whole())


@pytest.mark.engine
def test_the_report_of_a_real_engine(busybox_test: object) -> None:
    report: EngineReport = asyncio.run(engine_report())
    assert report.version
    assert report.api
    assert report.images["busybox-test"].startswith("sha256:")
    assert report.seccomp is ("name=seccomp" in " ".join(report.security))


@pytest.mark.parametrize("info", [{"OperatingSystem": "Docker Desktop"}, {"Name": "docker-desktop"}])
def test_docker_desktop_is_refused_with_a_reason(info: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Desktop:
        def info(self) -> dict[str, str]:
            return info

        def version(self) -> dict[str, str]:
            return {}

    async def answer(self: Engine, function: Any, **_: Any) -> Any:
        return function(Desktop())

    monkeypatch.setattr(Engine, "call", answer)
    for ask in (Engine().identity, engine_report):
        with pytest.raises(WfconsoleError, match="virtual machine") as refusal:
            asyncio.run(ask())
        assert refusal.value.code == "SANDBOX_UNAVAILABLE"
