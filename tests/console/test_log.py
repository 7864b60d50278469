from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, BinaryIO, Self

import pytest
from hypothesis import given, settings, strategies as st

from tests.console.rig import Rig, screen_text, until
from tests.fakes.journals import OK, Journal, command, plan, step
from wfconsole.console.log_view import LogView, Section
from wfconsole.control.log_lines import LogFile, compiled
from wfconsole.control.log_times import LogTimes
from wfconsole.ports import RunFolder

RUN = "01eeeeeeeeeeeeee"


def _run(rig: Rig, *, stdout: bytes, stderr: bytes = b"", over: bool = True) -> RunFolder:
    journal = Journal(plan(step("unit")), run_id=RUN)
    folder = RunFolder(rig.desk.home / "runs" / RUN)
    logs = folder.logs("unit", 1)
    logs.mkdir(parents=True)
    (logs / "0.stdout").write_bytes(stdout)
    (logs / "0.stderr").write_bytes(stderr)
    if over:
        journal.play(lambda *_: {**OK, "commands": (command(0, ("pytest",), "unit", 1),)})
    else:
        journal.take()
    rig.desk.door.add(journal)
    return folder


def _text(app: Any) -> str:
    return "\n".join(screen_text(app))


def test_the_end_of_a_log_is_shown_and_one_can_go_to_its_beginning(rig: Rig) -> None:
    _run(rig, stdout=b"".join(b"line %d\n" % at for at in range(500)), stderr=b"boom\n")

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.open_log(RUN, "unit")
            await until(pilot, lambda: "boom" in _text(app))
            assert "line 499" in _text(app)
            assert "501 lines" in screen_text(app)[0]
            await pilot.press("g")
            await until(pilot, lambda: "line 0" in _text(app))
            assert "command 1  stdout" in _text(app)

    asyncio.run(scenario())


def test_a_growing_log_is_followed_until_one_moves_away(rig: Rig) -> None:
    folder = _run(rig, stdout=b"".join(b"line %d\n" % at for at in range(100)), over=False)
    path = folder.logs("unit", 1) / "0.stdout"

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.open_log(RUN, "unit")
            await until(pilot, lambda: "line 99" in _text(app))
            with path.open("ab") as file:
                file.write(b"line 100\n")
            await until(pilot, lambda: "line 100" in _text(app))
            await pilot.press("pageup")
            await until(pilot, lambda: "HELD" in screen_text(app)[0])
            with path.open("ab") as file:
                file.write(b"line 101\n")
            await until(pilot, lambda: "102 lines" in screen_text(app)[0])
            assert "line 101" not in _text(app)
            await pilot.press("f")
            await until(pilot, lambda: "line 101" in _text(app))

    asyncio.run(scenario())


def test_search_goes_from_place_to_place_both_ways(rig: Rig) -> None:
    _run(rig, stdout=b"".join(b"line %d %s\n" % (at, b"Needle" if at in {7, 300} else b"") for at in range(500)))

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.open_log(RUN, "unit")
            await until(pilot, lambda: "line 499" in _text(app))
            await pilot.press("g", "slash", *"needle", "enter")
            await until(pilot, lambda: "line 7 Needle" in _text(app))
            await pilot.press("n")
            await until(pilot, lambda: "line 300 Needle" in _text(app))
            await pilot.press("n")
            await until(pilot, lambda: "needle: nothing below" in _text(app))
            await pilot.press("N")
            await until(pilot, lambda: "line 7 Needle" in _text(app))

    asyncio.run(scenario())


def test_the_filter_keeps_what_fits_and_lets_go_again(rig: Rig) -> None:
    _run(rig, stdout=b"".join(b"line %d\n" % at for at in range(500)))

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.open_log(RUN, "unit")
            await until(pilot, lambda: "line 499" in _text(app))
            await pilot.press("ampersand", *"line 49[12]", "enter")
            await until(pilot, lambda: "2 lines" in screen_text(app)[0])
            assert "line 491" in _text(app)
            assert "line 499" not in _text(app)
            await pilot.press("ampersand", "enter")
            await until(pilot, lambda: "500 lines" in screen_text(app)[0])

    asyncio.run(scenario())


