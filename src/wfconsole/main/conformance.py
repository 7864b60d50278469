"""`doctor sandbox`: the conformance suite against the operator's own engine, in a folder that is removed afterwards."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Sequence

from wfconsole.config import Settings
from wfconsole.control.wiring import Check

REMEDY = (
    "do not run what you do not trust on this engine; `wfconsole doctor` and its documentation may say what it lacks"
)


async def conform(settings: Settings, tell: Callable[[int, int], None]) -> Sequence[Check]:
    """Every check in the table's order; `tell` is given how many are done, and of how many. Raises SANDBOX_UNAVAILABLE."""
    from wfconsole.sandbox.conformance.suite import TABLE, conformance
    from wfconsole.sandbox.docker import DockerSandbox
    from wfconsole.sandbox.locks import HostLocks

    name = f"doctor-{uuid.uuid4().hex[:12]}"
    sandbox = DockerSandbox(
        database_id=uuid.uuid4().hex,
        owner=f"{socket.gethostname()}:{os.getpid()}",
        cache=settings.cache / "sandbox",
        gates=settings.account / "gates",
        locks=HostLocks(settings.template_locks, settings.template_folders),
        docker_host=settings.environ.get("DOCKER_HOST"),
    )
    found = {}
    try:
        async for finding in conformance(sandbox, settings.state / name):
            found[finding.check.name] = finding
            tell(len(found), len(TABLE))
    finally:
        await sandbox.close()
    return [
        Check(
            name=check.name,
            area=check.area,
            status="ok" if found[check.name].problem is None else "fail",
            message=check.claim if found[check.name].problem is None else f"{check.claim}: {found[check.name].problem}",
            remedy="" if found[check.name].problem is None else REMEDY,
            ms=found[check.name].ms,
        )
        for check in TABLE
    ]
