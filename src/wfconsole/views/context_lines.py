"""The parts of a gate's context as plain lines: changes, tests, risk, files, previews.

Owns how each part reads. Refuses to judge: it repeats what the context document says. The decision that would surprise: a
document of an unknown shape is shown key by key, because journals of other versions are read by this code, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wfconsole.domain.plan import Json
from wfconsole.views.safe_text import safe_text
from wfconsole.views.words import plural, size, value_text

_LINE = 300
_DEPTH = 6
_MARKS = {"added": "A", "deleted": "D", "modified": "M", "renamed": "R", "mode": "M"}


def diff_lines(diff: Json) -> Iterator[str]:
    """One line for the whole, one for each file."""
    if not isinstance(diff, dict) or "files_changed" not in diff:
        yield from tree_lines(diff)
        return
    if diff["files_changed"] or not diff.get("note"):
        yield f"{plural(diff['files_changed'], 'file')} changed, +{diff['added']} -{diff['removed']} lines"
    for change in diff.get("files") or ():
        yield safe_text(_change(change), limit=_LINE)
    if diff.get("note"):
        yield safe_text(str(diff["note"]), limit=_LINE)


def _change(change: Mapping[str, Json]) -> str:
    """``R old -> new  +3 -1  (binary, 4.1 KiB; mode 100644 -> 100755)``."""
    name = f"{change['old_path']} -> {change['path']}" if change.get("old_path") else str(change["path"])
    counts = "" if change.get("binary") else f"  +{change.get('added', 0)} -{change.get('removed', 0)}"
    old, new = change.get("old_mode"), change.get("new_mode")
    remarks = [
        f"binary, {size(change.get('size'))}" if change.get("binary") else "",
        "submodule" if change.get("submodule") else "",
        "symbolic link" if change.get("symlink") else "",
        f"mode {old} -> {new}" if old and new and old != new else "",
        "executable" if new == "100755" and not old else "",
    ]
    told = "; ".join(filter(None, remarks))
    return f"{_MARKS.get(str(change.get('status')), '?')} {name}{counts}{f'  ({told})' if told else ''}"


def hunk_lines(diff: Json) -> Iterator[str]:
    """The sampled lines of the diff, file by file, as they would be in a patch."""
    for change in (diff.get("files") or ()) if isinstance(diff, dict) else ():
        sample = change.get("sample") or ()
        if sample:
            yield safe_text(f"--- {change.get('old_path') or change['path']}", limit=_LINE)
            yield safe_text(f"+++ {change['path']}", limit=_LINE)
            yield from (safe_text(str(line), limit=_LINE) for line in sample)
            if change.get("cut"):
                yield "... the rest is in the artifact"


def report_lines(tests: Json) -> Iterator[str]:
    """One line a step; failing tests by name; that nothing ran is said, not counted as success."""
    found = _test_summaries(tests)
    if found is None:
        yield from tree_lines(tests)
        return
    for summary in found:
        yield safe_text(f"{summary.get('step') or 'in all'}: {_counts(summary)}", limit=_LINE)
        yield from (f"  failing  {safe_text(str(name), limit=_LINE)}" for name in summary.get("failing") or ())
        if summary.get("note"):
            yield f"  {safe_text(str(summary['note']), limit=_LINE)}"
    if not found:
        yield "no tests were asked for"


def _test_summaries(tests: Json) -> list[Mapping[str, Json]] | None:
    """The summaries of the steps, and the sum when there are several."""
    steps = tests.get("steps") if isinstance(tests, dict) else tests
    if not isinstance(steps, list) or not all(isinstance(item, dict) and "total" in item for item in steps):
        return None
    total = tests.get("total") if isinstance(tests, dict) else None
    return [*steps, {**total, "failing": ()}] if len(steps) > 1 and isinstance(total, dict) else steps


def _counts(summary: Mapping[str, Json]) -> str:
    counts = [f"{summary[key]} {key}" for key in ("passed", "failed", "errors", "skipped") if summary.get(key)]
    text = ", ".join(counts) if summary["total"] else "no tests ran"
    if summary.get("seconds") is not None:
        text += f" in {summary['seconds']:.1f} s"
    if summary.get("coverage_percent") is not None:
        text += f"; coverage {summary['coverage_percent']:.1f} %"
    return text


def risk_lines(risk: Json) -> Iterator[str]:
    """The level, then each note: what was seen and why it matters."""
    if not isinstance(risk, dict) or "level" not in risk:
        yield from tree_lines(risk)
        return
    score = f" (score {risk['score']})" if risk.get("score") is not None else ""
    yield safe_text(f"{risk['level']}{score}")
    for note in risk.get("notes") or ():
        yield safe_text(f"{note['level']:<6}  {note['rule']}: {note['saw']}", limit=_LINE)
        yield safe_text(f"        {note['why']}", limit=_LINE)
    if not risk.get("notes"):
        yield "no rule found anything"


def file_lines(files: Json) -> Iterator[str]:
    """Files of the workspace that the recipe puts on the card: name, size, and the lines that the document holds."""
    if not isinstance(files, list) or not all(isinstance(item, dict) and "path" in item for item in files):
        yield from tree_lines(files)
        return
    for item in files:
        binary = ", binary" if item.get("binary") else ""
        yield safe_text(f"{item['path']}  {size(item.get('bytes'))}{binary}", limit=_LINE)
        yield from (f"  {safe_text(str(line), limit=_LINE)}" for line in item.get("lines") or ())
        if item.get("cut"):
            yield "  ... the rest is in the artifact"


def tree_lines(value: Json, depth: int = 0) -> Iterator[str]:
    """Any JSON, a key a line, texts of several lines below their key."""
    pad = "  " * depth
    entries = value.items() if isinstance(value, dict) else enumerate(value, 1) if isinstance(value, list) else None
    if entries is None or depth >= _DEPTH:
        yield f"{pad}{value_text(value, limit=_LINE)}"
        return
    for key, item in entries:
        name = safe_text(str(key), limit=100)
        if isinstance(item, str) and "\n" in item:
            yield f"{pad}{name}"
            yield from (f"{pad}  {safe_text(line, limit=_LINE)}" for line in item.splitlines())
        elif isinstance(item, dict | list) and item:
            yield f"{pad}{name}"
            yield from tree_lines(item, depth + 1)
        else:
            yield f"{pad}{name}  {value_text(item, limit=_LINE)}"
