"""The parts of a run in words: one step in full, its artifacts, its events, any JSON as lines.

Refuses to know terminals and where files lie. A line is (text, role); role is a status word or one of ``text muted title``.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping

from wfconsole.domain.codec import iso
from wfconsole.domain.events import Record, wire_name
from wfconsole.domain.plan import Json, Plan
from wfconsole.views.report import closing
from wfconsole.views.run_head import Line
from wfconsole.views.safe_text import safe_text
from wfconsole.views.timeline import event_line
from wfconsole.views.waits import step_waits
from wfconsole.views.words import duration, glyph, plural, size, value_text, word

_VALUE = 2000


def step_detail(step_id: str, view: Mapping[str, Json], plan: Plan, *, ascii_only: bool = False) -> list[Line]:
    """Everything about one step: how it stands, its gate, its attempts with their commands (the last one first), what it left."""
    step = next((one for one in view["steps"] if one["step_id"] == step_id), None)
    if step is None:
        return [("there is no such step", "muted")]
    lines = [
        (f"{step_id}  {step['kind']}", "title"),
        (f"{glyph(step['status'], ascii_only=ascii_only)} {word(step['status'])}{_took(step)}", step["status"]),
    ]
    waiting = step_waits(step_id, view, plan)
    lines += [(waiting, "muted")] if waiting else []
    lines += _why(step)
    lines += [line for gate in view["approvals"] if gate["step_id"] == step_id for line in _gate(gate)]
    for attempt in reversed(step["attempts"]):
        lines += _attempt(attempt, ascii_only=ascii_only)
    if step["outputs"]:
        lines.append(("outputs", "title"))
        lines += [(f"  {name} = {value_text(value, limit=_VALUE)}", "text") for name, value in step["outputs"].items()]
    mine = [one for one in view["artifacts"] if one["step_id"] == step_id]
    if mine:
        lines.append(("artifacts", "title"))
        lines += [(f"  {one['name']}  {one['kind']}  {artifact_size(one)}", "text") for one in mine]
    if step["trace_url"]:
        lines.append((f"trace  {step['trace_url']}", "muted"))
    if step["reused_from"]:
        lines.append((f"reused from {step['reused_from']}", "muted"))
    return [(safe_text(text), role) for text, role in lines]


def _took(step: Mapping[str, Json]) -> str:
    took = f" in {duration(step['duration_ms'])}" if step["duration_ms"] is not None else ""
    again = f", {plural(step['retries'] + 1, 'attempt')}" if step["retries"] else ""
    return took + again


def _why(step: Mapping[str, Json]) -> Iterator[Line]:
    failure = step["failure"]
    if failure:
        yield f"{failure['code']}: {failure['message']}", "failed"
        if failure["hint"]:
            yield f"hint: {failure['hint']}", "text"
    elif step["reason"]:
        yield step["reason"], "text"


def _gate(gate: Mapping[str, Json]) -> Iterator[Line]:
    if gate["status"] == "open":
        yield f"open until {gate['expires_at']}, then {gate['on_timeout']}", "needs_human"
    else:
        yield closing(gate), gate["status"]
    for decision in gate["decisions"]:
        because = f": {decision['reason']}" if decision["reason"] else ""
        yield f"  {decision['at']}  {decision['actor']}  {decision['choice'] or 'answered'}{because}", "text"


def _attempt(attempt: Mapping[str, Json], *, ascii_only: bool) -> Iterator[Line]:
    outcome = attempt["outcome"]
    exits = f"  exit {attempt['exit_code']}" if attempt["exit_code"] is not None else ""
    template = f"  {attempt['template']}" if attempt["template"] else ""
    yield f"attempt {attempt['n']}  {outcome or 'under way'}{exits}{template}", "title"
    yield f"  {attempt['started_at']} to {attempt['finished_at'] or '...'}", "muted"
    if attempt["cause"] and outcome != "succeeded":
        yield f"  {attempt['cause']['code']}: {attempt['cause']['message']}", "failed"
    for command in attempt["commands"]:
        code = command["exit_code"]
        status = "succeeded" if code == 0 else "failed"
        ended = command["error"] or (f"signal {command['signal']}" if command["signal"] else f"exit {code}")
        said = ", ".join(
            f"{name} {size(command[name]['bytes'])}" for name in ("stdout", "stderr") if command[name] is not None
        )
        yield f"  {glyph(status, ascii_only=ascii_only)} {shlex.join(command['argv'])}", status
        yield f"    {ended}{'  ' + said if said else ''}  in {command['cwd']}", "muted"
        for warning in command["warnings"]:
            yield f"    warning: {warning}", "needs_human"


def artifact_size(artifact: Mapping[str, Json]) -> str:
    """Its size; of the statement that there is none, the reason."""
    if artifact["kind"] == "none":
        return safe_text(artifact.get("reason") or "nothing was left")
    return size(artifact["bytes"])


def event_cells(record: Record, began: Mapping[str, int]) -> tuple[Line, ...]:
    """Sequence number, time of day, step, type and summary of an event, each with its role."""
    line = event_line(record, began)
    kind = wire_name(type(record.event))
    return (
        (str(record.seq), "muted"),
        (iso(record.at)[11:23], "muted"),
        (kind, line.status if line else "text"),
        (line.subject if line else safe_text(getattr(record.event, "step_id", None) or ""), "text"),
        (line.text if line else "", "text"),
    )


def json_lines(value: Json, *, role: str = "text") -> list[Line]:
    """JSON over several lines, keys sorted, each line safe by itself."""
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    return [(safe_text(line), role) for line in text.splitlines()]


def state_lines(view: Mapping[str, Json]) -> list[Line]:
    """The run's own document, its inputs, its outputs, and what it has used up."""
    lines: list[Line] = []
    parts = (
        ("state", view["state"]),
        ("inputs", view["inputs"]),
        ("outputs", view["outputs"]),
        ("budget", view["budget"]),
    )
    for name, value in parts:
        lines.append((name, "title"))
        lines += json_lines(value) if value else [("none", "muted")]
        lines.append(("", "text"))
    return lines[:-1]


_DIFF = (
    ("+++", "diff-file"), ("---", "diff-file"), ("diff ", "diff-file"), ("@@", "diff-hunk"), ("+", "diff-add"),
    ("-", "diff-del"),
)  # fmt: skip


def text_lines(text: str, *, as_diff: bool) -> list[Line]:
    """The lines of a text artifact; with `as_diff` coloured by their first characters."""
    return [(safe_text(line), _diff_role(line) if as_diff else "text") for line in text.split("\n")]


def _diff_role(line: str) -> str:
    return next((role for prefix, role in _DIFF if line.startswith(prefix)), "text")
