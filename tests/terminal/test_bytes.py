"""Every byte that the console writes: our own sequences and nothing of what recipes, programs and files say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.scenarios.cli import Wfconsole, repository
from tests.terminal.screen import words
from tests.terminal.terminal import Terminal, console, until

pytestmark = pytest.mark.engine

EVIL = (
    "\x1b]8;;http://evil.invalid\x1b\\click\x1b]8;;\x1b\\ \x1b]52;c;ZXZpbA==\x07\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[?1049l"
    "\x1bP1$r\x1b\\\x1bc\x9b5n\x9d0;c1\x9c [@click=app.exit]quit[/] [bold]bold[/bold] "
    "[link=http://e]x[/link] \u202etxt.exe\u2066 \r\x07\x08\x0e\x84end"
)
SAY = f"""
import pathlib, sys
evil = {EVIL!r}
sys.stdout.write(evil * 20 + chr(10))
sys.stderr.buffer.write(evil.encode() + b" \\xff\\xfe\\x80\\n")
pathlib.Path("plain.txt").write_text("new\\n" + evil + chr(10))
pathlib.Path(evil.replace("/", "") [:60] + ".txt").write_text(evil + chr(10))
"""
OURS = {
    "csi": rb"\x1b\[(?:\d+;\d+H|[\d;]*m|\?(?:7|25|10(?:00|03|04|06|15|16|49)|20(?:04|26|48))[hl]|\?20(?:26|48)\$p|>\d+u|<u)",
    "osc": rb"\x1b\](?:22;[a-z]+|2;[^\x00-\x1f\x7f;]*)\x07",
    "ctrl": rb"[\r\n\x07]",
}
"""Places, looks, modes and their questions; the pointer's shape and the window's title; ends of lines, the bell."""
_HIDDEN = re.compile("[\u0080-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def strange(written: bytes) -> list[object]:
    """What is not ours."""
    found: list[object] = []
    for word in words(written):
        if word.kind == "text":
            found += _HIDDEN.findall(word.data.decode("utf-8"))
        elif re.fullmatch(OURS.get(word.kind, rb"(?!)"), word.data) is None:
            found.append(word)
    return found


@pytest.fixture(scope="module")
def evil(wf: Wfconsole, place: Path) -> str:
    """A run that has said everything it could, waiting at its gate; its id."""
    repo = repository(place / "repo", {"say.py": SAY, "plain.txt": "old\n"})
    text = json.dumps(EVIL)
    (place / "recipes" / "evil.yaml").write_text(
        f"""recipe: evil
version: 1.0.0
description: {text}
inputs:
  repo: {{type: path, required: true, description: {text}}}
  word: {{type: string, default: {text}, description: {text}}}
workspace: {{source: "${{{{ inputs.repo }}}}"}}
steps:
  say: {{run: [[python, say.py, {text}]], artifacts: ["*.txt"], outputs: {{said: {{from: stdout}}}}}}
  gate: {{needs: [say], approval: {{title: {text}, context: {{diff: workspace, risk: auto, files: [plain.txt]}}}}}}
  ask: {{needs: [gate], question: {{prompt: {text}, choices: ["yes", "no"]}}}}
"""
    )
    started = wf.run("run", "evil", "-i", f"repo={repo}", "--until-waiting", "--json")
    assert started.code == 3, started.view["failure"]
    return str(started.view["run_id"])


def everywhere(on: Terminal, *keys: str) -> None:
    """Press keys, each followed by a change of the picture or of nothing."""
    for key in keys:
        before = len(on.written)
        on.keys(key, "\x0c")
        until(lambda before=before: len(on.written) > before, lambda: on.text)  # type: ignore[misc]
    assert on.process.poll() is None, on.text
    assert "Traceback" not in on.text


def test_hostile_names_titles_logs_and_diffs_reach_no_terminal_raw(wf: Wfconsole, evil: str) -> None:
    with console(wf, "open", f"{evil}/gate#1", columns=120, rows=40) as on:
        on.shows("CARD", "summary")
        everywhere(on, "]", "]", "]", "]", "d", "n", "v", "v", "}", "right", " ")
        on.press("a", "sign as")
        on.leaves("sign as")
        for line in range(2, 40):  # nothing that is shown can be clicked
            on.keys(f"\x1b[<0;30;{line}M\x1b[<0;30;{line}m")
        on.press("o", "RUN", "timeline")
        everywhere(on, "]", "j", "]", "]", "]", "]", "]", ",", ".")
        on.press("l", "LOG")
        everywhere(on, "w", "t", "e", "q")
        on.press("1", "RUNS", "evil")
        on.press("y", "Copy")
        on.leaves("Copy")
        on.press("?", "HELP")
        on.leaves("HELP")
        on.press("2", "APPROVALS")
        on.press("3", "RECIPES", "evil")
        on.press("G", ">")
        everywhere(on, "t", "k", "t")
        on.press("5", "EVENTS")
        everywhere(on, "k", "\r", "k")
        on.keys("\x11")
        assert on.end() == 0
        assert strange(on.written) == []


def looks(written: bytes) -> set[bytes]:
    """Every parameter list of an SGR."""
    return {word.data[2:-1] for word in words(written) if word.kind == "csi" and word.data.endswith(b"m")}


def tour(wf: Wfconsole, run_id: str, **extra: str) -> bytes:
    """What is written on the way over some screens."""
    with console(wf, extra={"COLORTERM": "", **extra}) as on:
        on.shows("RUNS", run_id)
        on.press("5", "EVENTS")
        on.press("6", "SETTINGS")
        on.press("?", "HELP")
        on.press("\x1b", "SETTINGS")
        on.press("1", "RUNS")
        on.press("\r", "timeline")
        on.keys("\x11")
        assert on.end() == 0
        return on.written


def depth(parameters: set[bytes]) -> int:
    """2, 16, 256 or more colours."""
    text = [b";" + each + b";" for each in parameters]
    if any(re.search(rb";[34]8;2;", each) for each in text):
        return 1 << 24
    if any(re.search(rb";[34]8;5;", each) for each in text):
        return 256
    return 16 if any(re.search(rb";(?:3|4|9|10)[0-7];", each) for each in text) else 2


@pytest.mark.parametrize(
    ("extra", "most"),
    [
        ({"COLORTERM": "truecolor"}, 1 << 24),
        ({"TERM": "xterm-256color"}, 256),
        ({"TERM": "xterm-16color"}, 16),
        ({"TERM": "linux"}, 16),
        ({"NO_COLOR": "1"}, 2),
    ],
)
def test_colours_are_of_the_depth_that_the_terminal_has(
    wf: Wfconsole, evil: str, extra: dict[str, str], most: int
) -> None:
    written = tour(wf, evil, **extra)
    assert depth(looks(written)) <= most, sorted(looks(written))
    assert strange(written) == []
    if extra.get("TERM") == "linux":
        assert written.isascii()


def test_where_the_language_is_c_everything_is_ascii(wf: Wfconsole, evil: str) -> None:
    assert tour(wf, evil, LANG="C", LC_ALL="C").isascii()


@pytest.mark.parametrize("name", ["dumb", ""])
def test_a_terminal_that_can_nothing_gets_the_help(wf: Wfconsole, name: str) -> None:
    with console(wf, extra={"TERM": name}) as on:
        assert on.end() == 0
        until(lambda: b"completion" in on.written, lambda: repr(on.written))
        assert on.written.startswith(b"Usage: wfconsole")
        assert b"\x1b" not in on.written
