"""Random interleavings of several runs' commits, good ones and wrong ones, never break a chain or a sequence."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

from hypothesis import given, settings, strategies as st

from tests.fakes.store import MemoryStore
from tests.store.samples import Run, pause
from wfconsole.domain import events as ev
from wfconsole.ports import Commit, Store, StoreConflictError
from wfconsole.store.sqlite import SqliteStore

Kind = Literal["good", "again", "late", "early", "other", "claimed"]
Move = tuple[int, Kind, int]

moves = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(("good", "good", "good", "again", "late", "early", "other", "claimed")),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=8,
    ),
    max_size=8,
)


def commit_for(run: Run, kind: Kind, size: int) -> tuple[Commit | None, bool]:
    """The commit of this move, and whether it must succeed; None when the run is too young for the move."""
    events = tuple(ev.OwnerChanged(owner=str(number)) for number in range(size))
    if not run.commits:
        return (run.create(), True) if kind == "good" else (Run(run.run_id, seq=3).next(ev.RunPaused()), False)
    match kind:
        case "good":
            return run.next(*events, fact_id=f"{run.run_id}-{len(run.commits)}"), True
        case "again":
            return run.commits[size % len(run.commits)], True
        case "late":
            return replace(Run(run.run_id, seq=run.seq - 1).next(ev.RunPaused()), fact=pause("late")), False
        case "early":
            return Run(run.run_id, seq=run.seq + 1 + size).next(ev.RunPaused()), False
        case "other":
            return replace(run.commits[0], records=run.commits[0].records * 2), False
        case "claimed":
            claim = ev.StepStarted(step_id="a", attempt=1, kind="run")
            return Run(run.run_id, seq=run.seq).next(claim, claim), False


async def play(store: Store, rounds: list[list[Move]]) -> list[Run]:
    runs = [Run(f"run-{number}") for number in range(4)]
    for moves_at_once in rounds:
        made = [commit_for(runs[number], kind, size) for number, kind, size in moves_at_once]
        tasks = [asyncio.create_task(attempt(store, commit)) for commit, _ in made if commit is not None]
        results = await asyncio.gather(*tasks)
        assert results == [right for commit, right in made if commit is not None]
    return runs


async def attempt(store: Store, commit: Commit) -> bool:
    try:
        await store.commit(commit)
    except StoreConflictError:
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(moves)
def test_sqlite_keeps_every_chain_whole(rounds: list[list[Move]]) -> None:
    async def work(folder: Path) -> None:
        store = SqliteStore.open(folder)
        try:
            for run in await play(store, rounds):
                journal = await store.load(run.run_id)
                assert [record.seq for record in journal] == list(range(1, run.seq + 1))
                assert tuple(journal) == tuple(record for commit in run.commits for record in commit.records)
            assert await store.verify() == []
        finally:
            await store.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(work(Path(folder)))


@settings(max_examples=60, deadline=None)
@given(moves)
def test_the_store_in_memory_answers_alike(rounds: list[list[Move]]) -> None:
    async def work() -> None:
        store = MemoryStore()
        for run in await play(store, rounds):
            assert len(await store.load(run.run_id)) == run.seq

    asyncio.run(work())
