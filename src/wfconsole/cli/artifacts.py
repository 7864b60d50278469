"""`artifacts`: what a run left, as a list; or one of them, to stdout or a file.

Content comes from the content-addressed store, so a name in a journal never becomes a path on this host, but the last part of it
does, and only when a folder was given to write into. A terminal gets safe text, also with `-o -`; a pipe gets the bytes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wfconsole.cli import offers
from wfconsole.cli.offers import Run
from wfconsole.cli.session import Session, session_of
from wfconsole.ports import WfconsoleError

if TYPE_CHECKING:
    from wfconsole.control.door import Door

_CHUNK = 1 << 20


def register(app: typer.Typer) -> None:
    app.command("artifacts")(artifacts)


def artifacts(
    ctx: typer.Context,
    run: Run,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="An artifact's name or id.", autocompletion=offers.artifacts),
    ] = None,
    target: Annotated[
        str | None, typer.Option("--output", "-o", metavar="PATH", help="A file or folder; - is stdout.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print data for programs.")] = False,
) -> int:
    """List what a run left, or fetch one of it."""
    session = session_of(ctx)
    if name is None and target is not None:
        raise typer.BadParameter("needs the NAME of an artifact", param_hint="--output")

    async def work(door: Door) -> int:
        from wfconsole.views.run_view import run_view

        _, records = await door.records(run)
        view = run_view(records)
        if name is None:
            _list(session, view, as_json=as_json)
            return 0
        artifact = find(view, name)
        if as_json and target is None:
            session.out.json(artifact)
            return 0
        _fetch(session, door.artifacts.path(artifact["sha256"]), artifact, target)
        return 0

    return session.with_door(work)


def _list(session: Session, view: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        session.out.json({"artifacts": view["artifacts"]})
        return
    from wfconsole.views.report import table
    from wfconsole.views.safe_text import safe_text
    from wfconsole.views.words import size

    rows = [
        (
            safe_text(item["artifact_id"]),
            item["kind"],
            size(item["bytes"]),
            item["sha256"][:12] if item["sha256"] else safe_text(item["reason"] or ""),
        )
        for item in view["artifacts"]
    ]
    if rows:
        session.out.lines(table(("ARTIFACT", "KIND", "SIZE", "SHA256"), rows))
    else:
        session.out.note("no artifacts")


def find(view: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The artifact of that id, name, or last part of a name. NOT_FOUND when there is none, or several, or nothing in it."""
    items: Sequence[dict[str, Any]] = view["artifacts"]
    for keys in (
        lambda i: (i["artifact_id"],),
        lambda i: (i["name"], f"{i['step_id']}/{i['name']}"),
        lambda i: (i["name"].rsplit("/", 1)[-1],),
    ):
        found = [item for item in items if name in keys(item)]
        if len({item["sha256"] for item in found}) > 1:
            names = ", ".join(item["artifact_id"] for item in found)
            raise WfconsoleError("NOT_FOUND", f"{name!r} names several artifacts", f"give one of {names}")
        if found and found[-1]["sha256"] is None:
            raise WfconsoleError("NOT_FOUND", f"{found[-1]['artifact_id']} has no content: {found[-1]['reason']}", "")
        if found:
            return found[-1]
    raise WfconsoleError(
        "NOT_FOUND", f"run {view['run_id']} has no artifact {name!r}", f"wfconsole artifacts {view['run_id']}"
    )


def _fetch(session: Session, source: Path, artifact: Mapping[str, Any], target: str | None) -> None:
    try:
        with source.open("rb") as content:
            if target in {None, "-"} and session.out.is_terminal:
                from wfconsole.views.log_text import shown

                session.out.lines(shown(line) for line in content)
            elif target in {None, "-"}:
                while chunk := content.read(_CHUNK):
                    session.out.raw(chunk)
            else:
                session.out.note(f"wrote {_write(content, Path(str(target)), artifact['name'])}")
    except FileNotFoundError as error:
        message = f"the content of {artifact['artifact_id']} is not stored any more"
        raise WfconsoleError("NOT_FOUND", message, "`wfconsole db check` looks for what is missing") from error
    except OSError as error:
        raise WfconsoleError(
            "INPUT_INVALID", f"cannot write {target}: {error.strerror}", "give another -o PATH"
        ) from error


def _write(content: Any, target: Path, name: str) -> Path:
    """Write the file whole or not at all."""
    if target.is_dir():
        last = name.rsplit("/", 1)[-1]
        target /= "artifact" if last in {"", ".", ".."} else last
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as out:
            shutil.copyfileobj(content, out, _CHUNK)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target
