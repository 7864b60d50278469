"""Start-up time is a promise: what a command does not use it does not import. Looked at in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.house.tree import SOURCE

HEAVY = (
    "textual",
    "sqlmodel",
    "sqlalchemy",
    "alembic",
    "aiosqlite",
    "docker",
    "jinja2",
    "ruamel",
    "requests",
)
PROGRAM = """
import json, sys
sys.argv[1:] = json.loads(sys.argv[1])
from wfconsole.main import main
try:
    status = main()
except SystemExit as end:
    status = end.code
print(json.dumps([status or 0, sorted(name for name in sys.modules if "." not in name)]), file=sys.stderr)
"""

needs_main = pytest.mark.skipif(
    not any(SOURCE.glob("main*/__init__.py")) and not (SOURCE / "main.py").is_file(),
    reason="the command line is not there yet",
)


def _modules(*argv: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(argv)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    status, modules = json.loads(done.stderr.splitlines()[-1])
    assert status == 0
    return set(modules)


@needs_main
@pytest.mark.parametrize("argv", [["--version"], ["--help"], ["run", "--help"], ["show", "--help"]], ids=" ".join)
def test_help_and_version_load_nothing_heavy(argv: list[str]) -> None:
    assert _modules(*argv) & set(HEAVY) == set()


@needs_main
def test_version_does_not_even_load_the_command_line() -> None:
    assert _modules("--version") & {"typer", "rich", "asyncio", "pydantic"} == set()


def test_domain_and_ports_load_the_standard_library_only() -> None:
    program = "import sys, wfconsole.ports, wfconsole.domain.decide; print(*{n.split('.')[0] for n in sys.modules})"
    before = "import sys; print(*{n.split('.')[0] for n in sys.modules})"
    loaded, plain = (
        set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
        for code in (program, before)
    )
    assert loaded - plain - set(sys.stdlib_module_names) == {"wfconsole"}


def test_the_first_picture_of_the_console_needs_neither_the_domain_nor_the_command_line() -> None:
    program = (
        "import sys, wfconsole.main.wiring, wfconsole.main.console, wfconsole.store.glance, wfconsole.console.app, "
        "wfconsole.console.screens.runs; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    kept_away = {"wfconsole.domain.events", "wfconsole.domain.facts", "wfconsole.domain.plan", "wfconsole.control.door"}
    assert loaded & ({*HEAVY, "typer", "click"} - {"textual"}) == set()
    assert loaded & kept_away == set()
