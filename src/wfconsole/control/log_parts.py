"""Which log files a run has: one part for each stream of each command of the attempts that were asked for.

Reads the journal alone. A finished attempt names its files; of one that is under way the names are known from its number of
commands, and the files come as the commands start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from wfconsole.domain.events import Record, StepStarted
from wfconsole.domain.plan import Json
from wfconsole.ports import RunFolder, WfconsoleError
from wfconsole.views.run_view import RunViewBuilder

STREAMS = ("stdout", "stderr")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """One stream of one command; `path` is relative to the run's folder."""

    step_id: str
    attempt: int
    command: int
    stream: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for; None means all, for `attempt` the last one (while following: the last and all that come)."""

    step: str | None = None
    attempt: int | None = None
    command: int | None = None
    streams: tuple[str, ...] = STREAMS
    every_attempt: bool = False


class LogIndex:
    """The parts of one run, as its journal grows."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._planned: dict[tuple[str, int], int] = {}
        self.view = RunViewBuilder()

    def add(self, records: Sequence[Record]) -> None:
        for record in records:
            self.view.add(record)
            if isinstance(record.event, StepStarted) and isinstance(record.event.resolved, dict):
                commands = record.event.resolved.get("commands", [])
                self._planned[record.event.step_id, record.event.attempt] = len(commands)

    def steps(self, name: str | None) -> list[dict[str, Json]]:
        """The steps meant by `name`: that one, or all inside a group. Raises NOT_FOUND with the near miss."""
        steps = self.view.steps()
        if name is None:
            return [step for step in steps if step["kind"] != "steps"]
        found = [
            step for step in steps
            if step["kind"] != "steps" and (step["step_id"] == name or step["step_id"].startswith(f"{name}/"))
        ]  # fmt: skip
        if not found:
            near = get_close_matches(name, [step["step_id"] for step in steps], 1)
            hint = f"did you mean {near[0]}?" if near else f"steps: {', '.join(step['step_id'] for step in steps)}"
            raise WfconsoleError("NOT_FOUND", f"run {self.view.run_id} has no step {name!r}", hint)
        return found

    def parts(self, wanted: Wanted) -> list[LogPart]:
        """Every part that there is, or will be, of what is wanted; in the order of steps, attempts and commands."""
        return [part for step in self.steps(wanted.step) for part in self._of_step(step, wanted)]

    def _of_step(self, step: dict[str, Json], wanted: Wanted) -> Iterator[LogPart]:
        attempts = step["attempts"]
        if wanted.attempt is not None:
            attempts = [attempt for attempt in attempts if attempt["n"] == wanted.attempt]
        elif not wanted.every_attempt:
            attempts = attempts[-1:]
        for attempt in attempts:
            yield from self._of_attempt(step["step_id"], attempt, wanted)

    def _of_attempt(self, step_id: str, attempt: dict[str, Json], wanted: Wanted) -> Iterator[LogPart]:
        recorded = {command["index"]: command for command in attempt["commands"]}
        for index in sorted(recorded) or range(self._planned.get((step_id, attempt["n"]), 0)):
            if wanted.command is not None and index != wanted.command:
                continue
            for stream in wanted.streams:
                path = self._path(step_id, attempt["n"], index, stream, recorded.get(index))
                if path is not None:
                    yield LogPart(step_id=step_id, attempt=attempt["n"], command=index, stream=stream, path=path)

    def _path(self, step_id: str, attempt: int, index: int, stream: str, command: dict[str, Json] | None) -> str | None:
        if command is not None:
            return command[stream]["path"] if command[stream] else None
        path = self._folder.logs(step_id, attempt) / f"{index}.{stream}"
        return str(path.relative_to(self._folder.root))
