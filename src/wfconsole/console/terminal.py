"""The terminal as the console uses it: Textual's driver for Linux, with the ends that a terminal can come to.

Owns what happens when nobody reads (pictures are left out, and one whole picture follows), when the terminal is gone (the
console is told, once), and on the way out (bounded). The decision that would surprise: SIGTSTP does not stop the process, which
would stop its engine in the middle of whatever it does. The console is told, makes ready, and asks for `stop`.
"""

from __future__ import annotations

import codecs
import os
import selectors
import signal
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

BEHIND = 64 * 1024
"""Bytes that may wait for the terminal before pictures are left out."""
_LEAVE_SECONDS = 0.5


class Writer(threading.Thread):
    """Writes what it is given to a descriptor, in order. `write` never waits.

    `lost()` is called when writing fails; nothing is written after that. `caught_up()` is called when everything was written
    after pictures had been left out. Both are called on this thread.
    """

    def __init__(self, descriptor: int, lost: Callable[[], None], caught_up: Callable[[], None]) -> None:
        super().__init__(name="terminal", daemon=True)
        self._descriptor = descriptor
        self._lost = lost
        self._caught_up = caught_up
        self._guard = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._behind = False
        self._leaving = self._closing = False
        self._dead = False

    def write(self, text: str) -> None:
        """Take `text` on; a picture is left out when too much waits already. What is no picture (OSC, bell) is kept."""
        with self._guard:
            picture = not text.startswith(("\x1b]", "\x1bP", "\x07"))
            if self._dead or (picture and self._size > BEHIND and not self._leaving):
                self._behind = True
                return
            data = text.encode("utf-8", "replace")
            self._waiting.append(data)
            self._size += len(data)
            self._guard.notify()

    def leaving(self) -> None:
        """From now on everything counts: it gives the terminal back."""
        with self._guard:
            self._leaving = True

    def drained(self, seconds: float = _LEAVE_SECONDS) -> bool:
        """Wait until all was written, at most so long; whether it was. What comes after it is pictures again."""
        with self._guard:
            done = self._guard.wait_for(lambda: not self._size or self._dead, seconds)
            self._leaving = False
        return done

    def close(self, seconds: float = _LEAVE_SECONDS) -> bool:
        """Write what waits, as far as the terminal takes it within `seconds`; whether it took all."""
        with self._guard:
            self._leaving = self._closing = True
            self._guard.notify()
        self.join(seconds)
        return not self.is_alive()

    def run(self) -> None:
        while data := self._next():
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                with self._guard:
                    self._dead = True
                    self._waiting.clear()
                    self._guard.notify_all()
                self._lost()
                return

    def _next(self) -> bytes:
        """Everything that waits; empty at the end."""
        with self._guard:
            self._size = sum(map(len, self._waiting))  # what was on its way has arrived
            self._guard.notify_all()
            if self._behind and not self._waiting and not self._leaving:
                self._behind = False
                self._caught_up()
            while not self._waiting and not self._closing:
                self._guard.wait()
            data = b"".join(self._waiting)
            self._waiting.clear()
            return data


class Terminal(LinuxDriver):
    """See the module's docstring. The application has `lost_terminal()` and `action_suspend_process()`, called on its loop."""

    def __init__(self, app: App[Any], **more: Any) -> None:
        super().__init__(app, **more)
        self._told = False
        self._is_stopped = False
        self._writer = Writer(_descriptor_of(self._file), self._gone, self._again)
        self._writer.start()
        # A handler and not SIG_IGN, which children would inherit.
        signal.signal(signal.SIGTSTP, self._asked_to_stop)
        signal.signal(signal.SIGCONT, lambda *_: self._soon(self._resumed) if not self._is_stopped else None)

    def write(self, data: str) -> None:
        self._writer.write(data)

    @property
    def can_suspend(self) -> bool:
        return False

    def stop(self, last_words: str) -> None:
        """Give the terminal back and stop this job as its shell would, `last_words` being the last line; returns when it goes on.

        Not without `job_control`: the kernel then does not stop it at all.
        """
        self.stop_application_mode()
        super().close()
        self.write(f"{last_words}\r\n")
        self._writer.drained()
        self._is_stopped = True
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.killpg(os.getpgrp(), signal.SIGTSTP)  # with what started it, else its shell would not notice
        signal.signal(signal.SIGTSTP, self._asked_to_stop)
        self._is_stopped = False
        self.start_application_mode()  # type: ignore[no-untyped-call]  # Textual's
        self._repaint()

    def _asked_to_stop(self, *_: object) -> None:
        self._soon(self._app.action_suspend_process)

    def stop_application_mode(self) -> None:
        self._writer.leaving()
        super().stop_application_mode()

    def close(self) -> None:
        super().close()
        self._writer.close()

    def _soon(self, work: Callable[[], Any]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(work)

    def _gone(self) -> None:
        """From any thread."""
        if not self._told:
            self._told = True
            self._soon(self._app.lost_terminal)  # type: ignore[attr-defined]  # the console has it

    def _again(self) -> None:
        self._soon(self._repaint)

    def _repaint(self) -> None:
        self._app.refresh(repaint=True, layout=True)

    def _resumed(self) -> None:
        """Somebody had stopped the process: the shell has used the terminal since."""
        if self._app.is_running and not self.exit_event.is_set():
            kept = self.attrs_before
            self.disable_input()
            super().close()
            self.start_application_mode()  # type: ignore[no-untyped-call]  # Textual's
            self.attrs_before = kept
            self._repaint()

    def run_input_thread(self) -> None:
        """Read keys until the end; an end of file is a lost terminal, not something to ask for again and again."""
        parser = XTermParser(self._debug)
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        with selectors.DefaultSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(0.1):
                    data = self._read()
                    if not data:
                        self._gone()
                        return
                    for message in parser.feed(decode(data)):
                        self.process_message(message)
                for message in parser.tick():
                    self.process_message(message)

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, 4096)
        except OSError:
            return b""


def job_control() -> bool:
    """Whether a shell is there that can let this job go on: a parent in the same session, outside of this job."""
    job, session, process = os.getpgrp(), os.getsid(0), os.getppid()
    try:
        while process and os.getpgid(process) == job:
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        return process > 0 and os.getsid(process) == session
    except OSError:
        return False


def _descriptor_of(file: TextIO | None) -> int:
    """Standard error's, where Textual draws."""
    return 2 if file is None else file.fileno()
