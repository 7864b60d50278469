"""Names and labels of containers: how an attempt's container is found again, by anybody, after any crash.

Refuses to know the engine. The name is derived, so that the engine itself refuses a second container of one attempt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from wfconsole.ports import SandboxSpec

MANAGED = "wfconsole.managed"
DATABASE = "wfconsole.db"
RUN = "wfconsole.run"
STEP = "wfconsole.step"
ATTEMPT = "wfconsole.attempt"
OWNER = "wfconsole.owner"

_FOREIGN = re.compile(r"[^A-Za-z0-9_.-]")


def container_name(database_id: str, spec: SandboxSpec) -> str:
    """``wfc-DB8-RUN-STEP-N`` with the step's slashes as dots."""
    step = spec.step_id.replace("/", ".")
    return container_prefix(database_id, spec.run_id) + _FOREIGN.sub("-", f"{step}-{spec.attempt}")


def container_prefix(database_id: str, run_id: str = "") -> str:
    """What the names of all containers of a run begin with; without a run, those of the whole state folder."""
    return _FOREIGN.sub("-", f"wfc-{database_id[:8]}-{run_id}-" if run_id else f"wfc-{database_id[:8]}-")


def labels(database_id: str, owner: str, spec: SandboxSpec) -> Mapping[str, str]:
    return {
        MANAGED: "true",
        DATABASE: database_id,
        RUN: spec.run_id,
        STEP: spec.step_id,
        ATTEMPT: str(spec.attempt),
        OWNER: owner,
    }
