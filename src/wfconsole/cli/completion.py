"""`completion`: the script that a shell reads to complete this program's command lines."""

from __future__ import annotations

from typing import Annotated

import typer

from wfconsole.cli.session import session_of

SHELLS = ("bash", "zsh", "fish")


def register(app: typer.Typer) -> None:
    app.command("completion")(completion)


def completion(
    ctx: typer.Context, shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]
) -> int:
    """Print a completion script, as in: source <(wfconsole completion bash)."""
    from typer._completion_shared import get_completion_script

    if shell not in SHELLS:
        raise typer.BadParameter(f"{shell!r} is none of {', '.join(SHELLS)}", param_hint="SHELL")
    script = get_completion_script(prog_name="wfconsole", complete_var="_WFCONSOLE_COMPLETE", shell=shell)
    session_of(ctx).out.raw(f"{script}\n".encode())
    return 0
