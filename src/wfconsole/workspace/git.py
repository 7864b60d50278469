"""Git as a tool of the host: one way of calling it that nothing in a repository can steer into running a program.

Owns the environment and the settings of every call. Refuses porcelain: only plumbing that runs no filter, hook, pager,
text conversion or transport is called, and the settings below close those doors once more. The decision that would
surprise: the git folder is always named, never discovered, so that a planted ``.git`` is not even looked at.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wfconsole.ports import WfconsoleError

_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.pager": "cat",
    "core.alternateRefsCommand": "false",
    "core.sshCommand": "false",
    "core.askPass": "false",
    "core.protectNTFS": "false",
    "core.protectHFS": "false",
    "core.quotePath": "true",
    "core.compression": "0",
    "credential.helper": "",
    "diff.external": "",
    "fastimport.unpackLimit": "0",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "safe.directory": "*",
    "submodule.recurse": "false",
}


def invalid(message: str, hint: str = "") -> WfconsoleError:
    """The workspace, or what it is copied from, cannot be used."""
    return WfconsoleError("WORKSPACE_INVALID", message, hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """Calls of one git program on one git folder. `seconds` bounds each call; a call that takes longer is killed.

    `work_tree` is the folder of files that belongs to it, needed only to ask about uncommitted files.
    """

    program: str
    git_dir: Path
    work_tree: Path | None = None
    seconds: float = 900.0

    def run(self, *words: str, cwd: Path | None = None) -> bytes:
        """Standard output of a plumbing command; WORKSPACE_INVALID with git's own words when it fails."""
        with self.started(*words, cwd=cwd, stdin=subprocess.DEVNULL) as process:
            assert process.stdout is not None  # noqa: S101 (started with a pipe)
            return process.stdout.read()

    def told(self, *words: str, cwd: Path | None = None) -> tuple[bytes, str]:
        """Like `run`, and what git said besides: it ends well, with a warning, when it could not look everywhere."""
        with tempfile.TemporaryFile() as stderr:
            with self.started(*words, cwd=cwd, stdin=subprocess.DEVNULL, stderr=stderr) as process:
                assert process.stdout is not None  # noqa: S101 (started with a pipe)
                found = process.stdout.read()
            stderr.seek(0)
            return found, stderr.read(64 * 1024).decode("utf-8", "replace")

    def ask(self, *words: str, cwd: Path | None = None) -> bytes | None:
        """Like `run`; None when git says no."""
        try:
            return self.run(*words, cwd=cwd)
        except GitError:
            return None

    @contextmanager
    def started(
        self,
        *words: str,
        cwd: Path | None = None,
        stdin: int = subprocess.PIPE,
        settings: Sequence[str] = (),
        stderr: IO[bytes] | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A running command with its pipes; checked when the context ends, killed when it ends by an exception.

        What it says goes to `stderr`, a file that can be read as well, or to one of its own.
        """
        with nullcontext(stderr) if stderr is not None else tempfile.TemporaryFile() as said:
            process = self._popen(self._argv(words, settings), cwd, stdin, said)
            expired = threading.Event()
            deadline = threading.Timer(self.seconds, _expire, (process, expired))
            deadline.daemon = True
            deadline.start()
            try:
                yield process
                if process.stdin is not None:
                    process.stdin.close()
                status = process.wait()
            except BrokenPipeError:
                status = process.wait() or 1
            finally:
                deadline.cancel()
                _kill(process)
                process.wait()
                for pipe in (process.stdin, process.stdout):
                    _close(pipe)
            if expired.is_set():
                raise GitError(f"it took longer than {self.seconds} seconds")
            if status:
                said.seek(0)
                raise GitError(_last_words(said.read(64 * 1024), status))

    def _popen(self, argv: list[str], cwd: Path | None, stdin: int, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=cwd or self.git_dir,
                env=self._environment(),
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise WfconsoleError("WORKSPACE_INVALID", f"{self.program} was not found.", "Install git.") from error

    def _argv(self, words: tuple[str, ...], settings: Sequence[str]) -> list[str]:
        argv = [self.program, f"--git-dir={self.git_dir}"]
        if self.work_tree is not None:
            argv.append(f"--work-tree={self.work_tree}")
        for name, value in _SETTINGS.items():
            argv += ["-c", f"{name}={value}"]
        for setting in settings:
            argv += ["-c", setting]
        return [*argv, "--no-pager", "--literal-pathspecs", *words]

    def _environment(self) -> dict[str, str]:
        """Nothing of the caller's but PATH: no global or system settings, no prompt, no transport, no replacement."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": "/nonexistent",
            "XDG_CONFIG_HOME": "/nonexistent",
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "false",
            "GIT_SSH_COMMAND": "false",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_PAGER": "cat",
        }


class GitError(WfconsoleError):
    """Git ended with an error; the message carries its last line."""

    def __init__(self, words: str) -> None:
        super().__init__("WORKSPACE_INVALID", f"git could not do its work: {words.rstrip('.')}.")


def _expire(process: subprocess.Popen[bytes], expired: threading.Event) -> None:
    expired.set()
    _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a call that still runs, with whatever it started: it has a session of its own."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _last_words(stderr: bytes, status: int) -> str:
    lines = [line for line in stderr.decode("utf-8", "backslashreplace").splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:]
    return told[0] if told else f"it ended with status {status}."


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        try:
            pipe.close()
        except BrokenPipeError:
            return
