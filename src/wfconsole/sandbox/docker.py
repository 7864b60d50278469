"""The port's five verbs on a local Docker engine, in the order of their use: prepare, go, wait, stop, remove.

Owns their sequence and idempotence; each verb's work lies in its own module. What would surprise: `prepare` of an attempt
that has begun hands back the container that is there (an adoption), and never starts one a second time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from wfconsole.ports import DriftError, SandboxEnd, SandboxHandle, SandboxSpec, WfconsoleError
from wfconsole.sandbox import folders, hiding, marks, network, options, patience, wait as wait_module
from wfconsole.sandbox.busybox import interpreter
from wfconsole.sandbox.checks import Checks, absent
from wfconsole.sandbox.engine import Conflict, Engine, Missing
from wfconsole.sandbox.folders import Account
from wfconsole.sandbox.gate import Gate
from wfconsole.sandbox.labels import DATABASE, container_name, labels
from wfconsole.sandbox.locks import HostLock, HostLocks
from wfconsole.sandbox.policy import tightened
from wfconsole.sandbox.stop import GRACE_S, stop as stop_container
from wfconsole.sandbox.sweep import forgotten, sweep

T = TypeVar("T")


class DockerSandbox:
    """`cache` keeps the runner's interpreter, `gates` the start gate that all processes of the account share.

    `locks` say what each template's sandbox has to be. `say` is told when an engine that went away is waited for; one that this
    process has never reached is waited for only for a run that had sandboxes on it, or when `unattended`.
    Contacts nothing before the first await. Raises WfconsoleError with SANDBOX_UNAVAILABLE, TEMPLATE_MISSING,
    SANDBOX_LOST, POLICY_BLOCKED or INPUT_INVALID, and DriftError.
    """

    def __init__(
        self,
        *,
        database_id: str,
        owner: str,
        cache: Path,
        gates: Path,
        locks: HostLocks,
        docker_host: str | None = None,
        unattended: bool = False,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._unattended = unattended
        self._tell = patience.seldom(say)
        self._database_id = database_id
        self._owner = owner
        self._cache = cache
        self._gate = Gate(gates)
        self._engine = Engine(docker_host)
        self._checks = Checks(self._engine, self._gate, cache, locks)
        self._busybox: Path | None = None
        self._looked = self._swept = False

    async def prepare(self, spec: SandboxSpec) -> SandboxHandle:
        """Create, check and start the container; its runner waits for `go`. Repeatable until then, an adoption afterwards."""
        options.check(spec, self._engine.socket_path)
        begun = marks.read(spec.in_dir, marks.GO) is not None

        def seconds() -> float:
            expected = begun or spec.resumed or self._unattended or self._engine.has_answered
            return patience.PATIENCE_S if expected else 0

        wanted = spec.wanted if not begun else lambda: True
        return await patience.patiently(self._engine, lambda: self._prepare(spec), seconds, self._tell, wanted)

    async def _prepare(self, spec: SandboxSpec) -> SandboxHandle:
        await _mine(spec)
        begun = marks.read(spec.in_dir, marks.GO)
        name = container_name(self._database_id, spec)
        existing = await self._existing(name)
        if begun is not None:
            if existing is None or begun.word == marks.VOID:
                await self._salvage(spec, name)
                raise _gone(name, begun.word)
            begun_by = SandboxHandle(container_id=existing["Id"], name=name, image_id=existing["Image"], spec=spec)
            return self._checks.adopted(replace(begun_by, adopted=True))
        if spec.withheld is not None:
            raise WfconsoleError("SECRET_MISSING", spec.withheld, "set it and run again")
        await self._sweep_once(spec)
        lock = await self._checks.lock(spec.template)
        spec = tightened(spec, lock.policy)
        await _mine(spec)
        if existing is not None:
            await self._discard(existing["Id"])
        await self._end_earlier(spec)
        return await self._start(spec, name, lock)

    async def go(self, handle: SandboxHandle) -> bool:
        """Let it begin, once and for good. False: somebody gave the attempt up before."""
        folder = handle.spec.in_dir
        try:
            await self._patiently(lambda: self._checks.before_go(handle))
        except DriftError:
            await self.stop(handle, force=True)
            raise
        await _mine(handle.spec)
        try:
            mark = await self._engine.offload(lambda: marks.make(folder, marks.GO, marks.BEGIN))
        except FileNotFoundError:
            return False  # removed: given up, too
        marks.wake(folder)
        return mark.word == marks.BEGIN

    async def wait(self, handle: SandboxHandle) -> SandboxEnd:
        pump = hiding.Pump(handle.spec, handle.name) if hiding.is_hidden(handle.spec) else None
        end = await wait_module.wait(self._engine, self._gate, hiding.inside(handle), pump, self._tell)
        drift = await self._patiently(lambda: self._checks.at_end(handle))
        return replace(end, refused=network.refused(handle.spec), drift=drift)

    async def stop(self, handle: SandboxHandle, *, force: bool = False) -> None:
        await stop_container(self._engine, self._gate, handle, reason="stop", grace_s=0 if force else GRACE_S)

    async def remove(self, handle: SandboxHandle) -> None:
        """Remove the container, `in_dir`, `scratch` and the secrets; `out_dir` stays."""
        most = patience.PATIENCE_S if self._unattended else patience.SHORT_S
        await self._patiently(lambda: self._discard(handle.container_id), most)
        if not isinstance(handle.spec.network, str):
            await self._patiently(lambda: network.drop(self._engine, self._gate, handle.name), most)
        await self._engine.offload(lambda: _discard_folders(handle))

    async def sweep(self) -> int:
        """Take away secrets, output and networks whose container is gone; how many there were."""
        return await sweep(self._engine, self._gate, self._database_id)

    async def _sweep_once(self, spec: SandboxSpec) -> None:
        """Before the first attempt that leaves such things itself; before any other only when some lie there."""
        leaves = hiding.is_hidden(spec) or not isinstance(spec.network, str)
        if self._swept or (self._looked and not leaves):
            return
        self._looked = True
        found = [] if leaves else await self._engine.offload(lambda: forgotten(self._database_id))
        if leaves or found:
            self._swept = True
            await self.sweep()

    async def close(self) -> None:
        await self._engine.close()

    async def _patiently(self, work: Callable[[], Awaitable[T]], most_s: float | None = None) -> T:
        seconds = patience.PATIENCE_S if most_s is None else most_s
        return await patience.patiently(self._engine, work, lambda: seconds, self._tell)

    async def _existing(self, name: str) -> dict[str, Any] | None:
        """The container of that name."""
        try:
            found: dict[str, Any] = await self._engine.call(lambda client: client.inspect_container(name))
        except Missing:
            return None
        if (found["Config"].get("Labels") or {}).get(DATABASE) != self._database_id:
            raise WfconsoleError(
                "SANDBOX_UNAVAILABLE",
                f"a container named {name} exists that this state folder did not make",
                f"look at it, then `docker rm {name}`",
            )
        return found

    async def _end_earlier(self, spec: SandboxSpec) -> None:
        """An attempt given up because the engine was away may still run, in the very workspace that the next begins in."""
        for attempt in range(1, spec.attempt):
            name = container_name(self._database_id, replace(spec, attempt=attempt))
            if await self._existing(name) is not None:
                await self._discard(name)

    async def _start(self, spec: SandboxSpec, name: str, lock: HostLock) -> SandboxHandle:
        account = Account.of(lock.policy.uid, lock.policy.gid)
        secrets = folders.secrets_folder(name)
        env = options.environment(spec, lock.policy.env)
        told = labels(self._database_id, self._owner, spec)
        busybox = await self._engine.offload(lambda: self._write(spec, env, account, name))
        fence = await self._fence(spec, name, told)
        body = options.body(
            hiding.inner(spec, name),
            image_id=lock.image_id,
            labels=told,
            account=account,
            busybox=busybox,
            secrets=secrets if spec.secrets else None,
            fence=fence,
        )
        launch = asyncio.ensure_future(self._launch(name, body, lock, spec))
        try:
            container_id = await asyncio.shield(launch)
        except asyncio.CancelledError:
            # nobody but us knows of a container that never began, and the engine finishes what it was asked for
            await asyncio.wait({launch})
            await self._undo(name, spec)
            raise
        except Missing as error:
            await self._undo(name, spec)
            raise await self._checks.replaced(lock) or absent(spec.template) from error
        except WfconsoleError:
            await self._undo(name, spec)
            raise
        return SandboxHandle(
            container_id=container_id, name=name, image_id=lock.image_id, spec=spec, fingerprint=lock.fingerprint
        )

    async def _fence(self, spec: SandboxSpec, name: str, told: Mapping[str, str]) -> network.Fence | None:
        if isinstance(spec.network, str):
            return None
        try:
            proxy = await self._checks.helper(network.TEMPLATE)
            return await network.build(self._engine, self._gate, spec, name, told, image_id=proxy.image_id)
        except BaseException:
            await asyncio.shield(self._undo(name, spec))
            raise

    def _write(self, spec: SandboxSpec, env: dict[str, str], account: Account, name: str) -> Path:
        if self._busybox is None or not self._busybox.is_file():
            self._busybox = interpreter(self._cache)
        if hiding.is_hidden(spec):
            folders.make_private()
            folders.empty(spec.out_dir)
        folders.write(hiding.inner(spec, name), env, account, folders.secrets_folder(name))
        return self._busybox

    async def _launch(self, name: str, body: dict[str, Any], lock: HostLock, spec: SandboxSpec) -> str:
        async with self._gate.slot(await self._engine.identity()):
            expecting = asyncio.ensure_future(self._checks.expect(body, lock, spec))
            try:
                created = await self._create(name, body, spec)
            finally:
                await asyncio.wait({expecting})
                expecting.exception()  # seen, whichever of the two is raised
            container_id = str(created["Id"])
            wanted = expecting.result()
            try:
                await self._checks.before_start(container_id, wanted, lock)
                await self._engine.call(lambda client: client.start(container_id))
            except (Missing, Conflict) as error:
                raise WfconsoleError(
                    "SANDBOX_UNAVAILABLE",
                    f"somebody took the container {name} away before it was started: {error}",
                    "find out who removes containers on this engine, then run the step again",
                ) from error
        return container_id

    async def _create(self, name: str, body: dict[str, Any], spec: SandboxSpec) -> dict[str, Any]:
        """A dead owner's request may still be under way: its container has the name before anybody can ask for it by name."""
        until = marks.ticks_ms() + patience.PATIENCE_S * 1000
        while True:
            try:
                made: dict[str, Any] = await self._engine.call(
                    lambda client: client.create_container_from_config(body, name)
                )
            except Conflict as error:
                if marks.ticks_ms() >= until:
                    raise WfconsoleError("SANDBOX_UNAVAILABLE", f"the engine would not make {name}: {error}") from error
            else:
                return made
            await _mine(spec)
            if await self._existing(name) is not None:
                with suppress(Missing, Conflict):
                    await self._engine.call(lambda client: client.remove_container(name, force=True, v=True))
            await asyncio.sleep(0.1)

    async def _undo(self, name: str, spec: SandboxSpec) -> None:
        if not await spec.mine():
            return  # what has that name now is another owner's
        with suppress(WfconsoleError):
            await self._discard(name)
        if not isinstance(spec.network, str):
            with suppress(WfconsoleError):
                await network.drop(self._engine, self._gate, name)
        with suppress(OSError):
            folders.discard_private(name)
            folders.discard(spec.in_dir)

    async def _salvage(self, spec: SandboxSpec, name: str) -> None:
        """The container is gone: what it had written is redacted into its folder, then all that it knew is taken away."""
        if hiding.is_hidden(spec):
            with suppress(OSError):
                await self._engine.offload(hiding.Pump(spec, name).finish)
        await self._engine.offload(lambda: folders.discard_private(name))
        if not isinstance(spec.network, str):
            with suppress(WfconsoleError):
                await network.drop(self._engine, self._gate, name)

    async def _discard(self, container: str) -> None:
        async with self._gate.slot(await self._engine.identity()):
            with suppress(Missing, Conflict):  # gone, or another removal is on its way
                await self._engine.call(lambda client: client.remove_container(container, force=True, v=True))


def _discard_folders(handle: SandboxHandle) -> None:
    folders.discard_private(handle.name)
    folders.discard(network.folder_of(handle.spec))
    folders.discard(handle.spec.in_dir)
    folders.discard(handle.spec.scratch)


async def _mine(spec: SandboxSpec) -> None:
    """Raises OWNER_LOST. Whoever waited, or was stopped, must not touch what the next owner has begun."""
    if not await spec.mine():
        raise WfconsoleError(
            "OWNER_LOST", f"another process drives run {spec.run_id}", f"wfconsole watch {spec.run_id}"
        )


def _gone(name: str, word: str) -> WfconsoleError:
    if word == marks.VOID:
        return WfconsoleError("SANDBOX_LOST", f"the attempt of {name} was given up", "a new attempt starts afresh")
    return WfconsoleError("SANDBOX_LOST", f"the container {name} began and is gone", "a new attempt starts afresh")
