"""`logs`: what a run's steps printed.

With a step its stdout alone; without one every step's stdout and stderr, each line with the step's name. What a program printed
reaches a terminal as safe text, a pipe too; only --raw gives the bytes. Files are read in pieces, so size does not matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from wfconsole.cli import offers
from wfconsole.cli.offers import Run
from wfconsole.cli.session import Session, session_of

if TYPE_CHECKING:
    from wfconsole.control.door import Door
    from wfconsole.control.log_parts import LogIndex, LogPart, Wanted
    from wfconsole.domain.events import Record
    from wfconsole.ports import RunFolder
    from wfconsole.views.log_text import LineCutter

_CHUNK = 1 << 20
_POLL_S = 0.2


def register(app: typer.Typer) -> None:
    app.command("logs")(logs)


def logs(
    ctx: typer.Context,
    run: Run,
    step: Annotated[
        str | None,
        typer.Argument(metavar="[STEP]", help="A step, or a group of steps.", autocompletion=offers.steps),
    ] = None,
    attempt: Annotated[
        int | None, typer.Option("--attempt", metavar="N", min=1, help="Not the last attempt but this.")
    ] = None,
    command: Annotated[
        int | None, typer.Option("--command", metavar="K", min=0, help="Only this command, from 0.")
    ] = None,
    stdout: Annotated[bool, typer.Option("--stdout", help="Only stdout.")] = False,
    stderr: Annotated[bool, typer.Option("--stderr", help="Only stderr; with --stdout both.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the step, or the run, is over.")] = False,
    grep: Annotated[str | None, typer.Option("--grep", metavar="RE", help="Only lines that match.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The bytes as they are, escape sequences and all.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object a line.")] = False,
) -> int:
    """Show what a run's steps printed."""
    from wfconsole.control.log_parts import LogIndex, Wanted

    session = session_of(ctx)
    pattern = _pattern(grep)
    wanted = Wanted(
        step=step, attempt=attempt, command=command, streams=_streams(step, stdout, stderr), every_attempt=follow
    )

    async def work(door: Door) -> int:
        run_id, records = await door.records(run)
        index = LogIndex(door.folder(run_id))
        index.add(records)
        _check(index, wanted)
        named = step is None or len(index.steps(step)) > 1
        printer = _Printer(session, index.view.run_id, pattern, raw=raw, as_json=as_json, named=named)
        reader = _Reader(door.folder(run_id), printer)
        if follow:
            await _follow(reader, index, wanted, door.watch(run_id, records[-1].seq))
        else:
            reader.read(index.parts(wanted), last=True)
        reader.close()
        _tell_nothing(session, index, wanted, reader)
        return 0

    return session.with_door(work)


def _streams(step: str | None, stdout: bool, stderr: bool) -> tuple[str, ...]:
    if stdout or stderr:
        return tuple(name for name, asked in (("stdout", stdout), ("stderr", stderr)) if asked)
    return ("stdout", "stderr") if step is None else ("stdout",)


def _pattern(grep: str | None) -> re.Pattern[str] | None:
    if grep is None:
        return None
    try:
        return re.compile(grep)
    except re.error as error:
        raise typer.BadParameter(f"not a regular expression: {error}", param_hint="--grep") from error


def _check(index: LogIndex, wanted: Wanted) -> None:
    """Refuse an attempt or a command that there is not."""
    from wfconsole.ports import WfconsoleError

    steps = index.steps(wanted.step)
    numbers = {attempt["n"] for step in steps for attempt in step["attempts"]}
    if wanted.attempt is not None and wanted.attempt not in numbers:
        there = f"attempts: {', '.join(map(str, sorted(numbers)))}" if numbers else "it has not begun"
        raise WfconsoleError("NOT_FOUND", f"there is no attempt {wanted.attempt}", there)
    if wanted.command is not None and numbers and not index.parts(wanted):
        raise WfconsoleError("NOT_FOUND", f"there is no command {wanted.command}", "commands count from 0")


