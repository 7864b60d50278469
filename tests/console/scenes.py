"""Scenes: a console in a state worth looking at, on a frozen clock; made into snapshots and into the README's pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from textual.pilot import Pilot

from tests.console.rig import NARROW, Rig, until
from tests.fakes.gates import approval
from tests.fakes.journals import OK, START, Journal, Result, failed, plan, step
from wfconsole.console.app import Console
from wfconsole.console.lines import LineList
from wfconsole.console.log_view import LogView
from wfconsole.console.screens.card import CardScreen
from wfconsole.console.screens.run import RunScreen
from wfconsole.domain.plan import Json, Plan, RecipeRef, RetryPolicy, StepPlan
from wfconsole.ports import RunFolder

LIVE, ASKS, BROKEN, DONE = (f"01k{letter * 13}" for letter in "abcd")
NOW = START + 600_000

PATCH = b"""diff --git a/api/profile.py b/api/profile.py
index 3f1..9ab 100644
--- a/api/profile.py
+++ b/api/profile.py
@@ -12,7 +12,11 @@ class Profile:
     user: str
     email: str

-    def avatar(self) -> bytes:
-        return self.store.get(self.user)
+    def avatar(self, size: int = 128) -> bytes:
+        key = f"{self.user}/{size}"
+        found = self.cache.get(key)
+        if found is None:
+            found = self.cache[key] = resize(self.store.get(self.user), size)
+        return found

     def rename(self, name: str) -> None:
         self.store.rename(self.user, name)
diff --git a/tests/test_profile.py b/tests/test_profile.py
index 77a..81c 100644
--- a/tests/test_profile.py
+++ b/tests/test_profile.py
@@ -3,3 +3,8 @@
 def test_rename(profile):
     profile.rename("ann")
     assert profile.user == "ann"
+
+
+def test_avatar_is_cached(profile):
+    assert profile.avatar(64) is profile.avatar(64)
+    assert len(profile.cache) == 1
diff --git a/requirements.txt b/requirements.txt
index 11a..22b 100644
--- a/requirements.txt
+++ b/requirements.txt
@@ -1,2 +1,3 @@
 flask==3.0.3
+pillow==10.3.0
 redis==5.0.4
