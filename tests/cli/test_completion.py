"""Completion: scripts for three shells, and what they are offered."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fakes.desk import Desk
from tests.fakes.journals import OK, Journal, plan, step
from wfconsole.domain.records import ArtifactRecord
from wfconsole.ports import WfconsoleError


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(desk: Desk, shell: str) -> None:
    ran = desk.run("completion", shell)
    assert ran.code == 0
    assert "_WFCONSOLE_COMPLETE" in ran.text


def test_completion_knows_three_shells(desk: Desk) -> None:
    assert desk.run("completion", "tcsh").code == 2


def test_completion_knows_commands_and_options(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_WFCONSOLE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "wfconsole re")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert set(desk.run().lines) == {"resume", "recipes", "reject"}
    monkeypatch.setenv("COMP_WORDS", "wfconsole run --inp")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert desk.run().lines == ["--input", "--input-file"]


def offered(desk: Desk, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    """What the program answers a shell that wants the last of `words`."""
    monkeypatch.setenv("_WFCONSOLE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    ran = desk.run()
    assert (ran.code, ran.err) == (0, "")
    return [line for line in ran.lines if line]


def test_completion_offers_values_that_exist(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.run("run", "quality-gate", "--json")
    run_id = next(iter(desk.door.journals))
    assert offered(desk, monkeypatch, "wfconsole", "show", "") == ["@latest", run_id]
    assert offered(desk, monkeypatch, "wfconsole", "show", run_id[:6]) == [run_id]
    assert offered(desk, monkeypatch, "wfconsole", "logs", "@latest", "") == ["lint", "unit"]
    assert offered(desk, monkeypatch, "wfconsole", "run", "qual") == ["quality-gate"]
    assert offered(desk, monkeypatch, "wfconsole", "runs", "--status", "s") == ["succeeded"]
    assert offered(desk, monkeypatch, "wfconsole", "completion", "z") == ["zsh"]
    assert offered(desk, monkeypatch, "wfconsole", "logs", "no-such-run", "") == []


def test_completion_offers_no_word_that_a_shell_would_take_apart(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of artifacts come from what ran in the sandbox, and bash writes an offer onto the command line as it is."""
    names = ("$(reboot)", "`id`", "a b", "a;b", "x>y", "\x1b[31m", "-o", "~root", "plain.txt", "out/r.xml")
    found = tuple(
        ArtifactRecord(artifact_id=name, step_id="a", attempt=1, name=name, kind="file", sha256="ab" * 32, bytes=1)
        for name in names
    )
    journal = Journal(plan(step("a")))
    journal.play(lambda *_: {**OK, "artifacts": found})
    desk.door.add(journal)
    assert offered(desk, monkeypatch, "wfconsole", "artifacts", "@latest", "") == ["plain.txt", "out/r.xml"]


def test_completion_says_nothing_when_the_store_does_not_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: object) -> None:
        raise WfconsoleError("STORE_BUSY", "no", "wait")

    monkeypatch.setattr(desk.door, "runs", broken)
    assert offered(desk, monkeypatch, "wfconsole", "show", "") == []


LINES = [
    ("wfconsole sho", "wfconsole show "),
    ("wfconsole show @la", "wfconsole show @latest "),
    ("wfconsole logs @latest un", "wfconsole logs @latest unit "),
    ("wfconsole show a --wh", "wfconsole show a --where=here "),
    ("wfconsole show a --where=h", "wfconsole show a --where=here "),
    ("wfconsole open notes.t", "wfconsole open notes.txt "),
]
ANSWERS = """#!/bin/sh
case "$COMP_CWORD/$COMP_WORDS" in
1/*) echo show;;
"2/wfconsole show @la") echo @latest;;
"3/wfconsole logs @latest un") echo unit;;
"3/wfconsole show a --wh"*) echo --where=here;;
esac
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(("typed", "completed"), LINES)
def test_bash_writes_what_is_offered_where_it_belongs(desk: Desk, tmp_path: Path, typed: str, completed: str) -> None:
    """In a shell of its own, by its own keys: what bash takes for a word is known to bash alone."""
    program = tmp_path / "wfconsole"
    program.write_text(ANSWERS)
    program.chmod(0o755)
    (tmp_path / "notes.txt").touch()
    script = tmp_path / "script"
    script.write_bytes(desk.run("completion", "bash").out)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TERM": "dumb", "PS1": "ask> "}
    leader, follower = pty.openpty()
    with subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=follower, stdout=follower, stderr=follower, env=environment, cwd=tmp_path, start_new_session=True,
    ) as shell:  # fmt: skip
        try:
            os.write(leader, f"bind 'set enable-bracketed-paste off'; source {script}; echo rea'dy'\n".encode())
            read_until(leader, b"ready\r\nask> ")  # from here on readline has the keys
            os.write(leader, f"{typed}\t#\n".encode())
            assert read_until(leader, b"#").endswith(f"{completed}#".encode())
        finally:
            shell.kill()
            os.close(follower)
            os.close(leader)


def read_until(descriptor: int, wanted: bytes) -> bytes:
    """What a terminal shows up to `wanted`."""
    found = b""
    while wanted not in found:
        assert select.select([descriptor], [], [], 60)[0], found
        found += os.read(descriptor, 4096)
    return found[: found.index(wanted) + len(wanted)]