def test_e_jumps_to_what_speaks_of_an_error(rig: Rig) -> None:
    _run(rig, stdout=b"".join(b"line %d\n" % at for at in range(200)) + b"E   AssertionError\n" + b"x\n" * 200)

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.open_log(RUN, "unit")
            await until(pilot, lambda: "401 lines" in screen_text(app)[0])
            await pilot.press("g", "e")
            await until(pilot, lambda: ">" in next((line for line in screen_text(app) if "AssertionError" in line), ""))

    asyncio.run(scenario())


def test_hostile_bytes_are_shown_and_obeyed_by_nothing(rig: Rig) -> None:
    _run(
        rig,
        stdout=b"\x1b[2J\x1b]52;c;ZXZpbA==\x07 [@click=app.exit]x[/] \x9b31m \xff\xfe \xe2\x80\xae end\r\n"
        + b"y" * 200_000
        + b"\n",
    )

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.open_log(RUN, "unit")
            await until(pilot, lambda: "2 lines" in screen_text(app)[0])
            await pilot.press("w")
            await pilot.press("g")
            await until(pilot, lambda: "[@click=app.exit]x[/]" in _text(app))
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", _text(app))
            assert "yyyy" in _text(app)

    asyncio.run(scenario())


def test_streams_are_switched_and_the_page_is_saved_once(rig: Rig, tmp_path: Path) -> None:
    _run(rig, stdout=b"out\n", stderr=b"err\n")
    target = tmp_path / "saved.log"

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.open_log(RUN, "unit")
            await until(pilot, lambda: "err" in _text(app))
            await pilot.press("s")
            await until(pilot, lambda: "2 lines" not in screen_text(app)[0])
            assert "command 1  stderr" not in _text(app)
            for told in ("1 line saved to", "cannot save"):
                await pilot.press("o")
                await until(pilot, lambda: app.board is None)
                await pilot.press(*str(target), "enter")
                await until(pilot, lambda told=told: told in _text(app))  # type: ignore[misc]

    asyncio.run(scenario())
    assert target.read_text() == "== command 1  stdout\nout\n"


def test_a_link_in_place_of_a_log_is_not_followed(rig: Rig, tmp_path: Path) -> None:
    folder = _run(rig, stdout=b"")
    secret = tmp_path / "secret"
    secret.write_text("host secret\n")
    path = folder.logs("unit", 1) / "0.stdout"
    path.unlink()
    path.symlink_to(secret)

    async def scenario() -> None:
        async with rig.open(size=(160, 24)) as (app, pilot):
            app.open_log(RUN, "unit")
            await until(pilot, lambda: "is no plain file of the run" in _text(app))
            assert "host secret" not in _text(app)

    asyncio.run(scenario())


def test_paging_a_large_log_reads_only_what_it_shows(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"".join(b"%07d\n" % at for at in range(200_000)))
    read: list[int] = []

    class Counting:
        def __init__(self) -> None:
            self._file = path.open("rb", buffering=0)

        def read(self, count: int) -> bytes:
            read.append(count)
            return self._file.read(count)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

    file = LogFile(Counting)  # type: ignore[arg-type]
    file.grow()
    assert file.lines == 200_000
    read.clear()
    assert file.read(150_001, 2) == [b"0150001", b"0150002"]
    assert sum(read) <= 1 << 18


@settings(max_examples=200, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=9).map(lambda data: data.replace(b"\n", b"")), max_size=300),
    rest=st.binary(max_size=5).map(lambda data: data.replace(b"\n", b"")),
    steps=st.lists(st.integers(1, 400), max_size=5),
    first=st.integers(0, 310),
    count=st.integers(0, 20),
)
def test_a_log_file_has_the_lines_of_its_bytes(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], rest: bytes, steps: list[int], first: int, count: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "file"
    path.write_bytes(b"".join(line + b"\n" for line in lines) + rest)
    file = LogFile(lambda: path.open("rb", buffering=0))
    for limit in steps:
        file.grow(limit)
    file.grow()
    whole = [*lines, *([rest] if rest else [])]
    assert file.lines == len(lines)
    assert file.shown_lines == len(whole)
    assert file.read(first, count) == whole[first : first + count]
    pattern = compiled("a")
    hits = [at for at, line in enumerate(whole) if b"a" in line.lower()]
    assert list(file.matching(pattern)) == hits
    assert file.search(pattern, first) == next((at for at in hits if at >= first), None)
    assert file.search(pattern, first, backward=True) == next((at for at in reversed(hits) if at < first), None)
    placed = [(sum(len(before) + 1 for before in whole[:at]), line) for at, line in enumerate(whole)]
    assert file.placed(first, count) == placed[first : first + count]
    assert file.picked(range(first, first + 100, 7)) == placed[first : first + 100 : 7]


