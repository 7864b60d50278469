"""The recovery part of scripts/bench: a second writer beside a busy one, and the first event after a kill -9.

Owns what is measured; `python bench_recovery.py FOLDER RUNS` is the busy writer.
"""

# ruff: noqa: PLC0415 - the process that is measured imports what the other does not need

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
Row = tuple[str, list[float], str]

WRITES = 200
"""Writes of the second process, of which the 95th part is taken."""
LEAST = 7
"""Kills, however few rounds."""
STEPS = "recipe: slow\nsteps:\n  a: {run: ['true']}\n  b: {needs: [a], run: [sleep 1.5]}\n"


# --------------------------------------------------------------------------------------------------------- two writers


async def write_on(folder: Path, runs: int) -> None:
    """Commit to so many runs at once, as fast as it goes, until killed."""
    from tests.store.samples import Run, plan
    from wfconsole.domain.events import OwnerChanged
    from wfconsole.store.sqlite import SqliteStore

    store = SqliteStore.open(folder)

    async def one(run: Run) -> None:
        await store.commit(run.create(pinned=plan()))
        while True:
            await store.commit(run.next(OwnerChanged(owner="me")))

    async with asyncio.TaskGroup() as group:
        for number in range(runs):
            group.create_task(one(Run(f"run-{number}")))


async def _beside(folder: Path) -> list[float]:
    """Seconds that each write of this process takes, now and then as commands do."""
    from tests.store.samples import pause
    from wfconsole.store.sqlite import SqliteStore

    store, took = SqliteStore.open(folder), []
    while not await store.rows("SELECT 1 FROM runs LIMIT 1"):  # noqa: ASYNC110  what another process does sets no event here
        await asyncio.sleep(0.01)
    for number in range(WRITES):
        await asyncio.sleep(random.uniform(0.0, 0.01))
        began = time.perf_counter()
        await store.post("run-0", pause(f"fact-{number}"))
        took.append(time.perf_counter() - began)
    await store.close()
    return took


def two_writers(rounds: int) -> Iterator[Row]:
    """What a write waits beside a process that commits without a pause: the 95th percentile of each round."""
    for runs, text in ((1, "1 run"), (100, "100 runs")):
        late, middle, rates = [], [], []
        for _ in range(rounds):
            with _folder() as folder:
                process = subprocess.Popen([sys.executable, __file__, str(folder), str(runs)])
                try:
                    began = time.perf_counter()
                    took = asyncio.run(_beside(folder))
                    rates.append(_events(folder) / (time.perf_counter() - began))
                finally:
                    process.kill()
                    process.wait()
            late.append(statistics.quantiles(took, n=20)[-1])
            middle.append(statistics.median(took))
        rate = f"the first commits {statistics.median(rates):.0f}/s"
        yield f"write beside {text}: p95", late, f"bar 0.060 s; {rate}"
        yield f"write beside {text}: median", middle, "of the same"


# -------------------------------------------------------------------------------------------------------------- kill -9


def resumed(home: Path, number: int) -> float:
    """Kill `wfconsole run` while a step runs; seconds from starting a worker to its first event."""
    recipe = home / "slow.yaml"
    recipe.write_text(STEPS)
    program = str(Path(sys.executable).with_name("wfconsole"))
    run = subprocess.Popen(
        [program, "run", str(recipe), "--id", f"bench-{number}", "--json"], stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    for line in run.stdout:
        if '"step_started"' in line and '"b"' in line:
            break
    run.send_signal(signal.SIGKILL)
    run.communicate()
    with closing(sqlite3.connect(f"{(home / 'wfconsole.db').as_uri()}?mode=ro", uri=True)) as db:
        count = "SELECT count(*) FROM journal"
        (before,) = db.execute(count).fetchone()
        began = time.perf_counter()
        worker = subprocess.Popen(
            [program, "worker", "--until-idle"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while db.execute(count).fetchone() == (before,):
            time.sleep(0.001)
        took = time.perf_counter() - began
        assert worker.wait() == 0
        assert db.execute("SELECT DISTINCT status FROM runs").fetchall() == [("succeeded",)]
        assert db.execute("SELECT count(*) FROM attempts WHERE outcome <> 'succeeded'").fetchone() == (0,)
    return took


# ------------------------------------------------------------------------------------------------------------ the rest


def _events(folder: Path) -> int:
    with closing(sqlite3.connect(f"{(folder / 'wfconsole.db').as_uri()}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM journal").fetchone()[0])


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="wfconsole-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(rounds: int, home: Path) -> Iterator[Row]:
    """`home` is a state folder with the lock of the template `python`, set as WFCONSOLE_HOME."""
    assert os.environ["WFCONSOLE_HOME"] == str(home)
    yield from two_writers(rounds)
    times: list[float] = []
    bare: list[float] = []
    for number in range(max(rounds, LEAST)):
        times.append(resumed(home, number))
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import asyncio"], check=True)
        bare.append(time.perf_counter() - began)
    yield "kill -9, worker: first event", times, "bar 0.600 s"
    yield "python -c 'import asyncio'", bare, "the floor of any restart"


if __name__ == "__main__":
    asyncio.run(write_on(Path(sys.argv[1]), int(sys.argv[2])))
