"""What the console writes to the terminal besides its pictures: copies, notices, ASCII; and that nothing else can get there."""

from __future__ import annotations

import asyncio
import base64
import re

import pytest
from hypothesis import given, strategies as st
from rich.cells import cell_len

from tests.console.rig import Rig, screen_text, until
from tests.fakes.gates import approval, gated
from tests.fakes.journals import RUN_ID, Journal, plan, step
from wfconsole.console.app import Console
from wfconsole.console.ascii import ascii_text
from wfconsole.console.clipboard import LARGEST, copy_sequence
from wfconsole.console.notices import notification, window_title


@given(st.text(max_size=200))
def test_a_copy_is_one_sequence_whatever_is_copied(text: str) -> None:
    found = copy_sequence(text, in_tmux=False)
    assert found.sequence is not None
    match = re.fullmatch("\x1b]52;c;([A-Za-z0-9+/=]*)\x07", found.sequence)
    assert match is not None
    assert base64.b64decode(match[1]).decode("utf-8", "surrogateescape") == text


def test_a_copy_in_tmux_is_wrapped_for_it() -> None:
    found = copy_sequence("x", in_tmux=True)
    assert found.sequence == "\x1bPtmux;\x1b\x1b]52;c;eA==\x07\x1b\\"
    assert "tmux" in found.said


def test_what_is_too_large_is_not_sent_and_says_what_to_do() -> None:
    assert copy_sequence("x" * LARGEST, in_tmux=False).sequence is not None
    found = copy_sequence("x" * (LARGEST + 1), in_tmux=False)
    assert found.sequence is None
    assert "save it to a file" in found.said


@given(st.text(max_size=100), st.text(max_size=100))
def test_a_notice_carries_no_sequence_of_its_text(title: str, body: str) -> None:
    found = notification(title, body, ("bell", "osc9", "osc777"), in_tmux=False)
    inside = "[^\x00-\x1f\x7f-\x9f;]*"
    assert re.fullmatch(f"\x07\x1b]9;{inside}\x07\x1b]777;notify;{inside};{inside}\x07", found)
    assert re.fullmatch("\x1b]2;[^\x00-\x1f\x7f-\x9f]*\x07", window_title(title))


@given(st.text(alphabet=st.characters(blacklist_categories=("Cc", "Cs", "Cf", "Mn", "Me")), max_size=30))
def test_ascii_keeps_the_width(text: str) -> None:
    assert ascii_text(text).isascii()
    assert cell_len(ascii_text(text)) == cell_len(text)


def _written(app: Console, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(app, "write_terminal", found.append)
    return found


def test_y_offers_what_can_be_copied_and_says_how_it_went(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.desk.door.add(Journal(plan(step("a")), run_id="01ffffffffffffff"))

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            written = _written(app, monkeypatch)
            await until(pilot, lambda: "01ffffffffffffff" in "\n".join(screen_text(app)))
            await pilot.press("y")
            await until(pilot, lambda: app.board is None)
            await pilot.press("down", "enter")
            await until(pilot, lambda: bool(written))
            data = re.fullmatch("\x1b]52;c;(.*)\x07", written[-1])
            assert data is not None
            assert base64.b64decode(data[1]) == b"wfconsole show 01ffffffffffffff"
            await until(pilot, lambda: "bytes by OSC 52" in "\n".join(screen_text(app)))

    asyncio.run(scenario())


def test_bell_title_and_notification_when_something_new_needs_a_person(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with rig.open(notices=("bell", "title", "osc9")) as (app, pilot):
            written = _written(app, monkeypatch)
            await until(pilot, lambda: "0 runs" in screen_text(app)[0])
            journal = gated(approval("gate"))
            rig.desk.door.journals[RUN_ID] = journal
            await app.engine.call(lambda _: rig.desk.door._sync(RUN_ID))
            await until(pilot, lambda: len(written) >= 2)
            assert "\x1b]2;1 need you - wfconsole\x07" in written
            assert any(text.startswith(f"\x07\x1b]9;wfconsole: {RUN_ID} waits") for text in written)
            count = len(written)
            await pilot.pause(0.4)
            assert len(written) == count  # told once

    asyncio.run(scenario())


def test_an_ascii_console_draws_nothing_but_ascii(rig: Rig) -> None:
    rig.desk.door.add(Journal(plan(step("a")), run_id="01ffffffffffffff"))

    async def scenario() -> None:
        async with rig.open(ascii_only=True, size=(120, 40)) as (app, pilot):
            await until(pilot, lambda: "01ffffffffffffff" in "\n".join(screen_text(app)))
            for key in ("2", "3", "5", "6", "question_mark"):
                await pilot.press(key)
                await pilot.pause(0.05)
                for line in app.screen._compositor.render_strips():
                    drawn = line.apply_filter(app.get_line_filters()[-1], app.screen.background_colors[1])
                    assert drawn.text.isascii()

    asyncio.run(scenario())
