"""The console part of scripts/bench: real processes on real pseudo-terminals, timed from outside.

Owns what is measured. The programs that are measured, besides the console itself, are in bench_children.
"""

# ruff: noqa: PLC0415 - filling a store needs what measuring does not

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import select
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
Row = tuple[str, list[float], str]
SECONDS = 10.0


# ------------------------------------------------------------------------------------------------------- being measured


class Watched:
    """A program on a pseudo-terminal of 120x40 that answers nothing."""

    def __init__(self, argv: Sequence[str], home: Path, **extra: str) -> None:
        self._leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        environment = {
            **os.environ, "WFCONSOLE_HOME": str(home), "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8",
            **extra,
        }  # fmt: skip
        environment.pop("NO_COLOR", None)
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            argv, stdin=follower, stdout=follower, stderr=follower, env=environment, start_new_session=True, cwd=home
        )
        os.close(follower)
        self.written = b""

    def read(self, seconds: float) -> bytes:
        """What comes within this time, at once when something comes."""
        if not select.select([self._leader], [], [], max(0.0, seconds))[0]:
            return b""
        data = os.read(self._leader, 1 << 20)
        self.written += data
        return data

    def until(self, wanted: bytes, seconds: float = 60.0) -> float:
        """Seconds since the start (or the last `mark`) until this was written."""
        end, fresh = time.perf_counter() + seconds, b""
        while wanted not in fresh:
            if time.perf_counter() > end:
                raise RuntimeError(f"{wanted!r} did not come: {fresh[-500:]!r}")
            fresh += self.read(0.5)
        return time.perf_counter() - self.began

    def drain(self, seconds: float) -> int:
        """Read for that long; how many bytes came."""
        end, count = time.perf_counter() + seconds, 0
        while (left := end - time.perf_counter()) > 0:
            count += len(self.read(left))
        return count

    def press(self, key: str) -> None:
        self.began = time.perf_counter()
        os.write(self._leader, key.encode())

    @property
    def peak(self) -> float:
        """Peak resident memory so far, MB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmHWM:")[1].split()[0]) / 1024

    @property
    def processor(self) -> float:
        """Seconds of a core used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def load(self, seconds: float) -> tuple[float, float]:
        """KB/s written and percent of a core used over that time."""
        before, began = self.processor, time.perf_counter()
        count = self.drain(seconds)
        took = time.perf_counter() - began
        return count / 1000 / took, 100 * (self.processor - before) / took

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._leader)


@contextmanager
def watched(argv: Sequence[str], home: Path, **extra: str) -> Iterator[Watched]:
    made = Watched(argv, home, **extra)
    try:
        yield made
    finally:
        made.close()


def child(name: str, *argv: object) -> list[str]:
    return [sys.executable, str(ROOT / "scripts" / "bench_children.py"), name, *map(str, argv)]


def console() -> list[str]:
    return [str(Path(sys.executable).parent / "wfconsole")]


