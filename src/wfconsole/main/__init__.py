"""The composition root: the only package that knows every other one. Reads the settings, makes adapters, hands them down.

Owns no behaviour. Everything is imported at the moment a command asks for it, because imports are nearly all of what
starting costs.
"""

from __future__ import annotations

import sys


def main() -> int:
    """The console script; the exit status."""
    argv = sys.argv[1:]
    if argv == ["--version"]:
        from wfconsole import __version__

        sys.stdout.write(f"wfconsole {__version__}\n")
        return 0
    from wfconsole.cli.app import run_cli
    from wfconsole.main.wiring import make_wiring

    return run_cli(argv, make_wiring())
