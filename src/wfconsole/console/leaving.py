"""Leaving the console: asked for, or because the terminal is gone. Runs of this process never end because of it.

Owns what becomes of the runs: kept in a detached worker, waited for, or paused. A lost terminal (SIGHUP) hands them to a
worker by itself; SIGTERM lets go of them, and the next owner adopts their containers. Neither asks, both are done within two
seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING

from wfconsole.views.words import plural

if TYPE_CHECKING:
    from wfconsole.console.app import Console
    from wfconsole.control.door import Door

HANGUP = 128 + signal.SIGHUP
TERMINATED = 128 + signal.SIGTERM
PATIENCE = 1.6
"""Seconds from a signal to the end of a real process, at most."""
_SIGNALLED_SECONDS, _ASKED_SECONDS = 1.2, 3.0
"""How long the engine may take to let go of its runs."""


def install_signals(app: Console) -> None:
    """Take SIGHUP and SIGTERM, which Textual leaves to kill the process with the alternate screen on."""
    loop = asyncio.get_running_loop()
    # Only the main thread may; a console in a test's thread has no terminal to lose.
    with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
            loop.add_signal_handler(signal.SIGHUP, lost_terminal, app)
        loop.add_signal_handler(signal.SIGTERM, leave, app, TERMINATED)


def lost_terminal(app: Console) -> None:
    if app.engine.driven:
        app.detached = True
    leave(app, HANGUP)


def leave(app: Console, code: int = 0) -> None:
    """End the application; `Console.on_unmount` lets go of the engine, and a worker takes over after that if asked to.

    With a `code` it was a signal, obeyed within `app.patience` whatever a terminal or an engine does.
    """
    if code and app.patience is not None:
        last = threading.Timer(app.patience, _end_at_once, (app, code))
        last.daemon = True
        last.start()
    app.exit(return_code=code)


def hand_over(app: Console) -> None:
    """Let go of the engine; then a worker goes on, if asked to. A second call changes nothing."""
    app.is_let_go = app.engine.stop(_SIGNALLED_SECONDS if app.return_code else _ASKED_SECONDS)
    _to_a_worker(app)


def _end_at_once(app: Console, code: int) -> None:
    _to_a_worker(app)
    os._exit(code)  # the kernel frees the locks


def _to_a_worker(app: Console) -> None:
    if app.detached and not app.has_worker:
        app.has_worker = True
        app.wiring.detach()


def ask_quit(app: Console) -> None:
    """Leave; with runs of this process under way ask first what becomes of them."""
    count = len(app.engine.driven)
    if not count:
        leave(app)
        return
    from wfconsole.console.screens.dialog import ChoiceDialog

    runs, they = plural(count, "run"), "it" if count == 1 else "them"
    choices = (
        ("detach", f"leave; a worker keeps {they} going"),
        ("wait", f"wait for {they} to end, then leave"),
        ("pause", f"pause {they} after the steps under way, then leave"),
        ("", "stay"),
    )
    app.push_screen(ChoiceDialog(f"This console drives {runs}", choices), lambda answer: _answered(app, answer))


def _answered(app: Console, answer: str | None) -> None:
    match answer:
        case "detach":
            app.detached = True
            leave(app)
        case "wait":
            app.background(partial(_ended, app), "leaving")
        case "pause":
            app.background(partial(_paused, app), "leaving")
        case _:
            app.workers.cancel_group(app, "leaving")  # what was answered before
            app.say("staying")


async def _ended(app: Console) -> None:
    """Leave when no run is driven any more."""
    _say_when(app, len(app.engine.driven), "ended")
    await app.engine.idle()
    leave(app)


def _say_when(app: Console, count: int, done: str) -> None:
    app.say(f"leaving when {plural(count, 'run')} {'has' if count == 1 else 'have'} {done}; ctrl+q asks again")


async def _paused(app: Console) -> None:
    """Leave when every run that is driven has come to rest: a paused one stays this console's until then."""
    from wfconsole.domain.facts import PauseRun

    still: set[str] = set()
    while runs := set(app.engine.driven) - still:
        _say_when(app, len(runs), "paused")
        for run_id in runs:
            await app.command(
                run_id,
                lambda fact_id, at, actor: PauseRun(fact_id=fact_id, at=at, actor=actor, reason="the console was left"),
            )
        for run_id in runs:
            await app.engine.call(partial(_rest, run_id=run_id))
        still |= runs
    leave(app)


async def _rest(door: Door, run_id: str) -> None:
    """Until the run is paused or over."""
    from wfconsole.domain.events import RunPaused, RunResumed

    paused = False
    async for records in door.watch(run_id):
        for record in records:
            if isinstance(record.event, RunPaused | RunResumed):
                paused = isinstance(record.event, RunPaused)
        if paused:
            return
