"""A run as one row of the console's list, and as the few lines that say what it is about.

Owns what the columns say. Refuses to know widths and colours: a cell is a text and the status word that colours it. Text is safe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from wfconsole.domain.moments import from_iso
from wfconsole.views.safe_text import safe_text
from wfconsole.views.words import duration, glyph, short_word, value_text, word

if TYPE_CHECKING:
    from wfconsole.domain.plan import Json

COLUMNS = ("AGE", "PROG", "STATE", "RUN", "RECIPE", "CAUSE / NEXT")
SORTS = ("created", "state", "recipe", "took")
_URGENT = ("awaiting_approval", "failed", "running", "paused", "pending", "cancelled", "succeeded")


def run_cells(view: Mapping[str, Json], now: int, *, ascii_only: bool) -> tuple[tuple[str, str], ...]:
    """(text, role) for each of `COLUMNS`; the ones that change by time alone come first."""
    status, recipe, progress = view["status"], view["recipe"], view.get("progress") or {}
    total = progress.get("total", 0)
    return (
        (age(view, now), "muted"),
        (f"{progress.get('over', 0)}/{total}" if total else "", "muted"),
        (f"{glyph(status, ascii_only=ascii_only)} {short_word(status)}", status),
        (safe_text(view["run_id"]), "text"),
        (safe_text(f"{recipe['name']}@{recipe['version']}", limit=60), "text"),
        (next_step(view), status if view.get("failure") or view.get("waiting_for") else "muted"),
    )


def age(view: Mapping[str, Json], now: int) -> str:
    """How long it has been going on; of a run that is over, how long ago it ended.

    Seconds only while it runs: a list in which nothing happens must not draw itself anew.
    """
    if view["status"] == "running":
        passed = now - from_iso(view["started_at"] or view["created_at"])
        return f"{max(0, passed) // 1000}s" if passed < 60_000 else duration(passed)
    minutes = max(0, now - from_iso(view["finished_at"] or view["created_at"])) // 60_000
    if minutes < 60:
        return f"{minutes}m" if minutes else "<1m"
    return duration(minutes * 60_000)


def next_step(view: Mapping[str, Json]) -> str:
    """Why it failed, or what is waited for."""
    failure, waiting = view.get("failure"), view.get("waiting_for") or []
    if failure:
        step = f" {failure['step_id']}" if failure.get("step_id") else ""
        return safe_text(f"{failure['code']}{step}", limit=80)
    if waiting and view["finished_at"] is None:
        return safe_text(f"decide: {', '.join(map(str, waiting))}", limit=80)
    return ""


def sort_key(view: Mapping[str, Json], by: str, now: int) -> tuple[Json, ...]:
    """For `sorted`: by one of `SORTS`, newest first within the same."""
    newest = -from_iso(view["created_at"])
    match by:
        case "state":
            place = _URGENT.index(view["status"]) if view["status"] in _URGENT else len(_URGENT)
            return (place, newest)
        case "recipe":
            return (view["recipe"]["name"], newest)
        case "took":
            began, ended = view["started_at"], view["finished_at"]
            took = 0 if began is None else (from_iso(ended) if ended else now) - from_iso(began)
            return (-took, newest)
        case _:
            return (newest,)


def run_lines(view: Mapping[str, Json], now: int, *, ascii_only: bool) -> list[tuple[str, str]]:
    """What an operator asks first about a run, as (text, role) lines."""
    recipe, trigger = view["recipe"], view["trigger"]
    status = view["status"]
    lines = [
        (f"{glyph(status, ascii_only=ascii_only)} {word(status)}", status),
        (f"run      {view['run_id']}", "text"),
        (f"recipe   {recipe['name']}@{recipe['version']}  {str(recipe['digest'])[:12]}", "text"),
        (f"from     {recipe['origin']}", "muted"),
        (f"started  by {trigger['actor']}@{trigger['host']}, {trigger['kind']}", "muted"),
        (f"age      {duration(now - from_iso(view['created_at']))}", "muted"),
    ]
    if view["project"]:
        lines.append((f"project  {view['project']}", "text"))
    if view["inputs"]:
        lines += [("", "text"), ("inputs", "header")]
        lines += [(f"  {name} = {value_text(value, limit=200)}", "text") for name, value in view["inputs"].items()]
    failure = view.get("failure")
    if failure:
        lines += [
            ("", "text"),
            (f"{failure['code']}: {failure['message']}", "failed"),
            (f"  {failure.get('hint') or ''}", "note"),
        ]
    if view.get("waiting_for") and view["finished_at"] is None:
        lines += [
            ("", "text"),
            (f"waits for you: {', '.join(view['waiting_for'])}", "waiting"),
            ("  a opens the card", "muted"),
        ]
    if view["outputs"]:
        lines += [("", "text"), ("outputs", "header")]
        lines += [(f"  {name} = {value_text(value, limit=200)}", "text") for name, value in view["outputs"].items()]
    return [(safe_text(text, limit=400), role) for text, role in lines]
