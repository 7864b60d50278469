"""The lock of the default template, made once for all state folders of these tests: each run holds its sandboxes to one.

Owns nothing but copies. Where there is no engine, or no image, there is no lock, and runs say so.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

FOLDER = "template-locks"
STARTERS = frozenset({"run", "retry", "watch", "worker", "intent", "approve", "answer", "decide"})
"""Commands that may start a container."""


@cache
def made(engine: str | None) -> Path | None:
    """A folder with the lock, as `templates lock` makes it; None when it cannot. `engine` is DOCKER_HOST."""
    home = Path(tempfile.mkdtemp(prefix="wfconsole-locked-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    environment = {**os.environ, "WFCONSOLE_HOME": str(home)}
    if engine is not None:
        environment["DOCKER_HOST"] = engine
    argv = [sys.executable, "-m", "wfconsole", "templates", "lock", "python"]
    done = subprocess.run(argv, env=environment, capture_output=True, timeout=120, check=False)
    return home / FOLDER if done.returncode == 0 else None


def put(home: Path, argv: tuple[str | Path, ...], environment: Mapping[str, str]) -> None:
    """Let the state folder have the lock before a command that may need it."""
    if not argv or argv[0] not in STARTERS or (home / FOLDER).exists():
        return
    kept = made(environment.get("DOCKER_HOST"))
    if kept is not None:
        shutil.copytree(kept, home / FOLDER)
