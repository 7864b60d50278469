"""The network of an attempt with an allow-list: an internal one of its own, and a proxy container that is its only way out.

Owns making both and taking them away, by names derived from the attempt's container. Refuses to judge single connections: that
is `proxy`. What would surprise: the bridge of that network has no address on the host, so there is no gateway on which the
host's own services could be reached; and the embedded resolver is told to ask nobody, so no name leaves by DNS.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from wfconsole.ports import SandboxSpec, WfconsoleError
from wfconsole.sandbox import folders, hiding, proxy, seccomp
from wfconsole.sandbox.engine import Client, Conflict, Engine, Missing
from wfconsole.sandbox.folders import Account
from wfconsole.sandbox.gate import Gate
from wfconsole.sandbox.locks import missing

TEMPLATE = "python"
"""Whose image the proxy runs in: it is a Python program of 200 lines."""
PROXY_HOST = "proxy.wfconsole.internal"
RESOLVER = "resolv.conf"
"""For the step: the engine's resolver, which it names itself, takes seconds to say that it knows no other name."""
READY_S = 20.0
UNTOLD = "places that are not told, because the run has secrets"
TRIES = 8
_RANGE = ipaddress.ip_network("198.18.0.0/15")
"""Set aside for benchmarks: nobody's own network."""
_PLACE = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]{1,253}):([1-9]\d{0,4})")
_INSIDE = "/proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """A network that is up: its name, and the names in it that mean the proxy."""

    network: str
    hosts: tuple[str, ...]


def places(listed: Sequence[str]) -> list[tuple[str, int]]:
    """The allow-list as hosts and ports. Raises INPUT_INVALID for what is no host:port."""
    found = []
    for text in listed:
        match = _PLACE.fullmatch(str(text))
        if match is None or int(match[2]) > 65535:
            raise WfconsoleError(
                "INPUT_INVALID", f"network: {str(text)[:80]!r} is no host:port", "like example.org:443"
            )
        found.append((match[1].strip("[]"), int(match[2])))
    return found


def environment(spec: SandboxSpec) -> dict[str, str]:
    """Variables by which programs find the proxy; none for other networks."""
    if isinstance(spec.network, str):
        return {}
    address = f"http://{PROXY_HOST}:{proxy.PORT}"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy")
    return {**dict.fromkeys(names, address), "NO_PROXY": "localhost,127.0.0.1", "no_proxy": "localhost,127.0.0.1"}


def folder_of(spec: SandboxSpec) -> Path:
    """Where the proxy's program, its list and what it refused lie."""
    return spec.in_dir.parent / "proxy"


def refused(spec: SandboxSpec) -> tuple[str, ...]:
    """What the proxy did not let through, as host:port."""
    if isinstance(spec.network, str):
        return ()
    try:
        found = tuple((folder_of(spec) / "out" / "refused").read_text().splitlines())
    except OSError:
        return ()
    # A host name is text of the step's choosing, and lower-cased on its way: no search would find a secret in it.
    return (UNTOLD,) if found and hiding.is_hidden(spec) else found


async def build(
    engine: Engine, gate: Gate, spec: SandboxSpec, name: str, labels: Mapping[str, str], *, image_id: str
) -> Fence:
    """Make the network and start its proxy from the locked image of `TEMPLATE`.

    Raises SANDBOX_UNAVAILABLE, or TEMPLATE_MISSING without that image; then nothing is left of it.
    """
    listed = places(tuple(spec.network))
    await drop(engine, gate, name)
    await engine.offload(lambda: _write(spec, listed))
    try:
        async with gate.slot(await engine.identity()):
            await _create(engine, name, labels)
            body = _proxy(spec, image_id, labels)
            made = await _container(engine, body, f"{name}-proxy")
            await engine.call(lambda client: client.connect_container_to_network(made["Id"], f"{name}-net"))
            await engine.call(lambda client: client.start(made["Id"]))
        await _ready(engine, spec, made["Id"])
        found = await engine.call(lambda client: client.inspect_container(made["Id"]))
        address = found["NetworkSettings"]["Networks"][f"{name}-net"]["IPAddress"]
    except BaseException as error:
        await asyncio.shield(drop(engine, gate, name))
        if isinstance(error, Missing | Conflict | KeyError):
            raise WfconsoleError("SANDBOX_UNAVAILABLE", f"the network of {name} cannot be made: {error}") from error
        raise
    known = {PROXY_HOST, *(host for host, _ in proxy.direct(listed).values() if _is_name(host))}
    return Fence(network=f"{name}-net", hosts=tuple(f"{host}:{address}" for host in sorted(known)))


