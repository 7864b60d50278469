"""`wfconsole doctor`: the engine, the templates, the store, the disk, git, the terminal; each with what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from wfconsole.cli.wiring import Check
from wfconsole.config import Settings
from wfconsole.ports import WfconsoleError

LOW_DISK = 2 * 1024**3


async def checks(settings: Settings) -> Sequence[Check]:
    """Every check, in the order in which one would mend them. Never raises."""
    return [
        *await _engine(),
        *await _templates(settings),
        *await _store(settings),
        *_disk(settings),
        *_git(),
        *_terminal(),
    ]


async def _engine() -> Sequence[Check]:
    from wfconsole.sandbox.doctor import engine_report

    try:
        report = await engine_report()
    except WfconsoleError as error:
        return [Check(name="engine", status="fail", message=error.message, remedy=error.hint)]
    found = [
        Check(
            name="engine",
            status="ok",
            message=f"Docker {report.version} (API {report.api}, {report.runtime}, cgroup {report.cgroup}, {report.storage})",
        )
    ]
    if not report.seccomp:
        message = "the engine confines no system calls"
        found.append(Check(name="seccomp", status="warn", message=message, remedy="run an engine with seccomp enabled"))
    return found


async def _templates(settings: Settings) -> Sequence[Check]:
    from wfconsole.main.templates import TemplateShelf

    try:
        states = await TemplateShelf(settings).list()
    except WfconsoleError as error:
        return [Check(name="templates", status="fail", message=error.message, remedy=error.hint)]
    return [
        Check(
            name=f"template {state['name']}",
            status="ok" if state["state"] == "ok" else ("fail" if state["name"] == "python" else "warn"),
            message={"ok": "its image is there", "drift": "its image is of an older template"}.get(
                state["state"], "no image"
            ),
            remedy=state["remedy"],
        )
        for state in states
    ]


async def _store(settings: Settings) -> Sequence[Check]:
    from wfconsole.store.sqlite import SqliteStore

    if not (settings.state / "wfconsole.db").exists():
        return [Check(name="store", status="ok", message=f"none yet; the first run makes it in {settings.state}")]
    try:
        store = SqliteStore.open(settings.state)
        try:
            findings = await store.verify()
        finally:
            await store.close()
    except WfconsoleError as error:
        return [Check(name="store", status="fail", message=error.message, remedy=error.hint)]
    if findings:
        remedy = "restore the last backup, and keep the bad file for a look"
        return [Check(name="store", status="fail", message=str(findings[0]), remedy=remedy)]
    return [
        Check(
            name="store",
            status="ok",
            message=f"{settings.state / 'wfconsole.db'} holds, journals and projections agree",
        )
    ]


def _disk(settings: Settings) -> Iterator[Check]:
    where = next((path for path in (settings.state, *settings.state.parents) if path.exists()), Path("/"))
    free = shutil.disk_usage(where).free
    low = free < LOW_DISK
    yield Check(
        name="disk",
        status="warn" if low else "ok",
        message=f"{free / 1024**3:.1f} GiB free at {where}",
        remedy="free space: workspaces, logs and artifacts are kept there" if low else "",
    )


def _git() -> Iterator[Check]:
    git = shutil.which("git")
    if git is None:
        yield Check(
            name="git",
            status="fail",
            message="git is not installed",
            remedy="install git: workspaces are copied with it",
        )
    else:
        yield Check(name="git", status="ok", message=git)


def _terminal() -> Iterator[Check]:
    term = os.environ.get("TERM", "")
    encoding = (sys.stdout.encoding or "").lower()
    if not sys.stdout.isatty():
        yield Check(name="terminal", status="ok", message="output goes to no terminal: plain lines")
    elif term in {"", "dumb"}:
        yield Check(name="terminal", status="warn", message=f"TERM={term or 'unset'}: plain lines", remedy="set TERM")
    elif "utf" not in encoding:
        yield Check(
            name="terminal", status="warn", message=f"encoding {encoding}: ASCII glyphs", remedy="use a UTF-8 locale"
        )
    else:
        size = shutil.get_terminal_size()
        yield Check(name="terminal", status="ok", message=f"{term}, {size.columns}x{size.lines}, {encoding}")
