"""Containers found by their labels: ours go, another state folder's never do."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from wfconsole.ports import WfconsoleError
from wfconsole.sandbox import folders, labels
from wfconsole.sandbox.leftovers import LabelledContainers

pytestmark = pytest.mark.engine


@dataclass
class Made:
    """Two containers that nobody ever starts, of two databases."""

    ours: str
    theirs: str
    client: Any

    def names(self) -> set[str]:
        found = self.client.containers(all=True, filters={"label": f"{labels.MANAGED}=true"})
        return {name.lstrip("/") for one in found for name in one["Names"]} & {f"wfc-{self.ours}", f"wfc-{self.theirs}"}


@pytest.fixture
def made(busybox_test: Any) -> Iterator[Made]:
    databases = [uuid.uuid4().hex, uuid.uuid4().hex]
    for database in databases:
        told = {
            labels.MANAGED: "true", labels.DATABASE: database, labels.RUN: "run-1", labels.STEP: "group/a",
            labels.ATTEMPT: "3", labels.OWNER: "me",
        }  # fmt: skip
        body = {"Image": "wfconsole/busybox-test", "Cmd": ["true"], "Labels": told}
        busybox_test.create_container_from_config(body, f"wfc-{database}")
    yield Made(databases[0], databases[1], busybox_test)
    for one in busybox_test.containers(all=True):
        if one["Labels"].get(labels.DATABASE) in databases:
            busybox_test.remove_container(one["Id"], force=True)


def test_containers_are_listed_with_whose_they_are(made: Made) -> None:
    async def work() -> None:
        containers = LabelledContainers(database_id=made.ours)
        try:
            found = {one.name: one for one in await containers.all()}
            mine, other = found[f"wfc-{made.ours}"], found[f"wfc-{made.theirs}"]
            assert (mine.ours, other.ours) == (True, False)
            assert (mine.run_id, mine.step_id, mine.attempt, mine.running) == ("run-1", "group/a", 3, False)
            assert [one.name for one in await containers.of("run-1")] == [f"wfc-{made.ours}"]
            assert await containers.of("run-2") == []
        finally:
            await containers.close()

    asyncio.run(work())


def test_what_lies_on_the_tmpfs_without_a_container_is_found_and_wiped(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = made.ours
    living, lost, other = f"wfc-{database}", f"wfc-{database[:8]}-run-1-a-1", f"wfc-{database[:8]}-run-12-a-1"
    theirs = f"wfc-{made.theirs[:8]}-run-1-a-1"
    left = [
        folders.secrets_folder(living),
        folders.raw_folder(lost),
        folders.secrets_folder(other),
        folders.secrets_folder(theirs),
    ]
    folders.make_private()
    made.client.rename(living, f"wfc-{database[:8]}-living-a-1")
    left[0] = folders.secrets_folder(f"wfc-{database[:8]}-living-a-1")
    for folder in left:
        folder.mkdir()
        (folder / "TOKEN").write_bytes(b"x")

    async def work() -> None:
        containers = LabelledContainers(database_id=database)
        try:
            assert await containers.left() == []
            monkeypatch.setattr("wfconsole.sandbox.sweep.YOUNG_S", -1.0)
            assert await containers.left() == [lost, other]
            await containers.wipe_run("run-1")
            assert [folder.exists() for folder in left] == [True, False, True, True]
            await containers.wipe(other)
            await containers.wipe(other)
            assert await containers.left() == []
        finally:
            await containers.close()

    try:
        asyncio.run(work())
        assert [folder.exists() for folder in left] == [True, False, False, True]
    finally:
        for folder in left:
            folders.discard(folder)


def test_ours_are_removed_with_their_secrets_and_twice(made: Made) -> None:
    async def work() -> None:
        containers = LabelledContainers(database_id=made.ours)
        try:
            (mine,) = await containers.of("run-1")
            secrets = folders.secrets_folder(mine.name)
            secrets.mkdir(parents=True)
            (secrets / "TOKEN").write_bytes(b"x")
            await containers.remove(mine)
            assert not secrets.exists()
            await containers.remove(mine)
        finally:
            await containers.close()

    asyncio.run(work())
    assert made.names() == {f"wfc-{made.theirs}"}


def test_another_state_folders_container_is_refused(made: Made) -> None:
    async def work() -> None:
        containers = LabelledContainers(database_id=made.ours)
        try:
            other = next(one for one in await containers.all() if one.name == f"wfc-{made.theirs}")
            with pytest.raises(WfconsoleError, match="belongs to another state folder"):
                await containers.remove(other)
        finally:
            await containers.close()

    asyncio.run(work())
    assert made.names() == {f"wfc-{made.ours}", f"wfc-{made.theirs}"}


def test_an_engine_that_is_away_is_named(tmp_path: Any) -> None:
    async def work() -> None:
        containers = LabelledContainers(database_id="x", docker_host=f"unix://{tmp_path}/nothing.sock")
        with pytest.raises(WfconsoleError) as caught:
            await containers.all()
        assert caught.value.code == "SANDBOX_UNAVAILABLE"
        await containers.close()

    asyncio.run(work())
