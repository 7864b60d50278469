"""The tables of the run screen: steps, artifacts, events, lineage, as rows that are made when they are looked at.

Owns columns and rows. The words come from `views`; every text is drawn through the SafeText door by the list itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence

from wfconsole.console.lines import Cell, Column, LazyRows, Row
from wfconsole.console.timeline import took
from wfconsole.domain.events import Record
from wfconsole.domain.plan import Json
from wfconsole.views.bars import millis
from wfconsole.views.run_head import lineage_rows
from wfconsole.views.run_parts import artifact_size, event_cells
from wfconsole.views.words import glyph, short_word

STEPS = (
    Column("TIME", 6, right=True), Column("STATE", 11), Column("TRY", 3, right=True), Column("EXIT", 4, right=True),
    Column("STEP", 18), Column("KIND", 8), Column("WHY"),
)  # fmt: skip
ARTIFACTS = (Column("SIZE", 10, right=True), Column("KIND", 13), Column("STEP", 18), Column("NAME"))
EVENTS = (Column("SEQ", 6, right=True), Column("TIME", 12), Column("TYPE", 19), Column("STEP", 14), Column("SUMMARY"))
LINEAGE = (Column("RELATION", 10), Column("RUN", 28), Column("REMARK"))


def step_table(view: Mapping[str, Json], now: int, *, ascii_only: bool) -> LazyRows:
    """A row a step; its key is the step's id."""
    steps = view["steps"]
    places = {step["step_id"]: place for place, step in enumerate(steps)}

    def make(at: int) -> Row:
        step = steps[at]
        status, last = step["status"], step["attempts"][-1] if step["attempts"] else None
        code = last["exit_code"] if last else None
        failure = step["failure"]
        why = f"{failure['code']}: {failure['message']}" if failure else step["reason"] or ""
        cells = (
            Cell(took(step, now), "muted"),
            Cell(f"{glyph(status, ascii_only=ascii_only)} {short_word(status)}", status),
            Cell(str(step["retries"] + 1) if step["attempts"] else "", "muted"),
            Cell("" if code is None else str(code), "failed" if code else "muted"),
            Cell(step["step_id"]),
            Cell(step["kind"], "muted"),
            Cell(why, "text" if failure else "muted"),
        )
        return Row(step["step_id"], cells)

    return LazyRows(len(steps), make, places.get)


def artifact_table(view: Mapping[str, Json]) -> LazyRows:
    """A row an artifact; its key is its place."""
    artifacts = view["artifacts"]

    def make(at: int) -> Row:
        one = artifacts[at]
        cells = (
            Cell("-" if one["kind"] == "none" else artifact_size(one), "muted"),
            Cell(one["kind"], "muted" if one["kind"] == "none" else "text"),
            Cell(one["step_id"] or "the run", "muted"),
            Cell(f"{one['name']}: {artifact_size(one)}" if one["kind"] == "none" else one["name"]),
        )
        return Row(str(at), cells)

    return LazyRows(len(artifacts), make, _number(len(artifacts)))


def event_table(records: Sequence[Record], view: Mapping[str, Json], correlation: str | None) -> LazyRows:
    """A row an event; its key is its sequence number. With `correlation` those alone that this command or outcome caused."""
    began = {step["step_id"]: millis(step["started_at"]) for step in view["steps"] if step["started_at"]}
    chosen = [place for place, record in enumerate(records) if record.correlation_id == correlation]
    shown: Sequence[int] = range(len(records)) if correlation is None else chosen

    def make(at: int) -> Row:
        record = records[shown[at]]
        return Row(str(record.seq), tuple(Cell(*cell) for cell in event_cells(record, began)))

    def place(key: str) -> int | None:
        if not key.isdecimal():
            return None
        found = bisect_left(shown, int(key) - 1)
        return found if found < len(shown) and shown[found] == int(key) - 1 else None

    return LazyRows(len(shown), make, place)


def lineage_table(view: Mapping[str, Json]) -> list[Row]:
    """A row a relative of the run; its key starts with the run's id."""
    return [
        Row(f"{run_id}#{place}", (Cell(relation, "muted"), Cell(run_id), Cell(remark, "muted")))
        for place, (relation, run_id, remark) in enumerate(lineage_rows(view))
    ]


def _number(count: int) -> Callable[[str], int | None]:
    return lambda key: int(key) if key.isdecimal() and int(key) < count else None
