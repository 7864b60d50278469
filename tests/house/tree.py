"""What the house tests look at: the checkout's files as git knows them, or as they lie there before a first commit."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "wfconsole"


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that is or would be committed, absolute. Files that vanish while others work are left out."""
    argv = [
        "git",
        "-c",
        "safe.directory=*",
        "-C",
        str(ROOT),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    names = subprocess.run(argv, check=True, capture_output=True).stdout.decode().split("\0")
    return tuple(ROOT / name for name in sorted(set(names)) if name and (ROOT / name).is_file())


@cache
def python_files() -> tuple[Path, ...]:
    folders = (ROOT / "src", ROOT / "tests", ROOT / "scripts", ROOT / "recipes")
    return tuple(
        path for path in tracked() if path.suffix == ".py" and any(path.is_relative_to(top) for top in folders)
    )
