"""The comparison of each container with its template's lock: before the start, before the first command, and at the end.

Owns when the engine is asked and what is kept in the attempt's folder for whoever takes the attempt over. Refuses to decide
what follows from a difference: it raises, or reports, what was found. The decision that would surprise: a container that
differs is never started to find out more; the look from inside is made in a container of its own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from wfconsole.domain.codec import canonical, from_json, to_json
from wfconsole.domain.policy.drift import Difference, Drift, Phase, compare
from wfconsole.ports import DriftError, SandboxHandle, SandboxLimits, SandboxSpec, WfconsoleError
from wfconsole.sandbox import fingerprint, marks, probe
from wfconsole.sandbox.engine import Client, Engine, Missing
from wfconsole.sandbox.folders import Account
from wfconsole.sandbox.gate import Gate
from wfconsole.sandbox.glance import Answer, Glance, glance
from wfconsole.sandbox.locks import HostLock, HostLocks, missing, put
from wfconsole.sandbox.trial import plain_body, plain_spec, trial

T = TypeVar("T")
KEPT = "check"
"""A file in the attempt's `in` folder: what its container was expected to be."""


@dataclass(slots=True)
class Checks:
    """The checks of one adapter. `cache` is for trials."""

    engine: Engine
    gate: Gate
    cache: Path
    locks: HostLocks
    _probing: dict[str, asyncio.Lock] = field(default_factory=dict)
    _agreed: set[str] = field(default_factory=set)

    async def lock(self, template: str) -> HostLock:
        """The lock that a new container is held to. Raises TEMPLATE_MISSING, DriftError.

        The request that we would make now is compared with the locked one, and the template is looked at from inside when that
        was not done since the engine's start.
        """
        try:
            lock = await self.engine.offload(lambda: self.locks.read(template))
        except WfconsoleError as error:
            if error.code == "TEMPLATE_MISSING" and not await self._is_there(f"wfconsole/{template}:latest"):
                raise absent(template) from None
            raise
        if lock.digest not in self._agreed:
            differences = await self.engine.offload(lambda: compare(lock.request, base_request(lock)))
            if differences:
                raise DriftError(drift_of(lock, "create", _under("create", differences)))
            self._agreed.add(lock.digest)
        async with self._probing.setdefault(template, asyncio.Lock()):
            await self._probe(lock)
        return lock

    async def helper(self, template: str) -> HostLock:
        """The lock of a template that a container beside the step's is made from; a fallback of the step would not mend it."""
        try:
            return await self.lock(template)
        except DriftError as error:
            raise DriftError(replace(error.drift, on_mismatch="fail", fallback_template=None)) from None

    async def expect(self, body: Mapping[str, Any], lock: HostLock, spec: SandboxSpec) -> fingerprint.Fields:
        """What the engine has to make of `body`, kept beside the attempt; called while the engine makes it, which takes longer.

        Raises DriftError when the image is not the locked one, TEMPLATE_MISSING without it.
        """

        def look(ask: Glance) -> fingerprint.Fields:
            answer = ask.ask_image(f"{lock.tag}:latest")
            asked = fingerprint.of_request(body)
            wanted = fingerprint.expected(asked, lock.request, lock.made, lock.image["config"]["labels"])
            _keep(
                spec.in_dir / KEPT, {"lock": to_json(_short(lock)), "container": wanted, "limits": to_json(spec.limits)}
            )
            _compared(lock, "image", lock.image, fingerprint.of_image(_tagged(ask, lock, answer)))
            return wanted

        return await self._ask(look)

    async def before_start(self, container_id: str, wanted: fingerprint.Fields, lock: HostLock) -> None:
        """Raises DriftError when the container is not what was wanted of the engine."""
        await self._ask(
            lambda ask: _compared(lock, "container", wanted, fingerprint.of_container(ask.container(container_id)))
        )

    async def replaced(self, lock: HostLock) -> DriftError | None:
        """The locked image is gone: is another one there under its tag?"""
        try:
            image = fingerprint.of_image(await self._ask(lambda ask: ask.image(f"{lock.tag}:latest")))
        except Missing:
            return None
        found = compare({"image": lock.image}, {"image": image})
        return DriftError(drift_of(lock, "create", found, fingerprint.digest(image))) if found else None

    async def before_go(self, handle: SandboxHandle) -> None:
        """The container once more: it has been waiting. Raises DriftError; of an attempt that has begun nothing is asked."""
        if marks.read(handle.spec.in_dir, marks.GO) is None:
            found = await self._changed(handle, "go")
            if found is not None:
                raise DriftError(found)

    async def at_end(self, handle: SandboxHandle) -> Drift | None:
        """What was changed in the container while it ran."""
        return await self._changed(handle, "exit")

    def adopted(self, handle: SandboxHandle) -> SandboxHandle:
        """The handle of an attempt that another owner began, with what that owner held it to."""
        kept = _kept(handle.spec.in_dir)
        if kept is None:
            return handle
        limits: SandboxLimits = from_json(SandboxLimits, kept["limits"])
        lock: _Short = from_json(_Short, kept["lock"])
        return replace(handle, spec=replace(handle.spec, limits=limits), fingerprint=lock.fingerprint)

    async def _changed(self, handle: SandboxHandle, phase: Phase) -> Drift | None:
        kept = await self.engine.offload(lambda: _kept(handle.spec.in_dir))
        if kept is None:
            return None
        try:
            found = await self._ask(lambda ask: ask.container(handle.container_id))
        except Missing:
            return None  # taken away: the end says so
        seen = fingerprint.of_container(found)
        differences = compare({"container": kept["container"]}, {"container": seen})
        lock: _Short = from_json(_Short, kept["lock"])
        return drift_of(lock, phase, differences, fingerprint.digest(seen)) if differences else None

    async def _probe(self, lock: HostLock) -> None:
        """Look from inside, unless somebody has since the engine's start."""
        stamp = {"lock": lock.digest, "boot": await self._booted()}
        path = self.locks.folder / f"{lock.template}.probed.json"
        if lock.policy.probe != "always" and await self.engine.offload(lambda: _read(path)) == stamp:
            return
        image = await self._image(lock)
        differences = compare({"image": lock.image}, {"image": image})
        if differences:
            raise DriftError(drift_of(lock, "create", differences, fingerprint.digest(image)))
        tried = await trial(self.engine, self.gate, self.cache, lock.image_id, lock.policy, probe.script(lock.tools))
        facts, tools = probe.read(tried.output)
        locked = {name: {key: tool.get(key) for key in ("path", "sha256")} for name, tool in lock.tools.items()}
        found = compare({"probe": lock.probe, "tools": locked}, {"probe": facts, "tools": tools})
        if found:
            raise DriftError(drift_of(lock, "probe", found, fingerprint.digest(facts)))
        await self.engine.offload(lambda: put(path, json.dumps(stamp) + "\n"))

    async def _is_there(self, image: str) -> bool:
        try:
            await self._ask(lambda ask: ask.image(image))
        except Missing:
            return False
        return True

    async def _image(self, lock: HostLock) -> fingerprint.Fields:
        try:
            return fingerprint.of_image(
                await self._ask(lambda ask: _tagged(ask, lock, ask.ask_image(f"{lock.tag}:latest")))
            )
        except Missing:
            raise absent(lock.template) from None

    async def _ask(self, question: Callable[[Glance], T]) -> T:
        def ask(client: Client) -> T:
            with glance(self.engine.socket_path, str(client.api_version)) as connection:
                return question(connection)

        return await self.engine.call(ask)

    async def _booted(self) -> str:
        """Asked anew each time but for the engine's own id: the engine may have been restarted under us."""
        identity = await self.engine.identity()
        return await self.engine.offload(lambda: probe.boot(self.engine.socket_path, identity))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Short:
    """What is kept of a lock beside a container: enough to tell of a drift."""

    template: str
    digest: str
    fingerprint: str
    on_mismatch: str
    fallback_template: str | None = None