async def drop(engine: Engine, gate: Gate, name: str) -> None:
    """Take the proxy and the network of the container `name` away; fine when there are none."""
    with suppress(Missing):
        await engine.call(lambda client: client.inspect_network(f"{name}-net"))
        async with gate.slot(await engine.identity()):
            with suppress(Missing, Conflict):
                await engine.call(lambda client: client.remove_container(f"{name}-proxy", force=True, v=True))
            await engine.call(lambda client: client.remove_network(f"{name}-net"))


async def _container(engine: Engine, body: dict[str, Any], name: str) -> dict[str, Any]:
    """Created by the image's id: where a tag leads today is nothing to rely on for the only way out."""
    try:
        made: dict[str, Any] = await engine.call(lambda client: client.create_container_from_config(body, name))
    except Missing:
        what = (
            f"the proxy of a step's network runs in the template {TEMPLATE}, whose locked image is not on this machine"
        )
        raise missing(TEMPLATE, what, image=False) from None
    return made


def _is_name(host: str) -> bool:
    return not re.fullmatch(r"[0-9.]+|.*:.*", host)


async def _create(engine: Engine, name: str, labels: Mapping[str, str]) -> None:
    """Sixteen addresses, so that the engine's own few ranges are not used up; the host has no route to them."""
    for attempt in range(TRIES):
        chance = int.from_bytes(hashlib.sha256(f"{name}/{attempt}".encode()).digest()[:4])
        subnet = ipaddress.ip_network((int(_RANGE[0]) + chance % (_RANGE.num_addresses // 16) * 16, 28))
        try:
            await engine.call(partial(_make, _network(name, labels, str(subnet))))
        except WfconsoleError as error:
            if "overlap" not in error.message or attempt + 1 == TRIES:
                raise
        else:
            return


def _make(wanted: Mapping[str, Any], client: Client) -> None:
    client.create_network(**wanted)


def _network(name: str, labels: Mapping[str, str], subnet: str) -> dict[str, Any]:
    return {
        "name": f"{name}-net",
        "ipam": {"Driver": "default", "Config": [{"Subnet": subnet}]},
        "driver": "bridge",
        "internal": True,
        "labels": dict(labels),
        "options": {
            "com.docker.network.bridge.inhibit_ipv4": "true",
            "com.docker.network.bridge.enable_ip_masquerade": "false",
        },
    }


def _proxy(spec: SandboxSpec, image_id: str, labels: Mapping[str, str]) -> dict[str, Any]:
    account = Account.here()
    folder = folder_of(spec)
    mounts = [(folder, _INSIDE, True), (folder / "out", f"{_INSIDE}/out", False)]
    return {
        "Image": image_id,
        "Entrypoint": ["python3", "-I", "-S", f"{_INSIDE}/proxy.py", _INSIDE],
        "Cmd": None,
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"],
        "User": f"{account.uid}:{account.gid}",
        "WorkingDir": "/",
        "Hostname": "proxy",
        "Labels": dict(labels),
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "NetworkMode": "bridge",
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges", seccomp.option()],
            "Sysctls": {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ip_forward": "0"},
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "none"},
            "IpcMode": "private",
            "Memory": 128 * 1024**2,
            "MemorySwap": 128 * 1024**2,
            "PidsLimit": 64,
            "OomScoreAdj": 500,
            "Mounts": [
                {"Type": "bind", "Source": str(source.absolute()), "Target": target, "ReadOnly": read_only}
                for source, target, read_only in mounts
            ],
        },
    }


def _write(spec: SandboxSpec, listed: Sequence[tuple[str, int]]) -> None:
    folder = folder_of(spec)
    folders.discard(folder)
    (folder / "out").mkdir(parents=True)
    (folder / "proxy.py").write_bytes(Path(proxy.__file__).read_bytes())
    (folder / "list.json").write_text(json.dumps(listed))
    (folder / RESOLVER).write_text("nameserver 127.0.0.1\noptions attempts:1 timeout:1\n")
    for path in (folder, folder / "proxy.py", folder / "list.json", folder / RESOLVER):
        path.chmod(0o755 if path.is_dir() else 0o644)
    folders.own(folder / "out", Account.here())


async def _ready(engine: Engine, spec: SandboxSpec, container_id: str) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + READY_S
    while not (folder_of(spec) / "out" / "ready").exists():
        state = (await engine.call(lambda client: client.inspect_container(container_id)))["State"]
        if not state["Running"] or loop.time() > until:
            raise WfconsoleError(
                "SANDBOX_UNAVAILABLE",
                f"the proxy of the step's network did not start (exit {state['ExitCode']})",
                "wfconsole doctor sandbox",
            )
        await asyncio.sleep(0.03)
