"""The diff of a card, hostile text, small screens."""

from __future__ import annotations

import asyncio

import pytest

from tests.console.rig import WIDE, Rig, screen_text, until
from tests.console.test_card import PATCH, card, note, stored
from tests.fakes.gates import approval, gated
from tests.fakes.journals import step


def test_the_whole_diff_is_read_where_it_is_stored(rig: Rig) -> None:
    journal = gated(context=stored(rig))
    rig.desk.door.add(journal)

    async def scenario() -> None:
        async with card(rig, journal) as (app, pilot, screen):
            await pilot.press("d")
            await until(pilot, lambda: "diff" not in screen.unseen)
            await pilot.pause()
            text = screen_text(app)
            assert any("   11       │-gone one" in line for line in text)
            assert any("         12 │+come two" in line for line in text)
            await pilot.press("right_curly_bracket", "right_curly_bracket")
            assert note(screen) == "hunk 2 of 2"
            await pilot.press("n")
            await pilot.pause()
            assert note(screen) == "file 2 of 2"
            assert any("          1 │+last" in line for line in screen_text(app))

    asyncio.run(scenario())


def test_side_by_side_where_there_is_room(rig: Rig) -> None:
    journal = gated(context=stored(rig))
    rig.desk.door.add(journal)

    async def scenario() -> None:
        async with card(rig, journal, size=WIDE) as (app, pilot, screen):
            await pilot.press("d")
            await until(pilot, lambda: "diff" not in screen.unseen)
            await pilot.pause()
            assert any("11 │-gone one" in line and "11 │+come one" in line for line in screen_text(app))
            await pilot.press("v")
            await pilot.pause()
            assert not any("-gone one" in line and "+come one" in line for line in screen_text(app))

    asyncio.run(scenario())


def test_a_diff_that_is_not_the_cards_does_not_count_as_shown(rig: Rig) -> None:
    context = stored(rig)
    place = rig.desk.door.artifacts.path(context["diff"]["artifact"]["sha256"])
    place.chmod(0o644)
    place.write_bytes(PATCH.replace(b"come", b"evil"))
    journal = gated(context=context)
    rig.desk.door.add(journal)

    async def scenario() -> None:
        async with card(rig, journal) as (_, pilot, screen):
            await pilot.press("d")
            await until(pilot, lambda: "not the one that this card is about" in note(screen))
            assert "diff" in screen.unseen

    asyncio.run(scenario())


HOSTILE = (
    " wfconsole  CARD gate            closed: granted "
    "\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\ \x1b]52;c;ZXZpbA==\x07 [bold red]markup[/] [@click=app.quit]x[/] "
    "\u202egnp.exe [link=http://evil]y[/link]\nall was shown; approve now"
)


def test_no_text_of_a_run_can_look_like_the_cards_frame(rig: Rig) -> None:
    lines = [b"+\x1b[2J\x1b]8;;http://evil\x07x", b"+ wfconsole  CARD gate    closed: granted", "+\u202eabc".encode()]
    patch = (
        b"diff --git a/e b/e\nnew file mode 100644\n--- /dev/null\n+++ b/e\n@@ -0,0 +1,3 @@\n"
        + b"\n".join(lines)
        + b"\n"
    )
    risk = {"level": "low", "notes": [{"rule": HOSTILE, "level": "high", "saw": HOSTILE, "why": HOSTILE}]}
    context = stored(rig, patch, risk=risk, files=[{"path": HOSTILE, "bytes": 1, "lines": [HOSTILE]}])
    journal = gated(step("build"), approval("gate", "build", title=HOSTILE, require_reason="always"), context=context)
    rig.desk.door.add(journal)

    async def scenario() -> None:
        async with card(rig, journal) as (app, pilot, screen):
            for _ in screen.parts:
                if screen.current == "diff":
                    await until(pilot, lambda: "diff" not in screen.unseen)
                await pilot.pause()
                _assert_only_behind_the_border(screen_text(app))
                await pilot.press("right_square_bracket")

    asyncio.run(scenario())


def _assert_only_behind_the_border(lines: list[str]) -> None:
    for place, line in enumerate(lines):
        assert not any(char in line for char in "\x1b\x07\u202e"), line
        for claim in ("closed: granted", "all was shown; approve now", "wfconsole  CARD", "click"):
            if place and claim in line:
                assert "│" in line[: line.index(claim)], line


def test_a_diff_of_many_lines_is_there_to_its_end(rig: Rig) -> None:
    count = 40_000
    body = b"".join(
        b"+line %d of a file that is long enough to be read in a thread\n" % number for number in range(count)
    )
    patch = b"diff --git a/e b/e\nnew file mode 100644\n--- /dev/null\n+++ b/e\n@@ -0,0 +1,%d @@\n" % count + body
    journal = gated(context=stored(rig, patch))
    rig.desk.door.add(journal)

    async def scenario() -> None:
        async with card(rig, journal) as (app, pilot, _screen):
            await pilot.press("d")
            await until(pilot, lambda: any("+line 0 of" in line for line in screen_text(app)))
            await pilot.press("G")
            await until(pilot, lambda: any(f"{count} │+line {count - 1} of" in line for line in screen_text(app)))

    asyncio.run(scenario())


@pytest.mark.parametrize("size", [(1, 1), (20, 5), (79, 23)])
def test_small_screens_do_not_break_the_card(rig: Rig, size: tuple[int, int]) -> None:
    journal = gated(context=stored(rig))
    rig.desk.door.add(journal)

    async def scenario() -> None:
        async with card(rig, journal, size=size) as (app, pilot, screen):
            for _ in screen.parts:
                await pilot.press("right_square_bracket")
                await pilot.pause()
            assert app.is_running

    asyncio.run(scenario())
