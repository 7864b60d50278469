"""All that waits is one transaction, and each run's commit is a savepoint of its own in it. Read from SQLite's own trace."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.store.samples import Run, plan, step
from wfconsole.ports import WfconsoleError
from wfconsole.store.sqlite import SqliteStore

RUNS = 20
TURNS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


async def waiting(store: SqliteStore, work: Callable[[], list[Any]]) -> tuple[list[Any], list[str]]:
    """What came of the writes that `work` hands over while the writer is held up; and the turns that it then made."""
    held, go = threading.Event(), threading.Event()
    turns: list[str] = []

    def hold(_: sqlite3.Connection) -> None:
        held.set()
        assert go.wait(60)

    first = asyncio.ensure_future(store.write(hold))
    await asyncio.to_thread(held.wait, 60)
    tasks = [asyncio.ensure_future(each) for each in work()]
    await asyncio.sleep(0)  # each runs up to where it waits for its answer
    assert store._writer._jobs.qsize() == len(tasks)

    def trace(statement: str) -> None:
        if statement.startswith(TURNS):
            turns.append(statement)

    store._writer._db.set_trace_callback(trace)
    go.set()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True), turns


def test_what_waits_is_one_transaction_with_a_savepoint_for_each_commit(tmp_path: Path) -> None:
    async def work() -> None:
        store = SqliteStore.open(tmp_path)
        runs = [Run(f"run-{n}") for n in range(RUNS)]
        ended, turns = await waiting(store, lambda: [store.commit(run.create()) for run in runs])
        assert ended == [None] * RUNS
        assert turns[:2] == ["RELEASE job", "COMMIT"]  # of the one that held the writer up
        assert turns[2:] == ["BEGIN IMMEDIATE", *["SAVEPOINT job", "RELEASE job"] * RUNS, "COMMIT"]
        await store.close()

    asyncio.run(work())


@pytest.mark.parametrize("bad", ["late", "claimed twice", "same workflow", "a bug"])
def test_a_commit_that_is_refused_goes_back_to_its_savepoint_alone(tmp_path: Path, bad: str) -> None:
    """Its events, its projections and the mark of its fact go together; whoever was before and after it is not touched."""

    async def work() -> None:
        store = SqliteStore.open(tmp_path)
        wrong, others = Run("wrong"), [Run(f"run-{n}") for n in range(4)]
        await store.commit(wrong.create(pinned=plan("a")))
        await store.commit(wrong.next(*step("a")))
        before = rows(store.path)

        def refused() -> Any:
            if bad == "late":
                return store.commit(Run("wrong", seq=1).next(*step("a", 2)))
            if bad == "claimed twice":
                return store.commit(wrong.next(step("a", 2)[0], step("a", 1)[0]))
            if bad == "same workflow":
                return store.commit(Run("other").create(workflow_id="wf-wrong"))
            return store.write(lambda db: [db.execute("DELETE FROM leases"), 1 / 0])

        ended, turns = await waiting(
            store,
            lambda: [store.commit(others[0].create()), refused(), *(store.commit(r.create()) for r in others[1:])],
        )
        assert [type(each) if each else None for each in ended] == [None, type(ended[1]), None, None, None]
        assert isinstance(ended[1], WfconsoleError)
        assert turns.count("ROLLBACK TO job") == 1
        assert (turns.count("BEGIN IMMEDIATE"), turns.count("ROLLBACK"), turns[-1]) == (1, 0, "COMMIT")
        after = rows(store.path)
        for table, found in before.items():
            assert found <= after[table]
            assert {row for row in after[table] - found if "run-" not in str(row)} == set(), table
        assert len(after["runs"]) == len(before["runs"]) + len(others)
        assert await store.verify() == []
        await store.close()

    asyncio.run(work())


def rows(path: Path) -> dict[str, set[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as db:
        names = ("journal", "inbox", "runs", "steps", "attempts", "artifacts")
        return {name: set(db.execute(f"SELECT * FROM {name}").fetchall()) for name in names}
