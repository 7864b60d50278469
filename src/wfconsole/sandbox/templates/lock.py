"""Making the host's lock of a template: look at its image from outside and inside, and write down what is there.

Called by `templates build` and `templates lock` alone; a run never writes a lock. Owns what goes into it. Refuses an image
that is not made from the template file that is there now: the label says from which it was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from wfconsole import __version__
from wfconsole.domain.policy.drift import Difference, compare
from wfconsole.ports import DriftError, WfconsoleError
from wfconsole.sandbox import fingerprint, probe
from wfconsole.sandbox.checks import base_request, plain_request
from wfconsole.sandbox.engine import Engine, Missing
from wfconsole.sandbox.folders import Account
from wfconsole.sandbox.gate import Gate
from wfconsole.sandbox.locks import LOCK_VERSION, HostLock, HostLocks, missing, put
from wfconsole.sandbox.templates.shape import Template
from wfconsole.sandbox.trial import plain_spec, trial

LABEL = "wfconsole.template_digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A template on this machine: ok, missing, stale (its file has changed) or drift; `command` of ``templates`` mends it."""

    state: Literal["ok", "missing", "stale", "drift"]
    reason: str | None = None
    differences: tuple[Difference, ...] = ()
    command: str = ""


@dataclass(slots=True)
class Workshop:
    """What locks are made with. `cache` is for trials; the engine is closed by whoever made it."""

    engine: Engine
    gate: Gate
    cache: Path
    locks: HostLocks

    async def lock(self, template: Template, image_id: str, versions: Mapping[str, str]) -> HostLock:
        """Make and write the lock of this image; `versions` are what its tools said. Raises TEMPLATE_MISSING."""
        image = await self.image(template, image_id)
        policy = template.policy
        tried = await trial(self.engine, self.gate, self.cache, image_id, policy, probe.script(template.tools))
        facts, tools = probe.read(tried.output)
        account = Account.of(policy.uid, policy.gid)
        lock = HostLock(
            schema_version=LOCK_VERSION,
            template=template.name,
            template_digest=template.digest,
            files=dict(template.files),
            image=image,
            request=plain_request(image_id, account, plain_spec(Path("/trial"), policy)),
            made=fingerprint.plain(fingerprint.of_container(tried.made)),
            probe=facts,
            tools={name: {"version": versions.get(name), **tool} for name, tool in tools.items()},
            engine=await self.about(),
            policy=policy,
            by=f"wfconsole {__version__}",
            at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        ).sealed()
        self.locks.write(lock)
        identity = await self.engine.identity()
        booted = probe.boot(self.engine.socket_path, identity)
        put(self.locks.folder / f"{template.name}.probed.json", _stamp(lock, booted))
        return lock

    async def image(self, template: Template, reference: str) -> dict[str, Any]:
        """The image's fingerprint. Raises TEMPLATE_MISSING when it is not there, or not made from this template file."""
        try:
            found = fingerprint.of_image(await self.engine.call(lambda client: client.inspect_image(reference)))
        except Missing:
            message = f"the image of template {template.name} is not on this machine"
            raise missing(template.name, message, image=False) from None
        built = found["config"]["labels"].get(LABEL, "")
        if built != template.image_digest:
            message = f"the image of template {template.name} was made from another template file"
            raise missing(template.name, message, image=False)
        if template.platform not in (None, found["platform"]):
            raise WfconsoleError(
                "TEMPLATE_MISSING",
                f"the image of template {template.name} is for {found['platform']}, the template wants {template.platform}",
                "use an engine of that platform",
            )
        _complete(template, found["config"]["env"])
        return found

    async def compare(self, template: Template) -> State:
        """The template beside its image and its lock. Nothing is written."""
        lock = self.locks.find(template.name)
        try:
            image = fingerprint.of_image(await self.engine.call(lambda client: client.inspect_image(template.tag)))
        except Missing:
            return State(state="missing", reason="its image is not on this machine", command="build")
        fits = image["config"]["labels"].get(LABEL) == template.image_digest
        command = "lock" if fits else "build"
        if lock is None:
            why = "it has no lock on this machine" if fits else "its image is of another template file"
            return State(state="missing", reason=why, command=command)
        stale = self.locks.stale(lock)
        if stale is not None:
            return State(state="stale", reason=f"its lock is out of date: {stale}", command=command)
        found: tuple[Difference, ...]
        try:
            self.locks.read(template.name)
            found = compare(
                {"image": lock.image, "create": lock.request}, {"image": image, "create": base_request(lock)}
            )
        except DriftError as error:
            found = error.drift.differences
        if not found:
            return State(state="ok")
        moved = any(each.field.startswith("image.") for each in found)
        command = "build" if moved else "lock"
        return State(state="drift", reason="it is not what its lock says", differences=found, command=command)

    async def about(self) -> dict[str, Any]:
        """The engine as it describes itself."""
        version: dict[str, Any] = await self.engine.call(lambda client: client.version())
        info: dict[str, Any] = await self.engine.call(lambda client: client.info())
        return {
            "version": version.get("Version"),
            "api": version.get("ApiVersion"),
            "kernel": info.get("KernelVersion"),
            "runtime": info.get("DefaultRuntime"),
            "cgroup": info.get("CgroupVersion") or "1",
            "storage": info.get("Driver"),
            "security": sorted(str(option) for option in info.get("SecurityOptions") or ()),
        }


def _stamp(lock: HostLock, booted: str) -> str:
    import json

    return json.dumps({"lock": lock.digest, "boot": booted}) + "\n"


def _complete(template: Template, env: list[str]) -> None:
    """A template's environment is complete: an image that brings variables of its own does not serve."""
    foreign = sorted({text.partition("=")[0] for text in env} - template.env.keys())
    if foreign:
        raise WfconsoleError(
            "TEMPLATE_MISSING",
            f"the image of template {template.name} sets {', '.join(foreign)}, which the template file does not name",
            "name them under `env`, or use another image",
        )
