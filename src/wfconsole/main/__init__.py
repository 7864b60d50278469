"""The composition root: the only package that knows every other one. Reads the settings, makes adapters, hands them down.

Owns no behaviour. Everything is imported at the moment a command asks for it, because imports are nearly all of what
starting costs.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """The console script; the exit status."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever started us had closed it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123  for as long as we live; pathlib takes time
    argv = sys.argv[1:]
    from wfconsole.cli.app import run_cli, version

    if argv == ["--version"]:
        return version()
    from wfconsole.main.wiring import make_wiring

    return run_cli(argv, make_wiring())
