"""The stream of one run: at once what the projections know about a long one, then the whole of it, then as it grows.

Owns where the reading is done: a long journal is decoded and folded in a thread of its own, so that neither the engine nor
the terminal waits for it.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from wfconsole.console.model import RunPicture
from wfconsole.control.door import Door
from wfconsole.domain.evolve import evolve, fold
from wfconsole.domain.plan import Plan, RecipeRef
from wfconsole.domain.run import RunState
from wfconsole.ports import WfconsoleError
from wfconsole.views.actions import refusals
from wfconsole.views.history import History
from wfconsole.views.sketch import sketch

PICTURE_SECONDS = 0.1
LONG = 1000
"""Events from which on a journal is sketched first and read in a thread."""


@dataclass
class _Whole:
    """What one run has come to: its history and its state, always at the same event."""

    history: History = field(default_factory=History)
    state: RunState | None = None

    @classmethod
    async def load(cls, door: Door, run_id: str) -> _Whole:
        made = cls()
        records = await door.store.load(run_id)
        made.history.extend(records)
        made.state = fold(records)
        return made


async def one_run(
    door: Door, ref: str, now_ms: Callable[[], int], is_driven: Callable[[str], bool], *, sketched: bool = False
) -> AsyncIterator[RunPicture]:
    """The run, anew as its journal grows. Raises NOT_FOUND for a run that is not there.

    With `sketched` the first picture of a long run is not `whole`: it has the steps as they stand, and no journal yet.
    """
    run_id = await door.store.find_run(ref)
    folder = str(door.folder(run_id).root)
    seq, first = await _sketch(door, run_id, folder) if sketched else (0, None)
    if first is not None:
        yield first
        await asyncio.sleep(PICTURE_SECONDS)  # the terminal paints it before this process is busy with reading
    if seq > LONG:
        whole = await asyncio.to_thread(_load_apart, door, run_id)
    else:
        whole = await _Whole.load(door, run_id)
    history, state = whole.history, whole.state
    changes = door.store.changes(run_id, history.seq)
    while True:
        assert state is not None  # noqa: S101 - `find_run` found it, so its journal begins with its creation
        yield RunPicture(
            run_id=run_id,
            seq=history.seq,
            view=history.document(),
            plan=history.plan,
            records=tuple(history.records),
            refusals=refusals(state, now_ms()),
            owned_here=is_driven(run_id),
            history=history,
            folder=folder,
        )
        batch = await anext(changes)
        history.extend(batch)
        for record in batch:
            evolve(state, record)
        await asyncio.sleep(PICTURE_SECONDS)


def _load_apart(door: Door, run_id: str) -> _Whole:
    """Load in a thread without the collector, which would stop every thread for half a second to look at what only grows.

    What was loaded has no cycles and is freed without it. It is kept from later collections for the same reason, until the next
    long run is opened.
    """
    collects = gc.isenabled()
    gc.disable()
    gc.unfreeze()
    try:
        return asyncio.run(_Whole.load(door, run_id))
    finally:
        gc.freeze()
        if collects:
            gc.enable()


async def _sketch(door: Door, run_id: str, folder: str) -> tuple[int, RunPicture | None]:
    """How many events the run has, and what is known without them when these are many."""
    name = run_id.replace("'", "''")
    try:
        _, rows = await door.store.query(f"SELECT seq, view FROM runs WHERE run_id = '{name}'")  # noqa: S608 - quoted
        if not rows or rows[0][0] <= LONG:
            return (rows[0][0] if rows else 0), None
        _, steps = await door.store.query(
            "SELECT step_id, kind, status, attempts, started_at, finished_at, code, reason FROM steps "  # noqa: S608
            f"WHERE run_id = '{name}' ORDER BY ordinal"
        )
    except WfconsoleError:  # the projections are a shortcut: what they cannot tell, the journal does
        return LONG + 1, None
    seq, view = rows[0][0], json.loads(rows[0][1])
    recipe = view["recipe"]
    plan = Plan(recipe=RecipeRef(**recipe), text="", steps=())
    return seq, RunPicture(
        run_id=run_id, seq=seq, view=sketch(view, steps), plan=plan, whole=False, folder=folder, owned_here=False
    )
