"""Deleting a run from the console: what would go is counted first, and the run's id has to be typed.

Owns the two steps. What may be deleted is decided where `wfconsole delete` decides it, and said in the same words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from wfconsole.console.screens.dialog import ConfirmDialog
from wfconsole.control.removal import Preview, Receipt
from wfconsole.control.wiring import Cleaning
from wfconsole.views.removal import removal_lines
from wfconsole.views.words import size

if TYPE_CHECKING:
    from wfconsole.console.app import Console
    from wfconsole.control.door import Door

_Result = TypeVar("_Result")


def confirm_delete(app: Console, run_id: str) -> None:
    """Show what would go and ask for the id; a run that may not be deleted is told as such."""
    app.background(partial(_ask, app, run_id), "delete")


async def _ask(app: Console, run_id: str) -> None:
    preview = await _with_cleaning(app, lambda cleaning: cleaning.preview(run_id, cascade=False))

    def answered(typed: str | None) -> None:
        if typed is not None:
            app.background(partial(_delete, app, preview), "delete")

    lines = [*removal_lines(preview.run_ids, preview.counts, preview.bytes, verb="goes"), *preview.notes]
    app.push_screen(
        ConfirmDialog(f"Delete run {run_id}? This cannot be undone.", lines, ask=f"type {run_id}", typed=run_id),
        answered,
    )


async def _delete(app: Console, preview: Preview) -> None:
    app.say("deleting ...")
    receipt: Receipt = await _with_cleaning(app, lambda cleaning: cleaning.delete(preview, app.wiring.actor()))
    app.say(f"deleted {', '.join(receipt.run_ids)}; freed on disk: {size(receipt.freed)}")


async def _with_cleaning(app: Console, work: Callable[[Cleaning], Awaitable[_Result]]) -> _Result:
    """On the engine's loop, with what removes things open for as long as it takes."""

    async def inside(_: Door) -> _Result:
        cleaning = await app.wiring.cleaning()
        try:
            return await work(cleaning)
        finally:
            await cleaning.close()

    return await app.engine.call(inside)
