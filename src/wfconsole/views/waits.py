"""What a run is waiting for now, by name: which step, which gate and until when, which backoff, which deadline.

Owns the wording, for the console and for whoever else shows a live run. Everything comes from the RunView and the plan; how long
it is until then is computed from the `now` that the caller gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wfconsole.domain.codec import from_iso
from wfconsole.domain.lifecycle import STEP_TERMINAL
from wfconsole.domain.plan import Json, Plan
from wfconsole.views.safe_text import safe_text
from wfconsole.views.words import duration, plural

_SHOWN = 300
_NEEDS_FIRST = ("needs_human", "backing_off", "running")
_MOST = 50


def waits(view: Mapping[str, Json], plan: Plan, now: int) -> list[tuple[str, str]]:
    """(sentence, status word) for everything that the run waits for, people first; empty when it is over."""
    if view["finished_at"] is not None:
        return []
    gates = {gate["step_id"]: gate for gate in view["approvals"] if gate["status"] == "open"}
    live = [step for step in view["steps"] if step["status"] in _NEEDS_FIRST and step["kind"] != "steps"]
    live.sort(key=lambda step: _NEEDS_FIRST.index(step["status"]))
    lines = list(_of_run(view, live))
    timeouts = {step.step_id: step.timeout_ms for step in plan.steps} if live else {}
    for step in live[:_MOST]:
        gate = gates.get(step["step_id"])
        if step["status"] == "needs_human" and gate is not None:
            lines.append((_gate(gate, now), "needs_human"))
        else:
            lines.append((_step(step, timeouts.get(step["step_id"]), now), step["status"]))
    if len(live) > _MOST:
        lines.append((f"and {plural(len(live) - _MOST, 'more step')}", "muted"))
    lines += _limit(view, now)
    return [(safe_text(text, limit=_SHOWN), role) for text, role in lines]


def _of_run(view: Mapping[str, Json], live: list[Mapping[str, Json]]) -> Iterator[tuple[str, str]]:
    match view["status"]:
        case "pending":
            yield "waits for an owner: a worker, or a console, takes it over", "pending"
        case "paused":
            yield "paused: it waits for somebody to resume it", "paused"
        case _ if not live:
            yield "closing: the run's own artifacts are being collected", "running"
        case _:
            pass


def _gate(gate: Mapping[str, Json], now: int) -> str:
    until = from_iso(gate["expires_at"])
    then = "then the default is taken" if gate["default"] is not None else f"then {gate['on_timeout']}"
    left = f"{duration(until - now)} left" if until > now else "over"
    count = (gate["approvers"] or {}).get("count", 1)
    said = sum(decision["choice"] == "approve" for decision in gate["decisions"])
    have = f" ({said} of {count} people)" if count > 1 else ""
    day, time = gate["expires_at"][:10], gate["expires_at"][11:16]
    return f"{gate['step_id']} waits for a person{have} until {day} {time}Z ({left}), {then}: {gate['title']}"


def _step(step: Mapping[str, Json], timeout_ms: int | None, now: int) -> str:
    name = step["step_id"]
    if step["status"] == "needs_human":
        return f"{name} waits for a person: {step['reason'] or ''}"
    if step["status"] == "backing_off":
        left = duration(max(0, from_iso(step["retry_at"]) - now)) if step["retry_at"] else "a while"
        return f"{name} backs off: attempt {step['retries'] + 2} in {left} - {step['reason'] or ''}"
    began = step["attempts"][-1]["started_at"] if step["attempts"] else step["started_at"]
    took = now - from_iso(began)
    again = f", attempt {step['retries'] + 1}" if step["retries"] else ""
    ends = f", times out in {duration(max(0, timeout_ms - took))}" if timeout_ms is not None else ""
    return f"{name} runs since {_whole(took)}{again}{ends}"


def _whole(took: int) -> str:
    """Whole seconds below a minute: nobody needs tenths of what goes on."""
    return f"{max(0, took) // 1000}s" if took < 60_000 else duration(took)


def _limit(view: Mapping[str, Json], now: int) -> Iterator[tuple[str, str]]:
    limit = view["budget"]["limits"].get("timeout_ms")
    if limit is None or view["status"] != "running":
        return
    since = [change["at"] for change in view["transitions"] if change["step_id"] is None and change["to"] == "running"]
    used = view["budget"]["used"]["running_ms"] + (now - from_iso(since[-1]) if since else 0)
    yield f"the run's own deadline is in {duration(max(0, limit - used))} of running", "muted"


def step_waits(step_id: str, view: Mapping[str, Json], plan: Plan) -> str:
    """What a step that has not begun waits for; empty when nothing is in its way."""
    status = {step["step_id"]: step["status"] for step in view["steps"]}
    mine = next((step for step in plan.steps if step.step_id == step_id), None)
    if mine is None or status.get(step_id) != "pending":
        return ""
    waiting = [need.step for need in mine.needs if status.get(need.step) not in STEP_TERMINAL]
    if mine.phase == "finally":
        return "waits for all other steps to end"
    if waiting:
        return safe_text(f"waits for {', '.join(waiting)}", limit=_SHOWN)
    return "waits for a free place" if view["finished_at"] is None else ""
