#!/usr/bin/env python3
"""Draw the state diagrams of the README from the transition tables of `wfconsole.domain.lifecycle`.

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

from wfconsole.domain.lifecycle import APPROVAL_TRANSITIONS, RUN_TRANSITIONS, STEP_TRANSITIONS  # noqa: E402

BEGIN, END = "<!-- lifecycle:begin -->", "<!-- lifecycle:end -->"
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


def redraw(page: str) -> str:
    """`page` with the diagrams of today between its markers. ValueError unless it has each marker once, in order."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise ValueError(f"the page needs one {BEGIN} and after it one {END}")
    head, rest = page.split(BEGIN)
    return f"{head}{BEGIN}{section()}{END}{rest.split(END)[1]}"


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
