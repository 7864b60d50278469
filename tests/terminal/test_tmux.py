"""A person's way from the first picture to an approved run and a failed one, by keys in tmux and over a login by ssh."""

from __future__ import annotations

import os
import pwd
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.scenarios.cli import Wfconsole
from tests.terminal.conftest import needs
from tests.terminal.terminal import launch, terminal, until
from tests.terminal.test_bytes import depth, looks, strange
from tests.terminal.test_leaving import restored

pytestmark = pytest.mark.engine


class Tmux:
    """A tmux server of the test's own with one window of 80x24."""

    def __init__(self, folder: Path, wf: Wfconsole) -> None:
        self._base = ["tmux", "-S", str(folder / "tmux"), "-f", os.devnull]
        environment = {**wf.environment, "TERM": "xterm-256color"}
        environment.pop("TMUX", None)
        line = shlex.join([sys.executable, "-m", "wfconsole"])
        size = ["-x", "80", "-y", "24"]
        argv = [*self._base, "new-session", "-d", *size, "-c", str(wf.cwd), line]
        subprocess.run(argv, env=environment, check=True, cwd=wf.cwd)

    def _run(self, *argv: str) -> str:
        return subprocess.run([*self._base, *argv], check=True, capture_output=True, text=True).stdout

    @property
    def text(self) -> str:
        return self._run("capture-pane", "-p")

    def press(self, key: str, *wanted: str) -> str:
        """A key by tmux's name, then a picture that has all of this."""
        self._run("send-keys", key)
        return self.shows(*wanted)

    def write(self, text: str) -> None:
        self._run("send-keys", "-l", text)

    def shows(self, *wanted: str) -> str:
        def found() -> str | None:
            picture = self.text
            return picture if all(each in picture for each in wanted) else None

        return until(found, lambda: f"waited for {wanted}:\n{self.text}")

    def title(self) -> str:
        return self._run("display-message", "-p", "#{pane_title}").strip()

    def close(self) -> None:
        subprocess.run([*self._base, "kill-server"], check=False, capture_output=True)


@pytest.fixture
def tmux(tmp_path: Path, wf: Wfconsole) -> Iterator[Tmux]:
    needs("tmux")
    made = Tmux(tmp_path, wf)
    try:
        yield made
    finally:
        made.close()


def choose(tmux: Tmux, recipe: str) -> None:
    tmux.press("3", "RECIPES", f" {recipe} ")
    for _ in range(9):
        if f">{recipe} " in tmux.text:
            break
        before = tmux.text
        tmux.press("j")
        until(lambda before=before: tmux.text != before, lambda: tmux.text)  # type: ignore[misc]
    tmux.press("Enter", "LAUNCH", f"{recipe}@")


def test_from_start_to_an_approved_run_by_keys_alone(tmux: Tmux, wf: Wfconsole) -> None:
    tmux.shows("RUNS")
    choose(tmux, "small")
    tmux.shows("the input word is required")
    tmux.write("hello")
    tmux.shows("ready", "wfconsole run small -i word=hello")
    shown = tmux.press("C-s", "needs you", "gate waits for a person")
    run_id = shown.splitlines()[0].split("RUN ")[1].split()[0]
    until(lambda: "1 need you" in tmux.title() or None, tmux.title) if tmux.press("1", "RUNS", run_id) else None
    tmux.press("a", "CARD", "not all evidence was shown")
    assert "not all evidence was shown" in tmux.press("a", "not all evidence")  # refused, and says why
    for _ in range(6):
        if "all was shown" in tmux.text:
            break
        before = tmux.text
        tmux.press("Space")
        until(lambda before=before: tmux.text != before, lambda: tmux.text)  # type: ignore[misc]
    tmux.shows("all was shown")
    tmux.press("a", "sign as", "approve", "ctrl+s")
    tmux.press("C-s", "granted")
    tmux.press("1", "RUNS", f"succeeded {run_id}")
    view = wf.show(run_id)
    assert view["status"] == "succeeded"
    assert view["approvals"][0]["decisions"][0]["choice"] == "approve"


def test_a_failed_run_opens_on_its_failure_and_the_retry_says_what_is_allowed(tmux: Tmux) -> None:
    tmux.shows("RUNS")
    choose(tmux, "wrong")
    tmux.shows("ready")
    tmux.press("C-s", "failed", "STEP_FAILED", "bad")
    tmux.press("r", "RETRY", "steps depend on each other")


# ------------------------------------------------------------------------------------------------------------------ ssh


@contextmanager
def login(folder: Path) -> Iterator[list[str]]:
    """An ssh server on loopback with a key of its own; the words of a client that may log in to it."""
    needs("sshd", "ssh", "ssh-keygen")
    folder.chmod(0o700)
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "client.pub").rename(folder / "allowed")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'allowed'}\n"
        "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nAcceptEnv *\n"
    )
    program = next(place for place in ("/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd") if Path(place).exists())
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([program, "-D", "-e", "-f", str(config)], stderr=log, stdin=subprocess.DEVNULL)
    try:
        until(lambda: b"listening" in (folder / "log").read_bytes(), (folder / "log").read_text)
        known = folder / "known"
        known.write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
        yield [
            "ssh", "-F", os.devnull, "-i", str(folder / "client"), "-p", str(port), "-o", f"UserKnownHostsFile={known}",
            "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "StrictHostKeyChecking=yes", "-tt",
            f"{pwd.getpwuid(os.geteuid()).pw_name}@127.0.0.1",
        ]  # fmt: skip
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(10)


def test_over_ssh_a_run_is_started_and_the_terminal_is_given_back(tmp_path: Path, wf: Wfconsole) -> None:
    names = ("WFCONSOLE_HOME", "PYTHONPATH", "LANG", "LC_ALL", "DOCKER_HOST", "PATH")
    there = {name: value for name, value in wf.environment.items() if name in names}
    line = shlex.join(["env", *(f"{name}={value}" for name, value in there.items()), sys.executable, "-m", "wfconsole"])
    with login(tmp_path) as client:
        here = {**wf.environment, "TERM": "xterm-256color", "COLORTERM": ""}
        with terminal([*client, f"cd {shlex.quote(str(wf.cwd))} && exec {line}"], here, wf.cwd) as on:
            on.shows("RUNS")
            run_id = launch(on, "small", word="hello")
            on.shows("gate waits for a person")
            on.press("1", "RUNS", run_id)
            on.press("\x11", "This console drives 1 run")
            on.keys("\r")
            assert on.end() == 0
            assert on.settings == on.before
            restored(on)
            assert depth(looks(on.written)) == 256
            until(lambda: b"Connection to" in on.written, lambda: on.text)
            assert strange(on.written) == []
    assert wf.show(run_id)["trigger"]["actor"]
