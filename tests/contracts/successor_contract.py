"""What every `ports.Store` does with a commit that carries a successor: the end of one run and the creation of the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.store_contract import StoreContract
from tests.store.samples import Run, created, nothing_left
from wfconsole.domain import events as ev
from wfconsole.ports import RunFilter, Store, StoreConflictError


def retried(successor: str) -> ev.RunRetried:
    return ev.RunRetried(successor=successor, workflow_id=f"wf-{successor}", retried_from="b", gate_id="gate#1")


def taken_over(run_id: str) -> tuple[ev.Event, ...]:
    """A successor's first events: created, with step a taken over."""
    nothing = nothing_left("a")
    return created(run_id), nothing, ev.StepReused(step_id="a", reused_from="run-1", outputs={"n": 1})


class SuccessorContract(StoreContract):
    def test_the_end_of_a_run_and_its_successor_are_one_commit_however_often_it_is_sent(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            run, after = Run("run-1"), Run("run-2")
            await store.commit(run.create())
            both = replace(run.next(ev.RunCancelled(), retried("run-2")), successor=after.next(*taken_over("run-2")))
            for _ in range(2):
                await store.commit(both)
            assert tuple(await store.load("run-1"))[1:] == both.records
            assert both.successor is not None
            assert tuple(await store.load("run-2")) == both.successor.records
            assert [row.run_id for row in await store.runs(RunFilter(statuses=("pending",)))] == ["run-2"]
            assert await store.run_of_workflow("wf-run-2") == "run-2"
            await store.commit(after.next(ev.RunStarted(owner="me")))
            await store.commit(both)
            assert len(await store.load("run-2")) == after.seq

        self.with_store(tmp_path, work)

    def test_a_successor_that_cannot_be_created_keeps_its_parent_from_ending(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            run = Run("run-1")
            await store.commit(run.create())
            await store.commit(Run("run-0").create(workflow_id="wf-run-2"))
            end = run.next(ev.RunCancelled(), retried("run-2"))
            for bad in (
                Run("run-2").next(*taken_over("run-2")),
                Run("run-0").next(*taken_over("run-0")),
                Run("run-3", seq=4).next(ev.RunStarted(owner="me")),
            ):
                with pytest.raises(StoreConflictError):
                    await store.commit(replace(end, successor=bad))
                assert len(await store.load("run-1")) == 1
                assert list(await store.load("run-2")) == list(await store.load("run-3")) == []
            good = Run("run-4").next(*taken_over("run-4"))
            await store.commit(replace(end, successor=good))
            assert len(await store.load("run-4")) == 3

        self.with_store(tmp_path, work)

    def test_a_parent_that_has_moved_creates_no_successor(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            run = Run("run-1")
            await store.commit(run.create())
            late = Run("run-1", seq=1).next(ev.RunCancelled(), retried("run-2"))
            await store.commit(run.next(ev.RunStarted(owner="me")))
            with pytest.raises(StoreConflictError):
                await store.commit(replace(late, successor=Run("run-2").next(*taken_over("run-2"))))
            assert list(await store.load("run-2")) == []

        self.with_store(tmp_path, work)
