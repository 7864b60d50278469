"""A sandbox that is not what its lock says is found before any command starts, on a real engine."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.images import BUSYBOX_TEST, lock, rootfs
from tests.sandbox.lab import Lab
from wfconsole.domain.policy.drift import Drift
from wfconsole.ports import DriftError, SandboxHandle, SandboxLimits, SandboxSpec, WfconsoleError
from wfconsole.sandbox.checks import Checks
from wfconsole.sandbox.docker import DockerSandbox
from wfconsole.sandbox.labels import ATTEMPT, container_name
from wfconsole.sandbox.locks import HostLock, HostLocks
from wfconsole.sandbox.policy import Policy
from wfconsole.sandbox.templates.shape import Template

pytestmark = pytest.mark.engine
COMMAND = ("touch", "/workspace/ran")
Meddle = Callable[[str, SandboxSpec], str]
"""Does something to the container of that id before it starts; the id of the one to go on with."""


@pytest.fixture
def own(lab: Lab) -> HostLocks:
    """Locks that the test may edit."""
    lab.locks = HostLocks(Path(shutil.copytree(lab.locks.folder, lab.top / "locks")))
    return lab.locks


@pytest.fixture
def name(busybox_test: Any) -> Iterator[str]:
    """A template name of the test's own; its images are removed."""
    name = f"drift-{uuid.uuid4().hex[:8]}"
    yield name
    for image in busybox_test.images(name=f"wfconsole/{name}"):
        for tag in image["RepoTags"]:
            if tag.startswith(f"wfconsole/{name}:"):  # one image may bear the tags of others, too
                busybox_test.remove_image(tag)


def make_image(client: Any, name: str, *changes: str) -> str:
    """Import an image of its own under that name's tag; its id."""
    client.import_image_from_data(rootfs(), repository=f"wfconsole/{name}", tag="latest", changes=list(changes))
    return str(client.inspect_image(f"wfconsole/{name}")["Id"])


def refused(lab: Lab, spec: SandboxSpec) -> WfconsoleError:
    """What `prepare` refuses this with; nothing may be left of it, and nothing may have been started."""
    began = time.time()

    async def whole() -> None:
        sandbox = lab.sandbox()
        try:
            handle = await sandbox.prepare(spec)
            await sandbox.remove(handle)
        finally:
            await sandbox.close()

    with pytest.raises(WfconsoleError) as caught:
        asyncio.run(whole())
    assert lab.containers() == []
    assert not (lab.workspace / "ran").exists()
    assert not (spec.out_dir / "started").exists()
    assert "start" not in happened(lab, spec, began)
    return caught.value


def happened(lab: Lab, spec: SandboxSpec, since: float) -> list[str]:
    """What the engine did with the attempt's container."""
    filters = {"container": container_name(lab.database_id, spec)}
    events = lab.client.events(since=f"{since:.9f}", until=f"{time.time():.9f}", filters=filters, decode=True)
    return [str(event["Action"]) for event in events]


def drift(lab: Lab, spec: SandboxSpec) -> Drift:
    error = refused(lab, spec)
    assert isinstance(error, DriftError), error
    assert error.code == "ENV_DRIFT"
    assert not error.drift.command_started
    return error.drift


def meddle(monkeypatch: pytest.MonkeyPatch, do: Meddle) -> None:
    """Do it between create and start."""
    expect, before, specs = Checks.expect, Checks.before_start, []

    async def remember(checks: Checks, body: Any, held_to: HostLock, spec: SandboxSpec) -> dict[str, Any]:
        specs.append(spec)
        return await expect(checks, body, held_to, spec)

    async def check(checks: Checks, container_id: str, wanted: Any, held_to: HostLock) -> None:
        await before(checks, await asyncio.to_thread(do, container_id, specs[-1]), wanted, held_to)

    monkeypatch.setattr(Checks, "expect", remember)
    monkeypatch.setattr(Checks, "before_start", check)


