"""The choices that the console itself keeps: a small JSON file in the state folder, apart from what the operator writes.

Owns its shape. What the operator wrote in config.toml wins over it; a file that cannot be read is as good as none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

_KNOWN = {"theme": str}


def read_choices(path: Path) -> dict[str, str]:
    """What was kept, as far as it is known and well formed."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: found[name] for name, kind in _KNOWN.items() if isinstance(found.get(name), kind)}


def keep_choices(path: Path, choices: Mapping[str, str]) -> None:
    """Add to what was kept, at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(json.dumps({**read_choices(path), **choices}, sort_keys=True) + "\n")
    part.replace(path)
