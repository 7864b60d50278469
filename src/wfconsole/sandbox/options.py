"""What a container is created with: the whole request to the engine, built by us, nothing inherited.

Pure: values in, the request's JSON out. Refuses any option that a recipe could pass through. What would surprise: the
commands' environment is not in here (the engine would show it to everybody and mangles bytes that are no UTF-8).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wfconsole.ports import SandboxSpec, WfconsoleError
from wfconsole.sandbox import network, runner, seccomp
from wfconsole.sandbox.folders import Account

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(spec: SandboxSpec, template: Mapping[str, str] | None = None) -> dict[str, str]:
    """The complete environment of each command: ours, then the template's, then the step's."""
    home = runner.HOME
    return {
        "PATH": PATH,
        "HOME": home,
        "USER": "sandbox",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "CI": "true",
        "TMPDIR": "/tmp",  # noqa: S108  # the sandbox's own tmpfs
        "XDG_CACHE_HOME": f"{home}/.cache",
        "XDG_CONFIG_HOME": f"{home}/.config",
        "XDG_DATA_HOME": f"{home}/.local/share",
        "PIP_CACHE_DIR": f"{home}/.cache/pip",
        "PYTHONDONTWRITEBYTECODE": "1",
        "RUFF_CACHE_DIR": f"{home}/.cache/ruff",
        "MYPY_CACHE_DIR": f"{home}/.cache/mypy",
        "npm_config_cache": f"{home}/.cache/npm",
        "GOCACHE": f"{home}/.cache/go",
        "CARGO_HOME": f"{home}/.cargo",
        **(template or {}),
        **network.environment(spec),
        **spec.env,
    }


def body(
    spec: SandboxSpec,
    *,
    image_id: str,
    labels: Mapping[str, str],
    account: Account,
    busybox: Path,
    secrets: Path | None,
    fence: network.Fence | None = None,
) -> dict[str, Any]:
    """The request that creates the container of `spec`; `fence` is the network of one with an allow-list."""
    return {
        "Image": image_id,
        "Entrypoint": list(runner.COMMAND_LINE),
        "Cmd": None,
        "Env": [],
        "User": f"{account.uid}:{account.gid}",
        "WorkingDir": "/",
        "Hostname": "sandbox",
        "Labels": dict(labels),
        "Healthcheck": {"Test": ["NONE"]},
        "NetworkDisabled": False,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": False,
        "HostConfig": {**_host(spec, account=account, busybox=busybox, secrets=secrets), **_reach(spec, fence)},
    }


def check(spec: SandboxSpec, socket_path: str) -> None:
    """Refuse what a sandbox never gets. Raises POLICY_BLOCKED, INPUT_INVALID."""
    if not isinstance(spec.network, str):
        network.places(spec.network)
    elif spec.network not in {"none", "bridge"}:
        raise WfconsoleError(
            "POLICY_BLOCKED",
            f"the network {spec.network} is not for sandboxes",
            "use network: none, bridge or a list of host:port",
        )
    engine = Path(socket_path).resolve()
    for mount in spec.mounts:
        source = mount.source.resolve()
        if engine == source or source in engine.parents:
            raise WfconsoleError(
                "POLICY_BLOCKED",
                f"{mount.source} holds the Docker socket, which no sandbox gets",
                "mount another folder",
            )


def _host(spec: SandboxSpec, *, account: Account, busybox: Path, secrets: Path | None) -> dict[str, Any]:
    limits = spec.limits
    owner = f"uid={account.uid},gid={account.gid}"
    return {
        "AutoRemove": False,
        "Init": False,
        "Privileged": False,
        "ReadonlyRootfs": True,
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges", seccomp.option()],
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "none"},
        "OomScoreAdj": 500,
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,
        "NanoCpus": int(min(limits.cpus, os.cpu_count() or 1) * 1e9),
        "PidsLimit": limits.pids,
        "ShmSize": 64 * 1024**2,
        "Ulimits": [
            {"Name": "nofile", "Soft": 4096, "Hard": 4096},
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "fsize", "Soft": limits.file_bytes, "Hard": limits.file_bytes},
        ],
        "Tmpfs": {
            "/tmp": f"rw,noexec,nosuid,nodev,mode=1777,{owner},size={limits.tmp_bytes}",  # noqa: S108  # inside the sandbox
            runner.HOME: f"rw,exec,nosuid,nodev,mode=0700,{owner},size={limits.home_bytes}",
        },
        "Mounts": _mounts(spec, busybox=busybox, secrets=secrets),
    }


def _reach(spec: SandboxSpec, fence: network.Fence | None) -> dict[str, Any]:
    """The network. With an allow-list the engine's resolver is to ask nobody: names would leave by it."""
    if isinstance(spec.network, str):
        return {"NetworkMode": spec.network}
    if fence is None:
        raise TypeError("an allow-list without its network")
    return {
        "NetworkMode": fence.network,
        "ExtraHosts": list(fence.hosts),
        "Dns": ["127.0.0.1"],
        "DnsOptions": ["attempts:1"],
    }


def _mounts(spec: SandboxSpec, *, busybox: Path, secrets: Path | None) -> list[dict[str, Any]]:
    mounts = [
        _bind(busybox, runner.BUSYBOX),
        _bind(spec.in_dir, runner.IN),
        _bind(spec.in_dir / "passwd", "/etc/passwd"),
        _bind(spec.out_dir, runner.OUT, read_only=False),
        _bind(spec.scratch, runner.SCRATCH, read_only=False),
    ]
    if secrets is not None:
        mounts.append(_bind(secrets, runner.SECRETS))
    if not isinstance(spec.network, str):
        mounts.append(_bind(network.folder_of(spec) / network.RESOLVER, "/etc/resolv.conf"))
    return mounts + [_bind(mount.source, mount.target, read_only=mount.read_only) for mount in spec.mounts]


def _bind(source: Path, target: str, *, read_only: bool = True) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": str(source.absolute()),
        "Target": target,
        "ReadOnly": read_only,
        "BindOptions": {"Propagation": "rprivate"},
    }
