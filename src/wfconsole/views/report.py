"""How a finished or standing run is told in a few lines: the failure panel, the outputs, the summary of `show`.

Refuses to know terminals; every line is plain, safe text made from a RunView.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from wfconsole.domain.failures import CATALOGUE
from wfconsole.domain.plan import EFFECT_KINDS, GATE_KINDS, PURE_KINDS, Json
from wfconsole.views.safe_text import safe_text
from wfconsole.views.words import duration, glyph, value_text, word

_VALUE = 200
_SILENT = (PURE_KINDS - {"steps"}) | GATE_KINDS | EFFECT_KINDS
"""Kinds that never run a command; a group has the logs of its steps."""


def verdict_line(view: Mapping[str, Json], *, ascii_only: bool) -> str:
    """``✗ failed in 12.3s``."""
    took = f" in {duration(view['duration_ms'])}" if view["duration_ms"] is not None else ""
    waiting = f": {', '.join(view['waiting_for'])}" if view["waiting_for"] else ""
    aside = ", set aside: nobody drives it" if view.get("quarantine") else ""
    return safe_text(f"{glyph(view['status'], ascii_only=ascii_only)} {word(view['status'])}{took}{waiting}{aside}")


def failure_lines(view: Mapping[str, Json]) -> Iterator[str]:
    """The failure panel: code, message, last good step, hint, where to read on. Empty for a run that did not fail."""
    failure = view["failure"]
    if failure is None:
        return
    yield f"code       {failure['code']}"
    yield f"message    {safe_text(failure['message'], limit=1000)}"
    if failure["step_id"]:
        yield f"step       {safe_text(failure['step_id'])}"
    yield f"last good  {safe_text(failure['last_successful_step'] or 'none')}"
    if failure["hint"]:
        yield f"hint       {safe_text(failure['hint'], limit=1000)}"
    if failure["missing_fields"]:
        yield f"unknown    {', '.join(failure['missing_fields'])}"
    if failure["step_id"] and _has_log(view, failure):
        yield f"logs       {log_command(view, failure['step_id'])}"
    retry = failure["retry"]
    if retry["allowed"] and retry["command"]:
        yield f"retry      {safe_text(retry['command'])}"
    elif not retry["allowed"]:
        yield f"retry      not allowed by the recipe{': ' + safe_text(retry['reason']) if retry['reason'] else ''}"


def waiting_lines(view: Mapping[str, Json]) -> Iterator[str]:
    """Why a run waits for a person, step by step, and how one decides."""
    asking = {gate["step_id"] for gate in view["approvals"] if gate["status"] == "open"}
    for step in view["steps"]:
        if step["status"] == "needs_human":
            yield f"waits      {safe_text(step['step_id'])}: {safe_text(step['reason'] or '', limit=1000)}"
            hint = (step["failure"] or {}).get("hint")
            if hint:
                yield f"hint       {safe_text(hint, limit=1000)}"
            if step["step_id"] in asking and not view["finished_at"]:
                yield f"decide     {safe_text(shlex.join(['wfconsole', 'approvals', view['run_id'], step['step_id']]))}"


def aside_lines(view: Mapping[str, Json]) -> Iterator[str]:
    """Why a run that was set aside does not go on, and what to do; empty for any other."""
    aside = view["quarantine"]
    if aside is not None:
        yield f"code       {safe_text(aside['code'])}"
        yield f"message    {safe_text(aside['message'], limit=1000)}"
        yield f"tried      {aside['attempts']} times in a row, the last at {aside['at']}"
        yield f"hint       {safe_text(aside['hint'], limit=1000)}"


def gate_lines(view: Mapping[str, Json], *, ascii_only: bool) -> Iterator[str]:
    """How each gate was closed, a line each; open ones are told by `waiting_lines`."""
    for gate in view["approvals"]:
        if gate["status"] != "open":
            mark = glyph(gate["status"], ascii_only=ascii_only)
            yield safe_text(f"{mark} {gate['step_id']}  {closing(gate)}", limit=1000)


def closing(gate: Mapping[str, Json]) -> str:
    """``rejected by ann: too big``: how a gate was closed, by whom, and why."""
    by = f" by {', '.join(gate['closed_by'])}" if gate["closed_by"] else ""
    answer: Json = gate["answer"] or (gate["choice"] if gate["kind"] == "question" else None)
    said = f": {value_text(answer)}" if answer else ""
    taken = " by default" if said and not by else ""
    return f"{gate['status']}{by}{taken}{said}{': ' + gate['reason'] if gate['reason'] else ''}"


def output_lines(outputs: Mapping[str, Json]) -> Iterator[str]:
    """The run's result, a line each."""
    for name, value in sorted(outputs.items()):
        yield f"{safe_text(name)} = {value_text(value, limit=_VALUE)}"


def lineage_lines(view: Mapping[str, Json]) -> Iterator[str]:
    """Which run this one goes on from, and which goes on from it; empty for most."""
    lineage = view["lineage"]
    if lineage["parent"]:
        yield safe_text(f"retried    from run {lineage['parent']}, at {lineage['retried_from']}")
        if lineage["reused"]:
            yield safe_text(f"taken over {', '.join(lineage['reused'])}", limit=1000)
    for successor in lineage["successors"]:
        yield safe_text(f"goes on as wfconsole show {successor}")


def _has_log(view: Mapping[str, Json], failure: Mapping[str, Json]) -> bool:
    """Can there be anything to read of the step? Not when it runs no commands, or when the sandbox did not come to be."""
    step = next((item for item in view["steps"] if item["step_id"] == failure["step_id"]), None)
    if step is None:  # the child of a fan-out, which the view does not list
        return True
    if step["kind"] in _SILENT:
        return False
    row = CATALOGUE.get(failure["code"])
    began = bool(step["attempts"]) and bool(step["attempts"][-1]["commands"])
    return began or row is None or row.fault != "environment"


def log_command(view: Mapping[str, Json], step_id: str) -> str:
    """The command that shows what the step said: its stderr, when that is where it said something."""
    step = next((item for item in view["steps"] if item["step_id"] == step_id), None)
    commands = step["attempts"][-1]["commands"] if step and step["attempts"] else []
    spoke = bool(commands) and bool(commands[-1]["stderr"]) and commands[-1]["stderr"]["bytes"] > 0
    words = ["wfconsole", "logs", view["run_id"], step_id, *(["--stderr"] if spoke else [])]
    return safe_text(shlex.join(words))


def heading(view: Mapping[str, Json]) -> list[str]:
    """Which run this is."""
    recipe = view["recipe"]
    trigger = view["trigger"]
    lines = [
        f"run      {view['run_id']}",
        f"recipe   {recipe['name']}@{recipe['version']}  {recipe['digest'][:12]}  {recipe['origin']}",
        f"started  {view['started_at'] or 'not yet'}  by {trigger['actor']}@{trigger['host']} ({trigger['kind']})",
    ]
    if view["workflow_id"] != view["run_id"]:
        lines.append(f"id       {view['workflow_id']}")
    if view["project"]:
        lines.append(f"project  {view['project']}")
    return [safe_text(line) for line in lines]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of one width each, two spaces between; the last one is not padded. Cells must be safe already."""
    widths = [max(len(row[place]) for row in (header, *rows)) for place in range(len(header))]
    return [
        "  ".join(
            cell if place == len(row) - 1 else cell.ljust(widths[place]) for place, cell in enumerate(row)
        ).rstrip()
        for row in (header, *rows)
    ]