def _short(lock: HostLock) -> _Short:
    return _Short(
        template=lock.template,
        digest=lock.digest,
        fingerprint=lock.fingerprint,
        on_mismatch=lock.policy.on_mismatch,
        fallback_template=lock.policy.fallback_template,
    )


def drift_of(lock: HostLock | _Short, phase: Phase, differences: tuple[Difference, ...], seen: str = "") -> Drift:
    short = lock if isinstance(lock, _Short) else _short(lock)
    return Drift(
        template=short.template,
        phase=phase,
        differences=differences,
        on_mismatch="fallback" if short.on_mismatch == "fallback" else "fail",
        fallback_template=short.fallback_template,
        lock=short.digest,
        observed=seen,
    )


def base_request(lock: HostLock) -> fingerprint.Fields:
    """What we would ask the engine for now, of an attempt that asks for nothing; to be compared with `lock.request`."""
    return plain_request(
        lock.image_id, Account.of(lock.policy.uid, lock.policy.gid), plain_spec(Path("/trial"), lock.policy)
    )


def plain_request(image_id: str, account: Account, spec: SandboxSpec) -> fingerprint.Fields:
    return fingerprint.plain(fingerprint.of_request(plain_body(spec, image_id, account, Path("/busybox"))))


def absent(template: str) -> Exception:
    return missing(template, f"the image of template {template} is not on this machine", image=False)


def _compared(lock: HostLock, part: str, wanted: fingerprint.Fields, seen: fingerprint.Fields) -> None:
    found = compare({part: wanted}, {part: seen})
    if found:
        raise DriftError(drift_of(lock, "create", found, fingerprint.digest(seen)))


def _tagged(ask: Glance, lock: HostLock, answer: Answer) -> dict[str, Any]:
    """By tag, so that a tag that was moved is seen; an image that only lost its tag is still the locked one."""
    try:
        return answer()
    except Missing:
        return ask.image(lock.image_id)


def _under(prefix: str, differences: tuple[Difference, ...]) -> tuple[Difference, ...]:
    return tuple(replace(each, field=f"{prefix}.{each.field}") for each in differences)


def _keep(path: Path, kept: dict[str, Any]) -> None:
    path.write_bytes(canonical(kept))
    path.chmod(0o444)


def _kept(in_dir: Path) -> dict[str, Any] | None:
    found = _read(in_dir / KEPT)
    return found if isinstance(found, dict) else None


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
