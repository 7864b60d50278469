"""`wfconsole doctor`: the engine, the templates, the store, the disk, git, the terminal; each with what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from wfconsole.config import Settings
from wfconsole.control.wiring import Check
from wfconsole.ports import WfconsoleError

LOW_DISK = 2 * 1024**3


async def checks(settings: Settings) -> Sequence[Check]:
    """Every check, in the order in which one would mend them. Never raises."""
    return [
        *await _engine(),
        *await _templates(settings),
        *await _store(settings),
        *await _containers(settings),
        *_disk(settings),
        *_git(),
        *_connections(settings),
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
            message=state["reason"] or "its image is what its lock says",
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


async def _containers(settings: Settings) -> Sequence[Check]:
    """Containers that other state folders made are theirs: they are named here, and nothing of ours ever removes them."""
    from wfconsole.sandbox.leftovers import LabelledContainers
    from wfconsole.store import database, opening

    path = settings.state / database.NAME
    try:
        own = opening.check(path) if path.exists() else ""
        containers = LabelledContainers(database_id=own, docker_host=settings.environ.get("DOCKER_HOST"))
        try:
            found = await containers.all()
        finally:
            await containers.close()
    except WfconsoleError:
        return []  # the engine and the store have their own lines
    foreign = [one for one in found if not one.ours]
    if not foreign:
        return [Check(name="containers", status="ok", message=f"{len(found)} of this state folder, none of others")]
    names = ", ".join(one.name for one in foreign[:5]) + (" ..." if len(foreign) > 5 else "")
    return [
        Check(
            name="containers",
            status="warn",
            message=f"{len(foreign)} belong to other state folders: {names}",
            remedy="`wfconsole gc` under their WFCONSOLE_HOME removes what is left over; if that folder is gone: docker rm",
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


def _connections(settings: Settings) -> Iterator[Check]:
    """What effects go by, as far as this machine can tell: no server is contacted."""
    for name, connection in sorted(settings.connections.items()):
        where = f"{connection.host}:{connection.port} ({connection.tls})"
        password = connection.password_file
        program = connection.password_command[:1]
        if password is not None and not os.access(password, os.R_OK):
            remedy = f"write it there, or see [connections.{name}] in config.toml"
            yield Check(name=f"connection {name}", status="warn", message=f"{password} cannot be read", remedy=remedy)
        elif program and shutil.which(program[0]) is None:
            remedy = f"see password_command of [connections.{name}] in config.toml"
            yield Check(name=f"connection {name}", status="warn", message=f"{program[0]} is not there", remedy=remedy)
        else:
            yield Check(name=f"connection {name}", status="ok", message=f"letters go by {where}")


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
