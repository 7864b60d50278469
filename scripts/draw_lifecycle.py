#!/usr/bin/env python3
"""Draw the state diagrams of the README from the transition tables, and its table of failure codes from the catalogue.

Without arguments it writes them between the two markers of README.md; with `--check` it writes nothing and fails when what
stands there is not what the tables say. Knows the tables and the markers, nothing of the rest of the page.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from wfconsole.domain.failures import CATALOGUE  # noqa: E402
from wfconsole.domain.lifecycle import APPROVAL_TRANSITIONS, RUN_TRANSITIONS, STEP_TRANSITIONS  # noqa: E402

BEGIN, END = "<!-- lifecycle:begin -->", "<!-- lifecycle:end -->"
CODES_BEGIN, CODES_END = "<!-- failures:begin -->", "<!-- failures:end -->"
TABLES = (("Run", RUN_TRANSITIONS), ("Step", STEP_TRANSITIONS), ("Approval", APPROVAL_TRANSITIONS))


def diagram(table: Mapping[str, tuple[str, ...]]) -> str:
    """One table as a Mermaid state diagram; the first status is where things begin, one without a successor is an end."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {next(iter(table))}"]
    for current, following in table.items():
        lines += [f"    {current} --> {status}" for status in following or ("[*]",)]
    return "\n".join([*lines, "```"])


def section() -> str:
    """Everything between the markers."""
    drawn = [f"**{name}**\n\n{diagram(table)}" for name, table in TABLES]
    note = (
        "Drawn by `scripts/draw_lifecycle.py` from `src/wfconsole/domain/lifecycle.py`; what is not drawn is refused."
    )
    return "\n\n".join(["", note, *drawn, ""])


def codes() -> str:
    """The failure catalogue as a table."""
    rows = [f"| `{code}` | {row.meaning} | {row.fault} | {row.hint} |" for code, row in CATALOGUE.items()]
    return "\n".join(["", "| code | meaning | whose to mend | hint |", "| --- | --- | --- | --- |", *rows, ""])


def between(page: str, begin: str, end: str, text: str) -> str:
    """`page` with `text` between the two markers. ValueError unless it has each once, in order."""
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise ValueError(f"the page needs one {begin} and after it one {end}")
    head, rest = page.split(begin)
    return f"{head}{begin}{text}{end}{rest.split(end)[1]}"


def redraw(page: str) -> str:
    """`page` with the diagrams and, where it has the markers for it, the failure codes of today."""
    if CODES_BEGIN in page:
        page = between(page, CODES_BEGIN, CODES_END, codes())
    return between(page, BEGIN, END, section())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Draw the state diagrams of the README from the transition tables.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when the diagrams are stale")
    parser.add_argument("page", nargs="?", type=Path, default=ROOT / "README.md")
    options = parser.parse_args(arguments)
    page = options.page.read_text(encoding="utf-8")
    drawn = redraw(page)
    if drawn == page:
        return 0
    if options.check:
        print(f"{options.page.name}: the state diagrams are stale; run scripts/draw_lifecycle.py", file=sys.stderr)
        return 1
    options.page.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
