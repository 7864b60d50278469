"""`gc`: what counts as left over, and that what somebody may need never does."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.control.removing import ACTOR, DAY, HOUR, Yard, container
from tests.control.test_removal import with_yard
from tests.store.samples import T0
from wfconsole.domain.policy.retention import Retention
from wfconsole.ports import WfconsoleError


def told(items: Any) -> list[tuple[str, str]]:
    return [(item.kind, item.name) for item in items]


def age(path: Path, days: float) -> None:
    stamp = time.time() - days * 86_400
    os.utime(path, (stamp, stamp))


def now() -> int:
    return time.time_ns() // 1_000_000


def test_exec_block_gap_2_a_recipe_keeps_as_many_runs_as_it_says_and_a_dry_run_removes_none(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        for number in range(4):
            await yard.ended(f"run-{number}", b"%d" % number, at=T0 + number * HOUR, retention={"count": 2})
        await yard.ended("other", recipe="other")
        collection = yard.collection(workspaces_ms=10**15)
        found = await collection.find()
        assert told(found.items) == [("run", "run-1"), ("run", "run-0")]
        assert len(await yard.remains.kept()) == 5
        done = await collection.collect(found, ACTOR)
        assert told(done.items) == told(found.items)
        assert done.freed > 0
        assert sorted(run.run_id for run in await yard.remains.kept()) == ["other", "run-2", "run-3"]
        stones = await yard.remains.tombstones()
        assert [stone.reason for stone in stones] == ["retention: beyond the 2 newest of its recipe"] * 2
        assert (await collection.find()).items == ()

    with_yard(tmp_path, work)


def test_the_operators_age_holds_where_a_recipe_is_silent(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-old", recipe="silent")
        await yard.ended("run-long", recipe="long", retention={"age": 1000 * DAY})
        await yard.ended("run-open", recipe="silent", over=False, at=T0 - HOUR)
        found = await yard.collection(Retention(age=30 * DAY), workspaces_ms=10**15).find()
        assert told(found.items) == [("run", "run-old")]

    with_yard(tmp_path, work)


def test_exec_block_17_retention_bounds_what_is_used_on_disk(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1", at=T0)
        await yard.ended("run-2", at=T0 + HOUR)
        size = (await yard.removal.measure(["run-2"])).bytes
        kept = await yard.collection(Retention(bytes=2 * size), workspaces_ms=10**15).find()
        assert kept.items == ()
        found = await yard.collection(Retention(bytes=size), workspaces_ms=10**15).find()
        assert [(item.name, item.bytes) for item in found.items] == [("run-1", size)]

    with_yard(tmp_path, work)


def test_a_run_that_a_kept_one_reuses_is_kept_with_a_note(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1", retention={"count": 1})
        await yard.ended("run-2", reuses="run-1", at=T0 + HOUR, retention={"count": 1})
        found = await yard.collection(workspaces_ms=10**15).find()
        assert found.items == ()
        assert found.notes == ("run run-1 is kept, because run run-2 reuses it",)
        later = await yard.collection(Retention(), workspaces_ms=10**15).find()
        assert later.items == ()

    with_yard(tmp_path, work)


def test_what_expires_together_goes_successors_first(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1", retention={"age": 1})
        await yard.ended("run-2", reuses="run-1", at=T0 + HOUR, retention={"age": 1})
        collection = yard.collection(workspaces_ms=10**15)
        done = await collection.collect(await collection.find(), ACTOR)
        assert told(done.items) == [("run", "run-2"), ("run", "run-1")]
        assert done.notes == ()

    with_yard(tmp_path, work)


def test_workspaces_of_ended_runs_go_and_their_bundles_stay(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1")
        await yard.ended("run-open", over=False)
        collection = yard.collection()
        found = await collection.find()
        assert told(found.items) == [("workspace", "run-1")]
        done = await collection.collect(found, ACTOR)
        assert done.freed == found.items[0].bytes > 50_000
        folder = yard.folder("run-1")
        assert not folder.workspace.exists()
        assert not (folder.root / "attempts").exists()
        assert (folder.logs("a", 1) / "0.stdout").is_file()
        assert yard.folder("run-open").workspace.is_dir()
        assert (await collection.find()).items == ()
        assert await yard.store.verify() == []

    with_yard(tmp_path, work)


def test_a_workspace_is_kept_for_a_while(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1")
        yard.now = T0 + DAY - HOUR
        assert (await yard.collection().find()).items == ()

    with_yard(tmp_path, work)


def test_containers_of_ended_runs_and_orphans_go_and_nobody_elses(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1")
        await yard.ended("run-open", over=False)
        yard.containers.present = [
            container("run-1"),
            container("nobody"),
            container("run-open"),
            container("run-open", attempt=2),
            container("run-1", ours=False),
            container("theirs", ours=False),
        ]
        collection = yard.collection(workspaces_ms=10**15)
        found = await collection.find()
        assert told(found.items) == [
            ("container", "wfc-run-1-a-1"),
            ("container", "wfc-nobody-a-1"),
            ("container", "wfc-run-open-a-1"),
        ]
        assert [item.why for item in found.items] == [
            "its run is over: succeeded",
            "its run is not known",
            "its attempt is over",
        ]
        assert found.notes == ("2 containers of other state folders are left alone",)
        await collection.collect(found, ACTOR)
        assert [one.name for one in yard.containers.present] == ["wfc-run-open-a-2", "wfc-run-1-a-1", "wfc-theirs-a-1"]
        assert [one.ours for one in yard.containers.present] == [True, False, False]

    with_yard(tmp_path, work)


def test_secrets_on_the_tmpfs_without_a_container_go(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-open", over=False)
        yard.containers.present = [container("run-open", attempt=2)]
        yard.containers.private = ["wfc-run-open-a-2", "wfc-gone-a-1"]
        collection = yard.collection()
        found = await collection.find()
        assert told(found.items) == [("secrets", "wfc-gone-a-1")]
        assert yard.containers.private == ["wfc-run-open-a-2", "wfc-gone-a-1"]
        await collection.collect(found, ACTOR)
        assert yard.containers.private == ["wfc-run-open-a-2"]
        yard.containers.away = WfconsoleError("SANDBOX_UNAVAILABLE", "there is no engine")
        assert any("could not be told" in note for note in (await collection.find()).notes)

    with_yard(tmp_path, work)


def test_without_an_engine_the_rest_is_collected(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1")
        yard.containers.away = WfconsoleError("SANDBOX_UNAVAILABLE", "there is no engine")
        found = await yard.collection().find()
        assert told(found.items) == [("workspace", "run-1")]
        assert found.notes == ("containers could not be looked for: there is no engine",)

    with_yard(tmp_path, work)


def test_a_removal_that_was_begun_is_ended(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1")
        yard.containers.away = WfconsoleError("SANDBOX_UNAVAILABLE", "there is no engine")
        await yard.removal.delete(await yard.removal.preview("run-1"), ACTOR)
        yard.containers.away = None
        yard.containers.present = [container("run-1")]
        collection = yard.collection()
        found = await collection.find()
        assert told(found.items) == [("deletion", "run-1")]
        done = await collection.collect(found, ACTOR)
        assert done.freed > 0
        assert yard.containers.present == []
        assert not yard.folder("run-1").root.exists()

    with_yard(tmp_path, work)


@pytest.mark.parametrize("days", [0.5, 2])
def test_contents_and_drafts_and_folders_without_an_owner_go_when_they_are_old(tmp_path: Path, days: float) -> None:
    async def work(yard: Yard) -> None:
        yard.now = now()
        await yard.ended("run-1", b"mine")
        sha256, _ = await yard.artifacts.put_bytes(b"nobody's")
        draft = tmp_path / "artifacts" / ".draft-x"
        draft.write_bytes(b"half")
        never = yard.folder("never-created").root
        never.mkdir()
        for path in (yard.artifacts.path(sha256), draft, never):
            age(path, days)
        collection = yard.collection(workspaces_ms=10**15)
        found = await collection.find()
        if days < 1:
            assert found.items == ()
            return
        assert told(found.items) == [("folder", "never-created"), ("content", sha256), ("draft", str(draft))]
        done = await collection.collect(found, ACTOR)
        assert len(done.items) == 3
        assert done.freed > 0
        assert not draft.exists()
        assert not never.exists()
        with pytest.raises(FileNotFoundError):
            yard.artifacts.path(sha256)
        assert await yard.store.verify_files(tmp_path / "runs", tmp_path / "artifacts") == []

    with_yard(tmp_path, work)


def test_a_bundle_that_the_database_does_not_know_is_kept_and_so_are_contents(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        yard.now = now()
        await yard.ended("run-1")
        sha256, _ = await yard.artifacts.put_bytes(b"of the run that an older copy of the database does not know")
        age(yard.artifacts.path(sha256), 5)
        lost = yard.folder("run-lost")
        lost.logs("a", 1).mkdir(parents=True)
        age(lost.root, 5)
        found = await yard.collection(workspaces_ms=10**15).find()
        assert found.items == ()
        assert "run-lost" in found.notes[0]
        codes = [one.code for one in await yard.store.verify_files(tmp_path / "runs", tmp_path / "artifacts")]
        assert codes == ["run_unknown"]

    with_yard(tmp_path, work)


def test_a_content_that_is_gone_is_found_by_the_check(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1", b"one")
        sha256, _ = await yard.artifacts.put_bytes(b"one")
        yard.artifacts.path(sha256).unlink()
        (finding,) = await yard.store.verify_files(tmp_path / "runs", tmp_path / "artifacts")
        assert (finding.code, finding.run_id) == ("content_missing", "run-1")

    with_yard(tmp_path, work)


def test_old_backups_go(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        old = tmp_path / "old.db"
        old.write_bytes(b"x" * 5000)
        collection = yard.collection(backups=lambda: [old])
        found = await collection.find()
        assert told(found.items) == [("backup", str(old))]
        done = await collection.collect(found, ACTOR)
        assert done.freed == found.items[0].bytes
        assert not old.exists()

    with_yard(tmp_path, work)


def test_a_container_whose_run_was_created_between_the_look_and_the_removal_stays(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        yard.now = now()
        yard.containers.present = [container("run-new", step="b"), container("run-none")]
        found = await yard.collection().find()
        assert [item.why for item in found.items] == ["its run is not known"] * 2
        await yard.ended("run-new", over=False)
        await yard.collection().collect(found, ACTOR)
        assert [one.run_id for one in yard.containers.present] == ["run-new"]

    with_yard(tmp_path, work)


def test_a_folder_whose_run_was_created_between_the_look_and_the_removal_stays(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        yard.now = now()
        yard.folder("run-new").root.mkdir(parents=True)
        age(yard.folder("run-new").root, 2)
        found = await yard.collection().find()
        assert told(found.items) == [("folder", "run-new")]
        await yard.ended("run-new", over=False)
        await yard.collection().collect(found, ACTOR)
        assert yard.folder("run-new").workspace.exists()

    with_yard(tmp_path, work)
