"""Stopping the console for a while, as ctrl+z does: what it drives is given to a worker first.

Owns the order: nothing is asked of the engine any more, it lets go of its runs and closes the store, a worker takes over, and
only then the process stops. The decision that would surprise: a console that comes back does not take its runs back; it has a
new engine and watches what the worker does.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from wfconsole.console.terminal import job_control
from wfconsole.views.words import plural

if TYPE_CHECKING:
    from wfconsole.console.app import Console

_LET_GO_SECONDS = 5.0


def ask_suspend(app: Console) -> None:
    """Stop; with runs of this process under way ask first, because they change hands."""
    if app.terminal is None or not job_control():
        app.say("no shell is there that could bring the console back: not stopped", "note", passing=True)
        return
    count = len(app.engine.driven)
    if not count:
        _answered(app, "worker")
        return
    from wfconsole.console.screens.dialog import ChoiceDialog

    it = "it" if count == 1 else "them"
    choices = (("worker", f"stop the console; a worker keeps {it} going"), ("", "stay"))
    app.push_screen(ChoiceDialog(f"This console drives {plural(count, 'run')}", choices), partial(_answered, app))


def _answered(app: Console, answer: str | None) -> None:
    if answer:
        app.background(partial(_suspend, app), "leaving")
    else:
        app.say("staying")


async def _suspend(app: Console) -> None:
    """Comes back when the console does."""
    app.say("stopping ...")
    await app.engine.answered()
    runs = plural(len(app.engine.driven), "run") if app.engine.driven else ""
    if app.board is not None:
        app.board.stop_streams()
    if not app.engine.stop(_LET_GO_SECONDS):
        # The engine is of no use any more. Leaving does what can be done: the kernel frees what it holds, a worker takes over.
        app.detached = True
        app.exit(
            return_code=1, message="The engine did not let go of its runs; the console was left, a worker goes on."
        )
        return
    if runs:
        app.wiring.relieve()
    if app.terminal is not None:
        app.terminal.stop(f"wfconsole: fg brings the console back{f'; a worker goes on with {runs}' if runs else ''}")
    app.start_engine()
    app.say(f"a worker took over {runs}" if runs else "")
