"""The process that sends: it outlives its caller, is followed when it dies, and is stopped when the letter is not wanted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.letters import PASSWORD, TO_ANN, deliver, to
from tests.fakes.post import Post
from wfconsole.ports.delivery import Delivery, Letter

# ----------------------------------------------------------------------------------------------------------- the message


CALLER = """
import asyncio, sys
from pathlib import Path
from tests.delivery.test_smtp import TO_ANN, deliver, to
print(deliver(to(int(sys.argv[1])), Path(sys.argv[2])).verdict)
"""


def caller(post: Post, outbox: Path) -> subprocess.Popen[bytes]:
    """Another process that sends the same letter."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root / "src"), str(root)])
    argv = [sys.executable, "-c", CALLER, str(post.port), str(outbox)]
    return subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": path}, cwd=root, stdout=subprocess.PIPE)


def sender_of(outbox: Path) -> int:
    return int(json.loads((outbox / "sender.json").read_bytes())["pid"])


def kill_the_first(post: Post, when: str, outbox: Path) -> list[int]:
    """Kill the first sender when the server has come so far; its process id, once it is dead."""
    killed: list[int] = []

    def kill() -> None:
        if not killed:
            killed.append(sender_of(outbox))
            os.kill(killed[0], signal.SIGKILL)

    post.at[when] = kill
    return killed


def test_a_sender_outlives_the_process_that_started_it_and_the_next_takes_its_answer(
    post: Post, tmp_path: Path
) -> None:
    box, first = tmp_path / "box", threading.Event()
    dead, go = threading.Event(), threading.Event()

    def kill() -> None:
        first.wait(20)
        process.kill()
        process.wait()
        dead.set()
        go.wait(20)

    post.at["data"] = kill
    with caller(post, box) as process:
        first.set()
        assert dead.wait(20)
        threading.Timer(0.2, go.set).start()
        done = deliver(to(post.port), box)
    assert (done.verdict, done.warnings, len(post.box), len(post.data)) == ("accepted", (), 1, 1)


def test_two_callers_at_once_send_one_letter(post: Post, tmp_path: Path) -> None:
    with caller(post, tmp_path / "box") as process:
        mine = deliver(to(post.port), tmp_path / "box")
        out, _ = process.communicate(timeout=20)
    assert (mine.verdict, out.decode().strip(), len(post.data)) == ("accepted", "accepted", 1)


def test_a_sender_that_dies_before_the_end_mark_is_followed_by_one_without_a_warning(
    post: Post, tmp_path: Path
) -> None:
    box = tmp_path / "box"
    killed = kill_the_first(post, "ann@example.org", box)
    done = deliver(to(post.port), box)
    assert (done.verdict, done.warnings, len(killed), len(post.box)) == ("accepted", (), 1, 1)


def test_a_sender_that_dies_between_the_end_mark_and_the_answer_is_followed_by_one_with_the_same_id_and_a_warning(
    post: Post, tmp_path: Path
) -> None:
    box = tmp_path / "box"
    kill_the_first(post, "data", box)
    done = deliver(to(post.port), box)
    assert done.verdict == "accepted"
    assert len(post.data) == 2
    assert set(post.data) == {TO_ANN.message_id}
    assert "not known whether" in done.warnings[0]
    assert deliver(to(post.port), box) == done


def test_a_sender_that_always_dies_is_given_up(post: Post, tmp_path: Path) -> None:
    post.at["ann@example.org"] = lambda: os.kill(sender_of(tmp_path / "box"), signal.SIGKILL)
    done = deliver(to(post.port), tmp_path / "box")
    assert (done.verdict, post.box) == ("failed", [])
    assert "died 3 times" in done.reply


def test_a_sender_that_is_frozen_is_killed_when_it_is_over_its_time(
    post: Post, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wfconsole.delivery.mailer.GRACE_S", 0.2)
    post.at["ann@example.org"] = lambda: os.kill(sender_of(tmp_path / "box"), signal.SIGSTOP)
    done = deliver(to(post.port, timeout_s=0.5), tmp_path / "box")
    assert (done.verdict, done.warnings, post.box) == ("timed_out", (), [])
    with pytest.raises(ProcessLookupError):
        os.kill(sender_of(tmp_path / "box"), 0)


def test_a_sender_that_heard_only_half_of_its_connection_sends_nothing(post: Post, tmp_path: Path) -> None:
    """As when its caller died while it wrote."""
    root = Path(__file__).parents[2]
    argv = [sys.executable, "-m", "wfconsole.delivery.sender", str(tmp_path / "box")]
    done = subprocess.run(
        argv, input=b'{"host": "127.0.0.1", "po', env={"PYTHONPATH": str(root / "src")}, check=False, timeout=20
    )
    assert done.returncode == 1
    assert (post.data, (tmp_path / "box").exists()) == ([], False)


def test_a_stop_before_the_end_mark_sends_nothing(post: Post, tmp_path: Path) -> None:
    asked, go = threading.Event(), threading.Event()

    def hold() -> None:
        asked.set()
        go.wait(20)

    post.at["ann@example.org"] = hold

    async def work() -> Delivery:
        async def stopped() -> bool:
            await asyncio.to_thread(asked.wait, 20)
            return False

        async def write() -> Letter:
            return TO_ANN

        return await to(post.port).deliver(write, outbox=tmp_path / "box", attempt=1, limit_ms=None, stopped=stopped)

    done = asyncio.run(work())
    go.set()
    assert (done.verdict, post.data) == ("cancelled", [])


def test_a_stop_after_the_end_mark_waits_for_the_answer(
    post: Post, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, told = threading.Event(), threading.Event()
    send = signal.pidfd_send_signal

    def hold() -> None:
        asked.set()
        assert told.wait(20)

    def tell(handle: int, number: int) -> None:
        send(handle, number)
        told.set()

    post.at["data"] = hold
    monkeypatch.setattr(signal, "pidfd_send_signal", tell)

    async def work() -> Delivery:
        async def stopped() -> bool:
            await asyncio.to_thread(asked.wait, 20)
            return True

        async def write() -> Letter:
            return TO_ANN

        return await to(post.port).deliver(write, outbox=tmp_path / "box", attempt=1, limit_ms=None, stopped=stopped)

    assert asyncio.run(work()).verdict == "accepted"
    assert (told.is_set(), len(post.box)) == (True, 1)


def test_a_letter_that_is_not_wanted_any_more_is_not_even_written(tmp_path: Path) -> None:
    event = asyncio.Event()
    event.set()
    done = deliver(to(1), tmp_path / "box", stop=event)
    assert (done.verdict, done.message) == ("cancelled", None)


def test_neither_arguments_nor_environment_of_a_sender_hold_the_password_or_the_callers_secrets(
    safe: Post, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    monkeypatch.setenv("SOME_TOKEN", "hush-hush")
    (tmp_path / "pw").write_text(PASSWORD)

    def look() -> None:
        here = Path(f"/proc/{sender_of(tmp_path / 'box')}")
        seen.append((here / "cmdline").read_bytes() + (here / "environ").read_bytes())

    safe.at["data"] = look
    more: dict[str, Any] = {"tls": "starttls", "user": "flow", "ca_file": certificate.with_suffix(".crt")}
    done = deliver(to(safe.port, password_file=tmp_path / "pw", **more), tmp_path / "box")
    assert done.verdict == "accepted", done
    assert b"wfconsole.delivery.sender" in seen[0]
    assert PASSWORD.encode() not in seen[0]
    assert b"hush-hush" not in seen[0]
