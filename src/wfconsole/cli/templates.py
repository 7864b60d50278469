"""`templates`: the sandboxes that steps run in, how to make them and whether they are what they should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    group.command("lock")(lock)
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


def build(
    ctx: typer.Context,
    name: Name,
    frozen: Annotated[
        bool, typer.Option("--frozen", help="Refuse an image that is not the one of the committed lock.")
    ] = False,
    update: Annotated[bool, typer.Option("--update", help="Write the committed lock beside the template.")] = False,
    as_json: AsJson = False,
) -> int:
    """Make a template's image and its lock; progress goes to stderr."""
    session = session_of(ctx)
    made = session.wiring.templates().build(name, session.out.note, frozen=frozen, update=update)
    _print(session, run_async(made), as_json=as_json)
    return 0


def lock(ctx: typer.Context, name: Name, as_json: AsJson = False) -> int:
    """Make this machine's lock of a template whose image is there."""
    session = session_of(ctx)
    _print(session, run_async(session.wiring.templates().lock(name, session.out.note)), as_json=as_json)
    return 0


def check(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A template's name; else all.")] = None,
    as_json: AsJson = False,
) -> int:
    """Compare templates with their locks; exit status 5 when one is not what it should be."""
    from wfconsole.views.words import value_text

    session = session_of(ctx)
    found = run_async(session.wiring.templates().check(name))
    _print_all(session, found, as_json=as_json)
    if not as_json:
        for item in found:
            if item.get("reason") and not item.get("differences"):
                session.out.line(f"  {item['name']}: {item['reason']}; {item['remedy']}")
            for difference in item.get("differences", ()):
                field, *both = (difference[key] for key in ("field", "expected", "observed"))
                expected, observed = (value_text(value, limit=120) for value in both)
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
    if as_json:
        session.out.json(dict(document))
    else:
        session.out.lines(_lines(document))


def _lines(document: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """One line for each plain value, a heading and indented lines for what has parts; what is empty is left out."""
    from wfconsole.views.report import table
    from wfconsole.views.words import value_text

    said = {name: value for name, value in document.items() if value not in (None, "", (), [], {})}
    names = {name: value_text(name, limit=80) for name in said}
    width = max((len(names[name]) for name, value in said.items() if not _has_parts(value)), default=0)
    for name, value in said.items():
        if name == "tools" and isinstance(value, Mapping):
            yield f"{indent}tools"
            rows = [(value_text(tool, limit=80), *_tool(told)) for tool, told in value.items()]
            yield from (f"{indent}  {line}" for line in table(("TOOL", "VERSION", "PROGRAM", "SHA256"), rows))
        elif isinstance(value, Mapping):
            yield f"{indent}{names[name]}"
            yield from _lines(value, f"{indent}  ")
        elif _has_parts(value):
            yield f"{indent}{names[name]}"
            yield from (f"{indent}  {value_text(each, limit=200)}" for each in value)
        else:
            plain = value[0] if isinstance(value, list | tuple) else value
            yield f"{indent}{names[name].ljust(width)}  {value_text(plain, limit=200)}"


def _has_parts(value: object) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list | tuple) and len(value) > 1)


def _tool(told: object) -> tuple[str, str, str]:
    """What is known of a tool: a version or a range alone, or where the program is and its digest as well."""
    from wfconsole.views.words import value_text

    parts = told if isinstance(told, Mapping) else {"version": told}
    version, path, sha256 = (value_text(parts.get(key) or "-", limit=80) for key in ("version", "path", "sha256"))
    return version, path, sha256[:12]
