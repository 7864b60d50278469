"""`config show`: the settings in force, and which file or variable each comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from wfconsole.cli.app import new_app
from wfconsole.cli.session import session_of


def register(app: typer.Typer) -> None:
    group = new_app()
    group.command("show")(show)
    app.add_typer(group, name="config", help="Show the settings in force.")


def show(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print data for programs.")] = False
) -> int:
    """Show the settings in force."""
    session = session_of(ctx)
    document = session.wiring.config()
    if as_json:
        session.out.json(dict(document))
    else:
        session.out.lines(_lines(document, ""))
    return 0


def _lines(document: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """``settings.retention = 30d  (config.toml)``."""
    from wfconsole.views.words import value_text

    for key, value in document.items():
        if isinstance(value, Mapping) and set(value) == {"value", "source"}:
            yield f"{prefix}{key} = {value_text(value['value'])}  ({value['source']})"
        elif isinstance(value, Mapping):
            yield from _lines(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key} = {value_text(value)}"
