"""Carrying the suite out: every check once, a few at a time, each with a deadline.

Owns the order and what becomes of a check that breaks: it has failed, and says why. The decision that would surprise: results
come as they are there, so that one sees it go on; whoever wants the table's order sorts them.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wfconsole.ports import Sandbox, WfconsoleError
from wfconsole.sandbox import folders
from wfconsole.sandbox.conformance import runs, walls
from wfconsole.sandbox.conformance.bench import TABLE, Bench, Conformity

AT_ONCE = 4
LONGEST_S = 90.0
__all__ = ["TABLE", "Finding", "conformance", "runs", "walls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's end: `problem` is what was seen instead of the claim, None when it holds."""

    check: Conformity
    problem: str | None
    ms: int


async def conformance(
    sandbox: Sandbox, folder: Path, checks: Sequence[Conformity] = TABLE, *, at_once: int = AT_ONCE
) -> AsyncIterator[Finding]:
    """Findings as they are made; `folder` is made, and removed at the end. Raises SANDBOX_UNAVAILABLE, TEMPLATE_MISSING."""
    folder.mkdir(parents=True)
    bench = Bench(sandbox, folder)
    free = asyncio.Semaphore(at_once)
    tasks = [asyncio.ensure_future(_one(check, bench, free)) for check in checks]
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(_remove, folder)


async def _one(check: Conformity, bench: Bench, free: asyncio.Semaphore) -> Finding:
    async with free:
        began = time.monotonic()
        try:
            problem = await asyncio.wait_for(check.attempt(bench), LONGEST_S)
        except TimeoutError:
            problem = f"no end within {LONGEST_S:g} s"
        except WfconsoleError as error:
            if error.code in {"SANDBOX_UNAVAILABLE", "TEMPLATE_MISSING"} and check.area != "network":
                raise
            problem = f"{error.code}: {error.message}"
        except (ValueError, LookupError, OSError) as error:
            problem = f"what came back cannot be read: {type(error).__name__}: {error}"
        return Finding(check=check, problem=problem, ms=int((time.monotonic() - began) * 1000))


def _remove(folder: Path) -> None:
    try:
        folders.discard(folder)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
