"""Secrets on a real engine: the step has them, and nothing that reaches a disk of the host has."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.lab import Lab
from wfconsole.ports import SandboxEnd, SandboxLimits, SandboxSpec, WfconsoleError
from wfconsole.sandbox import folders
from wfconsole.sandbox.docker import DockerSandbox
from wfconsole.sandbox.labels import container_name

pytestmark = pytest.mark.engine
TOKEN = b"correct-horse-battery"


def stored(lab: Lab) -> Iterator[bytes]:
    """All that lies on disk for this laboratory."""
    for path in lab.top.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.name != "wake":
            with suppress(PermissionError):
                yield path.read_bytes()


async def until(holds: Callable[[], bool]) -> None:
    """What another process writes tells nobody that it is there."""
    for _ in range(1500):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise TimeoutError


def test_all_that_a_step_prints_of_its_secrets_is_hidden(lab: Lab) -> None:
    script = (
        "t=$(cat /run/secrets/TOKEN); echo plain $t; printf %s x$t | base64; echo $t >&2; "
        'echo "{\\"token\\": \\"$t\\"}" >$WFCONSOLE_OUTPUT; i=0; '
        "while [ $i -lt 3 ]; do printf %.7s $t; i=$((i+1)); done; printf %s $t | tail -c +8; echo; echo end"
    )
    spec = lab.spec(
        ("sh", "-c", script), ("sh", "-c", "cat /run/secrets/TOKEN; exit 3"), secrets={"TOKEN": TOKEN}, hide=(TOKEN,),
        env={"WFCONSOLE_OUTPUT": "/out/output.json"},
    )  # fmt: skip
    result = lab.play(spec)
    assert result.out().splitlines()[0] == b"plain ***"
    assert result.out().endswith(b"correctcorrect***\nend\n")
    assert (result.err(), result.out(1)) == (b"***\n", b"***")
    assert (spec.out_dir / "output.json").read_bytes() == b'{"token": "***"}\n'
    assert result.end.redacted == 6
    assert [(command.index, command.exit_code) for command in result.end.commands] == [(0, 0), (1, 3)]
    assert not any(TOKEN in data or base64.b64encode(b"x" + TOKEN)[2:24] in data for data in stored(lab))


def test_the_log_grows_while_the_step_runs_and_holds_no_part_of_a_secret(lab: Lab) -> None:
    half = len(TOKEN) // 2
    first, second = TOKEN[:half].decode(), TOKEN[half:].decode()
    script = f"echo one; printf {first}; while [ ! -e /workspace/go ]; do sleep 0.05; done; printf {second}"
    spec = lab.spec(("sh", "-c", script), secrets={"TOKEN": TOKEN}, hide=(TOKEN,))
    seen: list[bytes] = []

    async def whole() -> SandboxEnd:
        sandbox = lab.sandbox()
        handle = await sandbox.prepare(spec)
        assert await sandbox.go(handle)
        waiting = asyncio.ensure_future(sandbox.wait(handle))
        log = spec.out_dir / "0.stdout"
        await until(lambda: bool(_read(log)))
        seen.append(log.read_bytes())
        (lab.workspace / "go").touch()
        end = await waiting
        await sandbox.remove(handle)
        await sandbox.close()
        return end

    assert asyncio.run(whole()).redacted == 1
    assert seen == [b"one\n"]
    assert (spec.out_dir / "0.stdout").read_bytes() == b"one\n***"


def test_a_secret_of_another_step_is_hidden_where_it_was_left(lab: Lab) -> None:
    (lab.workspace / "left").write_bytes(TOKEN)
    result = lab.sh("cat left; ls /run/secrets 2>&1 | wc -l", hide=(TOKEN,))
    assert result.out().startswith(b"***")


def adopt(lab: Lab, spec: SandboxSpec, again: SandboxSpec, between: Any) -> SandboxEnd:
    """Begin as one owner that then is gone, and go on as another."""

    async def whole() -> SandboxEnd:
        dead = lab.sandbox()
        assert await dead.go(await dead.prepare(spec))
        await dead.close()
        between()
        living = lab.sandbox()
        handle = await living.prepare(again)
        end = await living.wait(handle)
        await living.remove(handle)
        await living.close()
        return end

    return asyncio.run(whole())


@pytest.mark.parametrize("changed", [False, True], ids=["same", "changed-meanwhile"])
def test_whoever_takes_over_hides_as_well(lab: Lab, changed: bool) -> None:
    spec = lab.spec(
        ("sh", "-c", "cat /run/secrets/TOKEN; sleep 0.3; cat /run/secrets/TOKEN"),
        secrets={"TOKEN": TOKEN},
        hide=(TOKEN,),
    )
    value = b"another-value-by-now" if changed else TOKEN
    again = lab.spec(*spec.commands, secrets={"TOKEN": value}, hide=(value,))
    again = _same(spec, again)
    end = adopt(lab, spec, again, lambda: None)
    assert end.redacted == 2
    assert (spec.out_dir / "0.stdout").read_bytes() == b"******"
    assert not any(TOKEN in data for data in stored(lab))


def _same(spec: SandboxSpec, again: SandboxSpec) -> SandboxSpec:
    return replace(again, attempt=spec.attempt, in_dir=spec.in_dir, out_dir=spec.out_dir, scratch=spec.scratch)


def test_without_the_secret_the_log_is_withheld(lab: Lab) -> None:
    spec = lab.spec(
        ("sh", "-c", "cat /run/secrets/TOKEN; echo >/out/output.json; exit 4"), secrets={"TOKEN": TOKEN}, hide=(TOKEN,)
    )
    again = _same(spec, lab.spec(*spec.commands, withheld="the secret TOKEN is missing"))
    end = adopt(lab, spec, again, lambda: None)
    assert end.exit_code == 4
    assert [command.exit_code for command in end.commands] == [4]
    assert sorted(path.name for path in spec.out_dir.iterdir()) == ["0.exit", "0.start", "started"]
    assert not any(TOKEN in data for data in stored(lab))
    assert not folders.raw_folder(container_name(lab.database_id, spec)).exists()


def test_without_the_secret_nothing_begins(lab: Lab) -> None:
    with pytest.raises(WfconsoleError) as refusal:
        lab.run(("true",), withheld="the secret TOKEN is missing")
    assert refusal.value.code == "SECRET_MISSING"


def test_of_a_container_that_is_gone_the_log_is_saved_and_the_secrets_are_not(lab: Lab) -> None:
    spec = lab.spec(
        ("sh", "-c", "cat /run/secrets/TOKEN; echo said; sleep 600"), secrets={"TOKEN": TOKEN}, hide=(TOKEN,)
    )
    name = container_name(lab.database_id, spec)

    async def whole() -> None:
        dead = lab.sandbox()
        handle = await dead.prepare(spec)
        assert await dead.go(handle)
        await until(lambda: b"said" in _read(folders.raw_folder(name) / "0.stdout"))
        await dead.close()
        lab.client.remove_container(handle.container_id, force=True)
        living = lab.sandbox()
        with pytest.raises(WfconsoleError) as lost:
            await living.prepare(spec)
        assert lost.value.code == "SANDBOX_LOST"
        await living.close()

    asyncio.run(whole())
    assert (spec.out_dir / "0.stdout").read_bytes() == b"***said\n"
    assert not folders.secrets_folder(name).exists()
    assert not folders.raw_folder(name).exists()


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def test_links_and_pipes_for_logs_are_not_followed(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "host").write_text("host file")
    script = (
        f"rm /out/0.stdout; ln -s {tmp_path}/host /out/0.stdout; rm /out/0.stderr; mkfifo /out/0.stderr; "
        "ln -s /etc/passwd /out/output.json"
    )
    spec = lab.spec(("sh", "-c", script), secrets={"TOKEN": TOKEN}, hide=(TOKEN,))
    lab.play(spec)
    assert not (spec.out_dir / "output.json").exists()
    assert b"host file" not in _read(spec.out_dir / "0.stdout")


def test_the_output_limit_holds_for_hidden_output(lab: Lab) -> None:
    result = lab.run(
        ("cat", "/dev/zero"), secrets={"TOKEN": TOKEN}, hide=(TOKEN,), limits=SandboxLimits(output_bytes=1024**2)
    )
    assert result.said == ("failed", "OUTPUT_LIMIT")


def test_folders_of_containers_that_are_gone_are_swept(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = lab.spec(("true",))
    name = container_name(lab.database_id, spec)
    folders.make_private()
    for folder in (folders.secrets_folder(f"{name}0"), folders.raw_folder(f"{name}0")):
        folder.mkdir()
        (folder / "x").write_bytes(TOKEN)
    monkeypatch.setattr("wfconsole.sandbox.sweep.YOUNG_S", -1.0)

    async def look(sandbox: DockerSandbox, _: object) -> None:
        await sandbox.sweep()

    lab.play(spec, look)
    assert not folders.secrets_folder(f"{name}0").exists()
    assert not folders.raw_folder(f"{name}0").exists()


def test_an_attempt_without_secrets_sweeps_what_lies_there_and_asks_no_engine_when_nothing_does(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wfconsole.sandbox.sweep.YOUNG_S", -1.0)
    swept: list[int] = []
    sweep = DockerSandbox.sweep

    async def count(sandbox: DockerSandbox) -> int:
        swept.append(await sweep(sandbox))
        return swept[-1]

    monkeypatch.setattr(DockerSandbox, "sweep", count)
    assert lab.run(("true",)).said[0] == "succeeded"
    assert swept == []
    left = folders.secrets_folder(container_name(lab.database_id, lab.spec(("true",))))
    folders.make_private()
    left.mkdir()
    (left / "TOKEN").write_bytes(TOKEN)
    assert lab.run(("true",)).said[0] == "succeeded"
    assert swept == [1]
    assert not left.exists()


@pytest.mark.usefixtures("python_lab")  # whose image the proxy runs in
def test_a_secret_cannot_be_told_by_asking_the_proxy_for_it(lab: Lab) -> None:
    script = (
        f"printf 'CONNECT {TOKEN.decode().upper()}:443 HTTP/1.1\\r\\n\\r\\n' | nc -w 3 proxy.wfconsole.internal 3128"
    )
    result = lab.sh(script, secrets={"TOKEN": TOKEN}, hide=(TOKEN,), network=("example.test:443",))
    assert b"403" in result.out()
    assert result.end.refused == ("places that are not told, because the run has secrets",)
