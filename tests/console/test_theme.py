from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from rich.style import Style

from tests.console.rig import THEMES, Rig, screen_text, until
from wfconsole.console.choices import keep_choices, read_choices
from wfconsole.console.screens.settings import roles_without_sample
from wfconsole.console.theme import OF_STATUS, ROLES, ThemeError, fallback, read_theme, read_themes
from wfconsole.domain.lifecycle import RUN_TERMINAL, STEP_TERMINAL

SHIPPED, PROBLEMS = read_themes((THEMES,))


def test_at_least_eight_themes_are_shipped_and_all_hold() -> None:
    assert PROBLEMS == []
    assert len(SHIPPED) >= 8
    assert {"high-contrast", "blue-orange", "sixteen", "mono"} <= set(SHIPPED)
    assert any(not theme.dark for theme in SHIPPED.values())


def _luminance(style: Style, ground: bool) -> float:
    color = style.bgcolor if ground else style.color
    assert color is not None
    assert color.triplet is not None
    parts = [part / 255 for part in color.triplet]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", sorted(name for name, theme in SHIPPED.items() if not theme.ansi))
def test_text_of_every_role_can_be_read(name: str) -> None:
    """WCAG 2: 4.5 to 1 for text, 7 to 1 in the themes of high contrast; greyed keys need 3 to 1."""
    for role in ROLES:
        style = SHIPPED[name].style(role)
        light, dark = sorted((_luminance(style, ground=False), _luminance(style, ground=True)), reverse=True)
        ratio = (light + 0.05) / (dark + 0.05)
        wanted = 3.0 if role == "key-off" else 7.0 if name.startswith("high-contrast") and role == "text" else 4.5
        assert ratio >= wanted, f"{name}: {role} has {ratio:.1f} to 1"


def test_mono_has_no_colour_at_all() -> None:
    for role in ROLES:
        style = SHIPPED["mono"].style(role)
        assert style.color is None or style.color.is_default
        assert style.bgcolor is None or style.bgcolor.is_default


def test_every_status_has_a_role() -> None:
    for status in {
        *RUN_TERMINAL,
        *STEP_TERMINAL,
        "running",
        "pending",
        "paused",
        "awaiting_approval",
        "backing_off",
        "needs_human",
    }:
        assert OF_STATUS.get(status, status) in ROLES


def test_the_preview_shows_every_role_but_those_of_the_frame() -> None:
    assert roles_without_sample() <= {
        "key", "key-off", "cursor", "cursor-blurred", "waiting", "bar", "text",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('name = "x"\ncolour = 1', "unknown key colour"),
        ('name = "x"\n[roles]\nrunning = "bold bleu"', "roles.running: 'bold bleu' is no style"),
        ('name = "x"\n[roles]\nrunnin = "bold"', "roles.runnin is unknown"),
        ('name = "x"\n[colors]\nprimary = "nope"', "colors.primary: 'nope' is no color"),
        ("name = 3", "name must be"),
        ('name = "x"\ndark = "no"', "dark must be true or false"),
        ("name = ", "bad.toml"),
        ("x" * 70_000, "larger than"),
    ],
)
def test_a_theme_file_that_does_not_hold_says_why(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ThemeError, match=told):
        read_theme(path)
    assert read_themes((tmp_path,))[0] == {}


def test_the_users_folder_wins_and_a_bad_file_is_told(tmp_path: Path, rig: Rig) -> None:
    (tmp_path / "calm.toml").write_text('name = "calm"\ndescription = "mine"\n')
    (tmp_path / "bad.toml").write_text("name = 3\n")
    themes, problems = read_themes((tmp_path, THEMES))
    assert themes["calm"].description == "mine"
    assert len(problems) == 1

    async def scenario() -> None:
        async with rig.open(themes=(tmp_path, THEMES)) as (app, pilot):
            await pilot.press("6")
            await until(pilot, lambda: any("name must be" in line for line in screen_text(app)))

    asyncio.run(scenario())


def test_a_theme_is_tried_on_by_the_cursor_and_taken_back_by_leaving(rig: Rig, tmp_path: Path) -> None:
    kept = tmp_path / "state" / "console.json"

    async def scenario() -> None:
        async with rig.open(save=kept) as (app, pilot):
            await pilot.press("6")
            await until(pilot, lambda: any(line.startswith(">calm") for line in screen_text(app)))
            await pilot.press("j")
            await until(pilot, lambda: app.palette.name == "daylight")
            assert app.theme == "daylight"
            await pilot.press("escape")
            await until(pilot, lambda: app.palette.name == "calm")
            await pilot.press("6")
            await until(pilot, lambda: app.current_mode == "settings")
            await pilot.press("G", "ctrl+s")
            await until(pilot, lambda: "kept" in "\n".join(screen_text(app)))
            await pilot.press("escape")
            await pilot.pause()
            assert app.palette.name == "sixteen"

    asyncio.run(scenario())
    assert read_choices(kept) == {"theme": "sixteen"}


def test_choices_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    path = tmp_path / "console.json"
    assert read_choices(path) == {}
    for text in ("nonsense", "[]", '{"theme": 3}'):
        path.write_text(text)
        assert read_choices(path) == {}
    keep_choices(path, {"theme": "calm"})
    assert read_choices(path) == {"theme": "calm"}


def test_without_theme_files_the_console_still_opens(rig: Rig, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig.open(themes=(tmp_path,), theme=None) as (app, pilot):
            await until(pilot, lambda: "RUNS" in screen_text(app)[0])
            assert app.palette.name == fallback().name

    asyncio.run(scenario())
