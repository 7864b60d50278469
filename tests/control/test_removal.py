"""Deleting runs: what is shown, what is refused, what goes, and that a kill at any point only delays it."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.control.removing import ACTOR, NOW, Yard, container
from wfconsole.control.removal import Removal
from wfconsole.domain.codec import canonical
from wfconsole.domain.events import CommandRefused, RunDeleted
from wfconsole.ports import WfconsoleError

ROOT = Path(__file__).parents[2]


def with_yard(folder: Path, work: Callable[[Yard], Awaitable[None]]) -> None:
    async def scenario() -> None:
        yard = Yard(folder)
        try:
            async with asyncio.timeout(60):
                await work(yard)
        finally:
            await yard.close()

    asyncio.run(scenario())


def blocks(path: Path) -> int:
    return sum(one.lstat().st_blocks * 512 for one in (path, *path.rglob("*")))


def mentions(state: Path, wanted: str) -> list[str]:
    """Every table and column that holds the text, and every path of the state folder that does."""
    found: list[str] = []
    with closing(sqlite3.connect(state / "wfconsole.db")) as db:
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            for column in columns:
                query = f"SELECT count(*) FROM {table} WHERE instr(CAST({column} AS TEXT), ?)"
                if db.execute(query, (wanted,)).fetchone()[0]:
                    found.append(f"{table}.{column}")
    found += [str(path.relative_to(state)) for path in state.rglob("*") if wanted in str(path.relative_to(state))]
    return found


def test_a_preview_counts_what_would_go_and_changes_nothing(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1", b"one" * 5000, b"two")
        yard.containers.present = [container("run-1"), container("run-2"), container("run-1", ours=False)]
        preview = await yard.removal.preview("run-1")
        assert preview.run_ids == ("run-1",)
        assert preview.counts == {"runs": 1, "steps": 2, "artifacts": 2, "logs": 1, "containers": 1}
        folder = yard.folder("run-1").root
        assert preview.bytes == blocks(folder) + sum(
            path.stat().st_blocks * 512 for path in (tmp_path / "artifacts").glob("??/*")
        )
        assert len(await yard.store.load("run-1")) == 9
        assert len(yard.containers.present) == 3

    with_yard(tmp_path, work)


def test_rw_delete_nothing_is_left_that_refers_to_a_deleted_run_but_its_tombstone(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-gone", b"mine alone" * 1000, b"shared")
        await yard.ended("run-kept", b"shared")
        yard.containers.present = [container("run-gone"), container("run-kept")]
        alone, _ = await yard.artifacts.put_bytes(b"mine alone" * 1000)
        shared, _ = await yard.artifacts.put_bytes(b"shared")
        assert {"runs.run_id", "journal.run_id", "steps.run_id", "attempts.run_id", "artifacts.run_id"} <= set(
            mentions(tmp_path, "run-gone")
        )
        assert "artifacts.sha256" in mentions(tmp_path, alone)
        receipt = await yard.removal.delete(await yard.removal.preview("run-gone"), ACTOR)
        assert receipt.unfinished == ()
        assert [one.run_id for one in yard.containers.present] == ["run-kept"]
        assert set(mentions(tmp_path, "run-gone")) == {
            "tombstones.run_id", "tombstones.workflow_id", "tombstones.body",
        }  # fmt: skip
        assert mentions(tmp_path, alone) == []
        assert mentions(tmp_path, alone[2:]) == []
        assert yard.artifacts.path(shared).read_bytes() == b"shared"
        assert await yard.store.verify() == []
        assert await yard.store.verify_files(tmp_path / "runs", tmp_path / "artifacts") == []

    with_yard(tmp_path, work)


def test_the_walk_sees_every_column_that_may_hold_a_run(tmp_path: Path) -> None:
    """A table that comes later is in the walk by itself; one that deletion must not forget has a column `run_id`."""

    async def work(yard: Yard) -> None:
        rows = await yard.store.rows(
            "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c "
            "WHERE m.type = 'table' AND c.name = 'run_id' ORDER BY 1"
        )
        await yard.ended("run-1", b"one")
        await yard.removal.delete(await yard.removal.preview("run-1"), ACTOR)
        for (table,) in rows:
            left = await yard.store.rows(f"SELECT count(*) FROM {table} WHERE run_id = 'run-1'")
            assert left == [(1 if table == "tombstones" else 0,)], table

    with_yard(tmp_path, work)


def test_the_receipt_is_what_is_really_free_on_disk(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1", b"alone" * 50_000, b"shared" * 50_000)
        await yard.ended("run-2", b"shared" * 50_000)
        folders = [tmp_path / "runs", tmp_path / "artifacts"]
        before = sum(blocks(folder) for folder in folders)
        preview = await yard.removal.preview("run-1")
        receipt = await yard.removal.delete(preview, ACTOR)
        after = sum(blocks(folder) for folder in folders)
        assert receipt.freed == preview.bytes
        assert receipt.freed <= before - after <= receipt.freed + 3 * 4096, "but for folders that shrink"
        (stone,) = await yard.remains.tombstones()
        assert (stone.freed, stone.bytes, stone.finished_at) == (receipt.freed, preview.bytes, NOW)

    with_yard(tmp_path, work)


def test_a_file_with_another_name_elsewhere_frees_nothing(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1")
        big = yard.folder("run-1").workspace / "big"
        (tmp_path / "elsewhere").hardlink_to(big)
        size = big.stat().st_blocks * 512
        preview = await yard.removal.preview("run-1")
        assert preview.bytes == blocks(yard.folder("run-1").root) - size

    with_yard(tmp_path, work)


@pytest.mark.parametrize("times", [1, 2])
def test_a_run_that_is_not_over_is_refused_by_name_and_untouched(tmp_path: Path, times: int) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1", over=False)
        for _ in range(times):
            with pytest.raises(WfconsoleError) as caught:
                await yard.removal.preview("run-1")
            assert caught.value.code == "TRANSITION_REFUSED"
            assert caught.value.hint == "wfconsole cancel run-1, then delete it"
        assert yard.folder("run-1").root.is_dir()
        # also when somebody asks without looking first: the run itself refuses, on record
        forged = await yard.removal.measure(["run-1"])
        with pytest.raises(WfconsoleError, match="not over"):
            await yard.removal.delete(forged, ACTOR)
        assert isinstance((await yard.store.load("run-1"))[-1].event, CommandRefused)
        assert yard.folder("run-1").root.is_dir()

    with_yard(tmp_path, work)


def test_deleting_twice_says_what_the_tombstone_knows(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-abc-1", b"one")
        preview = await yard.removal.preview("run-abc-1")
        await yard.removal.delete(preview, ACTOR)
        for ref in ("run-abc-1", "abc-1", "run-a", "wf-run-abc-1"):
            with pytest.raises(WfconsoleError) as caught:
                await yard.store.find_run(ref)
            assert caught.value.code == "NOT_FOUND"
            assert "run run-abc-1 was deleted at" in caught.value.message
            assert "1 artifacts" in caught.value.hint
            assert caught.value.details["tombstone"] == {
                "run_id": "run-abc-1", "workflow_id": "wf-run-abc-1", "deleted_at": "2027-10-26T14:13:20.000Z",
                "deleted_by": "anne", "counts": dict(preview.counts), "bytes": preview.bytes, "freed": preview.bytes,
            }  # fmt: skip
        with pytest.raises(WfconsoleError) as caught:
            await yard.removal.preview("run-abc-1")
        assert caught.value.code == "NOT_FOUND"

    with_yard(tmp_path, work)


def test_its_workflow_id_can_be_used_again(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1")
        await yard.removal.delete(await yard.removal.preview("run-1"), ACTOR)
        with pytest.raises(WfconsoleError):
            await yard.ended("run-1")  # but never the id of a run
        assert await yard.store.run_of_workflow("wf-run-1") is None

    with_yard(tmp_path, work)


def test_a_run_that_another_reuses_is_refused_naming_it_unless_cascade(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1", b"one")
        await yard.ended("run-2", b"two", reuses="run-1")
        await yard.ended("run-3", b"three", reuses="run-2")
        await yard.ended("run-4", b"four")
        with pytest.raises(WfconsoleError) as caught:
            await yard.removal.preview("run-1")
        assert caught.value.code == "TRANSITION_REFUSED"
        assert caught.value.details == {"reused_by": ["run-3", "run-2"]}
        assert "run-2" in caught.value.message
        assert (await yard.removal.preview("run-3")).run_ids == ("run-3",)
        preview = await yard.removal.preview("run-1", cascade=True)
        assert preview.run_ids == ("run-3", "run-2", "run-1"), "what reuses goes before what it reuses"
        assert preview.counts["runs"] == 3
        receipt = await yard.removal.delete(preview, ACTOR)
        assert receipt.freed == receipt.bytes
        assert [run.run_id for run in await yard.remains.kept()] == ["run-4"]

    with_yard(tmp_path, work)


def test_cascade_stops_at_a_successor_that_is_not_over(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1")
        await yard.ended("run-2", reuses="run-1", over=False)
        with pytest.raises(WfconsoleError, match="run-2 is not over"):
            await yard.removal.preview("run-1", cascade=True)

    with_yard(tmp_path, work)


def test_secrets_that_the_run_left_on_the_tmpfs_go_with_it(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1", b"one")
        yard.containers.private = ["wfc-run-1-a-1", "wfc-run-2-a-1"]
        await yard.removal.delete(await yard.removal.preview("run-1"), ACTOR)
        assert yard.containers.private == ["wfc-run-2-a-1"]

    with_yard(tmp_path, work)


def test_without_an_engine_the_rest_is_left_for_later(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1", b"one")
        yard.containers.present = [container("run-1")]
        yard.containers.away = WfconsoleError("SANDBOX_UNAVAILABLE", "there is no engine")
        preview = await yard.removal.preview("run-1")
        assert preview.notes == ("containers could not be counted: there is no engine",)
        receipt = await yard.removal.delete(preview, ACTOR)
        assert receipt.unfinished == ("run-1",)
        assert await yard.remains.unfinished() == ["run-1"]
        assert list(await yard.store.verify()) == []
        yard.containers.away = None
        assert await yard.removal.finish_all() == ["run-1"]
        assert yard.containers.present == []
        assert not yard.folder("run-1").root.exists()
        assert await yard.removal.finish_all() == []

    with_yard(tmp_path, work)


def test_a_removal_that_another_process_is_at_is_left_to_it(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1")
        yard.containers.away = WfconsoleError("SANDBOX_UNAVAILABLE", "there is no engine")
        await yard.removal.delete(await yard.removal.preview("run-1"), ACTOR)
        yard.containers.away = None
        lock = yard.locks.acquire("run-1")
        assert lock is not None
        assert await yard.removal.finish_all() == []
        lock.release()
        assert await yard.removal.finish_all() == ["run-1"]

    with_yard(tmp_path, work)


def test_a_content_that_an_open_run_is_about_to_refer_to_is_spared(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        yard.now = time.time_ns() // 1_000_000
        await yard.ended("run-1", b"both" * 2000)
        await yard.ended("run-open", over=False)
        sha256, _ = await yard.artifacts.put_bytes(b"both" * 2000)
        os.utime(yard.artifacts.path(sha256), (1, 1))
        await yard.artifacts.put_bytes(b"both" * 2000)  # by run-open, which has not recorded it yet
        receipt = await yard.removal.delete(await yard.removal.preview("run-1"), ACTOR)
        assert yard.artifacts.path(sha256).is_file()
        assert receipt.freed < receipt.bytes
        assert receipt.notes[-1].startswith(f"{receipt.bytes - receipt.freed} bytes stay for now")
        assert await yard.store.verify() == []

    with_yard(tmp_path, work)


def test_a_tombstone_that_was_changed_is_found(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1")
        await yard.removal.delete(await yard.removal.preview("run-1"), ACTOR)

    with_yard(tmp_path, work)
    with closing(sqlite3.connect(tmp_path / "wfconsole.db")) as db, db:
        db.execute("DROP TRIGGER tombstones_no_update")
        (body,) = db.execute("SELECT body FROM tombstones").fetchone()
        data = json.loads(body)
        data["bytes"] = 1
        db.execute("UPDATE tombstones SET body = ?", (canonical(data),))

    async def look(yard: Yard) -> None:
        assert [finding.code for finding in await yard.store.verify()] == ["tombstone_broken"]

    with_yard(tmp_path, look)


def test_rows_of_a_deleted_run_are_found(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1")
        await yard.removal.delete(await yard.removal.preview("run-1"), ACTOR)

    with_yard(tmp_path, work)
    with closing(sqlite3.connect(tmp_path / "wfconsole.db")) as db, db:
        db.execute("DROP TRIGGER inbox_of_the_living")
        db.execute("INSERT INTO inbox (run_id, fact_id, type, body, posted_at) VALUES ('run-1', 'x', 'x', x'00', 0)")

    async def look(yard: Yard) -> None:
        assert [finding.code for finding in await yard.store.verify()] == ["deleted_run_left"]

    with_yard(tmp_path, look)


def test_a_follower_sees_the_deletion_as_the_last_event(tmp_path: Path) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1")
        seen = len(await yard.store.load("run-1"))

        async def taken(_run_id: str) -> None: ...

        removal = Removal(replace(yard.ports, acquire=taken))  # nobody finishes it yet
        receipt = await removal.delete(await removal.preview("run-1"), ACTOR)
        assert (receipt.unfinished, receipt.freed) == (("run-1",), 0)
        assert receipt.notes == ("another process is removing run run-1; `wfconsole gc` removes what it leaves",)
        async with aclosing(yard.store.changes("run-1", seen)) as batches:  # type: ignore[type-var]
            (record,) = await anext(batches)
        assert isinstance(record.event, RunDeleted)
        assert record.event.workflow_id == "wf-run-1"
        await yard.removal.finish_all()
        assert await yard.store.load("run-1") == []

    with_yard(tmp_path, work)
