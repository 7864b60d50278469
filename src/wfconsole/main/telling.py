"""Who is told of events besides the journal: the operator's hooks and the events file, and what they failed at.

Owns their life beside a run, and how far each was told. A subscriber that fails never stops a run: its failure goes on record.
The decision that would surprise: whoever records something about a run tells of it, also when it only decides a gate and drives
nothing; what was recorded and not told, because its process died between, the next one tells, so that an event can come twice.
"""

from __future__ import annotations

import asyncio
import errno
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from wfconsole.config import Settings
from wfconsole.control.office import Office
from wfconsole.domain.codec import canonical, wire
from wfconsole.domain.events import Record, RunCreated, RunStarted, wire_name
from wfconsole.domain.facts import ChannelFailed
from wfconsole.domain.plan import Json, RecipeRef
from wfconsole.engine.clock import SystemClock
from wfconsole.engine.local import Tell
from wfconsole.main.hooks import Hooks, nobody_listens
from wfconsole.ports import Store, Subscriber, WfconsoleError


def subscribers(
    settings: Settings, run: Path, journal: Callable[[], Sequence[Record]], before: int | None = None
) -> dict[str, Subscriber]:
    """Who is told of every event besides the journal; they were told of everything in it when this returns.

    `run` is the run's folder. A channel that is new to a run hears what comes after `before`, else after the whole journal, but
    of a run that has not started everything.
    """
    found: dict[str, Subscriber] = {"hooks": nobody_listens}
    if settings.events_file is None and not settings.hooks:
        return found
    records = journal()
    created = next((record.event for record in records if isinstance(record.event, RunCreated)), None)
    if created is None:
        return found
    began = any(isinstance(record.event, RunStarted) for record in records)
    new = 0 if not began else records[-1].seq if before is None else before
    plain: dict[str, Subscriber] = {}
    if settings.events_file is not None:
        plain["events_file"] = EventsFile(settings.events_file, created.plan.recipe)
    if settings.hooks:
        plain["hooks"] = Hooks(settings.hooks, created.plan.recipe, journal=records)
    for name, subscriber in plain.items():
        channel = Channel(subscriber, run / "told" / name, new)
        channel.catch_up(created.run_id, records)
        found[name] = channel
    return found


class Channel:
    """A subscriber that hears each event of a run in order, over all processes that record any: at least once, if it can be told.

    `place` keeps the seq of the last event it was told of. One that it failed at is not told again.
    """

    def __init__(self, subscriber: Subscriber, place: Path, new: int) -> None:
        self.subscriber = subscriber
        self._place = place
        self._told = new
        self._failure: tuple[int, str] | None = None
        with suppress(OSError, ValueError):
            self._told = int(place.read_bytes())
        with suppress(OSError):
            place.parent.mkdir(exist_ok=True)

    def __call__(self, run_id: str, record: Record) -> None:
        if record.seq > self._told:
            self._tell(run_id, record)
        if self._failure is not None:
            (_, error), self._failure = self._failure, None
            raise RuntimeError(error)

    def catch_up(self, run_id: str, records: Sequence[Record]) -> None:
        """Tell what was recorded by whoever did not live to tell it; the first failure is raised with the next event."""
        for record in records:
            if record.seq > self._told:
                try:
                    self._tell(run_id, record)
                except Exception as error:  # noqa: BLE001 - whatever a subscriber raises is its failure, not the run's
                    self._failure = self._failure or (record.seq, f"{type(error).__name__}: {error}")

    def failures(self) -> Sequence[tuple[int, str]]:
        """What nothing has raised yet, each with its seq; waits for hooks that are under way."""
        late = self.subscriber.close() if isinstance(self.subscriber, Hooks) else ()
        return [*([self._failure] if self._failure else ()), *late]

    def _tell(self, run_id: str, record: Record) -> None:
        try:
            self.subscriber(run_id, record)
        finally:
            self._told = record.seq
            with suppress(OSError):  # it then hears of this event again
                self._keep()

    def _keep(self) -> None:
        descriptor = os.open(self._place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.write(descriptor, b"%020d\n" % self._told)  # always as long, so no reader finds half of it
        finally:
            os.close(descriptor)


class EventsFile:
    """Appends every event as a JSON line to a file that the operator named. A failure to write is the caller's to record.

    Never waits: a pipe that nobody reads, or not fast enough, is a failure to write.
    """

    def __init__(self, path: Path, recipe: RecipeRef) -> None:
        self._path = path
        self._recipe = recipe
        self._torn = False

    def __call__(self, run_id: str, record: Record) -> None:
        document: Json = wire(record, run_id=run_id, name=self._recipe.name, version=self._recipe.version)
        line = b"\n" * self._torn + canonical(document) + b"\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o666)
        try:
            written = os.write(descriptor, line)
        finally:
            os.close(descriptor)
        self._torn = written < len(line)
        if self._torn:
            raise OSError(errno.ENOSPC, f"only {written} of {len(line)} bytes were taken", str(self._path))


def teller(told: Mapping[str, Subscriber]) -> Tell:
    """Calls the operator's hook of an event that the run waits for, in a thread."""
    channel = told.get("hooks")
    hooks = channel.subscriber if isinstance(channel, Channel) else None

    async def tell(run_id: str, record: Record) -> str | None:
        if not isinstance(hooks, Hooks):
            return f"no hook is set for {wire_name(type(record.event))}"
        return await asyncio.to_thread(hooks.tell, run_id, record)

    return tell


Told = dict[str, list[Mapping[str, Subscriber]]]
"""By run, everybody who was told of it by this process."""


async def inform(settings: Settings, store: Store, run: Path, told: Told, run_id: str, before: int) -> None:
    """Tell what this process recorded about a run that it does not drive; call it while nobody else can."""
    if settings.events_file is None and not settings.hooks:
        return
    records = await store.load(run_id)
    with suppress(WfconsoleError, OSError):
        told.setdefault(run_id, []).append(await asyncio.to_thread(subscribers, settings, run, lambda: records, before))


async def record_failures(office: Office, told: Told) -> None:
    """Put on record what channels failed at after the last event; a run that is over, or another's by now, is left alone."""
    channels = [(run_id, name, one) for run_id, every in told.items() for each in every for name, one in each.items()]
    for run_id, name, channel in channels:
        for seq, error in await asyncio.to_thread(channel.failures) if isinstance(channel, Channel) else ():
            fact_id, now = f"channel:{name}:{uuid.uuid4().hex}", SystemClock().now_ms()
            with suppress(WfconsoleError):
                fact = ChannelFailed(fact_id=fact_id, at=now, subscriber=name, error=error, failed_seq=seq)
                await office.send(run_id, fact)
