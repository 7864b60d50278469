"""The bars of the timeline: what each step was doing when, as segments of time and as runs of characters over an axis.

Owns how a step's changes become segments that never overlap, and how these are drawn. Refuses to know terminals: what comes out
is text and the role that colours it. Times are milliseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from wfconsole.domain.codec import from_iso
from wfconsole.domain.plan import Json
from wfconsole.views.axis import Axis

LIVE = ("running", "backing_off", "needs_human")
_ENDS = {"succeeded": "succeeded", "failed": "failed", "backing_off": "failed", "cancelled": "cancelled"}
_RANK = {"failed": 5, "needs_human": 4, "cancelled": 3, "running": 2, "backing_off": 1, "succeeded": 0}
_UNICODE = {
    "running": "━▸", "succeeded": "━━", "failed": "━✗", "cancelled": "━⊘", "backing_off": "~~", "needs_human": "??",
}  # fmt: skip
_ASCII = {
    "running": "=>", "succeeded": "==", "failed": "=x", "cancelled": "=/", "backing_off": "~~", "needs_human": "??",
}  # fmt: skip


class Bar(NamedTuple):
    """From `start` to before `end`. `kind`: running, succeeded, failed, cancelled (an attempt), backing_off, needs_human."""

    start: int
    end: int
    kind: str


class Bars:
    """The bars of all steps of one run, grown by the transitions that came since the last `take`."""

    def __init__(self) -> None:
        self._seen = 0
        self._closed: dict[str, list[Bar]] = {}
        self._open: dict[str, tuple[int, str]] = {}
        self._over: int | None = None
        self._groups: frozenset[str] = frozenset()
        self._sketched: dict[str, Bar] = {}
        self._busy: list[tuple[int, int]] | None = None

    def take(self, view: Mapping[str, Json]) -> None:
        """Follow the run to where `view` stands; it must be a later one than before."""
        if not self._seen:
            self._groups = frozenset(step["step_id"] for step in view["steps"] if step["kind"] == "steps")
        transitions = view["transitions"]
        if not transitions or len(transitions) != self._seen:
            self._busy = None
        for change in transitions[self._seen :]:
            if change["step_id"] is not None:
                self._change(change["step_id"], change["to"], millis(change["at"]))
        self._seen = len(transitions)
        self._over = millis(view["finished_at"]) if view["finished_at"] else None
        self._sketched = {} if transitions else dict(_sketched(view["steps"]))

    def _change(self, step_id: str, to: str, at: int) -> None:
        began = self._open.pop(step_id, None)
        if began is not None:
            start, kind = began
            if kind == "running":
                kind = _ENDS.get(to, "succeeded")
            if at > start or kind == "failed":
                self._closed.setdefault(step_id, []).append(Bar(start, at, kind))
        if to in LIVE:
            self._open[step_id] = (at, to)

    def of(self, step_id: str, now: int) -> list[Bar]:
        """The bars of one step, in order; the last one goes to `now` while it lasts."""
        if self._sketched:
            found = self._sketched.get(step_id)
            return [] if found is None else [found._replace(end=max(found.start, found.end or now))]
        bars = list(self._closed.get(step_id, ()))
        if step_id in self._open:
            start, kind = self._open[step_id]
            end = self._over if self._over is not None else now
            bars.append(Bar(start, max(start, end), kind))
        return bars

    def busy(self, now: int) -> list[tuple[int, int]]:
        """The times in which a step was at work, in order and apart; groups and waiting do not count."""
        if self._busy is None:
            found = [
                (bar.start, bar.end)
                for name, bars in self._closed.items()
                if name not in self._groups
                for bar in bars
                if bar.kind not in LIVE
            ]
            found += [(bar.start, bar.end) for bar in self._sketched.values() if bar.end and bar.kind not in LIVE]
            self._busy = merged(sorted(found))
        end = self._over if self._over is not None else now
        live = [(start, max(start, end)) for name, (start, kind) in self._open.items() if self._works(name, kind)]
        live += [(bar.start, max(bar.start, end)) for bar in self._sketched.values() if bar.kind == "running"]
        return merged(sorted([*self._busy, *live])) if live else self._busy

    def _works(self, name: str, kind: str) -> bool:
        return kind == "running" and name not in self._groups


def _sketched(steps: Iterable[Mapping[str, Json]]) -> Iterable[tuple[str, Bar]]:
    """Bars of a view that has no transitions: one a step, as far as it is known; `end` 0 for what goes on."""
    for step in steps:
        if step["started_at"] is not None and step["kind"] != "steps":
            kind = step["status"] if step["status"] in _RANK else "succeeded"
            end = millis(step["finished_at"]) if step["finished_at"] else 0
            yield step["step_id"], Bar(millis(step["started_at"]), end, kind)


def merged(intervals: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted intervals with those that touch made one."""
    out: list[tuple[int, int]] = []
    for start, end in intervals:
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out


def millis(text: str) -> int:
    """`from_iso`, quick for the many times of one run: the minute is remembered."""
    return _minute(text[:16]) + int(text[17:19]) * 1000 + int(text[20:23])


@lru_cache(maxsize=4096)
def _minute(text: str) -> int:
    return from_iso(f"{text}:00.000Z")


def paint(
    bars: Sequence[Bar], over: Axis, left: int, width: int, *, ascii_only: bool = False
) -> tuple[tuple[str, str], ...]:
    """The bars over the columns from `left` on: (text, kind) runs, together exactly `width` characters; kind "" is empty.

    Every bar has one column at least; where several share a column, the one that matters most is seen.
    """
    marks = _ASCII if ascii_only else _UNICODE
    columns: list[tuple[str, str]] = [(" ", "")] * width
    for start, until, kind in bars:
        first, last = over.column(start), over.column(max(start, until - 1))
        rank, body, end = _RANK[kind], (marks[kind][0], kind), (marks[kind][1], kind)
        for column in range(max(first, left), min(last, left + width - 1) + 1):
            there = columns[column - left][1]
            if not there or rank >= _RANK[there]:
                columns[column - left] = end if column == last else body
    return _runs(columns)


def _runs(columns: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    runs: list[tuple[str, str]] = []
    for char, kind in columns:
        if runs and runs[-1][1] == kind:
            runs[-1] = (runs[-1][0] + char, kind)
        else:
            runs.append((char, kind))
    return tuple(runs)
