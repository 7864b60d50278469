"""`ports.Containers`: containers found by their labels, whoever made them, and the removal of our own.

Refuses to remove what another state folder made: the database's id is in the label, and asked of the engine again right before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from wfconsole.ports import WfconsoleError
from wfconsole.ports.keeping import Container
from wfconsole.sandbox import folders, labels, sweep
from wfconsole.sandbox.engine import Conflict, Engine, Missing

_NUMBER = re.compile(r"[0-9]{1,9}")


class LabelledContainers:
    """Of the engine at `docker_host`. Contacts nothing before the first await."""

    def __init__(self, *, database_id: str, docker_host: str | None = None) -> None:
        self._database_id = database_id
        self._engine = Engine(docker_host)

    async def all(self) -> Sequence[Container]:
        return await self._list([f"{labels.MANAGED}=true"])

    async def of(self, run_id: str) -> Sequence[Container]:
        return await self._list([f"{labels.DATABASE}={self._database_id}", f"{labels.RUN}={run_id}"])

    async def remove(self, container: Container) -> None:
        with suppress(Missing, Conflict):  # gone, or another removal is on its way
            found: dict[str, Any] = await self._engine.call(
                lambda client: client.inspect_container(container.container_id)
            )
            if (found["Config"].get("Labels") or {}).get(labels.DATABASE) != self._database_id:
                raise WfconsoleError(
                    "SANDBOX_UNAVAILABLE",
                    f"the container {container.name} belongs to another state folder",
                    "it is left alone; `wfconsole doctor` lists such containers",
                )
            await self._engine.call(lambda client: client.remove_container(container.container_id, force=True, v=True))
        await self._engine.offload(lambda: folders.discard_private(container.name))

    async def left(self) -> Sequence[str]:
        """See `ports.Containers`. No engine is asked when nothing old lies there."""
        names = await self._engine.offload(lambda: sweep.forgotten(self._database_id))
        living = {one.name for one in await self._list([f"{labels.DATABASE}={self._database_id}"])} if names else set()
        return [name for name in names if name not in living]

    async def wipe(self, name: str) -> None:
        await self._engine.offload(lambda: folders.discard_private(name))

    async def wipe_run(self, run_id: str) -> None:
        prefix = labels.container_prefix(self._database_id, run_id)
        for name in await self._engine.offload(lambda: sweep.on_tmpfs(prefix)):
            await self.wipe(name)

    async def close(self) -> None:
        await self._engine.close()

    async def _list(self, wanted: Sequence[str]) -> Sequence[Container]:
        found: list[dict[str, Any]] = await self._engine.call(
            lambda client: client.containers(all=True, filters={"label": list(wanted)})
        )
        return sorted((self._container(one) for one in found), key=lambda one: one.name)

    def _container(self, found: Mapping[str, Any]) -> Container:
        told: Mapping[str, str] = found.get("Labels") or {}
        attempt = told.get(labels.ATTEMPT, "")
        names = found.get("Names") or [str(found["Id"])[:12]]
        return Container(
            container_id=str(found["Id"]),
            name=str(names[0]).lstrip("/"),
            database_id=told.get(labels.DATABASE, ""),
            run_id=told.get(labels.RUN, ""),
            step_id=told.get(labels.STEP, ""),
            attempt=int(attempt) if _NUMBER.fullmatch(attempt) else 0,
            running=found.get("State") == "running",
            ours=told.get(labels.DATABASE) == self._database_id,
        )
