"""`delete`, `gc` and `doctor` on a real engine: containers of this state folder go, another one's are named and stay."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.control.removing import Yard
from tests.fakes.images import ensure_busybox_test
from tests.scenarios.cli import Wfconsole
from wfconsole.sandbox import labels
from wfconsole.sandbox.client import LocalClient

pytestmark = pytest.mark.engine


@pytest.fixture
def client() -> Iterator[LocalClient]:
    client = LocalClient(version="auto")
    try:
        ensure_busybox_test(client)
        yield client
    finally:
        client.close()


def make(client: Any, database: str, run_id: str) -> str:
    told = {
        labels.MANAGED: "true", labels.DATABASE: database, labels.RUN: run_id, labels.STEP: "a", labels.ATTEMPT: "1",
    }  # fmt: skip
    name = f"wfc-{database[:8]}-{run_id}-a-1"
    body = {"Image": "wfconsole/busybox-test", "Cmd": ["sleep", "600"], "Labels": told}
    client.start(client.create_container_from_config(body, name)["Id"])
    return name


def names(client: Any, databases: list[str]) -> set[str]:
    found = client.containers(all=True, filters={"label": f"{labels.MANAGED}=true"})
    return {one["Names"][0].lstrip("/") for one in found if one["Labels"].get(labels.DATABASE) in databases}


def test_containers_of_ended_runs_and_orphans_go_and_another_state_folders_stay(
    tmp_path: Path, client: LocalClient
) -> None:
    wf = Wfconsole(tmp_path / "home")
    ids: list[str] = [uuid.uuid4().hex]

    async def fill() -> None:
        yard = Yard(wf.home, now=time.time_ns() // 1_000_000)
        for run_id in ("run-1", "run-2"):
            await yard.ended(run_id, at=yard.now)
        ids.append(yard.store.database_id)
        await yard.store.close()

    asyncio.run(fill())
    foreign, own = ids
    try:
        mine = {run_id: make(client, own, run_id) for run_id in ("run-1", "run-2", "run-gone")}
        theirs = make(client, foreign, "run-1")
        assert wf.run("delete", "run-1", "--dry-run", "--json").json["counts"]["containers"] == 1
        deleted = wf.run("delete", "run-1", "--yes", "--json")
        assert (deleted.code, deleted.json["unfinished"]) == (0, [])
        assert names(client, ids) == {mine["run-2"], mine["run-gone"], theirs}
        checks = {one["name"]: one for one in wf.run("doctor", "--json").json["checks"]}
        assert checks["containers"]["status"] == "warn"
        listed = wf.run("gc", "--dry-run", "--json").json["items"]
        assert {one["name"] for one in listed if one["kind"] == "container"} == {mine["run-2"], mine["run-gone"]}
        assert len(names(client, ids)) == 3
        assert wf.run("gc").code == 0
        assert names(client, ids) == {theirs}
    finally:
        for name in names(client, ids):
            client.remove_container(name, force=True)
