"""OpenSSH's ssh-keygen as a tool of the host: one way of calling it, with a deadline and nobody's environment.

Refuses to know what is signed. The decision that would surprise: every call has a session of its own, so that a locked key
can ask nobody for its passphrase, neither on the terminal nor in a window; it fails, and the caller says what to do.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from wfconsole.ports import WfconsoleError


def unusable(message: str, hint: str = "") -> WfconsoleError:
    """A signature could not be made or looked at, whatever it says."""
    return WfconsoleError("DECISION_NOT_APPLIED", message, hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a call ended; `late`: it was killed at the deadline."""

    status: int
    out: str
    err: str
    late: bool = False

    @property
    def ok(self) -> bool:
        return self.status == 0 and not self.late

    @property
    def last_words(self) -> str:
        lines = [line.strip() for line in self.err.splitlines() if line.strip() and not line.startswith("Signing data")]
        if not lines:
            return f"it ended with status {self.status}"
        return lines[-1].removeprefix("Enter passphrase: ").rstrip(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class SshKeygen:
    """Calls of one ssh-keygen. `seconds` bounds each; a call that takes longer is killed with all it started."""

    program: str
    seconds: float

    def run(
        self, *words: str, stdin: bytes | None = None, agent_socket: str | None = None, keep: Sequence[int] = ()
    ) -> Ended:
        """Blocks. `keep`: file descriptors that it may open as ``/dev/fd/N``. Raises DECISION_NOT_APPLIED without a program."""
        with self._started(words, agent_socket, stdin is not None, keep) as process:
            try:
                out, err = process.communicate(stdin, timeout=self.seconds)
            except subprocess.TimeoutExpired:
                return Ended(status=-1, out="", err=f"it took longer than {self.seconds:g} seconds", late=True)
        return Ended(status=process.returncode, out=_text(out), err=_text(err))

    @contextmanager
    def _started(
        self, words: Sequence[str], agent_socket: str | None, fed: bool, keep: Sequence[int]
    ) -> Iterator[subprocess.Popen[bytes]]:
        try:
            process = subprocess.Popen(
                [self.program, *words],
                stdin=subprocess.PIPE if fed else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(agent_socket),
                pass_fds=keep,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise unusable(f"{self.program} was not found.", "install openssh-client") from error
        except OSError as error:
            raise unusable(f"{self.program} could not be started: {error.strerror}.", "try again") from error
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)


def _environment(agent_socket: str | None) -> dict[str, str]:
    """Nothing that could open a window, load a library or speak another language. TZ: validity is in the operator's time."""
    kept = {name: os.environ[name] for name in ("HOME", "TZ") if name in os.environ}
    agent = {"SSH_AUTH_SOCK": agent_socket} if agent_socket else {}
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **kept, **agent}


def _text(data: bytes) -> str:
    return data[: 64 * 1024].decode("utf-8", "backslashreplace")
