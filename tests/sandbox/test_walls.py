"""The walls on a real engine: what a step cannot do, tried from inside."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sandbox.lab import Lab
from wfconsole.ports import Mount, SandboxLimits, WfconsoleError
from wfconsole.sandbox.folders import Account, raw_folder, secrets_folder
from wfconsole.sandbox.labels import container_name

pytestmark = pytest.mark.engine


def test_no_network_but_loopback(lab: Lab) -> None:
    result = lab.sh("ls /sys/class/net; tail -n +2 /proc/net/route; nc -w 2 192.0.2.1 80 </dev/null && echo reached")
    assert result.out() == b"lo\n"
    assert b"unreachable" in result.err()


def test_a_bridge_only_when_the_recipe_asks(lab: Lab) -> None:
    assert lab.sh("ls /sys/class/net", network="bridge").out().split() == [b"eth0", b"lo"]


@pytest.mark.parametrize(
    "network", ["host", "container:x", "default", ("example.org",), ("a b:443",), (":1",), ("x:99999",)]
)
def test_other_networks_are_refused(lab: Lab, network: object) -> None:
    with pytest.raises(WfconsoleError) as refusal:
        lab.run(("true",), network=network)
    assert refusal.value.code == ("POLICY_BLOCKED" if isinstance(network, str) else "INPUT_INVALID")


def test_only_the_callers_folders_and_tmpfs_can_be_written(lab: Lab) -> None:
    places = (
        "/ /etc /usr/bin /in /.wfconsole /proc/sys/kernel /sys /workspace /out /scratch /tmp /home/sandbox /dev/shm"
    )
    script = f"for p in {places}; do (: >$p/probe) 2>/dev/null && echo $p; done; true"
    written = lab.sh(script).out().split()
    assert written == [b"/workspace", b"/out", b"/scratch", b"/tmp", b"/home/sandbox", b"/dev/shm"]


def test_the_inputs_of_the_runner_cannot_be_changed(lab: Lab) -> None:
    files = "/in/go /in/0.argv /in/run /etc/passwd /.wfconsole/busybox"
    script = f"for f in {files}; do (: >>$f) 2>/dev/null && echo $f; done; rm -f /in/go; ls /in/go"
    assert lab.sh(script).out() == b"/in/go\n"


def test_tmp_runs_nothing_and_home_does(lab: Lab) -> None:
    script = "for d in /tmp $HOME; do cp=$d/busybox; cat /bin/busybox >$cp; chmod +x $cp; $cp sh -c 'echo ran'; done 2>/dev/null"
    assert lab.sh(script).out() == b"ran\n"


def test_no_capabilities_no_new_privileges_seccomp_on_and_not_root(lab: Lab) -> None:
    status = dict(
        line.split(":\t", 1)
        for line in lab.run(("cat", "/proc/self/status")).out().decode().splitlines()
        if ":\t" in line
    )
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert status["Uid"].split() == [str(Account.here().uid)] * 4
    assert "0" not in status["Uid"].split()


def test_the_account_has_a_name_and_a_home(lab: Lab) -> None:
    assert lab.sh("id -un; echo ~; cat /etc/passwd | wc -l").out() == b"sandbox\n/home/sandbox\n1\n"


def test_step_code_can_neither_signal_nor_read_pid_1(lab: Lab) -> None:
    signals = "for s in TERM INT HUP QUIT USR1 STOP KILL; do kill -$s 1; done; sleep 0.2"
    peek = (
        "(cat /proc/1/environ; ls -l /proc/1/fd; cat /proc/1/mem; cat /.wfconsole/busybox) >/workspace/peek 2>/dev/null"
    )
    result = lab.run(("sh", "-c", f"{signals}; {peek}; echo alive"), ("echo", "next"))
    assert result.said == ("succeeded", None)
    assert (result.out(0), result.out(1)) == (b"alive\n", b"next\n")
    assert (lab.workspace / "peek").read_bytes() == b"total 0\n" or (lab.workspace / "peek").read_bytes() == b""


def test_killing_everything_inside_leaves_the_runner(lab: Lab) -> None:
    result = lab.run(
        ("sh", "-c", "(sleep 600 & echo $! >/tmp/p); kill -KILL -1; exit 5"), ("echo", "next"), halt_on_error=False
    )
    assert result.end.exit_code == 5
    assert result.out(1) == b"next\n"


def test_a_forged_record_does_not_change_the_verdict(lab: Lab) -> None:
    forge = "echo '0 1 1' >/out/0.exit; ln -sf /etc/shadow /out/0.error; (while :; do echo '0 1 1' >/out/0.exit; done) & exit 7"
    result = lab.sh(forge)
    assert result.end.exit_code == 7
    assert result.said == ("failed", "STEP_FAILED")


def test_host_reads_of_the_out_folder_follow_no_link(lab: Lab, tmp_path: Path) -> None:
    secret = tmp_path / "host-secret"
    secret.write_text("0 123 456\n")
    result = lab.sh(f"rm -f /out/0.start; ln -s {secret} /out/1.exit; mkfifo /out/1.start; exit 3")
    assert result.said == ("failed", "STEP_FAILED")
    assert [c.index for c in result.end.commands] == [0]


def test_a_fork_bomb_stays_within_its_pids(lab: Lab) -> None:
    result = lab.sh("bomb() { bomb | bomb & }; bomb; sleep 600", limits=SandboxLimits(pids=64), timeout_ms=2000)
    assert result.said[0] in {"timed_out", "failed"}
    assert lab.sh("echo neighbour").out() == b"neighbour\n"


def test_secrets_are_files_on_host_tmpfs_and_go_with_the_container(lab: Lab) -> None:
    raw = bytes(range(256))
    spec = lab.spec(
        ("sh", "-c", "cat /run/secrets/TOKEN; (: >/run/secrets/x) 2>/dev/null || echo ro >&2"), secrets={"TOKEN": raw}
    )
    folder = secrets_folder(container_name(lab.database_id, spec))
    seen: list[int] = []

    async def look(_: object, __: object) -> None:
        seen.append(folder.stat().st_mode & 0o777)

    result = lab.play(spec, look)
    assert (result.out(), result.err()) == (b"***\n\r", b"ro\n")
    assert result.end.redacted == 1
    assert seen == [0o500]
    assert not folder.exists()
    assert not raw_folder(folder.name).exists()
    assert all(raw not in path.read_bytes() for path in spec.out_dir.parent.rglob("*") if path.is_file())


def test_a_secret_is_not_in_what_the_engine_shows(lab: Lab) -> None:
    shown: list[str] = []
    spec = lab.spec(("true",), secrets={"TOKEN": b"hunter2hunter2"}, env={"PLAIN": "visible-nowhere"})

    async def look(_: object, handle: object) -> None:
        shown.append(str(lab.client.inspect_container(container_name(lab.database_id, spec))))

    lab.play(spec, look)
    assert "hunter2" not in shown[0]
    assert "visible-nowhere" not in shown[0]


@pytest.mark.parametrize("source", ["/var/run/docker.sock", "/run", "/"])
def test_the_docker_socket_is_never_mounted(lab: Lab, source: str) -> None:
    with pytest.raises(WfconsoleError) as refusal:
        lab.run(("true",), mounts=(Mount(source=Path(source), target="/host"),))
    assert refusal.value.code == "POLICY_BLOCKED"


def test_read_only_mounts_are_read_only(lab: Lab, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "f").write_text("kept")
    result = lab.sh(
        "cat /inputs/data/f; (: >/inputs/data/f) 2>/dev/null && echo changed",
        mounts=(Mount(source=data, target="/inputs/data"),),
        workdir="/",
    )
    assert result.out() == b"kept"
    assert (data / "f").read_text() == "kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_writable_folder_becomes_the_sandboxs_and_links_in_it_are_not_followed(lab: Lab, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (lab.workspace / "link").symlink_to(outside)
    (lab.workspace / "deep").mkdir()
    (lab.workspace / "deep" / "file").write_text("x")
    assert lab.sh("echo y >>/workspace/deep/file").said == ("succeeded", None)
    assert (lab.workspace / "deep" / "file").stat().st_uid == Account.here().uid
    assert outside.stat().st_uid == 0


def test_a_missing_template_is_said_with_what_to_do(lab: Lab) -> None:
    with pytest.raises(WfconsoleError) as refusal:
        lab.run(("true",), template="never-built")
    assert refusal.value.code == "TEMPLATE_MISSING"
    assert refusal.value.hint == "wfconsole templates build never-built"


def test_name_and_labels_find_the_container_again(lab: Lab) -> None:
    spec = lab.spec(("true",), step_id="checks/unit")

    async def look(_: object, handle: object) -> None:
        found = lab.client.inspect_container(f"wfc-{lab.database_id[:8]}-lab-checks.unit-{spec.attempt}")
        labels = found["Config"]["Labels"]
        assert labels["wfconsole.step"] == "checks/unit"
        assert labels["wfconsole.owner"] == "lab"
        assert labels["wfconsole.db"] == lab.database_id
        assert found["HostConfig"]["AutoRemove"] is False

    lab.play(spec, look)


def test_a_cancelled_prepare_leaves_no_container(lab: Lab) -> None:
    async def whole() -> None:
        for delay in (0.0, 0.01, 0.03, 0.08, 0.2):
            sandbox = lab.sandbox()
            preparing = asyncio.create_task(sandbox.prepare(lab.spec(("true",))))
            await asyncio.sleep(delay)  # somewhere in the middle, wherever that is
            preparing.cancel()
            with suppress(asyncio.CancelledError):
                await sandbox.remove(await preparing)
            await sandbox.close()

    asyncio.run(whole())


def test_eight_at_once_pass_the_gate(lab: Lab) -> None:
    async def one(sandbox: object, number: int) -> int | None:
        box = lab.sandbox()
        spec = replace(lab.spec(("sh", "-c", f"exit {number}")), step_id=f"step-{number}")
        handle = await box.prepare(spec)
        assert await box.go(handle)
        end = await box.wait(handle)
        await box.remove(handle)
        await box.close()
        return end.exit_code

    async def whole() -> list[int | None]:
        return await asyncio.gather(*(one(None, number) for number in range(8)))

    assert asyncio.run(whole()) == list(range(8))
