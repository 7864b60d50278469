"""Building a root file system by a program of the host: what is begun and not wanted any more leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import pytest

from tests.contracts.sandbox_contract import until
from tests.sandbox.private import lives
from wfconsole.sandbox.templates import rootfs
from wfconsole.sandbox.templates.shape import Rootfs

SLOW = """#!/bin/sh
for last; do :; done
touch "$last/half"
sleep 600 &
echo $! > "$HERE"
wait
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a root file system is built by root")
def test_a_build_that_is_given_up_ends_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, programs, cache = tmp_path / "pid", tmp_path / "bin", tmp_path / "cache"
    programs.mkdir()
    (programs / "debootstrap").write_text(SLOW.replace("$HERE", str(here)))
    (programs / "debootstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    async def scenario() -> None:
        building = asyncio.create_task(rootfs.make(Rootfs(suite="bookworm"), cache, lambda _: None))
        await until(lambda: here.exists() and bool(here.read_text().strip()))
        assert list(cache.glob("*.work"))
        building.cancel()
        with suppress(asyncio.CancelledError):
            await building

    asyncio.run(asyncio.wait_for(scenario(), 60))
    assert not lives(int(here.read_text()))
    assert not list(cache.glob("*.work"))
    assert not list(cache.glob("*.part"))
