"""The program as its users have it: one process for each command, over a state folder of the test's own.

Owns how a test starts, feeds and reads those processes. Refuses to import anything of wfconsole: what is tried here is the
command line, the files it leaves and the database it writes. Nothing sleeps for a fixed time; waits look for what they wait for.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.scenarios import locks

_Found = TypeVar("_Found")
DEADLINE_S = 120.0
SOURCES = Path(__file__).parents[2] / "src"
HOLD = """
import pathlib, sys, time
name = sys.argv[1]
pathlib.Path(name + ".here").touch()
while not pathlib.Path(name + ".go").exists():
    time.sleep(0.02)
print("let go", name)
"""
"""A step's program that says it is there and waits until the test lets it go."""

SMALL: Mapping[str, str | bytes] = {"hold.py": HOLD, "read.me": "one\ntwo\n", "data.txt": "data\n", "gone.txt": "x\n"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a finished command said; `code` is its exit status."""

    stdout: bytes
    stderr: bytes
    code: int

    @property
    def out(self) -> str:
        return self.stdout.decode()

    @property
    def err(self) -> str:
        return self.stderr.decode()

    @property
    def json(self) -> Any:
        """The one document that was printed."""
        return json.loads(self.stdout)

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The documents that were printed, one a line."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def error(self) -> dict[str, Any]:
        """The error of a command with ``--json``."""
        found: dict[str, Any] = json.loads(self.stderr.splitlines()[-1])["error"]
        return found

    @property
    def view(self) -> dict[str, Any]:
        """The RunView that ``run``, ``watch`` and the like end with."""
        last = self.objects[-1]
        assert last["type"] == "run_view"
        run: dict[str, Any] = last["run"]
        return run


class Wfconsole:
    """The program over one state folder; `extra` goes over the environment."""

    def __init__(self, home: Path, extra: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        self.home = home
        self.cwd = cwd or home.parent
        self._extra = dict(extra or {})

    def using(self, **extra: str) -> Wfconsole:
        """The same state folder, with more in the environment."""
        return Wfconsole(self.home, {**self._extra, **extra}, self.cwd)

    @property
    def environment(self) -> dict[str, str]:
        dropped = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "WFCONSOLE_DEBUG")
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        path = os.pathsep.join(filter(None, (str(SOURCES), kept.get("PYTHONPATH"))))  # the program beside these tests
        mine = {"WFCONSOLE_HOME": str(self.home), "TERM": "xterm-256color", "PYTHONPATH": path}
        return {**kept, **mine, **self._extra}

    def run(self, *argv: str | Path, stdin: bytes = b"") -> Result:
        """Run one command to its end."""
        locks.put(self.home, argv, self.environment)
        done = subprocess.run(
            command_line(*argv),
            input=stdin,
            capture_output=True,
            env=self.environment,
            cwd=self.cwd,
            timeout=DEADLINE_S,
            check=False,
        )
        return Result(stdout=done.stdout, stderr=done.stderr, code=done.returncode)

    def show(self, ref: str) -> dict[str, Any]:
        """The RunView of a run."""
        shown = self.run("show", ref, "--json")
        assert shown.code == 0, shown.err
        view: dict[str, Any] = shown.json
        return view

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """What a query of the store gives."""
        asked = self.run("db", "query", sql, "--json")
        assert asked.code == 0, asked.err
        found: list[dict[str, Any]] = asked.json["rows"]
        return found

    def folder(self, run_id: str) -> Path:
        return self.home / "runs" / run_id

    @contextmanager
    def live(self, *argv: str | Path) -> Iterator[Live]:
        """A command under way, in a process group of its own; killed when the test is done with it."""
        locks.put(self.home, argv, self.environment)
        with subprocess.Popen(
            command_line(*argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            cwd=self.cwd,
            start_new_session=True,
        ) as process:
            try:
                yield Live(self, process)
            finally:
                if process.poll() is None:
                    process.kill()


class Live:
    """A command under way whose output is kept as it comes."""

    def __init__(self, wf: Wfconsole, process: subprocess.Popen[bytes]) -> None:
        self.wf = wf
        self.process = process
        self._parts: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        self._readers = [threading.Thread(target=self._read, args=(name,), daemon=True) for name in self._parts]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        stream = getattr(self.process, name)
        for line in stream:
            self._parts[name].append(line)

    @property
    def stdout(self) -> bytes:
        return b"".join(list(self._parts["stdout"]))

    @property
    def stderr(self) -> bytes:
        return b"".join(list(self._parts["stderr"]))

    def event(self, wanted: str, **fields: Any) -> dict[str, Any]:
        """Wait for an event of ``run --json`` that has these fields."""

        def find() -> dict[str, Any] | None:
            for line in list(self._parts["stdout"]):
                document: dict[str, Any] = json.loads(line)
                if document["type"] == wanted and fields.items() <= document.items():
                    return document
            return None

        return self._wait(find, f"{wanted} {fields}")

    @property
    def run_id(self) -> str:
        return str(self.event("run_created")["run_id"])

    def here(self, name: str) -> None:
        """Wait until the step that runs hold.py under this name is under way."""
        mark = self.wf.folder(self.run_id) / "workspace" / f"{name}.here"
        self._wait(mark.exists, str(mark))

    def _wait(self, look: Callable[[], _Found | None], what: str) -> _Found:
        """Wait until it is found; at once an AssertionError when the command has ended without."""

        def found() -> _Found | None:
            over = self.process.poll() is not None and not any(reader.is_alive() for reader in self._readers)
            here = look()
            assert here or not over, f"{what}: ended with {self.process.returncode}: {self.stderr!r}"
            return here

        return until(found, lambda: f"{what}: {self.stdout[-2000:]!r} {self.stderr!r}")

    def interrupt(self) -> None:
        """Ctrl-C: every process of the group is told."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> Result:
        """Wait for the end of the command."""
        self.process.wait(DEADLINE_S)
        for reader in self._readers:
            reader.join()
        return Result(stdout=self.stdout, stderr=self.stderr, code=self.process.returncode)


def let_go(wf: Wfconsole, run_id: str, name: str) -> None:
    """Let the step end that runs hold.py under this name."""
    (wf.folder(run_id) / "workspace" / f"{name}.go").touch()


def command_line(*argv: str | Path) -> list[str]:
    return [sys.executable, "-m", "wfconsole", *map(str, argv)]


def until(look: Callable[[], _Found | None], told: Callable[[], str]) -> _Found:
    """Look again and again until something true is found; an AssertionError with `told()` after the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, told()
        threading.Event().wait(0.02)


def recipe(folder: Path, name: str, text: str) -> Path:
    """Write a recipe `name` of this text; `template: python` and the workspace of input `repo` come with it."""
    path = folder / f"{name}.yaml"
    head = f"recipe: {name}\nversion: 1.0.0\ntemplate: python\n"
    body = textwrap.dedent(text)
    if "workspace:" not in body:
        head += 'inputs: {repo: {type: path, required: true}}\nworkspace: {source: "${{ inputs.repo }}"}\n'
    path.write_text(head + body)
    return path


def repository(folder: Path, files: Mapping[str, str | bytes] | None = None) -> Path:
    """A git repository of these files, committed; without files one with hold.py and a text."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    for name, content in (files or SMALL).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def git(folder: Path, *argv: str, stdin: bytes | None = None) -> bytes:
    """Run git there, with nobody's configuration."""
    who = {
        f"GIT_{role}_{what}": "test@example.invalid" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    environment = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(["git", *argv], cwd=folder, env=environment, input=stdin, capture_output=True, check=True)
    return done.stdout


def containers(run_id: str) -> Sequence[str]:
    """The names of the run's containers that the engine still has."""
    from wfconsole.sandbox.client import LocalDocker

    client = LocalDocker.from_env()
    try:
        found = client.containers.list(all=True, filters={"label": f"wfconsole.run={run_id}"})
        return [str(container.name) for container in found]
    finally:
        client.close()


def step(view: Mapping[str, Any], step_id: str) -> dict[str, Any]:
    """A step of a RunView."""
    found: dict[str, Any] = next(each for each in view["steps"] if each["step_id"] == step_id)
    return found
