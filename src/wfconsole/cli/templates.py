"""`templates`: the sandboxes that steps run in, how to make them and whether they are what they should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from wfconsole.cli import exit_codes
from wfconsole.cli.app import new_app
from wfconsole.cli.session import Session, run_async, session_of

AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A template's name.")]


def register(app: typer.Typer) -> None:
    group = new_app()
    group.command("list")(list_templates)
    group.command("show")(show)
    group.command("build")(build)
    group.command("check")(check)
    app.add_typer(group, name="templates", help="List, build and check sandbox templates.")


def list_templates(ctx: typer.Context, as_json: AsJson = False) -> int:
    """List the templates."""
    session = session_of(ctx)
    found = run_async(session.wiring.templates().list())
    _print_all(session, found, as_json=as_json)
    return 0


def show(ctx: typer.Context, name: Name, as_json: AsJson = False) -> int:
    """Show a template: what it is made of and what is there."""
    session = session_of(ctx)
    _print(session, run_async(session.wiring.templates().show(name)), as_json=as_json)
    return 0


def build(ctx: typer.Context, name: Name, as_json: AsJson = False) -> int:
    """Make a template's image; progress goes to stderr."""
    session = session_of(ctx)
    _print(session, run_async(session.wiring.templates().build(name, session.out.note)), as_json=as_json)
    return 0


def check(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A template's name; else all.")] = None,
    as_json: AsJson = False,
) -> int:
    """Compare templates with their locks; exit status 5 when one is not what it should be."""
    session = session_of(ctx)
    found = run_async(session.wiring.templates().check(name))
    _print_all(session, found, as_json=as_json)
    if not as_json:
        for item in found:
            for difference in item.get("differences", ()):
                field, expected, observed = (difference[key] for key in ("field", "expected", "observed"))
                session.out.line(f"  {item['name']}: {field}: expected {expected}, observed {observed}")
    return exit_codes.OK if all(item.get("state") == "ok" for item in found) else exit_codes.ENVIRONMENT


def _print_all(session: Session, found: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    from wfconsole.views.report import table
    from wfconsole.views.words import value_text

    if as_json:
        session.out.json({"templates": [dict(item) for item in found]})
        return
    rows = [
        tuple(value_text(item.get(key) or "-", limit=80) for key in ("name", "state", "image_id")) for item in found
    ]
    session.out.lines(table(("TEMPLATE", "STATE", "IMAGE"), rows))


def _print(session: Session, document: Mapping[str, Any], *, as_json: bool) -> None:
    from wfconsole.views.words import value_text

    if as_json:
        session.out.json(dict(document))
    else:
        session.out.lines(f"{key}  {value_text(value, limit=200)}" for key, value in document.items())
