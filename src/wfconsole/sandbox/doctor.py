"""What `wfconsole doctor` says about the engine: facts, no verdicts.

Refuses to judge and to mend. Raises SANDBOX_UNAVAILABLE like every other call when there is no engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wfconsole.sandbox.engine import Engine, refuse_desktop


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineReport:
    """One engine. `images` maps template names to image ids; `seccomp` is False when the engine confines no system calls."""

    version: str
    api: str
    runtime: str
    kernel: str
    cgroup: str
    storage: str
    seccomp: bool
    security: tuple[str, ...]
    socket: str
    images: dict[str, str]


async def engine_report(docker_host: str | None = None) -> EngineReport:
    """Ask the local engine. Raises WfconsoleError SANDBOX_UNAVAILABLE."""
    engine = Engine(docker_host)
    try:
        version: dict[str, Any] = await engine.call(lambda client: client.version())
        info: dict[str, Any] = await engine.call(lambda client: client.info())
        refuse_desktop(info)
        images: list[dict[str, Any]] = await engine.call(lambda client: client.images())
    finally:
        await engine.close()
    security = tuple(str(option) for option in info.get("SecurityOptions") or ())
    return EngineReport(
        version=str(version.get("Version", "")),
        api=str(version.get("ApiVersion", "")),
        runtime=str(info.get("DefaultRuntime", "")),
        kernel=str(info.get("KernelVersion", "")),
        cgroup=f"v{info.get('CgroupVersion', '1')}",
        storage=str(info.get("Driver", "")),
        seccomp=any(option.startswith("name=seccomp") for option in security),
        security=security,
        socket=engine.socket_path,
        images=_templates(images),
    )


def _templates(images: list[dict[str, Any]]) -> dict[str, str]:
    prefix = "wfconsole/"
    return {
        tag.removeprefix(prefix).removesuffix(":latest"): str(image["Id"])
        for image in images
        for tag in image.get("RepoTags") or ()
        if tag.startswith(prefix)
    }
