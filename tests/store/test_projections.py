"""What the projections say after a run, and that a rebuild says the same."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.store.samples import T0, Run, created, gates_told, plan, step, whole_story
from wfconsole.domain import events as ev
from wfconsole.domain.events import EVENT_TYPES
from wfconsole.domain.records import FailureCause
from wfconsole.ports import RunFilter
from wfconsole.store import statements
from wfconsole.store.sqlite import SqliteStore


def test_a_step_that_was_taken_over_counts_as_succeeded_and_left_its_mark_in_the_run_before(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        run, after = Run("run-1"), Run("run-2")
        await store.commit(run.next(created("run-1"), ev.RunStarted(owner="me"), *step("a")))
        kept = ev.WorkspaceKept(step_id="b", tree="7" * 40)
        await store.commit(run.next(ev.WorkspaceKeeping(step_id="b"), kept))
        reused = ev.StepReused(step_id="a", reused_from="run-1")
        retried = ev.RunRetried(successor="run-2", workflow_id="wf-run-2", retried_from="b")
        end = run.next(ev.RunCancelled(), retried)
        await store.commit(replace(end, successor=after.next(created("run-2"), reused)))
        assert (await store.query("SELECT run_id, step FROM marks"))[1] == [("run-1", "a")]
        counts = "SELECT steps_succeeded, status FROM runs ORDER BY run_id"
        assert (await store.query(counts))[1] == [(1, "cancelled"), (1, "pending")]
        assert list(await store.verify()) == []
        await store.rebuild("run-2")
        assert list(await store.verify_run("run-2")) == []

    with_store(tmp_path, work)


def with_store(folder: Path, work: Callable[[SqliteStore], Awaitable[None]]) -> None:
    async def scenario() -> None:
        store = SqliteStore.open(folder)
        try:
            await work(store)
        finally:
            await store.close()

    asyncio.run(scenario())


async def rows(store: SqliteStore, sql: str) -> Sequence[Sequence[Any]]:
    return (await store.query(sql))[1]


def projected(path: Path, run_id: str) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as db:
        return {name: db.execute(sql, (run_id,)).fetchall() for name, sql in statements.PROJECTIONS.items()}


def test_the_story_tells_every_event_that_there_is() -> None:
    told = {type(event) for event in (*whole_story("run-1"), *gates_told("f", "g"))}
    told |= {ev.WorkspaceKeeping, ev.WorkspaceKept, ev.StepReused, ev.RunRetried}  # in the test of a step taken over
    told |= {ev.RunQuarantined, ev.RunReadmitted}  # in the test of a run that is set aside
    assert set(EVENT_TYPES.values()) - told == {ev.RunSucceeded, ev.RunCancelled, ev.RunDeleted}


def test_gates_wait_for_a_person_and_keep_their_claims(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        run = Run("run-1")
        await store.commit(run.create(pinned=plan("f", "g")))
        await store.commit(run.next(*gates_told("f", "g")))
        assert await rows(store, "SELECT step_id, status, attempts, reason FROM steps ORDER BY ordinal") == [
            ("f", "needs_human", 1, "Ship it?"),
            ("g", "needs_human", 1, "Ship it?"),
        ]
        assert not await store.verify_run("run-1")

    with_store(tmp_path, work)


def test_steps_and_attempts_after_a_whole_story(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        await store.commit(Run("run-1").next(*whole_story("run-1")))
        assert await rows(
            store, "SELECT step_id, kind, status, attempts, code, reason FROM steps ORDER BY ordinal"
        ) == [
            ("a", "run", "succeeded", 1, None, None),
            ("b", "run", "succeeded", 2, None, None),
            ("c", "run", "failed", 2, "STEP_FAILED", "the command said no"),
            ("d", "run", "skipped", 0, "upstream", "c failed"),
            ("e", "run", "cancelled", 0, None, "the run ended"),
        ]
        assert await rows(store, "SELECT step_id, n, outcome, code, exit_code FROM attempts ORDER BY 1, 2") == [
            ("a", 1, "succeeded", None, 0),
            ("b", 1, "errored", "STEP_FAILED", None),
            ("b", 2, "succeeded", None, 0),
            ("c", 1, "abandoned", "STEP_FAILED", None),
            ("c", 2, "failed", "STEP_FAILED", 3),
        ]
        counts = (
            "SELECT steps_total, steps_succeeded, steps_failed, steps_skipped, steps_cancelled, failure_code FROM runs"
        )
        assert await rows(store, counts) == [(5, 2, 1, 1, 1, "STEP_FAILED")]
        assert await rows(store, "SELECT artifact_id, kind, bytes FROM artifacts ORDER BY 1") == [
            ("a#1/none", "none", None), ("b#2/out.txt", "file", 3), ("c#2/none", "none", None),
        ]  # fmt: skip

    with_store(tmp_path, work)


def test_each_event_carries_the_hash_of_the_one_before_it_from_the_run_and_its_plan_on(tmp_path: Path) -> None:
    """Computed here anew from the stored bytes, with nothing of the program's."""

    async def work(store: SqliteStore) -> None:
        for run_id in ("run-1", "run-2"):
            run = Run(run_id)
            for event in whole_story(run_id):
                await store.commit(run.next(event))
        with closing(sqlite3.connect(store.path)) as db:
            found = db.execute("SELECT run_id, seq, body, prev, hash FROM journal ORDER BY run_id, seq").fetchall()
        assert len(found) == 2 * len(whole_story("run-1"))
        before = b""
        for run_id, seq, body, prev, hashed in found:
            if seq == 1:
                before = hashlib.sha256(run_id.encode() + b"d" * 64).digest()
            assert (prev, hashed) == (before, hashlib.sha256(before + body).digest())
            before = hashed

    with_store(tmp_path, work)


