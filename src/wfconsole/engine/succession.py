"""Going on in another run: its creation rides in the commit that ends the one before, and its folder is made when it is driven.

Owns both moments and what a successor's folder holds. Refuses to know why there is a successor (`domain.succession`). The
decision that would surprise: the folder is made beside its place and renamed, so a folder that is there is complete, and
whoever died between the transaction and the copy has left nothing that the next owner would have to look into.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from wfconsole.domain.codec import iso
from wfconsole.domain.decide import decide
from wfconsole.domain.events import (
    Record,
    RunCancelled,
    RunCreated,
    RunFailed,
    RunRetried,
    RunSucceeded,
    StepReused,
)
from wfconsole.domain.lineage import Lineage, Rejection
from wfconsole.domain.plan import Json
from wfconsole.domain.succession import succession
from wfconsole.ports import Commit, RunFolder, Store, WfconsoleError, Workspaces

OVER = (RunSucceeded, RunFailed, RunCancelled)

Preparer = Callable[[str], Awaitable[None]]
"""Makes the folder of a successor that has none yet. The caller holds the run's lock. Raises WORKSPACE_INVALID, DISK_FULL."""


async def with_successor(store: Store, commit: Commit) -> Commit:
    """The commit itself, or when it names a successor, with the commit that creates it."""
    if not any(isinstance(record.event, RunRetried) for record in commit.records):
        return commit
    known = await store.load(commit.run_id)
    fact = succession([*known[: commit.expected_seq], *commit.records])
    ruling = decide(None, fact, _nothing_to_evaluate)
    return replace(commit, successor=Commit(run_id=fact.run_id, expected_seq=0, records=ruling.records, fact=fact))


def _nothing_to_evaluate(source: str, _scope: Mapping[str, Json]) -> Json:
    raise RuntimeError(f"a run is created without evaluating {source}")


def preparer(store: Store, workspaces: Workspaces, folder: Callable[[str], RunFolder]) -> Preparer:
    """A function that prepares with these ports."""

    async def prepare(run_id: str) -> None:
        where = folder(run_id)
        if where.root.exists():
            return
        records = await store.load(run_id)
        created = records[0].event if records else None
        if not isinstance(created, RunCreated):
            return
        if created.lineage is None:
            if created.workspace is not None and not any(isinstance(record.event, OVER) for record in records):
                raise _gone(run_id)
            return
        parent = folder(created.lineage.parent)
        draft = RunFolder(where.root.with_name(f".{run_id}.new"))
        try:
            if not parent.root.is_dir():
                raise _unready(run_id, f"the folder of run {created.lineage.parent} is gone")
            await asyncio.to_thread(_lay_out, draft, parent, records, created.lineage)
            await workspaces.restore(parent, draft, created.lineage.tree)
            await asyncio.to_thread(_publish, draft, where)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise WfconsoleError("DISK_FULL", f"the disk is full (preparing {run_id})", "free space") from error
            raise _unready(run_id, str(error)) from error

    return prepare


def _gone(run_id: str) -> WfconsoleError:
    message = f"the folder of run {run_id} is gone, and its workspace with it"
    return WfconsoleError("WORKSPACE_INVALID", message, f"wfconsole cancel {run_id}, and start anew")


def _unready(run_id: str, why: str) -> WfconsoleError:
    message = f"run {run_id} cannot go on where the one before it stopped: {why}"
    return WfconsoleError("WORKSPACE_INVALID", message, f"wfconsole cancel {run_id}, and start anew")


def _lay_out(draft: RunFolder, parent: RunFolder, records: Sequence[Record], lineage: Lineage) -> None:
    """Everything but the workspace: inputs, the recipe's files, artifacts of steps that are taken over, the rejection."""
    if draft.root.exists():
        shutil.rmtree(draft.root)
    draft.root.mkdir(mode=0o700, parents=True)
    for source, target in ((parent.inputs, draft.inputs), (parent.recipe, draft.recipe)):
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
    for record in records:
        if isinstance(record.event, StepReused):
            source = parent.artifacts / record.event.step_id
            if source.is_dir():
                target = draft.artifacts / record.event.step_id
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    if lineage.rejections:
        _tell(draft.rejection, lineage.rejections[-1])


def _tell(folder: Path, rejection: Rejection) -> None:
    """The rationale, for people's programs: the words alone, and all of it as JSON."""
    document = {
        "gate": rejection.step_id,
        "gate_id": rejection.gate_id,
        "run_id": rejection.run_id,
        "choice": rejection.choice,
        "reason": rejection.reason,
        "actor": rejection.actor,
        "at": iso(rejection.at),
    }
    folder.mkdir()
    texts = {"reason.txt": rejection.reason or "", "rejection.json": json.dumps(document, ensure_ascii=False, indent=1)}
    for name, text in texts.items():
        path = folder / name
        path.write_text(text + "\n" if text else "", encoding="utf-8", errors="backslashreplace")
        path.chmod(0o644)  # the sandbox is another user, whatever our umask is
    folder.chmod(0o755)


def _publish(draft: RunFolder, where: RunFolder) -> None:
    for path in (draft.root, *draft.root.iterdir()):
        _sync(path)
    draft.root.rename(where.root)
    _sync(where.root.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
