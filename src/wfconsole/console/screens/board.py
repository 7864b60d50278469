"""What every screen has: the frame, its keys from the table of actions, its streams from the engine while it is on top.

Owns that a key whose action is refused says why, and that nothing is asked of the engine for a screen nobody sees.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.app import ComposeResult
from textual.screen import Screen
from textual.timer import Timer

from wfconsole.console.actions import Action, all_actions, of_scope
from wfconsole.console.background import Work, in_background, told
from wfconsole.console.bridge import Stream
from wfconsole.console.chrome import KeyLine, Note, TitleBar
from wfconsole.console.root import console_of

if TYPE_CHECKING:
    from wfconsole.console.app import Console
    from wfconsole.control.door import Door

_Value = TypeVar("_Value")


class Board(Screen[None]):
    """A screen. A subclass has a `scope` of the table of actions, `heading` and `body`, and starts its streams in `watch`."""

    scope: ClassVar[str] = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (24, "-tall")]
    AUTO_FOCUS: ClassVar[str | None] = "LineList"

    def __init__(self) -> None:
        super().__init__()
        self._streams: list[Stream] = []
        self._passing = False

    @property
    def console_app(self) -> Console:
        return console_of(self)

    @property
    def heading(self) -> str:
        """What the title line says on the left."""
        return self.scope.upper()

    @property
    def headline(self) -> str:
        """What the title line says on the right."""
        return ""

    def body(self) -> ComposeResult:
        """The widgets between title and note."""
        raise NotImplementedError

    def watch_engine(self) -> None:
        """Start this screen's streams by `stream`; called whenever the screen comes on top."""

    def refusals(self) -> Mapping[str, str]:
        """Why actions of this screen are refused now, by `Action.refused_by`."""
        return {}

    def copies(self) -> list[tuple[str, str]]:
        """What can be copied here: (name, text), in the order of usefulness."""
        return []

    def compose(self) -> ComposeResult:
        yield TitleBar()
        yield from self.body()
        yield Note()
        yield KeyLine()

    def stream(self, work: Callable[[Door], AsyncIterator[_Value]], deliver: Callable[[_Value], None]) -> None:
        """Show what `work` yields on the engine's loop for as long as this screen is on top."""
        self._streams.append(self.console_app.engine.stream(work, deliver, self._failed))

    def _failed(self, error: BaseException) -> None:
        self.say(told(error), "error")

    def every(self, seconds: float, tick: Callable[[], object]) -> Timer:
        """Call `tick` at this pace while this screen is on top: what a covered screen draws repaints all of the one above."""
        return self.set_interval(seconds, lambda: tick() if self.is_active else None)

    def on_screen_resume(self) -> None:
        self.stop_streams()
        self.watch_engine()
        self.refresh_chrome()

    def on_screen_suspend(self) -> None:
        self.stop_streams()

    def on_unmount(self) -> None:
        self.stop_streams()

    def stop_streams(self) -> None:
        for stream in self._streams:
            stream.stop()
        self._streams.clear()

    def on_resize(self) -> None:
        was_small, small = self.has_class("-small"), self.size.width < 80 or self.size.height < 24
        self.set_class(small, "-small")
        if small:
            self.say(f"{self.size.width}x{self.size.height}: one pane; 80x24 shows all", "muted")
        elif was_small:
            self.say("")

    def background(self, work: Work, group: str) -> None:
        """Carry out `work` beside the drawing, in place of what goes on in `group`; its error is said."""
        in_background(self, work, group=group, say=self.say)

    def say(self, text: str, role: str = "muted", *, passing: bool = False) -> None:
        """A few words above the keys; `passing` ones, as why a key did nothing, stand there until the next key."""
        self._passing = passing
        for note in self.query(Note):
            note.show(text, role)

    def before_key(self) -> None:
        """A key is about to be acted upon."""
        if self._passing:
            self.say("")

    def refresh_chrome(self) -> None:
        """Title and keys as they are now; call it when what they depend on has changed."""
        for title in self.query(TitleBar):
            badge = "RO  " if self.console_app.settings.read_only else ""
            title.show(f"wfconsole  {self.heading}", f"{badge}{self.headline}")
        for keys in self.query(KeyLine):
            keys.show([(action, not self.refusal(action)) for action in self.offered() if action.shown])

    def offered(self) -> list[Action]:
        """The actions of this screen and those that every screen has, as this operator may use them."""
        read_only = self.console_app.settings.read_only
        actions = [*of_scope(self.scope), *of_scope("everywhere")]
        return [action for action in actions if not (read_only and action.changes)]

    def refusal(self, action: Action) -> str:
        """Why this action is refused now; empty when it is allowed."""
        return self.refusals().get(action.refused_by, "") if action.refused_by else ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's hook
        if not self.console_app.settings.read_only:
            return True
        return not any(one.changes and one.method.partition("(")[0] == action for one in all_actions())

    def allowed(self, refused_by: str) -> bool:
        """Whether this action may go on; when not, the note says why."""
        reason = self.refusals().get(refused_by, "")
        if reason:
            self.say(reason, "note", passing=True)
        return not reason
