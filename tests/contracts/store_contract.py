"""What every `ports.Store` does; run against the fake and the real one. A subclass says how to open one."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.store.samples import T0, Run, created, pause, plan, records, start_fact, step, whole_story
from wfconsole.domain import events as ev
from wfconsole.domain.events import Record
from wfconsole.ports import Commit, RunFilter, Store, StoreConflictError, WfconsoleError


class StoreContract:
    @abstractmethod
    def open(self, folder: Path) -> Store: ...

    def with_store(self, folder: Path, work: Callable[[Store], Awaitable[None]]) -> None:
        async def scenario() -> None:
            store = self.open(folder)
            try:
                async with asyncio.timeout(60):
                    await work(store)
            finally:
                await store.close()

        asyncio.run(scenario())

    def test_a_committed_run_is_loaded_as_it_was(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            run = Run("run-1")
            commit = run.next(*whole_story("run-1"))
            await store.commit(commit)
            assert tuple(await store.load("run-1")) == commit.records
            assert list(await store.load("run-2")) == []

        self.with_store(tmp_path, work)

    def test_the_same_commit_twice_is_one_commit(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            run = Run("run-1")
            for commit in (run.create(), run.next(ev.RunStarted(owner="me")), run.next(*step("a"))):
                await store.commit(commit)
                await store.commit(commit)
            for commit in run.commits:
                await store.commit(commit)
            assert len(await store.load("run-1")) == run.seq

        self.with_store(tmp_path, work)

    def test_a_commit_that_comes_too_late_changes_nothing(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            run = Run("run-1")
            await store.commit(run.create())
            late = Run("run-1", seq=run.seq).next(ev.RunStarted(owner="other"))
            await store.commit(run.next(ev.RunStarted(owner="me")))
            with pytest.raises(StoreConflictError):
                await store.commit(late)
            with pytest.raises(StoreConflictError):
                await store.commit(Run("run-1", seq=9).next(ev.RunPaused()))
            overlapping = replace(late, records=records((ev.RunStarted(owner="me"), ev.RunPaused()), after=1))
            with pytest.raises(StoreConflictError):
                await store.commit(overlapping)
            assert len(await store.load("run-1")) == 2

        self.with_store(tmp_path, work)

    def test_a_run_begins_with_its_creation_and_only_once(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            with pytest.raises(StoreConflictError):
                await store.commit(Run("run-1").next(ev.RunStarted(owner="me")))
            run = Run("run-1")
            await store.commit(run.create())
            with pytest.raises(StoreConflictError):
                await store.commit(run.next(created("run-1")))
            assert len(await store.load("run-1")) == 1

        self.with_store(tmp_path, work)

    def test_a_fact_about_a_run_that_never_was_can_be_laid_aside(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            await store.post("none", pause("p"))
            await store.commit(Commit(run_id="none", expected_seq=0, records=(), fact=pause("p")))
            assert list(await store.pending("none")) == []
            assert list(await store.load("none")) == []
            assert list(await store.runs(RunFilter())) == []

        self.with_store(tmp_path, work)

    def test_records_that_leave_a_gap_are_refused(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            run = Run("run-1")
            await store.commit(run.create())
            good = run.next(ev.RunStarted(owner="me"), ev.RunPaused())
            gap = replace(good, records=(good.records[0], replace(good.records[1], seq=4)))
            with pytest.raises(StoreConflictError):
                await store.commit(gap)
            await store.commit(good)

        self.with_store(tmp_path, work)

    def test_one_workflow_id_is_one_run(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            await store.commit(Run("run-1").create(workflow_id="key"))
            with pytest.raises(StoreConflictError):
                await store.commit(Run("run-2").create(workflow_id="key"))
            assert await store.run_of_workflow("key") == "run-1"
            assert await store.run_of_workflow("other") is None
            assert list(await store.load("run-2")) == []

        self.with_store(tmp_path, work)

    def test_an_attempt_is_claimed_once(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            run = Run("run-1")
            await store.commit(run.create())
            await store.commit(run.next(ev.StepStarted(step_id="a", attempt=1, kind="run")))
            again = Run("run-1", seq=run.seq).next(ev.StepStarted(step_id="a", attempt=1, kind="run"))
            with pytest.raises(StoreConflictError):
                await store.commit(again)
            await store.commit(run.next(ev.StepStarted(step_id="a", attempt=2, kind="run")))
            await store.commit(run.next(ev.StepStarted(step_id="b", attempt=1, kind="run")))

        self.with_store(tmp_path, work)

    def test_of_two_drivers_of_one_run_one_wins_each_place(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            await store.commit(Run("run-1").create())

            async def drive(owner: str) -> int:
                won = 0
                for _ in range(20):
                    seq = len(await store.load("run-1"))
                    try:
                        await store.commit(Run("run-1", seq=seq).next(ev.OwnerChanged(owner=owner)))
                        won += 1
                    except StoreConflictError:
                        await asyncio.sleep(0)
                return won

            won = sum(await asyncio.gather(drive("me"), drive("you"), drive("they")))
            journal = await store.load("run-1")
            assert len(journal) == 1 + won
            assert [record.seq for record in journal] == list(range(1, won + 2))

        self.with_store(tmp_path, work)

    def test_a_conflict_hurts_no_other_run(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            runs = [Run(f"run-{k}") for k in range(20)]
            await asyncio.gather(*(store.commit(run.create()) for run in runs))
            wrong = [Run(run.run_id, seq=7).next(ev.RunPaused()) for run in runs]
            right = [run.next(ev.RunStarted(owner="me")) for run in runs]
            pairs = [commit for pair in zip(wrong, right, strict=True) for commit in pair]
            results = await asyncio.gather(*(store.commit(commit) for commit in pairs), return_exceptions=True)
            assert [isinstance(result, StoreConflictError) for result in results] == [True, False] * 20
            assert results[1::2] == [None] * 20

        self.with_store(tmp_path, work)

    def test_a_posted_fact_waits_until_a_commit_decides_it(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            run = Run("run-1")
            await store.commit(run.create())
            first, second = pause("p1"), pause("p2")
            for fact in (first, second, first, replace(first, reason="another text under the same id")):
                await store.post("run-1", fact)
            assert list(await store.pending("run-1")) == [first, second]
            assert list(await store.pending("run-2")) == []
            await store.commit(Commit(run_id="run-1", expected_seq=1, records=(), fact=first))
            assert list(await store.pending("run-1")) == [second]
            decided = Commit(
                run_id="run-1", expected_seq=1, records=records((ev.RunPausing(draining=0),), after=1), fact=second
            )
            await store.commit(decided)
            assert list(await store.pending("run-1")) == []
            await store.post("run-1", second)
            assert list(await store.pending("run-1")) == []

        self.with_store(tmp_path, work)

    def test_a_fact_with_a_whole_plan_comes_back_equal(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            await store.post("run-1", start_fact("run-1"))
            assert list(await store.pending("run-1")) == [start_fact("run-1")]

        self.with_store(tmp_path, work)

    def test_a_command_that_was_decided_without_being_posted_stays_decided(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            run = Run("run-1")
            await store.commit(run.create())
            await store.commit(replace(run.next(ev.RunPausing(draining=0)), fact=pause("p1")))
            await store.post("run-1", pause("p1"))
            assert list(await store.pending("run-1")) == []

        self.with_store(tmp_path, work)

    def test_a_decision_without_events_is_idempotent_too(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            run = Run("run-1")
            await store.commit(run.create())
            empty = run.next(fact_id="nothing")
            await store.commit(empty)
            await store.commit(run.next(ev.RunStarted(owner="me")))
            await store.commit(empty)
            with pytest.raises(StoreConflictError):
                await store.commit(replace(empty, fact=pause("other")))

        self.with_store(tmp_path, work)

    def test_changes_tell_each_record_once_and_in_order(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            run = Run("run-1")
            await store.commit(run.create())
            told: list[Record] = []

            async def watch(after: int, until: int) -> list[int]:
                seen: list[int] = []
                async with aclosing(store.changes("run-1", after)) as batches:  # type: ignore[type-var]
                    async for batch in batches:
                        told.extend(batch)
                        seen += [record.seq for record in batch]
                        if seen[-1] >= until:
                            break
                return seen

            watchers = [asyncio.create_task(watch(after, 31)) for after in (0, 1, 1)]
            for number in range(30):
                await store.commit(run.next(ev.OwnerChanged(owner=str(number))))
            assert [await watcher for watcher in watchers] == [
                list(range(1, 32)),
                list(range(2, 32)),
                list(range(2, 32)),
            ]
            assert {record.seq for record in told} == set(range(1, 32))

        self.with_store(tmp_path, work)

    def test_the_version_moves_with_every_commit_and_not_without(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            run = Run("run-1")
            before = await store.version()
            assert await store.version() == before
            await store.commit(run.create())
            after = await store.version()
            assert after != before
            await store.post("run-1", pause("p1"))
            assert await store.version() not in {before, after}

        self.with_store(tmp_path, work)

    def test_the_newest_records_come_over_all_runs(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            one, two = Run("run-1"), Run("run-2")
            await store.commit(one.create())
            await store.commit(two.create())
            await store.commit(one.next(ev.RunStarted(owner="me")))
            found = await store.newest(2)
            assert [(run_id, record.seq) for run_id, record in found] == [("run-1", 2), ("run-2", 1)]
            assert len(await store.newest(10)) == 3

        self.with_store(tmp_path, work)

    def test_find_run_by_id_part_workflow_and_latest(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            for number, run_id in enumerate(("abc-1-xyz", "abc-2-uvw", "zzz-3-uvw")):
                await store.commit(Run(run_id, at=T0 + number * 1000).create())
            expected = {
                "abc-1-xyz": "abc-1-xyz", "abc-1": "abc-1-xyz", "xyz": "abc-1-xyz", "zzz": "zzz-3-uvw",
                "wf-abc-2-uvw": "abc-2-uvw", "@latest": "zzz-3-uvw",
            }  # fmt: skip
            assert {ref: await store.find_run(ref) for ref in expected} == expected
            for ref, candidates in {
                "abc": ["abc-2-uvw", "abc-1-xyz"], "uvw": ["zzz-3-uvw", "abc-2-uvw"], "yz": None, "nothing": None, "%%%": None,
            }.items():  # fmt: skip
                with pytest.raises(WfconsoleError) as caught:
                    await store.find_run(ref)
                assert (caught.value.code, caught.value.details.get("candidates")) == ("NOT_FOUND", candidates)

        self.with_store(tmp_path, work)

    def test_latest_of_no_run_is_not_found(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            with pytest.raises(WfconsoleError) as caught:
                await store.find_run("@latest")
            assert caught.value.code == "NOT_FOUND"

        self.with_store(tmp_path, work)

    def test_runs_are_listed_newest_first_and_filtered(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            other = plan("a", recipe="other")
            first, second, third = Run("run-1"), Run("run-2", at=T0 + 1000), Run("run-3", at=T0 + 2000)
            await store.commit(first.next(*whole_story("run-1")))
            await store.commit(second.create(pinned=other))
            await store.commit(third.create(project="shop"))
            await store.commit(third.next(ev.RunStarted(owner="me")))

            async def listed(where: RunFilter) -> list[str]:
                return [row.run_id for row in await store.runs(where)]

            assert await listed(RunFilter()) == ["run-3", "run-2", "run-1"]
            assert await listed(RunFilter(limit=1)) == ["run-3"]
            assert await listed(RunFilter(statuses=("running", "failed"))) == ["run-3", "run-1"]
            assert await listed(RunFilter(statuses=())) == []
            assert await listed(RunFilter(recipe="other")) == ["run-2"]
            assert await listed(RunFilter(project="shop", since_ms=T0 + 500)) == ["run-3"]
            row = (await store.runs(RunFilter(statuses=("failed",))))[0]
            assert (row.workflow_id, row.recipe, row.version, row.project) == ("wf-run-1", "sample", "1.2.3", "shop")
            assert (row.created_at, row.started_at) == (T0 + 10, T0 + 20)
            assert (row.seq, row.finished_at) == (first.seq, T0 + 10 * (first.seq - 1))
            assert row.view["inputs"] == {"floor": 80.5, "name": "Ä"}
            assert row.view["failure"]["code"] == "STEP_FAILED"

        self.with_store(tmp_path, work)

    def test_an_intent_is_kept_under_its_digest(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            await store.save_intent("abcd" * 16, b'{"goal":"x"}', T0)
            await store.save_intent("abcd" * 16, b'{"goal":"x"}', T0 + 1)
            await store.save_intent("abce" * 16, b'{"goal":"y"}', T0)
            assert await store.load_intent("abcd" * 16) == ("abcd" * 16, b'{"goal":"x"}')
            assert await store.load_intent("abce") == ("abce" * 16, b'{"goal":"y"}')
            for ref in ("abc", "ab", "ffff"):
                with pytest.raises(WfconsoleError) as caught:
                    await store.load_intent(ref)
                assert caught.value.code == "NOT_FOUND"

        self.with_store(tmp_path, work)

    def test_a_cancelled_sender_does_not_undo_a_commit(self, tmp_path: Path) -> None:
        async def work(store: Store) -> None:
            run = Run("run-1")
            await store.commit(run.create())
            commit = run.next(ev.RunStarted(owner="me"))
            sender = asyncio.create_task(_commit(store, commit))
            await asyncio.sleep(0)
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            await store.commit(commit)
            assert len(await store.load("run-1")) == 2

        self.with_store(tmp_path, work)


async def _commit(store: Store, commit: Commit) -> None:
    await store.commit(commit)
