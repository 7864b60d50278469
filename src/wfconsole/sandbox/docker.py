"""The port's five verbs on a local Docker engine, in the order of their use: prepare, go, wait, stop, remove.

Owns their sequence and idempotence; each verb's work lies in its own module. What would surprise: `prepare` of an attempt
that has begun hands back the container that is there (an adoption), and never starts one a second time.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

from wfconsole.ports import SandboxEnd, SandboxHandle, SandboxSpec, WfconsoleError
from wfconsole.sandbox import folders, images, marks, options
from wfconsole.sandbox.busybox import interpreter
from wfconsole.sandbox.engine import Conflict, Engine, Missing
from wfconsole.sandbox.folders import Account
from wfconsole.sandbox.gate import Gate
from wfconsole.sandbox.labels import DATABASE, container_name, labels
from wfconsole.sandbox.stop import GRACE_S, stop as stop_container
from wfconsole.sandbox.wait import wait as wait_for


class DockerSandbox:
    """`cache` keeps the runner's interpreter, `gates` the start gate that all processes of the account share.

    Contacts nothing before the first await. Raises WfconsoleError with SANDBOX_UNAVAILABLE, TEMPLATE_MISSING,
    SANDBOX_LOST, POLICY_BLOCKED or INPUT_INVALID.
    """

    def __init__(
        self, *, database_id: str, owner: str, cache: Path, gates: Path, docker_host: str | None = None
    ) -> None:
        self._database_id = database_id
        self._owner = owner
        self._cache = cache
        self._gate = Gate(gates)
        self._engine = Engine(docker_host)
        self._busybox: Path | None = None

    async def prepare(self, spec: SandboxSpec) -> SandboxHandle:
        """Create and start the container; its runner waits for `go`. Repeatable until then, an adoption afterwards."""
        options.check(spec, self._engine.socket_path)
        name = container_name(self._database_id, spec)
        existing = await self._existing(name)
        begun = marks.read(spec.in_dir, marks.GO)
        if begun is not None:
            if existing is None or begun.word == marks.VOID:
                raise _gone(name, begun.word)
            return SandboxHandle(container_id=existing["Id"], name=name, image_id=existing["Image"], spec=spec)
        image_id = await images.resolve(self._engine, spec.template)
        if existing is not None:
            await self._discard(existing["Id"])
        return await self._start(spec, name, image_id)

    async def go(self, handle: SandboxHandle) -> bool:
        """Let it begin, once and for good. False: somebody gave the attempt up before."""
        folder = handle.spec.in_dir
        try:
            mark = await self._engine.offload(lambda: marks.make(folder, marks.GO, marks.BEGIN))
        except FileNotFoundError:
            return False  # removed: given up, too
        marks.wake(folder)
        return mark.word == marks.BEGIN

    async def wait(self, handle: SandboxHandle) -> SandboxEnd:
        return await wait_for(self._engine, self._gate, handle)

    async def stop(self, handle: SandboxHandle, *, force: bool = False) -> None:
        await stop_container(self._engine, self._gate, handle, reason="stop", grace_s=0 if force else GRACE_S)

    async def remove(self, handle: SandboxHandle) -> None:
        """Remove the container, `in_dir`, `scratch` and the secrets; `out_dir` stays."""
        await self._discard(handle.container_id)
        await self._engine.offload(lambda: _discard_folders(handle))

    async def close(self) -> None:
        await self._engine.close()

    async def _existing(self, name: str) -> dict[str, Any] | None:
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

    async def _start(self, spec: SandboxSpec, name: str, image_id: str) -> SandboxHandle:
        account = Account.here()
        secrets = folders.secrets_folder(name)
        env = options.environment(spec)
        busybox = await self._engine.offload(lambda: self._write(spec, env, account, secrets))
        body = options.body(
            spec,
            image_id=image_id,
            labels=labels(self._database_id, self._owner, spec),
            account=account,
            busybox=busybox,
            secrets=secrets if spec.secrets else None,
        )
        launch = asyncio.ensure_future(self._launch(name, body))
        try:
            container_id = await asyncio.shield(launch)
        except asyncio.CancelledError:
            # nobody but us knows of a container that never began, and the engine finishes what it was asked for
            await asyncio.wait({launch})
            await self._undo(name, spec, secrets)
            raise
        except Missing as error:
            await self._undo(name, spec, secrets)
            raise images.missing(spec.template) from error
        except WfconsoleError:
            await self._undo(name, spec, secrets)
            raise
        return SandboxHandle(container_id=container_id, name=name, image_id=image_id, spec=spec)

    def _write(self, spec: SandboxSpec, env: dict[str, str], account: Account, secrets: Path) -> Path:
        if self._busybox is None or not self._busybox.is_file():
            self._busybox = interpreter(self._cache)
        folders.write(spec, env, account, secrets)
        return self._busybox

    async def _launch(self, name: str, body: dict[str, Any]) -> str:
        async with self._gate.slot(await self._engine.identity()):
            try:
                created = await self._engine.call(lambda client: client.create_container_from_config(body, name))
            except Conflict as error:
                raise WfconsoleError("SANDBOX_UNAVAILABLE", f"the engine would not make {name}: {error}") from error
            container_id = str(created["Id"])
            await self._engine.call(lambda client: client.start(container_id))
        return container_id

    async def _undo(self, name: str, spec: SandboxSpec, secrets: Path) -> None:
        with suppress(WfconsoleError):
            await self._discard(name)
        with suppress(OSError):
            folders.discard(secrets)
            folders.discard(spec.in_dir)

    async def _discard(self, container: str) -> None:
        async with self._gate.slot(await self._engine.identity()):
            with suppress(Missing, Conflict):  # gone, or another removal is on its way
                await self._engine.call(lambda client: client.remove_container(container, force=True, v=True))


def _discard_folders(handle: SandboxHandle) -> None:
    folders.discard(folders.secrets_folder(handle.name))
    folders.discard(handle.spec.in_dir)
    folders.discard(handle.spec.scratch)


def _gone(name: str, word: str) -> WfconsoleError:
    if word == marks.VOID:
        return WfconsoleError("SANDBOX_LOST", f"the attempt of {name} was given up", "a new attempt starts afresh")
    return WfconsoleError("SANDBOX_LOST", f"the container {name} began and is gone", "a new attempt starts afresh")
