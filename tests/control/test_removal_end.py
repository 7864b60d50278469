"""The last transaction of a removal is fenced, too: whoever lost the run between its last look and there ends nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.control.removing import ACTOR, Yard
from tests.control.test_removal import with_yard
from wfconsole.store import statements as sql


def test_whoever_is_replaced_right_before_the_end_of_a_removal_leaves_it_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1", b"one")
        real = yard.remains.finish

        async def overtaken(run_id: str, **more: Any) -> None:
            await yard.store.write(lambda db: db.execute(sql.LEASE_TAKEN, ("another", 1000, 0, run_id)))
            await real(run_id, **more)

        with monkeypatch.context() as patched:
            patched.setattr(yard.remains, "finish", overtaken)
            receipt = await yard.removal.delete(await yard.removal.preview("run-1"), ACTOR)
        assert receipt.unfinished == ("run-1",)
        assert await yard.remains.unfinished() == ["run-1"]
        assert await yard.removal.finish_all() == ["run-1"]  # that one has no row among the owners: it is dead
        assert await yard.remains.unfinished() == []

    with_yard(tmp_path, work)
