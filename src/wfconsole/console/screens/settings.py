"""Settings and themes: what is in force and where it comes from, themes tried on as the cursor moves.

Owns the preview; keeping a choice is `console.choices`' trade. The decision that would surprise: esc takes the theme back
that was in force, so that looking at themes changes nothing.
"""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from wfconsole.console.actions import act, bindings, register
from wfconsole.console.choices import keep_choices
from wfconsole.console.lines import Cell, Column, LineList, Row
from wfconsole.console.pane import TextPane
from wfconsole.console.screens.board import Board
from wfconsole.console.settings import ConsoleSettings
from wfconsole.console.theme import ROLES, Palette
from wfconsole.views.words import glyph, word

register(
    act("settings.keep", "ctrl+s", "keep", "Keep this theme for the next time", "keep"),
    act("settings.reload", "ctrl+r", "reload", "Read the theme files again", "reload"),
)

_SAMPLE = ("running", "succeeded", "failed", "awaiting_approval", "paused", "pending", "cancelled", "skipped")


def sample(palette: Palette, *, ascii_only: bool) -> list[tuple[str, str]]:
    """What a theme looks like: every state with its glyph and word, a diff, risks, keys."""
    lines = [(palette.name, "title"), (palette.description, "muted"), ("", "text"), ("states", "header")]
    lines += [(f"  {glyph(status, ascii_only=ascii_only)} {word(status)}", status) for status in _SAMPLE]
    lines += [
        ("  ~ drift", "drift"),
        ("", "text"),
        ("diff", "header"),
        ("  M src/app.py", "diff-file"),
        ("  @@ -1,2 +1,2 @@", "diff-hunk"),
    ]
    lines += [("  -removed line", "diff-del"), ("  +added line", "diff-add"), ("", "text"), ("risk", "header")]
    lines += [(f"  {level}", f"risk-{level}") for level in ("low", "medium", "high")]
    lines += [("", "text"), ("  what just happened", "note"), ("  what went wrong", "error"), ("  found text", "match")]
    return lines


def in_force(settings: ConsoleSettings) -> list[tuple[str, str]]:
    """The other settings of this console, and where to change them."""
    glyphs = "ASCII" if settings.ascii_only else "Unicode"
    colours = "no colours (NO_COLOR)" if settings.no_color else "as many colours as the terminal has"
    return [
        ("", "text"),
        ("this console", "header"),
        (f"  {glyphs} glyphs, {colours}", "text"),
        (f"  redraws at most every {settings.frame_seconds} s" + (", low bandwidth" * settings.low_bandwidth), "text"),
        (f"  SSH {_yes(settings.over_ssh)}, tmux {_yes(settings.in_tmux)}, mouse {_yes(settings.mouse)}", "text"),
        (f"  read-only {_yes(settings.read_only)}, notices {', '.join(settings.notices) or 'none'}", "text"),
        ("  config.toml, [console]: theme keys glyphs read_only low_bandwidth mouse notices", "muted"),
    ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


class SettingsScreen(Board):
    scope = "settings"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("settings")]
    DEFAULT_CSS = """
    SettingsScreen { & #themes { width: 1fr; } & #sample { width: 1fr; border-left: solid $panel; } }
    """

    def __init__(self) -> None:
        super().__init__()
        self._before = ""

    def body(self) -> ComposeResult:
        with Horizontal():
            yield LineList((Column("THEME", 22), Column("ABOUT")), empty="no theme files", id="themes")
            yield TextPane(id="sample")

    @property
    def headline(self) -> str:
        return f"theme {self.console_app.palette.name}"

    def on_mount(self) -> None:
        self._before = self.console_app.palette.name
        self._list()

    def _list(self) -> None:
        app = self.console_app
        rows = [
            Row(name, (Cell(name), Cell(palette.description, "muted"))) for name, palette in sorted(app.themes.items())
        ]
        found = self.query_one(LineList)
        found.set_rows(rows)
        found.move_to(app.palette.name)
        if app.theme_problems:
            self.say(app.theme_problems[0], "error")
        self._sample()

    def _sample(self) -> None:
        app = self.console_app
        settings = in_force(app.settings)
        lines = [*sample(app.palette, ascii_only=app.settings.ascii_only), *settings]
        self.query_one("#sample", TextPane).set_lines(lines)

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        message.stop()
        self.console_app.use_theme(message.key)
        self._sample()
        self.refresh_chrome()

    def on_line_list_selected(self, message: LineList.Selected) -> None:
        message.stop()
        self.action_keep()

    def on_screen_suspend(self) -> None:
        super().on_screen_suspend()
        if self._before:
            self.console_app.use_theme(self._before)

    def action_keep(self) -> None:
        app = self.console_app
        self._before = app.palette.name
        if app.settings.save is None:
            self.say(f"theme {self._before} for as long as this console runs")
            return
        try:
            keep_choices(app.settings.save, {"theme": self._before})
        except OSError as error:
            self.say(f"cannot keep it: {error}", "error")
        else:
            self.say(f"theme {self._before} is kept in {app.settings.save}")

    def action_reload(self) -> None:
        self.console_app.reload_themes()
        self._list()


def roles_without_sample() -> set[str]:
    """Roles that the sample does not show; the frame itself shows those."""
    return set(ROLES) - {role for _, role in sample(Palette(name="x"), ascii_only=True)}
