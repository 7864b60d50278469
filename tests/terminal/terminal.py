"""One program on one pseudo-terminal, which it controls as a login shell's would be: keys in, bytes and picture out.

Owns reading, hanging up and stalling. Nothing sleeps for a fixed time: waits look for what they wait for.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from tests.scenarios.cli import Wfconsole, command_line
from tests.terminal.screen import Screen

_Found = TypeVar("_Found")
DEADLINE_S = 45.0
# Opening it makes it the controlling terminal of a session's leader.
_TAKE_TERMINAL = 'exec <>"$0" >&0 2>&0; exec "$@"'


class Terminal:
    """`written` is all that came so far; `stall()` stops reading, as a terminal does that somebody has paused."""

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], cwd: Path, *, columns: int = 80, rows: int = 24
    ) -> None:
        self._leader, self._follower = pty.openpty()
        self._size(columns, rows)
        self.before = termios.tcgetattr(self._follower)
        self.screen = Screen(columns, rows)
        self._parts: list[bytes] = []
        self._guard = threading.Lock()
        self._reading = threading.Event()
        self._reading.set()
        self._over = threading.Event()
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", _TAKE_TERMINAL, os.ttyname(self._follower), *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
            cwd=cwd,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> None:
        while not self._over.is_set():
            self._reading.wait(0.05)
            if not self._reading.is_set():
                continue
            try:
                if not select.select([self._leader], [], [], 0.05)[0]:
                    continue
                data = os.read(self._leader, 65536)
            except OSError as error:
                if error.errno == errno.EIO:
                    return
                raise
            with self._guard:
                self._parts.append(data)
                self.screen.feed(data)

    @property
    def written(self) -> bytes:
        with self._guard:
            return b"".join(self._parts)

    @property
    def text(self) -> str:
        with self._guard:
            return self.screen.text

    def shows(self, *wanted: str) -> str:
        """Wait until all of these are on the screen at once; the picture."""

        def found() -> str | None:
            picture = self.text
            return picture if all(each in picture for each in wanted) else None

        return until(found, lambda: f"waited for {wanted}:\n{self.text}")

    def gone(self, unwanted: str) -> None:
        """Wait until this is not on the screen."""
        until(lambda: unwanted not in self.text, lambda: f"{unwanted!r} stays:\n{self.text}")

    def leaves(self, unwanted: str) -> None:
        """Press escape, alone: with a key behind it, it would be another one."""
        self.keys("\x1b")
        self.gone(unwanted)

    def keys(self, *keys: str) -> None:
        for key in keys:
            os.write(self._leader, key.encode())

    def press(self, key: str, *wanted: str) -> str:
        """Press a key, and wait for what is to be seen then."""
        self.keys(key)
        return self.shows(*wanted)

    def resize(self, columns: int, rows: int) -> None:
        with self._guard:
            self.screen.resize(columns, rows)
        self._size(columns, rows)

    def stall(self) -> None:
        self._reading.clear()

    def go_on(self) -> None:
        self._reading.set()

    def hang_up(self) -> None:
        """The terminal goes away, as a closed window or a lost connection makes it."""
        self._over.set()
        self._reader.join()
        os.close(self._follower)
        os.close(self._leader)
        self._leader = self._follower = -1

    @property
    def settings(self) -> list[Any]:
        return termios.tcgetattr(self._follower)

    def end(self, seconds: float = 30.0) -> int:
        """Wait for the program's end; its exit status."""
        code = self.process.wait(seconds)
        if self._leader >= 0:
            until(lambda: not select.select([self._leader], [], [], 0)[0], lambda: "bytes are left")
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._leader >= 0:
            self.hang_up()


@contextmanager
def terminal(
    argv: Sequence[str], environment: Mapping[str, str], cwd: Path, *, columns: int = 80, rows: int = 24
) -> Iterator[Terminal]:
    made = Terminal(argv, environment, cwd, columns=columns, rows=rows)
    try:
        yield made
    finally:
        with suppress(ProcessLookupError):
            made.close()


def is_there(process_id: int) -> bool:
    """Whether the process lives; one that ended and was not waited for does not."""
    with suppress(OSError):
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def until(look: Callable[[], _Found | None], told: Callable[[], str], seconds: float = DEADLINE_S) -> _Found:
    """Look again and again until something true is found; an AssertionError with `told()` after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, told()
        threading.Event().wait(0.02)


@contextmanager
def console(
    wf: Wfconsole, *argv: str, columns: int = 80, rows: int = 24, extra: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """The program on a terminal, over this state folder; `extra` goes over the environment."""
    environment = {**wf.environment, **(extra or {})}
    with terminal(command_line(*argv), environment, wf.cwd, columns=columns, rows=rows) as made:
        yield made


def launch(on: Terminal, recipe: str, **inputs: str) -> str:
    """Start a recipe from the form, as a person does; the run's id."""
    on.press("3", "RECIPES", f" {recipe} ")
    while f">{recipe} " not in on.text:
        before = on.text
        on.keys("j")
        until(lambda before=before: on.text != before, lambda: on.text)  # type: ignore[misc]
    on.press("\r", "LAUNCH", f"{recipe}@")
    for value in inputs.values():
        on.keys(value)
    on.shows("ready")
    on.press("\x13", "driven here")
    return on.screen.lines[0].split("RUN ")[1].split()[0]
