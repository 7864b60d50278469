"""The application: modes, themes, routes between screens, and the way of a command to its run.

Owns the life of the engine's thread. Screens are imported when they are first opened, because importing is what the first
paint costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from textual.app import App
from textual.binding import BindingType
from textual.events import Event, Key, Print
from textual.filter import LineFilter, Monochrome, NoColor
from textual.screen import Screen

from wfconsole.console.actions import bindings, keymap
from wfconsole.console.ascii import AsciiFilter
from wfconsole.console.background import Work, in_background, told
from wfconsole.console.bridge import Engine
from wfconsole.console.clipboard import copy_sequence
from wfconsole.console.leaving import ask_quit, hand_over, install_signals, leave, lost_terminal
from wfconsole.console.model import RunList
from wfconsole.console.notices import notification, window_title
from wfconsole.console.screens.board import Board
from wfconsole.console.screens.dialog import ChoiceDialog, ConfirmDialog
from wfconsole.console.settings import ConsoleSettings
from wfconsole.console.suspending import ask_suspend
from wfconsole.console.terminal import Terminal
from wfconsole.console.theme import Palette, fallback, read_themes
from wfconsole.ports import WfconsoleError

if TYPE_CHECKING:  # the first picture needs none of the domain's classes
    from wfconsole.control.door import Answer, Door, RunRequest
    from wfconsole.control.wiring import Wiring
    from wfconsole.domain.facts import AnyFact
    from wfconsole.domain.records import Actor

DEFAULT_THEME = "calm"
MakeFact: TypeAlias = "Callable[[str, int, Actor], AnyFact]"
"""``make(fact_id, at, actor)``."""


def _screen(module: str, name: str) -> Callable[[], Screen[None]]:
    def make() -> Screen[None]:
        from importlib import import_module

        made: Screen[None] = getattr(import_module(f"wfconsole.console.screens.{module}"), name)()
        return made

    return make


class Console(App[None]):
    """One operator's console over one state folder. `target`: ``RUN``, ``RUN/STEP`` or ``RUN/GATE`` to open first."""

    TITLE = "wfconsole"
    ENABLE_COMMAND_PALETTE = False
    PAUSE_GC_ON_SCROLL = True
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("everywhere")]
    MODES = {
        "runs": _screen("runs", "RunsScreen"),
        "approvals": _screen("approvals", "ApprovalsScreen"),
        "recipes": _screen("recipes", "RecipesScreen"),
        "templates": _screen("templates", "TemplatesScreen"),
        "events": _screen("events", "EventsScreen"),
        "settings": _screen("settings", "SettingsScreen"),
    }
    DEFAULT_MODE = "runs"
    CSS = "Screen { layers: base above; }"

    def __init__(self, wiring: Wiring, settings: ConsoleSettings, target: str | None = None) -> None:
        self.settings = settings
        self.wiring = wiring
        self.target = target
        self._waiting: set[str] | None = None
        self._terminal: asyncio.AbstractEventLoop | None = None
        self.detached = False
        """Whether a worker takes over what this console drove, once it is left."""
        self.patience: float | None = None
        """Seconds from a signal to the end of the process, come what may; None leaves the process alone."""
        self.is_let_go = True
        self.has_worker = False
        self.engine = self._new_engine()
        self.themes, self.theme_problems = read_themes(settings.themes)
        self.palette: Palette = self.themes.get(settings.theme or DEFAULT_THEME) or fallback()
        super().__init__(driver_class=Terminal)
        for palette in (*self.themes.values(), fallback()):
            self.register_theme(palette.to_textual())
        self.theme = self.palette.name

    def _new_engine(self) -> Engine:
        return Engine(self.wiring.open_door, interval=self.settings.frame_seconds)

    def get_line_filters(self) -> Sequence[LineFilter]:
        found = super().get_line_filters()
        if self.no_color:  # Textual's Monochrome turns the terminal's own colours into black on black
            found = [*(one for one in found if not isinstance(one, Monochrome | NoColor)), NoColor()]
        return [*found, AsciiFilter()] if self.settings.ascii_only else found

    def now_ms(self) -> int:
        return self.wiring.now_ms()

    def on_load(self) -> None:
        """Before the first paint. The store opens after it: both want the one interpreter there is."""
        self._terminal = asyncio.get_running_loop()
        self.engine.start()
        chosen, problems = keymap(self.settings.keys)
        self.set_keymap(chosen)
        self.theme_problems += problems

    def start_engine(self) -> None:
        """In place of one that was stopped; what is on the screen goes on with it."""
        self.engine = self._new_engine()
        self.engine.start()
        self.engine.go()
        if self.board is not None:
            self.board.on_screen_resume()

    def on_mount(self) -> None:
        install_signals(self)
        self.begin_capture_print(self)  # what the engine has to say besides, for example that the store is busy
        if self.target is not None:
            self.background(partial(self._open_target, self.target), "target")

    def on_print(self, event: Print) -> None:
        text = event.text.strip()
        if text:
            self.say(text.splitlines()[-1], "note")

    def on_unmount(self) -> None:
        hand_over(self)

    def lost_terminal(self) -> None:
        """The terminal is gone: leave, and let a worker go on with what this process drives."""
        lost_terminal(self)

    def use_theme(self, name: str) -> None:
        """Draw everything in another theme; unknown names change nothing."""
        found = self.themes.get(name)
        if found is not None:
            self.palette = found
            self.theme = name

    def reload_themes(self) -> None:
        """Read the theme files again; the theme in force stays if it is still there."""
        self.themes, self.theme_problems = read_themes(self.settings.themes)
        for palette in self.themes.values():
            self.register_theme(palette.to_textual())
        self.use_theme(self.palette.name)

    def from_engine(self, work: Callable[[], None]) -> None:
        """Called on the engine's thread: do `work` here, soon."""
        with contextlib.suppress(RuntimeError):  # the console is closed
            if self._terminal is not None:
                self._terminal.call_soon_threadsafe(work)

    # routes ------------------------------------------------------------------------------------------------------------

    @property
    def board(self) -> Board | None:
        """The screen on top, unless that is a dialog."""
        return self.screen if isinstance(self.screen, Board) else None

    @property
    def terminal(self) -> Terminal | None:
        """None where there is none, as in tests."""
        return self._driver if isinstance(self._driver, Terminal) else None

    def say(self, text: str, role: str = "muted", *, passing: bool = False) -> None:
        """A few words above the keys of the screen on top; see `Board.say`."""
        if self.board is not None:
            self.board.say(text, role, passing=passing)

    async def on_event(self, event: Event) -> None:
        if isinstance(event, Key) and self.board is not None:
            self.board.before_key()
        await super().on_event(event)

    def background(self, work: Work, group: str) -> None:
        """Carry out `work` beside the drawing, in place of what goes on in `group`; its error is said."""
        in_background(self, work, group=group, say=self.say)

    def action_go(self, mode: str) -> None:
        if mode == self.current_mode:  # its own key leads back from what was opened in it
            while len(self.screen_stack) > 1:
                self.pop_screen()
        self.switch_mode(mode)

    async def action_back(self) -> None:
        if len(self.screen_stack) > 1:
            self.pop_screen()
        elif self.current_mode != "runs":
            self.switch_mode("runs")
        else:
            self.say("ctrl+q leaves the console", passing=True)

    def action_repaint(self) -> None:
        self.refresh(repaint=True, layout=True)

    async def _open_target(self, target: str) -> None:
        """``RUN``, ``RUN/STEP`` or ``RUN/GATE``; a gate's id has a ``#``."""
        run, _, inside = target.partition("/")
        try:
            run_id = await self.engine.call(lambda door: door.store.find_run(run))
        except WfconsoleError as error:
            self.say(told(error), "error")
            return
        if "#" in inside:
            self.open_card(run_id, inside)
        else:
            self.open_run(run_id, inside or None)

    def open_run(self, run_id: str, step_id: str | None = None) -> None:
        from wfconsole.console.screens.run import RunScreen

        self.push_screen(RunScreen(run_id, step_id))

    def review(self, run_id: str) -> None:
        """Open the card of the gate that a run waits at; the inbox when there are several."""
        self.background(partial(self._review, run_id), "review")

    async def _review(self, run_id: str) -> None:
        from wfconsole.views.inbox import open_gates
        from wfconsole.views.run_view import run_view

        _, records = await self.engine.call(lambda door: door.records(run_id))
        gates = open_gates(run_view(records))
        if len(gates) == 1:
            self.open_card(run_id, gates[0]["gate_id"])
        else:
            self.switch_mode("approvals")

    def confirm_cancel(self, run_id: str) -> None:
        """The two steps of a cancel: the key, then enter after a reason that may be empty."""
        from wfconsole.domain.facts import CancelRun

        async def cancel(reason: str | None) -> None:
            if reason is not None:
                await self.command(
                    run_id, lambda i, at, who: CancelRun(fact_id=i, at=at, actor=who, reason=reason or None)
                )

        lines = ("What is under way is stopped cleanly; `finally` steps still run.",)
        self.push_screen(ConfirmDialog(f"Cancel run {run_id}?", lines, ask="reason (may be empty)"), cancel)

    def open_log(self, run_id: str, step_id: str | None, attempt: int | None = None) -> None:
        from wfconsole.console.screens.log import LogScreen

        self.push_screen(LogScreen(run_id, step_id, attempt))

    def open_card(self, run_id: str, gate_id: str) -> None:
        from wfconsole.console.screens.card import CardScreen

        self.push_screen(CardScreen(run_id, gate_id))

    def open_launch(self, recipe: str) -> None:
        from wfconsole.console.screens.launch import LaunchScreen

        self.push_screen(LaunchScreen(recipe))

    def open_retry(self, run_id: str) -> None:
        from wfconsole.console.screens.retry import RetryScreen

        self.push_screen(RetryScreen(run_id))

    def action_show_help(self) -> None:
        from wfconsole.console.screens.help import HelpScreen

        self.push_screen(HelpScreen(self.board))

    def action_command_palette(self) -> None:
        from wfconsole.console.screens.palette import PaletteScreen

        self.push_screen(PaletteScreen(self.board))

    # commands ----------------------------------------------------------------------------------------------------------

    async def command(self, run_id: str, make: MakeFact) -> Answer | None:
        """Send a command to a run; what became of it. A refusal or an error is said, and gives None."""
        fact = make(f"console:{uuid.uuid4().hex}", self.now_ms(), self.wiring.actor())
        try:
            answer = await self.engine.call(lambda door: door.send(run_id, fact))
        except WfconsoleError as error:
            self.say(told(error), "error")
            return None
        if answer.refusal is not None:
            self.say(" - ".join(filter(None, (answer.refusal.reason, answer.refusal.hint))), "note", passing=True)
            return None
        if not answer.owned:
            self.drive(run_id)
        return answer

    async def start_run(self, request: RunRequest) -> str:
        """Create a run and drive it in this process; its id. Raises WfconsoleError; then nothing was created."""

        async def create(door: Door) -> str:
            return (await door.create(await door.prepare(request))).run_id

        run_id: str = await self.engine.call(create)
        self.drive(run_id)
        return run_id

    def drive(self, run_id: str) -> None:
        """Own the run in this process, unless somebody does already."""
        self.engine.drive(run_id, self._driven)

    def _driven(self, run_id: str, error: BaseException | None) -> None:
        if error is None:
            self.background(partial(self._go_on, run_id), f"go on {run_id}")
            return
        if isinstance(error, asyncio.CancelledError):
            return
        if isinstance(error, WfconsoleError) and error.code == "OWNER_LOST":
            return  # another process drives it: this one watches
        self.say(f"{run_id}: {told(error)}", "error")

    async def _go_on(self, run_id: str) -> None:
        """A run that ended here can go on as another one: drive that, too."""
        from wfconsole.domain.retry_events import RunRetried

        _, records = await self.engine.call(lambda door: door.records(run_id))
        successors = [record.event.successor for record in records if isinstance(record.event, RunRetried)]
        if successors:
            self.drive(successors[-1])
            self.say(f"run {run_id} goes on as run {successors[-1]}")

    # leaving, copying, telling -------------------------------------------------------------------------------------------

    def action_request_quit(self) -> None:
        ask_quit(self)

    def action_suspend_process(self) -> None:
        ask_suspend(self)

    def action_detach(self) -> None:
        self.detached = bool(self.engine.driven)
        leave(self)

    def write_terminal(self, sequence: str) -> None:
        """One of our own sequences, straight to the terminal."""
        if self._driver is not None:
            self._driver.write(sequence)
            self._driver.flush()

    def tell_waiting(self, found: RunList) -> None:
        """Bell, notification and window title when something new needs a person; nothing when nothing does."""
        waiting = {str(row["run_id"]) for row in found.rows if row.get("waiting_for") and row["finished_at"] is None}
        if waiting != self._waiting and "title" in self.settings.notices:
            self.write_terminal(window_title(f"{len(waiting)} need you - wfconsole" if waiting else "wfconsole"))
        fresh = waiting - (self._waiting or set())
        if fresh and self._waiting is not None:
            body = f"{', '.join(sorted(fresh))} waits for a decision"
            self.write_terminal(notification("wfconsole", body, self.settings.notices, in_tmux=self.settings.in_tmux))
        self._waiting = waiting

    def copy(self, text: str) -> None:
        """Put `text` on the operator's clipboard and say how it was sent."""
        found = copy_sequence(text, in_tmux=self.settings.in_tmux)
        if found.sequence is not None:
            self.write_terminal(found.sequence)
        self.say(found.said)

    def action_copy_menu(self) -> None:
        offers = self.board.copies() if self.board is not None else []
        if not offers:
            self.say("nothing to copy here", passing=True)
            return
        texts = dict(offers)
        choices = [(name, f"{name:<14}{text.splitlines()[0] if text else ''}") for name, text in offers]
        self.push_screen(ChoiceDialog("Copy", choices), lambda name: self.copy(texts[name]) if name else None)