def edit(kept: HostLocks, change: Callable[[dict[str, Any]], object], *, seal: bool) -> None:
    """Change the lock of the tests' template as a hand would; with `seal` its digest, too."""
    path = kept.path(BUSYBOX_TEST)
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    if seal:
        found = kept.find(BUSYBOX_TEST)
        assert found is not None
        kept.write(found.sealed())


def test_w7_a_moved_tag(lab: Lab, own: HostLocks, name: str) -> None:
    image = make_image(lab.client, name)
    lock(own, Template(name=name, description="", digest=""))
    lab.client.tag(f"wfconsole/{BUSYBOX_TEST}", f"wfconsole/{name}", "latest")
    found = drift(lab, lab.spec(COMMAND, template=name))
    assert (found.phase, found.template, found.fields) == ("create", name, ("image.id",))
    assert found.differences[0].expected == image
    lab.client.remove_image(image, force=True)


def test_w7_a_replaced_image(lab: Lab, own: HostLocks, name: str) -> None:
    image = make_image(lab.client, name)
    lock(own, Template(name=name, description="", digest=""))
    lab.client.remove_image(image, force=True)
    make_image(lab.client, name, "ENV EVIL=1")
    found = drift(lab, lab.spec(COMMAND, template=name))
    assert found.fields == ("image.config.env", "image.id")
    assert found.differences[0].observed == ["EVIL=1"]


def test_an_image_that_is_gone_is_no_drift(lab: Lab, own: HostLocks, name: str) -> None:
    image = make_image(lab.client, name)
    lock(own, Template(name=name, description="", digest=""))
    lab.client.remove_image(image, force=True)
    error = refused(lab, lab.spec(COMMAND, template=name))
    assert (error.code, error.hint) == ("TEMPLATE_MISSING", f"wfconsole templates build {name}")


def test_an_image_that_lost_its_tag_is_still_the_locked_one(lab: Lab, own: HostLocks, name: str) -> None:
    image = make_image(lab.client, name)
    lock(own, Template(name=name, description="", digest=""))
    lab.client.tag(image, f"wfconsole/{name}", "kept")
    lab.client.remove_image(f"wfconsole/{name}:latest")
    assert lab.run(COMMAND, template=name).said == ("succeeded", None)


def test_without_a_lock_the_command_is_told(lab: Lab, own: HostLocks) -> None:
    own.path(BUSYBOX_TEST).unlink()
    error = refused(lab, lab.spec(COMMAND))
    assert (error.code, error.hint) == ("TEMPLATE_MISSING", f"wfconsole templates lock {BUSYBOX_TEST}")


def test_a_template_file_that_has_changed_makes_its_lock_stale(lab: Lab, own: HostLocks) -> None:
    own.templates = (lab.top,)
    (lab.top / f"{BUSYBOX_TEST}.yaml").write_text("template: busybox-test\n")
    edit(own, lambda data: data["files"].update({f"{BUSYBOX_TEST}.yaml": "0" * 64}), seal=True)
    error = refused(lab, lab.spec(COMMAND))
    assert (error.code, error.hint) == ("TEMPLATE_MISSING", f"wfconsole templates lock {BUSYBOX_TEST}")
    assert "has changed" in error.message


def test_w7_an_edited_lock(lab: Lab, own: HostLocks) -> None:
    edit(own, lambda data: data["policy"]["limits"].update(memory_bytes=2**40), seal=False)
    found = drift(lab, lab.spec(COMMAND))
    assert (found.phase, found.fields) == ("lock", ("lock.digest",))


def test_w7_an_edited_lock_with_a_new_digest(lab: Lab, own: HostLocks) -> None:
    edit(own, lambda data: data["request"]["host"].update(Privileged=True, Memory=1), seal=True)
    found = drift(lab, lab.spec(COMMAND))
    assert (found.phase, found.fields) == ("create", ("create.host.Memory", "create.host.Privileged"))


def test_w7_an_edited_image_in_the_lock(lab: Lab, own: HostLocks) -> None:
    edit(own, lambda data: data["image"].update(layers=["sha256:0"]), seal=True)
    assert drift(lab, lab.spec(COMMAND)).fields == ("image.layers",)


