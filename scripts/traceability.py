"""Write tests/scenarios/00_traceability_matrix.md from the criteria and the names of the tests; `--check` fails when stale.

A test covers a criterion by carrying its id in its name: ``test_st_wf_001_3_...`` covers ST-WF-001.3. It covers that one alone:
a test of W1.a says nothing of W1 as a whole.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MATRIX = ROOT / "tests/scenarios/00_traceability_matrix.md"
CRITERIA = ROOT / "tests/scenarios/criteria.toml"
HEAD = """# Traceability matrix

Written by `scripts/traceability.py` from `criteria.toml` and the names of the tests; do not edit.

"""


def tests() -> Iterator[tuple[str, str]]:
    """Every test function: its file and its name."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield str(path.relative_to(ROOT)), node.name


def pattern(criterion: str) -> re.Pattern[str]:
    """The id inside a test's name: whole, with leading zeros of numbers optional."""
    parts = [f"0*{int(part)}" if part.isdigit() else part for part in re.split(r"[-.]", criterion.lower())]
    return re.compile(rf"(?:^|_){'_'.join(parts)}(?=_|$)")


def covering(identifier: str, every: Iterable[str], known: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The tests that carry this id, and none of the ids that begin with it."""
    parts = [pattern(other) for other in every if other.startswith(f"{identifier}.")]
    own = pattern(identifier)
    return [(file, name) for file, name in known if own.search(name) and not any(part.search(name) for part in parts)]


def matrix() -> str:
    """The whole document."""
    known = list(tests())
    lines = [HEAD]
    total = covered = 0
    sections = tomllib.loads(CRITERIA.read_text())
    every = [identifier for criteria in sections.values() for identifier in criteria]
    for section, criteria in sections.items():
        lines.append(f"## {section}\n\n| id | criterion | tests | status |\n| --- | --- | --- | --- |\n")
        for identifier, text in criteria.items():
            found = [f"`{file}::{name}`" for file, name in covering(identifier, every, known)]
            total, covered = total + 1, covered + bool(found)
            shown = "<br>".join(found[:4]) + (f"<br>and {len(found) - 4} more" if len(found) > 4 else "")
            lines.append(f"| {identifier} | {text} | {shown or '-'} | {'tested' if found else 'open'} |\n")
        lines.append("\n")
    lines.append(f"{covered} of {total} criteria have a test.\n")
    return "".join(lines)


def main() -> int:
    """0 when the matrix is (or was made) right, 1 when `--check` finds it stale."""
    text = matrix()
    if "--check" in sys.argv[1:]:
        if not MATRIX.exists() or MATRIX.read_text() != text:
            print("tests/scenarios/00_traceability_matrix.md is stale: run scripts/traceability.py", file=sys.stderr)
            return 1
        return 0
    MATRIX.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
