"""Collecting what a run leaves as a whole: the diff of its workspace against what it was copied from.

The diff is taken once, when nothing runs any more. That it cannot be taken is recorded as an artifact of kind `none` with the
reason, and never keeps a run from ending.
"""

from __future__ import annotations

from collections.abc import Callable

from wfconsole.domain.facts import RunClosed
from wfconsole.domain.records import ArtifactRecord
from wfconsole.domain.run import RunState
from wfconsole.engine.local import Closer
from wfconsole.ports import Artifacts, Clock, RunFolder, Secrets, WfconsoleError, Workspaces
from wfconsole.steps.screen import screen_of, screened_workspaces

DIFF_NAME = "diff.patch"


def run_closer(
    workspaces: Workspaces,
    artifacts: Artifacts,
    clock: Clock,
    folder: Callable[[str], RunFolder],
    secrets: Secrets | None = None,
) -> Closer:
    """A function that collects with these ports; of a run with `secrets` only what has passed their screen."""

    async def close(state: RunState) -> RunClosed:
        pin = state.created.workspace
        where = folder(state.run_id)
        screen = await screen_of(secrets, state.plan.secrets)
        source = workspaces if screen is None else screened_workspaces(workspaces, screen)
        try:
            diff = await source.diff(where, pin) if pin is not None else None
        except WfconsoleError as error:
            return _closed(clock, _none(f"the diff could not be taken: {error.message}"))
        if diff is None:
            return _closed(clock, _none("the workspace is as it was copied"))
        sha256, size = await artifacts.put_bytes(diff)
        where.artifacts.mkdir(parents=True, exist_ok=True)
        (where.artifacts / DIFF_NAME).write_bytes(diff)
        return _closed(
            clock,
            ArtifactRecord(
                artifact_id=f"run/{DIFF_NAME}",
                step_id=None,
                attempt=None,
                name=DIFF_NAME,
                kind="diff",
                sha256=sha256,
                bytes=size,
                media_type="text/x-diff",
            ),
        )

    return close


def _none(reason: str) -> ArtifactRecord:
    return ArtifactRecord(artifact_id="run/none", step_id=None, attempt=None, name="none", kind="none", reason=reason)


def _closed(clock: Clock, artifact: ArtifactRecord) -> RunClosed:
    return RunClosed(fact_id="run:closed", at=clock.now_ms(), artifacts=(artifact,))