"""


def _named(made: Plan, name: str, version: str) -> Plan:
    return replace(made, recipe=RecipeRef(name=name, version=version, digest="7c1e90ab" * 8, origin="built-in"))


def _steps() -> tuple[StepPlan, ...]:
    again = RetryPolicy(attempts=3, backoff_ms=4_000, max_backoff_ms=4_000, jitter=0.0, outcomes=("failed", "errored"))
    return (
        step("checkout"), step("lint", "checkout"), step("types", "checkout"), step("unit", "checkout", retry=again),
        step("build", "lint", "types", "unit"), approval("ship", "build", title="Ship the avatar cache?"),
        step("publish", "ship"),
    )  # fmt: skip


def _journal(run_id: str, steps: tuple[StepPlan, ...], *, ago: int, name: str, version: str, **more: Any) -> Journal:
    from tests.fakes import journals

    made = _named(plan(*steps), name, version)
    before = journals.START
    journals.START = NOW - ago
    try:
        return Journal(made, run_id=run_id, workflow_id=run_id, **more)
    finally:
        journals.START = before


def _file(path: str, added: int, removed: int) -> dict[str, Json]:
    return {
        "path": path, "status": "modified", "old_path": None, "old_mode": "100644", "new_mode": "100644", "binary": False,
        "size": None, "added": added, "removed": removed, "submodule": False, "symlink": False, "sample": [], "cut": False,
    }  # fmt: skip


def context(rig: Rig) -> Mapping[str, Json]:
    """What the approver of `ASKS` sees; the diff is stored whole."""
    sha256, size = asyncio.run(rig.desk.door.artifacts.put_bytes(PATCH))
    tests = {"total": 48, "passed": 48, "failed": 0, "errors": 0, "skipped": 0, "failing": [], "note": None}
    return {
        "diff": {
            "changed": True, "files_changed": 3, "added": 12, "removed": 2, "bytes": size, "truncated": False, "note": None,
            "artifact": {"name": "context/diff.patch", "sha256": sha256, "bytes": size},
            "files": [_file("api/profile.py", 6, 2), _file("tests/test_profile.py", 5, 0), _file("requirements.txt", 1, 0)],
        },
        "tests": {
            "total": {"step": "", **tests},
            "steps": [{**tests, "step": "unit", "seconds": 8.21, "coverage_percent": 87.5}],
        },
        "risk": {"level": "medium", "score": 7, "notes": [
            {"rule": "lock_file", "level": "medium", "saw": "requirements.txt: pillow==10.3.0",
             "why": "what is installed changes with it"},
            {"rule": "tests_added", "level": "low", "saw": "1 test added", "why": "the change is covered"},
        ]},
    }  # fmt: skip


def _until_gate(journal: Journal, shown: Mapping[str, Json], *, trouble: bool = False) -> Journal:
    """Up to the gate: the checks side by side, `unit` failing once with `trouble`."""
    journal.take()
    paces = {"checkout": 2_000, "lint": 3_000, "types": 9_000, "unit": 14_000, "build": 21_000}
    while journal.open:
        first = journal.open[0]
        if journal.is_gate(first):
            journal.ready(first, dict(shown))
            break
        journal.now += paces.get(first.step_id, 1_000)
        again = trouble and first.step_id == "unit" and first.attempt == 1
        journal.end(first, failed("1 of 48 tests failed", code="CHECK_FAILED") if again else OK)
        while not journal.open and journal.wake():
            pass
    return journal


def fill(rig: Rig) -> None:
    """Four runs: one under way, one that asks, one that failed, one that is done."""
    door = rig.desk.door
    rig.desk.now = NOW
    live = _journal(LIVE, _steps(), ago=48_000, name="plan-patch-pr", version="1.4.2", project="avatar")
    live.take()
    live.now += 2_000
    live.end(live.open[0], OK)
    live.now += 5_000
    live.end(live.open[0], OK)
    door.add(live)
    asks = _journal(
        ASKS, _steps(), ago=430_000, name="plan-patch-pr", version="1.4.2", project="avatar", trigger="manual"
    )
    door.add(_until_gate(asks, context(rig), trouble=True))
    broken = _journal(BROKEN, _steps(), ago=560_000, name="etl", version="2.0.0")
    broken.play(_broken)
    door.add(broken)
    done = _journal(
        DONE, (step("fetch"), step("score", "fetch")), ago=590_000, name="vendor-comparison", version="0.3.0"
    )
    done.play()
    door.add(done)


def _broken(step_id: str, _attempt: int) -> Result:
    if step_id != "types":
        return OK
    return failed(
        "mypy ended with 1: 3 errors in transform.py", code="STEP_FAILED", hint="read `wfconsole logs RUN types`"
    )


def log_of(rig: Rig, run_id: str, step_id: str) -> None:
    """A log with an error in it, as the sandbox leaves it."""
    logs = RunFolder(rig.desk.home / "runs" / run_id).logs(step_id, 2)
    logs.mkdir(parents=True, exist_ok=True)
    lines = [f"tests/test_api.py::test_case_{at:02d} PASSED  [{at * 2:3d}%]" for at in range(1, 48)]
    lines.insert(40, "tests/test_profile.py::test_avatar_is_cached PASSED  [ 82%]")
    lines += ["", "48 passed in 8.21s"]
    (logs / "0.stdout").write_text("\n".join(lines) + "\n")
    (logs / "0.stderr").write_text("warning: Error-prone clock on this host, using monotonic time\n")


@dataclass(frozen=True)
class Scene:
    """`prepare` fills the rig before the console opens, `act` brings it into the picture."""

    act: Callable[[Console, Pilot[Any]], Awaitable[None]]
    prepare: Callable[[Rig], None] = fill
    size: tuple[int, int] = NARROW
    settings: Mapping[str, Any] = field(default_factory=dict)

    def before(self) -> Callable[[Pilot[Any]], Awaitable[None]]:
        async def run(pilot: Pilot[Any]) -> None:
            await self.act(cast("Console", pilot.app), pilot)
            await pilot.pause()

        return run


async def _runs(app: Console, pilot: Pilot[Any]) -> None:
    rows = app.screen.query_one(LineList)
    await until(pilot, lambda: len(rows.rows) == 4)
    rows.move_to(ASKS)


async def _run(app: Console, pilot: Pilot[Any]) -> None:
    app.open_run(ASKS)
    await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.picture is not None)


async def _card(app: Console, pilot: Pilot[Any]) -> None:
    app.open_card(ASKS, "ship#1")
    await until(pilot, lambda: isinstance(app.screen, CardScreen) and app.screen.picture is not None)
    await pilot.press("d")
    screen = cast("CardScreen", app.screen)
    await until(pilot, lambda: "diff" not in screen.unseen)


async def _log(app: Console, pilot: Pilot[Any]) -> None:
    app.open_log(ASKS, "unit")
    await until(pilot, lambda: bool(app.screen.query(LogView)))
    view = app.screen.query_one(LogView)
    await until(pilot, lambda: view.book.count > 50)
    await pilot.press("slash", *"avatar", "enter")
    await until(pilot, lambda: view.current is not None)


async def _launch(app: Console, pilot: Pilot[Any]) -> None:
    app.open_launch("quality-gate")
    await until(pilot, lambda: "ready" in getattr(app.screen, "headline", ""))


async def _palette(app: Console, pilot: Pilot[Any]) -> None:
    await _runs(app, pilot)
    await pilot.press("colon", *"canc")
    await pilot.pause()


async def _settings(app: Console, pilot: Pilot[Any]) -> None:
    await pilot.press("6")
    await until(pilot, lambda: app.current_mode == "settings")


def _with_log(rig: Rig) -> None:
    fill(rig)
    log_of(rig, ASKS, "unit")


SCENES: dict[str, Scene] = {
    "runs": Scene(_runs, size=(116, 18)),
    "run": Scene(_run, size=(116, 22)),
    "card": Scene(_card, size=(120, 30)),
    "log": Scene(_log, prepare=_with_log),
    "launch": Scene(_launch),
    "palette": Scene(_palette),
    "settings": Scene(_settings),
}
"""By the names of their pictures."""