def test_w7_what_is_seen_from_inside_differs(lab: Lab, own: HostLocks) -> None:
    def other(data: dict[str, Any]) -> None:
        data["probe"]["CapEff"] = "00000000a80425fb"
        data["tools"]["sh"] = {"path": "/bin/sh", "sha256": "0" * 64, "version": None}

    edit(own, other, seal=True)
    found = drift(lab, lab.spec(COMMAND))
    assert found.phase == "probe"
    assert {"probe.CapEff", "tools.sh.sha256"} == set(found.fields)


def test_w7_changed_limits(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def update(container_id: str, _spec: SandboxSpec) -> str:
        lab.client.update_container(container_id, mem_limit=2**32, memswap_limit=2**32)
        return container_id

    meddle(monkeypatch, update)
    found = drift(lab, lab.spec(COMMAND, limits=SandboxLimits(memory_bytes=2**26)))
    assert found.fields == ("container.host.Memory", "container.host.MemorySwap")
    assert [(each.expected, each.observed) for each in found.differences] == [(2**26, 2**32)] * 2


def test_w7_a_joined_network(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    network = lab.client.create_network(f"wfc-test-{uuid.uuid4().hex[:8]}", internal=True)["Id"]

    def join(container_id: str, _spec: SandboxSpec) -> str:
        lab.client.connect_container_to_network(container_id, network)
        return container_id

    meddle(monkeypatch, join)
    try:
        assert drift(lab, lab.spec(COMMAND, network="bridge")).fields == ("container.networks",)
    finally:
        lab.client.remove_network(network)


@pytest.mark.parametrize(
    ("forge", "fields"),
    [
        (lambda body: body["Labels"].update({ATTEMPT: "7"}), ("container.labels.wfconsole.attempt",)),
        (lambda body: body["HostConfig"].update(CapDrop=[]), ("container.host.CapDrop",)),
        (lambda body: body["HostConfig"].update(CapAdd=["SYS_PTRACE"]), ("container.host.CapAdd",)),
        (
            lambda body: body["HostConfig"].update(PidMode="host"),
            ("container.host.PidMode", "container.host.SecurityOpt"),
        ),
        (lambda body: body.update(Env=["LD_PRELOAD=/workspace/x.so"]), ("container.config.Env",)),
        (lambda body: body.update(User="0:0"), ("container.config.User",)),
        (lambda body: body["HostConfig"]["Mounts"][2].update(ReadOnly=False), ("container.mounts./etc/passwd",)),
    ],
    ids=["label", "capabilities", "capability", "processes", "environment", "user", "mount"],
)
def test_w7_a_forged_container(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, forge: Callable[[Any], object], fields: tuple[str, ...]
) -> None:
    """Another container under the attempt's name, put there between create and start."""
    made: dict[str, Any] = {}
    before = DockerSandbox._launch

    async def launch(sandbox: DockerSandbox, name: str, body: Any, held_to: HostLock, spec: SandboxSpec) -> str:
        made.update(name=name, body=json.loads(json.dumps(body)))
        return await before(sandbox, name, body, held_to, spec)

    def put(container_id: str, _spec: SandboxSpec) -> str:
        forge(made["body"])
        lab.client.remove_container(container_id, force=True)
        return str(lab.client.create_container_from_config(made["body"], made["name"])["Id"])

    monkeypatch.setattr(DockerSandbox, "_launch", launch)
    meddle(monkeypatch, put)
    assert drift(lab, lab.spec(COMMAND)).fields == fields


def test_w7_a_change_between_start_and_go(lab: Lab) -> None:
    spec = lab.spec(COMMAND)

    async def whole() -> None:
        sandbox = lab.sandbox()
        handle = await sandbox.prepare(spec)
        await asyncio.to_thread(lab.client.update_container, handle.container_id, cpu_shares=77)
        try:
            with pytest.raises(DriftError) as caught:
                await sandbox.go(handle)
            assert (caught.value.drift.phase, caught.value.drift.fields) == ("go", ("container.host.CpuShares",))
            assert not (await sandbox.wait(handle)).started
        finally:
            await sandbox.remove(handle)
            await sandbox.close()

    asyncio.run(whole())
    assert not (lab.workspace / "ran").exists()


def test_a_change_while_it_runs_taints_the_attempt(lab: Lab) -> None:
    async def update(_sandbox: DockerSandbox, handle: SandboxHandle) -> None:
        await asyncio.to_thread(lab.client.update_container, handle.container_id, cpu_shares=77)
        (lab.workspace / "changed").touch()

    result = lab.play(lab.spec(("sh", "-c", "while [ ! -e changed ]; do sleep 0.05; done")), update)
    assert result.said == ("succeeded", None)
    assert result.end.drift is not None
    assert (result.end.drift.phase, result.end.drift.fields) == ("exit", ("container.host.CpuShares",))
    assert result.end.drift.command_started


def test_an_untouched_attempt_is_not_tainted(lab: Lab) -> None:
    assert lab.run(("true",)).end.drift is None


def test_the_look_from_inside_is_made_once_a_start_of_the_engine(lab: Lab, own: HostLocks) -> None:
    stamp = own.folder / f"{BUSYBOX_TEST}.probed.json"
    stamp.unlink()
    assert lab.run(("true",)).said == ("succeeded", None)
    first = stamp.stat().st_mtime_ns
    assert lab.run(("true",)).said == ("succeeded", None)
    assert stamp.stat().st_mtime_ns == first
    found = own.find(BUSYBOX_TEST)
    assert found is not None
    own.write(replace(found, policy=replace(found.policy, probe="always")).sealed())
    for _ in range(2):
        before = stamp.stat().st_mtime_ns
        assert lab.run(("true",)).said == ("succeeded", None)
        assert stamp.stat().st_mtime_ns > before


def test_an_adopted_attempt_is_held_to_what_its_first_owner_asked_for(lab: Lab, own: HostLocks) -> None:
    spec = lab.spec(("sleep", "600"), limits=SandboxLimits(output_bytes=1000))

    async def whole() -> None:
        first, second = lab.sandbox(), lab.sandbox()
        handle = await first.prepare(spec)
        assert await first.go(handle)
        own.path(BUSYBOX_TEST).unlink()  # a lock that went since changes nothing for what has begun
        adopted = await second.prepare(spec)
        assert (adopted.fingerprint, adopted.container_id) == (handle.fingerprint, handle.container_id)
        await asyncio.to_thread(lab.client.update_container, handle.container_id, cpu_shares=77)
        await second.stop(adopted, force=True)
        end = await second.wait(adopted)
        assert end.drift is not None
        await second.remove(adopted)
        await first.close()
        await second.close()

    asyncio.run(whole())


def test_a_template_is_tightened_and_never_loosened(lab: Lab, own: HostLocks, name: str) -> None:
    make_image(lab.client, name)
    limits = SandboxLimits(memory_bytes=2**27, pids=64, output_bytes=2**20)
    policy = Policy(network="none", limits=limits, mounts={"workspace": "ro"}, env={"PATH": "/bin", "HUE": "blue"})
    lock(own, Template(name=name, description="", digest="", policy=policy))
    assert refused(lab, lab.spec(COMMAND, template=name, network="bridge")).code == "POLICY_BLOCKED"
    result = lab.sh(
        "ulimit -n; echo $HUE; touch /workspace/ran", template=name, limits=SandboxLimits(memory_bytes=2**40)
    )
    assert result.out() == b"4096\nblue\n"
    assert b"Read-only" in result.err()


def test_a_container_that_somebody_takes_away_before_its_start_is_told_as_such(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(container_id: str, _: SandboxSpec) -> str:
        lab.client.remove_container(container_id, force=True)
        return container_id

    meddle(monkeypatch, take)
    error = refused(lab, lab.spec(COMMAND))
    assert error.code == "SANDBOX_UNAVAILABLE"
    assert "took the container" in error.message