def _tell_nothing(session: Session, index: LogIndex, wanted: Wanted, reader: _Reader) -> None:
    """Say on stderr why there is nothing to read, when a single step was asked for."""
    if wanted.step is None or reader.read_bytes:
        return
    for step in index.steps(wanted.step):
        if reader.parts:
            others = [f"; --{name}?" for name in ("stdout", "stderr") if name not in wanted.streams]
            session.out.note(f"step {step['step_id']} wrote nothing on {' and '.join(wanted.streams)}{''.join(others)}")
            continue
        reason = f": {step['reason']}" if step["reason"] else ""
        session.out.note(f"step {step['step_id']} ran no command; it is {step['status']}{reason}")


async def _follow(reader: _Reader, index: LogIndex, wanted: Wanted, changes: AsyncIterator[Sequence[Record]]) -> None:
    """Read what there is, again and again, until nothing more can come."""
    from wfconsole.domain.lifecycle import STEP_TERMINAL

    async def pump() -> None:
        async for records in changes:
            index.add(records)

    pumping = asyncio.ensure_future(pump())
    try:
        while True:
            ended = pumping.done() or index.view.is_over
            ended = ended or (
                wanted.step is not None and all(s["status"] in STEP_TERMINAL for s in index.steps(wanted.step))
            )
            reader.read(index.parts(wanted), last=ended)
            if ended:
                break
            await asyncio.wait({pumping}, timeout=_POLL_S)
    finally:
        pumping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pumping


@dataclass(slots=True)
class _Printer:
    """Puts lines on stdout in the form that was asked for."""

    session: Session
    run_id: str
    pattern: re.Pattern[str] | None
    raw: bool
    as_json: bool
    named: bool

    @property
    def takes_chunks(self) -> bool:
        """Can bytes be passed on without looking for lines?"""
        return self.raw and self.pattern is None

    def lines(self, part: LogPart, lines: Sequence[bytes]) -> None:
        from wfconsole.views.log_text import matches, shown

        out = self.session.out
        wanted = [line for line in lines if matches(self.pattern, line)] if self.pattern else lines
        if self.raw:
            out.raw(b"".join(wanted))
        elif self.as_json:
            for line in wanted:
                out.json(self._document(part, line))
        elif self.named:
            mark = "|" if part.stream == "stdout" else "!"
            out.lines(f"{part.step_id} {mark} {shown(line)}" for line in wanted)
        else:
            out.lines(map(shown, wanted))

    def _document(self, part: LogPart, line: bytes) -> dict[str, object]:
        from wfconsole.views.log_text import text_of

        return {
            "type": "log",
            "run_id": self.run_id,
            "step_id": part.step_id,
            "attempt": part.attempt,
            "command": part.command,
            "stream": part.stream,
            "text": text_of(line),
        }


@dataclass(slots=True)
class _Reader:
    """Reads parts from where it left off."""

    folder: RunFolder
    printer: _Printer
    parts: dict[str, tuple[LogPart, BinaryIO, LineCutter]] = field(default_factory=dict)
    read_bytes: int = 0

    def read(self, parts: Sequence[LogPart], *, last: bool) -> None:
        """Print what has come; `last`: nothing more will, so a line without its end is printed, too."""
        from wfconsole.control.log_files import open_beneath
        from wfconsole.views.log_text import LineCutter

        for part in parts:
            if part.path not in self.parts:
                opened = open_beneath(self.folder.root, part.path)
                if opened is None:
                    continue
                self.parts[part.path] = part, opened, LineCutter()
            self._drain(part, *self.parts[part.path][1:])
            if last:
                self.printer.lines(part, self.parts[part.path][2].rest())
        self.printer.session.out.flush()

    def _drain(self, part: LogPart, opened: BinaryIO, cutter: LineCutter) -> None:
        while chunk := opened.read(_CHUNK):
            self.read_bytes += len(chunk)
            if self.printer.takes_chunks:
                self.printer.session.out.raw(chunk)
            else:
                self.printer.lines(part, cutter.feed(chunk))

    def close(self) -> None:
        for _, opened, _ in self.parts.values():
            opened.close()
