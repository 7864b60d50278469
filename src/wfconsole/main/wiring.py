"""What the command line is given: one function for each thing that it may open, each importing on its first call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wfconsole.control.wiring import (
    Audited,
    Check,
    Cleaning,
    DatabaseCare,
    Intents,
    Recipes,
    SavedIntent,
    Templates,
    Wiring,
)

if TYPE_CHECKING:
    from wfconsole.config import Settings
    from wfconsole.control.door import Door, RunRequest
    from wfconsole.domain.records import Actor
    from wfconsole.ports import RunRow


@cache
def settings() -> Settings:
    """Read once in a process."""
    from wfconsole.config import read_settings

    return read_settings(os.environ)


def make_wiring() -> Wiring:
    """The wiring of a real process."""
    return Wiring(
        open_door=_open_door,
        actor=_actor,
        now_ms=_now_ms,
        read_values=_read_values,
        recipes=_recipes,
        templates=_templates,
        intents=_Intents,
        doctor=_doctor,
        doctor_sandbox=_doctor_sandbox,
        config=_config,
        identity=_identity,
        sign=_sign,
        worker=_worker,
        audit=_audit,
        console=_console,
        detach=_detach,
        relieve=_relieve,
        glance=_glance,
        cleaning=_cleaning,
        database=_database,
    )


def _actor() -> Actor:
    from wfconsole.main.actor import current_actor

    return current_actor()


def _now_ms() -> int:
    from wfconsole.engine.clock import SystemClock

    return SystemClock().now_ms()


async def _open_door() -> Door:
    from wfconsole.main.office import open_office

    return await open_office(settings())


def _recipes() -> Recipes:
    from wfconsole.main.recipes import RecipeShelf

    return RecipeShelf(settings())


def _templates() -> Templates:
    from wfconsole.main.templates import TemplateShelf

    return TemplateShelf(settings())


async def _doctor_sandbox(tell: Callable[[int, int], None]) -> Sequence[Check]:
    from wfconsole.main.conformance import conform

    return await conform(settings(), tell)


async def _doctor() -> Sequence[Check]:
    from wfconsole.main.doctor import checks

    return await checks(settings())


async def _identity() -> str:
    from wfconsole.main.signing import signer_of

    return await signer_of(settings()).identity()


async def _sign(payload: bytes, namespace: str) -> str:
    from wfconsole.main.signing import signer_of

    return await signer_of(settings()).sign(payload, namespace=namespace)


async def _worker(until_idle: bool, say: Callable[[str], None]) -> None:
    from wfconsole.engine.worker import Worker
    from wfconsole.main.office import open_office

    door = await open_office(settings(), unattended=True)
    try:
        worker = Worker(door.store, lambda run_id: door.drive(run_id, until_waiting=until_idle), say, door.not_let_go)
        await worker.run(until_idle=until_idle)
    finally:
        await door.close()


async def _cleaning() -> Cleaning:
    from wfconsole.main.cleaning import cleaner_of
    from wfconsole.main.office import open_office

    return cleaner_of(settings(), await open_office(settings(), go_on=False))


def _database() -> DatabaseCare:
    from wfconsole.main.database import StoreCare

    return StoreCare(settings())


def _glance(limit: int) -> Sequence[RunRow] | None:
    from wfconsole.store.glance import newest

    return newest(settings().state, limit)


def _detach() -> int:
    from wfconsole.main.detach import start_worker

    return start_worker(settings())


def _relieve() -> int:
    from wfconsole.main.detach import start_worker

    return start_worker(settings(), at_once=True)


def _console(target: str | None, read_only: bool) -> int:
    from wfconsole.main.console import run_console

    return run_console(settings(), make_wiring(), target, read_only=read_only)


async def _audit(run: str | None) -> Sequence[Audited]:
    from wfconsole.main.audit import audit

    return await audit(settings(), run)


def _read_values(path: Path) -> Mapping[str, Any]:
    from wfconsole.main.recipes import read_values

    return read_values(path)


def _config() -> Mapping[str, Any]:
    now = settings()
    named = {"trace_url": now.trace_url, "events_file": now.events_file, "project": now.project}
    return {
        "settings": {
            name: {
                "value": None if value is None else str(value),
                "source": "default" if value is None else "config.toml",
            }
            for name, value in named.items()
        },
        "folders": {"state": str(now.state), "config": str(now.config), "cache": str(now.cache)},
    }


class _Intents(Intents):
    """Intents over `control.intents`; a recipe's plan says which inputs there are to bind."""

    async def submit(self, door: Door, data: bytes) -> SavedIntent:
        from wfconsole.control import intents
        from wfconsole.engine.clock import SystemClock

        saved = await intents.submit(door.store, SystemClock(), data)
        return SavedIntent(intent_id=saved.intent_id, intent=saved.payload)

    async def request(self, door: Door, ref: str, recipe: str | None, actor: Actor) -> RunRequest:
        from wfconsole.control import intents
        from wfconsole.main.recipes import compile_named

        intent = await intents.load(door.store, ref)
        name = intents.recipe_of(intent, recipe)
        return intents.request_of(intent, name, compile_named(settings(), name), actor)