@contextmanager
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="wfconsole-bench-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def stored(home: Path, runs: int, *, events: int = 0) -> None:
    """Fill a store with ended runs; with `events` one more whose journal has that many."""
    from tests.fakes.journals import START, Journal, plan, step
    from wfconsole.domain.facts import StartRun
    from wfconsole.ports import Commit
    from wfconsole.store.sqlite import SqliteStore

    async def fill() -> None:
        store = SqliteStore.open(home)

        async def put(journal: Journal, run_id: str) -> None:
            fact = StartRun(
                fact_id=f"start:{run_id}", at=START, run_id=run_id, workflow_id=run_id, trace_id="t" * 32, plan=journal.state.plan  # type: ignore[union-attr]
            )  # fmt: skip
            records = tuple(journal.records)
            for first in range(0, len(records), 1000):
                part = records[first : first + 1000]
                await store.commit(Commit(run_id=run_id, expected_seq=first, records=part, fact=fact))

        small = plan(step("lint"), step("unit", "lint"), step("ship", "unit"))
        for number in range(runs):
            run_id = f"01{number:014d}"
            journal = Journal(small, run_id=run_id)
            journal.play()
            await put(journal, run_id)
        if events:
            big = plan(*(step(f"s{number:05d}") for number in range(events // 2)))
            journal = Journal(big, run_id="01zzzzzzzzzzzzzz", pace=10)
            journal.play()
            await put(journal, "01zzzzzzzzzzzzzz")
        await store.close()

    asyncio.run(fill())


# ------------------------------------------------------------------------------------------------------------- measures


def start(rounds: int) -> list[Row]:
    """From exec to the first row of 1,000 stored runs, beside what Textual alone costs."""
    times: dict[str, list[float]] = {}
    peaks: list[float] = []
    with folder() as home:
        stored(home, 1000)
        for _ in range(rounds + 1):
            with watched(console(), home) as seen:
                took = seen.until(b"quality-gate@")
                peak = seen.peak
            if "first row of 1,000 runs" in times or took:  # the first round only warms the caches
                times.setdefault("first row of 1,000 runs", []).append(took)
                peaks.append(peak)
            for name in ("textual", "table"):
                with watched(child(name), home) as seen:
                    times.setdefault(name, []).append(seen.until(b"row 1"))
    ours = times["first row of 1,000 runs"][1:]
    return [
        ("first row of 1,000 stored runs, s", ours, "bar 0.300"),
        ("  a Textual app with one line, s", times["textual"][1:], "the floor"),
        ("  a DataTable of 1,000 rows, s", times["table"][1:], "a peer"),
        ("peak memory by then, MB", peaks[1:], "bar 45"),
    ]


def idle(rounds: int) -> list[Row]:
    rates: list[float] = []
    shares: list[float] = []
    with folder() as home:
        stored(home, 40)
        for _ in range(min(rounds, 2)):
            with watched(console(), home) as seen:
                seen.until(b"quality-gate@")
                seen.drain(3.0)
                rate, share = seen.load(SECONDS)
                rates.append(rate)
                shares.append(share)
    return [("idle, KB/s", rates, "bar 0"), ("idle, % of a core", shares, "bar 1")]


def rows(rounds: int) -> list[Row]:
    """Rows that change ten times a second: our list beside a DataTable that shows the same."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    plans = [("ours", 40, 0.1), ("table", 40, 0.1), ("ours", 4, 0.1), ("ours", 40, 1.0)]
    with folder() as home:
        for _ in range(min(rounds, 3)):
            for kind, count, every in plans:
                with watched(child(f"rows-{kind}", count, every), home) as seen:
                    seen.until(b"row 1")
                    seen.drain(1.0)
                    rate, share = seen.load(SECONDS / 2)
                    rates, shares = found.setdefault(f"{kind} {count} {every}", ([], []))
                    rates.append(rate)
                    shares.append(share)
    words = {
        "ours 40 0.1": ("40 rows at 10 Hz", "bar 30", "bar 10"),
        "table 40 0.1": ("  a DataTable, 40 rows at 10 Hz", "the peer", "the peer"),
        "ours 4 0.1": ("4 rows at 10 Hz", "bar 5", ""),
        "ours 40 1.0": ("low bandwidth, 40 rows", "bar 3", ""),
    }
    made: list[Row] = []
    for name, (rates, shares) in found.items():
        title, bar, other = words[name]
        made += [(f"{title}, KB/s", rates, bar), (f"{title}, % of a core", shares, other)]
    return made


def busy(rounds: int) -> list[Row]:
    """100 steps under way on a sandbox that only takes time: keys, and what a terminal that nobody reads costs the engine."""
    from tests.terminal.screen import Screen

    waits: list[float] = []
    gaps: list[float] = []
    with folder() as home:
        stored(home, 200)
        for _ in range(min(rounds, 2)):
            with watched(child("busy"), home) as seen:
                screen = Screen(120, 40)
                seen.until(b"fan-out@")
                screen.feed(seen.written)
                took = seen.drain(3.0)
                screen.feed(seen.written[-took:] if took else b"")
                for number in range(60):
                    waits.append(_key(seen, screen, "j" if number % 20 < 10 else "k"))
                    seen.drain(0.03)
                began = time.time_ns() // 1_000_000
                for _ in range(200):
                    seen.press("\x0c")  # a whole picture, which nobody reads
                time.sleep(5.0)
                until_now = time.time_ns() // 1_000_000
                gaps.append(_longest_gap(home, began, until_now))
    last = max(0, round(len(waits) * 0.95) - 1)
    return [
        ("key to paint, s (max: p100)", waits, f"bar p95 0.030, here {sorted(waits)[last]:.4f}"),
        ("engine gap, stalled terminal, s", gaps, "bar 0.300"),
    ]


def _key(seen: Watched, screen: Any, key: str) -> float:
    """Seconds until the cursor stands elsewhere."""

    def place() -> int:
        return next((at for at, line in enumerate(screen.lines) if line.startswith(">")), -1)

    before = place()
    seen.press(key)
    while place() == before:
        if time.perf_counter() - seen.began > 5:
            raise RuntimeError(screen.text)
        screen.feed(seen.read(1.0))
    return time.perf_counter() - seen.began


def _longest_gap(home: Path, first: int, last: int) -> float:
    """Seconds, at most, between two events of the journal in that time."""
    with closing(sqlite3.connect(f"file:{home / 'wfconsole.db'}?mode=ro", uri=True)) as store:
        bodies = [
            json.loads(body) for (body,) in store.execute("SELECT body FROM journal ORDER BY rowid DESC LIMIT 3000")
        ]
    from wfconsole.domain.codec import from_iso

    moments = sorted(at for at in (from_iso(body["timestamp"]) for body in bodies) if first <= at <= last)
    moments = [first, *moments, last]
    return max(b - a for a, b in pairwise(moments)) / 1000


def long_run(rounds: int) -> list[Row]:
    times: list[float] = []
    with folder() as home:
        stored(home, 3, events=20_000)
        for _ in range(rounds):
            with watched(console(), home) as seen:
                seen.until(b"01zzzzzzzzzzzzzz")
                seen.drain(1.0)
                seen.press("g")
                seen.drain(0.3)
                seen.press("\r")
                times.append(seen.until(b"s00001"))
    return [("opening a run of 20,000 events, s", times, "bar 0.150")]


def logs(rounds: int) -> list[Row]:
    """The first page of a log of 111 MB, in a process of its own."""
    times: list[float] = []
    memory: list[float] = []
    with folder() as home:
        line = b"2026-07-01T10:00:00.000Z step one of many says something of this length\n"
        with (home / "log").open("wb") as log:
            for _ in range(1600):
                log.write(line * 1000)
        for _ in range(rounds):
            done = subprocess.run(child("log", home / "log"), stdout=subprocess.PIPE, check=True, cwd=home)
            took, grew = json.loads(done.stdout)
            times.append(took)
            memory.append(grew)
    return [("first page of a 111 MB log, s", times, "bar 0.050"), ("  memory for it, MB", memory, "bar 10")]


def measure(rounds: int) -> Iterator[Row]:
    """Every row of the table."""
    for part in (start, idle, rows, busy, long_run, logs):
        yield from part(rounds)