def test_marks_have_one_row_for_each_step_that_took_effect(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        for run_id in ("run-1", "run-2"):
            await store.commit(Run(run_id).next(*whole_story(run_id)))
        for sql in (
            "SELECT step, count(*) FROM marks WHERE run_id = 'run-1' GROUP BY step",
            "SELECT step, count(*) FROM app.marks WHERE run_id = 'run-1' GROUP BY step",
            "SELECT step_id, count(*) FROM marks WHERE run_id = 'run-1' GROUP BY step_id",
        ):
            assert await rows(store, sql) == [("a", 1), ("b", 1)]

    with_store(tmp_path, work)


def test_every_executed_step_has_an_artifact_or_says_why_not(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        await store.commit(Run("run-1").next(*whole_story("run-1")))
        silent = Run("run-2")
        await store.commit(silent.create())
        await store.commit(silent.next(*step("a")[:2]))
        with closing(sqlite3.connect(store.path)) as db:
            assert db.execute(statements.UNACCOUNTED, ("run-1",)).fetchall() == []
            assert db.execute(statements.UNACCOUNTED, ("run-2",)).fetchall() == [("a", 1)]

    with_store(tmp_path, work)


def test_st_wf_010_the_view_has_the_failure_nested_for_queries(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        await store.commit(Run("run-1").next(*whole_story("run-1")))
        (row,) = await store.runs(RunFilter())
        view = row.view
        assert view["failure"] == {
            "code": "STEP_FAILED", "message": "step c failed", "hint": "read it", "last_successful_step": "b",
            "missing_fields": ["stderr"], "step_id": "c",
            "retry": {"allowed": False, "command": None, "reason": None},
        }  # fmt: skip
        assert view["recipe"] == {"name": "sample", "version": "1.2.3", "digest": "d" * 64, "origin": "path"}
        assert view["trigger"] == {"kind": "manual", "surface": "cli", "actor": "anne", "host": "desk"}
        assert (view["inputs"], view["outputs"]) == ({"floor": 80.5, "name": "Ä"}, {"score": 1.5})
        assert (view["status"], view["waiting_for"], view["project"]) == ("failed", [], "shop")
        assert (row.started_at, row.finished_at) == (T0 + 20, T0 + 330)
        assert view["duration_ms"] == 310
        assert str(view["created_at"]).endswith("Z")
        found = "SELECT run_id FROM runs WHERE json_extract(view, '$.failure.code') = 'STEP_FAILED'"
        assert await rows(store, found) == [("run-1",)]

    with_store(tmp_path, work)


def test_the_view_follows_the_status(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        run = Run("run-1")
        await store.commit(run.create())
        cause = FailureCause(code="POLICY_BLOCKED", message="rm /")
        for event, status, waiting in (
            (ev.RunStarted(owner="me"), "running", []),
            (ev.StepBlocked(step_id="a", cause=cause), "running", []),
            (ev.RunAwaitingApproval(waiting_for=("a",)), "awaiting_approval", ["a"]),
            (ev.RunPaused(), "paused", []),
            (ev.RunResumed(), "running", []),
            (ev.RunCancelled(reason="no"), "cancelled", []),
        ):
            await store.commit(run.next(event))
            (row,) = await store.runs(RunFilter())
            assert (row.status, row.view["status"], row.view["waiting_for"]) == (status, status, waiting)
            assert row.seq == run.seq

    with_store(tmp_path, work)


def test_the_view_says_why_a_run_is_set_aside_until_it_is_taken_back(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        run = Run("run-1")
        await store.commit(run.create())
        for event, aside in (
            (ev.RunStarted(owner="me"), None),
            (ev.RunQuarantined(attempts=3, code="INTERNAL", message="boom", hint="look"), "boom"),
            (ev.RunReadmitted(), None),
        ):
            await store.commit(run.next(event))
            (row,) = await store.runs(RunFilter())
            found = row.view.get("quarantine")
            assert (None if found is None else found["message"], row.seq) == (aside, run.seq)
            before = projected(store.path, "run-1")
            await store.rebuild("run-1")
            assert projected(store.path, "run-1") == before

    with_store(tmp_path, work)


def test_a_rebuild_gives_the_rows_that_were_there(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        whole = Run("run-1")
        await store.commit(whole.next(*whole_story("run-1")))
        piecemeal = Run("run-2")
        for event in whole_story("run-2"):
            await store.commit(piecemeal.next(event))
        other = Run("run-3")
        await store.commit(other.create(pinned=plan("x")))
        before = {run_id: projected(store.path, run_id) for run_id in ("run-1", "run-2", "run-3")}
        assert len(before["run-1"]["attempts"]) == 5
        with closing(sqlite3.connect(store.path)) as db, db:
            db.execute("UPDATE runs SET status = 'succeeded', view = '{}' WHERE run_id = 'run-1'")
            db.execute("DELETE FROM artifacts WHERE run_id = 'run-1'")
        assert projected(store.path, "run-1") != before["run-1"]
        for run_id, expected in before.items():
            await store.rebuild(run_id)
            assert projected(store.path, run_id) == expected
        assert await store.verify() == []

    with_store(tmp_path, work)
