"""What reaches a terminal: the live view, a clean end, and nothing raw of what recipes, files and programs say."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import sqlite3
import struct
import subprocess
import termios
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios import locks
from tests.scenarios.cli import DEADLINE_S, Wfconsole, command_line, let_go, recipe, repository, step, until

pytestmark = pytest.mark.engine

EVIL = "\x1b]0;owned\x07\x1b[31mred\x1b[2J\x9b5n\r\x08gone\u202etxt"
SAY = f"import sys\nsys.stdout.write({EVIL!r} + chr(10))\nsys.stderr.write({EVIL!r} + chr(10))\nsys.exit({EVIL!r})\n"
OURS = re.compile(rb"\x1b\[(?:\d+(?:;\d+)*)?m|\x1b\[\d*[AGK]|\x1b\[\?25[lh]|\r\n|\r")
"""What our own display may write: colours, up a line, to a column, erase in line, cursor off and on, ends of lines."""


def on_a_terminal(
    wf: Wfconsole, *argv: str | Path, rows: int = 24, columns: int = 80, extra: dict[str, str] | None = None
) -> tuple[bytes, int, list[Any]]:
    """All bytes that a command writes to a terminal, its exit status, and the terminal's settings before and after."""
    locks.put(wf.home, argv, wf.environment)
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    before = termios.tcgetattr(follower)
    process = subprocess.Popen(
        command_line(*argv),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**wf.environment, **(extra or {})},
        cwd=wf.cwd,
        start_new_session=True,
    )
    parts: list[bytes] = []
    with process:
        try:
            while process.poll() is None or _ready(leader):
                if _ready(leader):
                    parts.append(os.read(leader, 65536))
            process.wait(DEADLINE_S)
            settings = [before, termios.tcgetattr(follower)]
        finally:
            process.kill()
            os.close(follower)
            os.close(leader)
    return b"".join(parts), process.returncode, settings


def _ready(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0.05)[0])


def raw(written: bytes) -> bytes:
    """What is left of control characters when all that is ours is taken away."""
    rest = OURS.sub(b"", written)
    return bytes(byte for byte in rest if (byte < 32 and byte != 10) or byte == 127) + b"".join(
        re.findall(rb"\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]", rest)
    )


@pytest.fixture(scope="module")
def evil(wf: Wfconsole, place: Path) -> Path:
    repository(place / "evil", {"say.py": SAY, f"file {EVIL.replace('/', '')}.txt": "x\n"})
    return recipe(
        place,
        "evil",
        r"""
        description: "\e[31mred\e]0;owned\a"
        outputs: {said: "${{ steps.say.outputs.said }}"}
        steps:
          say: {run: [[python, say.py, "\e[31mred\e]0;owned\a"]], artifacts: ["file*"], outputs: {said: {from: stdout}}}
          after: {needs: {say: done}, check: [{that: inputs.repo == '', message: "\e]0;owned\a", hint: "\e[2J"}]}
        """,
    )


def test_a_run_on_a_terminal_is_live_and_leaves_it_clean(wf: Wfconsole, repo: Path) -> None:
    path = recipe(repo.parent, "lively", "steps: {one: {run: [[sleep, '1']]}, two: {needs: [one], run: [[pwd]]}}\n")
    written, code, (before, after) = on_a_terminal(wf, "run", path, "-i", f"repo={repo}")
    assert code == 0, written
    assert written.count(b"\x1b[1A") > 2  # redrawn in place
    assert written.rfind(b"\x1b[?25h") > written.rfind(b"\x1b[?25l") >= 0
    assert raw(written) == b""
    assert before == after
    last = OURS.sub(b"", written[written.rfind(b"\x1b[?25h") :]).decode()
    assert "succeeded" in last
    assert b"\x1b[?1049" not in written  # never another screen: what was there before stays


def test_a_store_that_fails_under_way_leaves_the_terminal_clean_and_the_step_to_be_adopted(place: Path) -> None:
    wf, repo = Wfconsole(place / "failing"), repository(place / "failing repo")
    path = recipe(place, "failing", "steps: {one: {run: [[python, hold.py, one]]}}\n")
    spoilt = threading.Thread(target=spoil, args=(wf,))
    spoilt.start()
    line = ["run", str(path), "-i", f"repo={repo}", "--id", "failing"]
    written, code, (before, after) = on_a_terminal(wf, *line)
    spoilt.join()
    assert (code, before) == (5, after), written
    assert written.rfind(b"\x1b[?25h") > written.rfind(b"\x1b[?25l") >= 0
    assert b"no room" in written
    with closing(sqlite3.connect(wf.home / "wfconsole.db")) as db, db:
        db.execute("DROP TRIGGER full")
    again = wf.run(*line, "--json")
    assert (again.code, again.view["status"]) == (0, "succeeded"), again.err
    assert len(step(again.view, "one")["attempts"]) == 1


def spoil(wf: Wfconsole) -> None:
    """Make the store refuse every event once the step is under way, then let the step end."""
    (run,) = until(lambda: list((wf.home / "runs").glob("*/workspace/one.here")), lambda: "no step began")
    with closing(sqlite3.connect(wf.home / "wfconsole.db")) as db, db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'no room'); END")
    let_go(wf, run.parent.parent.name, "one")


@pytest.mark.parametrize("extra", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_without_colour_or_on_a_dumb_terminal_lines_stay_plain(
    wf: Wfconsole, repo: Path, extra: dict[str, str]
) -> None:
    path = recipe(repo.parent, "dull", "steps: {one: {set: {a: 1}}}\n")
    written, code, _ = on_a_terminal(wf, "run", path, "-i", f"repo={repo}", extra=extra)
    assert code == 0
    assert not re.search(rb"\x1b\[[\d;]*3\dm", written)
    if extra.get("TERM") == "dumb":
        assert b"\x1b" not in written


def test_what_strangers_write_never_reaches_the_terminal_raw(wf: Wfconsole, evil: Path) -> None:
    written, code, _ = on_a_terminal(wf, "run", evil, "-i", f"repo={evil.parent / 'evil'}")
    assert code == 1, written
    assert raw(written) == b""
    views: list[list[str | Path]] = [
        ["show", "@latest"],
        ["show", "@latest", "--outputs"],
        ["logs", "@latest"],
        ["logs", "@latest", "say"],
        ["logs", "@latest", "say", "--stderr"],
        ["logs", "@latest", "--grep", "red"],
        ["events", "@latest"],
        ["artifacts", "@latest"],
        ["runs"],
        ["runs", "--json"],
        ["recipes", "show", str(evil)],
        ["recipes", "list"],
        ["db", "query", "SELECT * FROM artifacts"],
        ["watch", "@latest"],
        ["show", EVIL],
        ["run", evil, "-i", EVIL],
        ["run", evil, "-i", f"repo={EVIL}"],
    ]
    for argv in views:
        shown, _, _ = on_a_terminal(wf, *argv)
        assert shown, argv
        assert raw(shown) == b"", (argv, shown)


def test_untrusted_output_is_kept_as_it_is_in_pipes(wf: Wfconsole, evil: Path) -> None:
    wf.run("run", evil, "-i", f"repo={evil.parent / 'evil'}", "--id", "evil")
    assert wf.run("logs", "evil", "say", "--raw").stdout == EVIL.encode() + b"\n"
