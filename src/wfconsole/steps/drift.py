"""The `env_drift` artifact of an attempt: what the sandbox should have been and what it was, field by field.

Owns its name and its place in the bundle. Refuses to compare anything and to decide what follows: both come with the drift.
"""

from __future__ import annotations

import json

from wfconsole.domain.policy.drift import Drift, document, verdict
from wfconsole.domain.records import ArtifactRecord
from wfconsole.ports import Artifacts, RunFolder
from wfconsole.steps.keeping import AttemptPlace, keep

NAME = "env_drift.json"


async def keep_drift(
    artifacts: Artifacts, folder: RunFolder, drift: Drift, *, run_id: str, step_id: str, attempt: int, fell_back: bool
) -> ArtifactRecord:
    """Store it, with a copy in the bundle; not recorded yet. `fell_back`: the step had another template before."""
    decision = verdict(drift, fell_back=fell_back)
    told = document(drift, run_id=run_id, step_id=step_id, attempt=attempt, decision=decision)
    data = (json.dumps(told, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
    place = AttemptPlace(folder=folder, step_id=step_id, attempt=attempt)
    return await keep(artifacts, place, kind="env_drift", name=NAME, media_type="application/json", data=data)
