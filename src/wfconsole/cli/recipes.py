"""`recipes`: what there is to run, and whether what somebody wrote can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from wfconsole.cli import exit_codes, offers
from wfconsole.cli.app import new_app
from wfconsole.cli.session import Session, session_of
from wfconsole.control.wiring import RecipeInfo, Trusted

AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs.")]
Recipe = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="A recipe's name, or the path of one.", autocompletion=offers.recipes),
]


def register(app: typer.Typer) -> None:
    group = new_app()
    group.command("list")(list_recipes)
    group.command("show")(show)
    group.command("validate")(validate)
    group.command("schema")(schema)
    group.command("trust")(trust)
    app.add_typer(group, name="recipes", help="List, show, validate and trust recipes.")


def list_recipes(ctx: typer.Context, as_json: AsJson = False) -> int:
    """List the recipes that can be found."""
    from wfconsole.views.report import table
    from wfconsole.views.safe_text import safe_text

    session = session_of(ctx)
    found = session.wiring.recipes().list()
    if as_json:
        session.out.json({"recipes": [_brief(recipe) for recipe in found]})
        return 0
    for recipe in found:
        for place in recipe.shadows:
            session.out.note(f"{recipe.name}: the one in {recipe.origin} hides the one in {place}")
    rows = [
        tuple(safe_text(text, limit=80) for text in (recipe.name, recipe.version, recipe.origin, recipe.description))
        for recipe in found
    ]
    session.out.lines(table(("RECIPE", "VERSION", "FROM", "DESCRIPTION"), rows))
    return 0


def _brief(recipe: RecipeInfo) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "version": recipe.version,
        "description": recipe.description,
        "origin": recipe.origin,
        "path": recipe.path,
        "digest": recipe.digest,
        "shadows": list(recipe.shadows),
    }


def show(ctx: typer.Context, recipe: Recipe, as_json: AsJson = False) -> int:
    """Show a recipe: what it takes and what it does."""
    session = session_of(ctx)
    found = session.wiring.recipes().show(recipe)
    if as_json:
        document = _brief(found)
        document.update(inputs=list(found.inputs), steps=list(found.steps), text=found.text)
        session.out.json(document)
    else:
        session.out.lines(_page(found))
    return 0


def _page(recipe: RecipeInfo) -> Iterator[str]:
    from wfconsole.views.words import value_text

    yield f"{recipe.name}@{recipe.version}  {recipe.digest[:12]}  {recipe.origin}"
    yield recipe.path
    if recipe.description:
        yield recipe.description
    if recipe.inputs:
        yield ""
        yield "inputs"
    for item in recipe.inputs:
        rest = "required" if item.get("required") else f"default {value_text(item.get('default'), limit=60)}"
        yield f"  {item['name']}  {item.get('type', '')}  {rest}  {item.get('description', '')}".rstrip()
    yield ""
    yield "steps"
    for item in recipe.steps:
        needs = f"  after {', '.join(item['needs'])}" if item.get("needs") else ""
        yield f"  {item['step_id']}  {item.get('kind', '')}{needs}"


def validate(ctx: typer.Context, recipe: Recipe, as_json: AsJson = False) -> int:
    """Check a recipe and list every finding; exit status 2 when one is an error."""
    from wfconsole.cli.errors import problem_lines

    session = session_of(ctx)
    findings = session.wiring.recipes().validate(recipe)
    wrong = any(item.severity == "error" for item in findings)
    if as_json:
        session.out.json(
            {
                "valid": not wrong,
                "findings": [
                    {
                        "code": item.code,
                        "severity": item.severity,
                        "where": item.where,
                        "message": item.message,
                        "hint": item.hint,
                    }
                    for item in findings
                ],
            }
        )
    else:
        session.out.lines(problem_lines(findings))
        session.out.line("not valid" if wrong else "valid")
    return exit_codes.USAGE if wrong else exit_codes.OK


def trust(
    ctx: typer.Context,
    recipe: Annotated[
        str | None, typer.Argument(metavar="[RECIPE]", help="A recipe's name, or the path of one.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show what is trusted.")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Trust it no longer.")] = False,
    as_json: AsJson = False,
) -> int:
    """Let a recipe, as it is now, reach beyond the sandbox: send mail, open pull requests."""
    from wfconsole.ports import WfconsoleError

    session = session_of(ctx)
    recipes = session.wiring.recipes()
    if listed or recipe is None:
        if recipe is not None or revoke:
            raise typer.BadParameter("--list takes no recipe" if listed else "name a recipe")
        return _tell_trusted(session, recipes.trusted(), as_json=as_json)
    if revoke:
        if not recipes.revoke(recipe):
            raise WfconsoleError("NOT_FOUND", f"no recipe {recipe} is trusted", "`wfconsole recipes trust --list`")
        return _tell_trusted(session, recipes.trusted(), as_json=as_json)
    item = recipes.trust(recipe, session.wiring.actor(), session.wiring.now_ms())
    if as_json:
        session.out.json(_trusted(item))
    else:
        session.out.line(f"{item.name} is trusted in this form: {item.digest}")
    return 0


def _tell_trusted(session: Session, items: Sequence[Trusted], *, as_json: bool) -> int:
    from wfconsole.views.report import table
    from wfconsole.views.safe_text import safe_text

    if as_json:
        session.out.json({"trusted": [_trusted(item) for item in items]})
        return 0
    rows = [
        tuple(safe_text(text, limit=80) for text in (item.name, item.digest[:12], item.by, item.path)) for item in items
    ]
    session.out.lines(table(("RECIPE", "DIGEST", "BY", "PATH"), rows))
    return 0


def _trusted(item: Trusted) -> dict[str, Any]:
    from wfconsole.domain.codec import iso

    return {"name": item.name, "digest": item.digest, "path": item.path, "by": item.by, "at": iso(item.at)}


def schema(ctx: typer.Context, as_json: AsJson = False) -> int:
    """Print the JSON Schema of a recipe."""
    session = session_of(ctx)
    document = session.wiring.recipes().schema()
    if as_json:
        session.out.json(dict(document))
    else:
        import json

        session.out.lines(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).splitlines())
    return 0