def test_a_line_of_a_hundred_megabytes_is_cut_and_costs_no_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "wide"
    with path.open("wb") as file:
        file.truncate(100 << 20)
        file.seek(0, 2)
        file.write(b"needle\nlast\n")
    log = LogFile(lambda: path.open("rb", buffering=0))
    tracemalloc.start()
    log.grow()
    (_, wide), last = log.placed(0, 2)
    assert [len(wide), last] == [64 * 1024, (path.stat().st_size - 5, b"last")]
    assert list(log.matching(compiled("needle|last"))) == [0, 1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20


def test_the_place_is_kept_when_the_terminal_changes_its_size(rig: Rig) -> None:
    _run(rig, stdout=b"".join(b"line %d\n" % at for at in range(500)))

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.open_log(RUN, "unit")
            await until(pilot, lambda: "line 499" in _text(app))
            await pilot.press("g", "pagedown")
            top = app.screen.query_one(LogView).top
            await pilot.resize_terminal(60, 10)
            await until(pilot, lambda: app.screen.size.width == 60)
            assert app.screen.query_one(LogView).top == top

    asyncio.run(scenario())


def test_t_shows_about_when_each_line_was_written(rig: Rig) -> None:
    folder = _run(rig, stdout=b"one\ntwo\nthree\nfour\n")
    noted = f"{1_782_900_000_500} 4\n{1_782_900_001_000} 8 gap\n{1_782_900_002_250} 14\n"
    (folder.logs("unit", 1) / "0.stdout.times").write_text(noted)

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.open_log(RUN, "unit")
            await until(pilot, lambda: "four" in _text(app))
            await pilot.press("t")
            await until(pilot, lambda: "~10:00:00.500" in _text(app))
            lines = {line.split()[-1]: line for line in screen_text(app) if line.strip()}
            assert "~10:00:00.500 one" in lines["one"]
            assert "~" not in lines["two"]  # nobody looked on while it was written
            assert "~10:00:02.250 three" in lines["three"]
            assert "~" not in lines["four"]
            await pilot.press("t")
            await until(pilot, lambda: "~10:00:00.500" not in _text(app))

    asyncio.run(scenario())


def test_a_page_with_times_costs_one_read_a_stream(rig: Rig, tmp_path: Path) -> None:
    _run(rig, stdout=b"one\n")
    path, opened = tmp_path / "large", []
    path.write_bytes(b"".join(b"line %d\n" % at for at in range(5000)))

    def counted() -> BinaryIO:
        opened.append(path)
        return path.open("rb", buffering=0)

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.open_log(RUN, "unit")
            await until(pilot, lambda: "one" in _text(app))
            section = Section(key="x", title="command 1  stdout", file=LogFile(counted), times=LogTimes(b"0 1000000"))
            section.file.grow()
            view = app.screen.query_one(LogView)
            view.book.sections = [section]
            view.with_times = True
            view.top = 4000
            opened.clear()
            view.changed()
            assert len(opened) == 1
            await until(pilot, lambda: "~00:00:00.000 line 3999" in _text(app))

    asyncio.run(scenario())


def test_the_end_of_a_wrapped_log_can_be_reached(rig: Rig) -> None:
    _run(rig, stdout=b"".join(b"%d %s\n" % (at, b"wide " * 60) for at in range(40)) + b"the end\n", stderr=b"boom\n")

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.open_log(RUN, "unit")
            await until(pilot, lambda: "boom" in _text(app))
            await pilot.press("w")
            await until(pilot, lambda: "HELD" not in screen_text(app)[0] and "boom" in _text(app))
            assert "39 wide" in _text(app)
            await pilot.press("g", "G")
            await until(pilot, lambda: "the end" in _text(app) and "boom" in _text(app))
            await pilot.press("k")
            await until(pilot, lambda: "boom" not in _text(app))
            await pilot.press("j", "j", "j")
            await until(pilot, lambda: "boom" in _text(app))

    asyncio.run(scenario())


def test_without_noted_times_the_log_says_so(rig: Rig) -> None:
    _run(rig, stdout=b"one\n")

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.open_log(RUN, "unit")
            await until(pilot, lambda: "one" in _text(app))
            await pilot.press("t")
            await until(pilot, lambda: "nobody noted when these lines were written" in _text(app))

    asyncio.run(scenario())
