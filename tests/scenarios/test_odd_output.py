"""Output that no reader likes: forty megabytes without a line's end, and a million lines without a character."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.cli import Wfconsole, recipe

pytestmark = pytest.mark.engine

CONTENT = {"unbroken": b"0123456789abcdef" * (40 * 1024**2 // 16), "empty": b"\n" * 10**6}
RECIPE = """
steps:
  unbroken: {run: [[python, -c, "import sys; [sys.stdout.write('0123456789abcdef' * 65536) for _ in range(40)]"]]}
  empty: {run: [[python, -c, "import sys; sys.stdout.write(chr(10) * 10**6)"]]}
"""
MEGABYTES = 150
SECONDS = 30.0
"""Of a processor: how long it takes says more about the machine's other work."""
MEASURED = """
import re, resource, sys
from wfconsole.main import main
code = main()
used = resource.getrusage(resource.RUSAGE_SELF)
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]
sys.stderr.write(f"{int(peak) // 1024} {used.ru_utime + used.ru_stime}")
sys.exit(code)
"""


@pytest.fixture(scope="module")
def run_id(wf: Wfconsole, repo: Path) -> str:
    ended = wf.run("run", recipe(repo.parent, "odd", RECIPE), "-i", f"repo={repo}", "--json")
    assert ended.code == 0, ended.err
    return str(ended.view["run_id"])


def read(wf: Wfconsole, *argv: str) -> tuple[bytes, int, float]:
    """What a command writes, the most memory that it had (MiB), and the seconds of a processor that it took."""
    line = [sys.executable, "-c", MEASURED, *argv]
    done = subprocess.run(line, env=wf.environment, cwd=wf.cwd, capture_output=True, check=True)
    megabytes, seconds = done.stderr.split()
    return done.stdout, int(megabytes), float(seconds)


@pytest.mark.parametrize("step", CONTENT)
def test_fault_18_it_is_kept_and_read_byte_for_byte_in_little_memory(wf: Wfconsole, run_id: str, step: str) -> None:
    out, megabytes, seconds = read(wf, "logs", run_id, step, "--raw")
    assert hashlib.sha256(out).digest() == hashlib.sha256(CONTENT[step]).digest()
    assert megabytes < MEGABYTES
    assert seconds < SECONDS


@pytest.mark.parametrize(
    ("argv", "lines"),
    [(("unbroken",), 40 * 16), (("empty",), 10**6), (("unbroken", "--grep", "zzz"), 0)],
    ids=["one line in pieces of 64 KiB", "empty lines", "search"],
)
def test_fault_18_as_lines_it_costs_little_memory_and_no_more_than_its_length(
    wf: Wfconsole, run_id: str, argv: tuple[str, ...], lines: int
) -> None:
    out, megabytes, seconds = read(wf, "logs", run_id, *argv)
    assert out.count(b"\n") == lines
    assert megabytes < MEGABYTES
    assert seconds < SECONDS
