"""One run as a stream, from a real store: a long one is sketched first, read apart, and followed as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.fakes.door import FakeDoor
from tests.fakes.journals import OK, RUN_ID, START, Journal, plan, step
from wfconsole.console import run_feed
from wfconsole.console.feed import one_run
from wfconsole.console.model import RunPicture
from wfconsole.domain.codec import canonical
from wfconsole.domain.facts import Wakeup
from wfconsole.ports import Commit, WfconsoleError
from wfconsole.store.sqlite import SqliteStore
from wfconsole.views.run_view import run_view


def journal() -> Journal:
    """Thirty steps, one after the other; the last but one is running."""
    made = Journal(plan(*(step(f"s{n:02d}", *([f"s{n - 1:02d}"] if n else [])) for n in range(30))))
    made.take()
    while len(made.open) == 1 and made.open[0].step_id != "s28":
        made.end(made.open[0], OK)
    return made


async def commit(store: SqliteStore, made: Journal, known: int) -> int:
    records = tuple(made.records[known:])
    fact = Wakeup(fact_id=f"sync:{known}", at=START)
    await store.commit(Commit(run_id=RUN_ID, expected_seq=known, records=records, fact=fact))
    return len(made.records)


def pictures(door: FakeDoor, ref: str = RUN_ID, *, sketched: bool = True) -> AsyncIterator[RunPicture]:
    return one_run(cast("Any", door), ref, lambda: START, lambda _run: False, sketched=sketched)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[FakeDoor]:
    found = FakeDoor(plan(step("a")), tmp_path)
    (tmp_path / "store").mkdir()
    found.store = cast("Any", SqliteStore.open(tmp_path / "store"))
    yield found
    found.artifacts.close()


@pytest.mark.parametrize("long", [10, 10_000])
def test_a_long_run_is_sketched_and_every_whole_picture_is_the_fold(
    door: FakeDoor, monkeypatch: pytest.MonkeyPatch, long: int
) -> None:
    monkeypatch.setattr(run_feed, "LONG", long)

    async def scenario() -> None:
        store = cast("SqliteStore", door.store)
        made = journal()
        seq = await commit(store, made, 0)
        stream = pictures(door)
        first = await anext(stream)
        if long == 10:
            assert not first.whole
            assert first.seq == seq
            real = run_view(made.records)
            assert [item["status"] for item in first.view["steps"]] == [item["status"] for item in real["steps"]]
            assert [item["started_at"] for item in first.view["steps"]] == [
                item["started_at"] for item in real["steps"]
            ]
            assert first.view["current_step"] == "s28"
            first = await anext(stream)
        assert first.whole
        assert canonical(first.view) == canonical(run_view(made.records))
        assert first.history is not None
        assert canonical(first.history.at(7)) == canonical(run_view(made.records[:7]))
        before = canonical(first.view)
        made.end(made.open[0], OK)
        await commit(store, made, seq)
        grown = await anext(stream)
        assert canonical(grown.view) == canonical(run_view(made.records))
        assert grown.refusals["resume"]
        assert canonical(first.view) == before
        await store.close()

    asyncio.run(scenario())


def test_nothing_is_sketched_for_who_did_not_ask(door: FakeDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_feed, "LONG", 1)

    async def scenario() -> None:
        store = cast("SqliteStore", door.store)
        await commit(store, journal(), 0)
        assert (await anext(pictures(door, sketched=False))).whole
        await store.close()

    asyncio.run(scenario())


def test_a_run_that_is_not_there_is_not_found(door: FakeDoor) -> None:
    async def scenario() -> None:
        with pytest.raises(WfconsoleError, match="there is no run"):
            await anext(pictures(door, "nobody"))
        await cast("SqliteStore", door.store).close()

    asyncio.run(scenario())
