"""What a dead owner leaves beside its containers: secrets and output on the tmpfs, networks and their proxies.

Owns finding them: they bear the name of a container of this state folder that the engine does not know. Refuses to touch what is
young, for its container may be about to be made, and to remove containers of attempts, which are evidence.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from wfconsole.ports import WfconsoleError
from wfconsole.sandbox import folders, network
from wfconsole.sandbox.engine import Engine
from wfconsole.sandbox.gate import Gate
from wfconsole.sandbox.labels import DATABASE, container_prefix

YOUNG_S = 600.0


async def sweep(engine: Engine, gate: Gate, database_id: str) -> int:
    """Take away what has lost its container; how many folders and networks those were."""
    wanted = {"label": f"{DATABASE}={database_id}"}
    found: list[dict[str, Any]] = await engine.call(lambda client: client.containers(all=True, filters=wanted))
    living = {str(name).lstrip("/") for container in found for name in container["Names"]}
    gone = [name for name in await engine.offload(lambda: forgotten(database_id)) if name not in living]
    for name in gone:
        await engine.offload(lambda name=name: folders.discard_private(name))  # type: ignore[misc]  # bound on purpose
    networks: list[dict[str, Any]] = await engine.call(lambda client: client.networks(filters=wanted))
    lost = [str(made["Name"]).removesuffix("-net") for made in networks if not _is_young(str(made["Created"]))]
    lost = [name for name in lost if name not in living]
    for name in lost:
        with suppress(WfconsoleError):
            await network.drop(engine, gate, name)
    return len(gone) + len(lost)


def forgotten(database_id: str) -> list[str]:
    """Names of containers of this state folder for which old folders lie on the tmpfs; the containers may be there yet."""
    return [name for name in on_tmpfs(container_prefix(database_id)) if _age(name) > YOUNG_S]


def on_tmpfs(prefix: str) -> list[str]:
    """Names of containers, of those that begin so, for which folders lie on the tmpfs."""
    try:
        entries = [entry.name.removesuffix(".out") for entry in folders.tmpfs().iterdir()]
    except OSError:
        return []
    return sorted({name for name in entries if name.startswith(prefix)})


def _age(name: str) -> float:
    """In seconds, of the younger of its folders; none at all when they have just gone."""
    ages = [0.0]
    for folder in (folders.secrets_folder(name), folders.raw_folder(name)):
        with suppress(OSError):
            ages.append(time.time() - folder.lstat().st_mtime)
    return min(ages[1:] or ages)


def _is_young(created: str) -> bool:
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(created[:19]).replace(tzinfo=UTC)
    except ValueError:
        return False
    return (datetime.now(UTC) - moment).total_seconds() < YOUNG_S
