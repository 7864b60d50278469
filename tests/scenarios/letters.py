"""What scenarios of letters have in common: a configured connection, recipes of the user's own, a program that dies on cue."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.fakes.post import Post
from tests.scenarios.cli import Wfconsole

DIES = """
import os, signal, sys
from wfconsole.engine.signals import Signals
point, subject = sys.argv[1:3]
emit = Signals.emit
def die(self, at, about):
    if (at, about) == (point, subject):
        os.kill(os.getpid(), signal.SIGKILL)
    emit(self, at, about)
Signals.emit = die
sys.argv = ["wfconsole", *sys.argv[3:]]
from wfconsole.main import main
sys.exit(main())
"""


def configure(wf: Wfconsole, post: Post, more: str = "", **aliases: str) -> None:
    """The connection ``mail`` to this server; `more` stands at the top of config.toml."""
    wf.home.mkdir(exist_ok=True)
    names = {"ops": "ops@example.org", **aliases}
    lines = [
        more,
        "[connections.mail]",
        'kind = "smtp"',
        'host = "127.0.0.1"',
        f"port = {post.port}",
        'tls = "none"',
        'from = "Flow <flow@example.org>"',
        "timeout_s = 20",
        f"aliases = {{{', '.join(f'{name} = {json.dumps(address)}' for name, address in names.items())}}}",
    ]
    (wf.home / "config.toml").write_text("\n".join([*lines, ""]))


def own(wf: Wfconsole, name: str, text: str) -> str:
    """A recipe of the user's own, which is trusted; its name."""
    folder = wf.home / "recipes"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(f"recipe: {name}\n{text}")
    return name


def dies_at(wf: Wfconsole, point: str, subject: str, *argv: str) -> int:
    """Run a command that is killed at a named point of the engine; its exit status."""
    line = [sys.executable, "-c", DIES, point, subject, *argv]
    done = subprocess.run(line, env=wf.environment, cwd=wf.cwd, capture_output=True, timeout=60, check=False)
    return done.returncode


def failure(view: Mapping[str, Any], step_id: str) -> dict[str, Any]:
    """Why a step failed."""
    found: dict[str, Any] = next(step for step in view["steps"] if step["step_id"] == step_id)["failure"]
    return found


def without(wf: Wfconsole, words: str) -> list[Path]:
    """Files of the state folder that hold these words, but for where the test put them itself."""
    kept = {"config.toml", "pw"}
    files = (path for path in wf.home.rglob("*") if path.is_file() and path.name not in kept)
    return [path for path in files if words.encode() in path.read_bytes()]
