"""Which run this is, why it failed and how to go on, in the few lines above everything else about it.

Owns the wording of header, lineage and failure panel. A line is (text, role); role is a status word or ``text muted title``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wfconsole.domain.codec import from_iso
from wfconsole.domain.failures import CATALOGUE
from wfconsole.domain.lifecycle import RUN_TERMINAL
from wfconsole.domain.plan import Json, Plan
from wfconsole.views.report import failure_lines
from wfconsole.views.safe_text import safe_text
from wfconsole.views.words import duration, glyph, plural, word

Line = tuple[str, str]


def head_lines(view: Mapping[str, Json]) -> list[Line]:
    """Recipe, version, digest, project; who started it where; where it comes from and what came of it."""
    recipe, trigger = view["recipe"], view["trigger"]
    project = f"  project {view['project']}" if view["project"] else ""
    key = f"  id {view['workflow_id']}" if view["workflow_id"] != view["run_id"] else ""
    by = f"{trigger['kind']} by {trigger['actor']}@{trigger['host']} ({trigger['surface']})"
    first = f"{recipe['name']}@{recipe['version']}  {str(recipe['digest'])[:12]}  {recipe['origin']}{project}{key}"
    lineage = lineage_words(view)
    second = f"{by}  {view['started_at'] or 'not started'}{'  ' + lineage if lineage else ''}"
    return [(safe_text(first), "text"), (safe_text(second), "muted")]


def lineage_words(view: Mapping[str, Json]) -> str:
    """``parent X from step unit; 3 reused; successor Y``; empty for a run that stands alone."""
    lineage = view["lineage"]
    words = []
    if lineage["parent"]:
        where = f" from {lineage['retried_from']}" if lineage["retried_from"] else ""
        words.append(f"parent {lineage['parent']}{where}")
    if lineage["reused"]:
        words.append(f"{plural(len(lineage['reused']), 'step')} reused")
    words += [f"successor {_run(item)}" for item in lineage["successors"]]
    return "; ".join(words)


def _run(item: Json) -> str:
    return str(item["run_id"] if isinstance(item, Mapping) else item)


def lineage_rows(view: Mapping[str, Json]) -> list[tuple[str, str, str]]:
    """(relation, run id, remark) for every relative of the run, ancestors first; the id is empty where no run is meant."""
    lineage = view["lineage"]
    rows = []
    if lineage["root"] and lineage["root"] not in {view["run_id"], lineage["parent"]}:
        rows.append(("root", str(lineage["root"]), "the first run of this line"))
    if lineage["parent"]:
        where = f"goes on from step {lineage['retried_from']}" if lineage["retried_from"] else "the whole run again"
        rows.append(("parent", str(lineage["parent"]), where))
    rows.append(("this run", view["run_id"], ""))
    rows += [("reused", "", _reused(item)) for item in lineage["reused"]]
    rows += [("successor", _run(item), _remark(item)) for item in lineage["successors"]]
    return [(relation, safe_text(run_id), safe_text(remark)) for relation, run_id, remark in rows]


def _reused(item: Json) -> str:
    return f"step {item['step_id']}" if isinstance(item, Mapping) and "step_id" in item else f"step {item}"


def _remark(item: Json) -> str:
    where = item.get("retried_from") if isinstance(item, Mapping) else None
    return f"goes on from step {where}" if where else ""


def panel_lines(view: Mapping[str, Json], plan: Plan) -> list[Line]:
    """The failure panel; empty for a run that did not fail. What the recipe does not allow is told in its own sentence."""
    lines: list[Line] = []
    for text in failure_lines(view):
        role = "failed" if text.startswith(("code", "message")) else "text"
        if not text.startswith("retry"):
            lines.append((text, role))
    if lines:
        retry = view["failure"]["retry"]
        refused = retry_refusal(view, plan)
        lines.append(
            (f"retry      {refused}", "muted") if refused else (f"retry      r, or {retry['command']}", "text")
        )
        step = step_retry_refusal(plan)
        if step:
            lines.append((f"one step   {step}", "muted"))
    return [(safe_text(text), role) for text, role in lines]


def retry_refusal(view: Mapping[str, Json], plan: Plan) -> str:
    """Why the run cannot be retried now; empty when it can."""
    if view["status"] not in RUN_TERMINAL:
        return f"the run is {view['status'].replace('_', ' ')}: it can be retried when it is over"
    rule = plan.manual_retry or {}
    return "" if rule.get("run", "allow") == "allow" else _refused("RETRY_REFUSED", rule)


def step_retry_refusal(plan: Plan) -> str:
    """Why one step of it cannot be retried; empty when that is declared."""
    rule = plan.manual_retry or {}
    return "" if rule.get("step", "deny") == "allow" else _refused("STEP_RETRY_REFUSED", rule)


def _refused(code: str, rule: Mapping[str, Json]) -> str:
    why = f": {rule['reason']}" if rule.get("reason") else ""
    return safe_text(f"{CATALOGUE[code].meaning}{why}")


def flags(view: Mapping[str, Json]) -> Iterator[str]:
    """What is worth knowing besides the status, in a word each."""
    if view["warnings"]:
        yield plural(len(view["warnings"]), "warning")
    if view["interventions"]:
        yield plural(len(view["interventions"]), "intervention")
    if view["rollback"]["performed"]:
        yield "rolled back"


def status_words(view: Mapping[str, Json], now: int, *, ascii_only: bool) -> str:
    """``1 warning  > running 42s``: how it stands, and for how long; of a run that goes on in whole seconds."""
    status = f"{glyph(view['status'], ascii_only=ascii_only)} {word(view['status'])}"
    if view["finished_at"] is not None:
        took = f" in {duration(view['duration_ms'])}" if view["duration_ms"] is not None else ""
    else:
        so_far = max(0, now - from_iso(view["started_at"] or view["created_at"]))
        took = f" {so_far // 1000}s" if so_far < 60_000 else f" {duration(so_far)}"
    return "  ".join([*flags(view), f"{status}{took}"])
