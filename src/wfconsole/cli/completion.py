"""`completion`: the script that a shell reads to complete this program's command lines."""

from __future__ import annotations

from typing import Annotated

import typer

from wfconsole.cli.session import session_of

SHELLS = ("bash", "zsh", "fish")
BASH = r"""
_wfconsole_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" current IFS=$' \t\n'
    local -a words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current="${words[-1]}"
    mapfile -t COMPREPLY < <(env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) \
        _WFCONSOLE_COMPLETE=complete_bash "$1" 2>/dev/null)
    COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*[:=]}"}"}")
    return 0
}

complete -o default -F _wfconsole_completion wfconsole
"""
"""bash takes words apart at ``@``, ``:`` and ``=``, too: the line itself is read. What it replaces begins after the last ``:`` or
``=`` but, by a rule of its own, before an ``@``."""


def shells(incomplete: str) -> list[str]:
    return [shell for shell in SHELLS if shell.startswith(incomplete)]


def register(app: typer.Typer) -> None:
    app.command("completion")(completion)


def completion(
    ctx: typer.Context,
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.", autocompletion=shells)],
) -> int:
    """Print a completion script, as in: source <(wfconsole completion bash)."""
    from typer._completion_shared import get_completion_script

    if shell not in SHELLS:
        raise typer.BadParameter(f"{shell!r} is none of {', '.join(SHELLS)}", param_hint="SHELL")
    script = BASH.strip()
    if shell != "bash":
        script = get_completion_script(prog_name="wfconsole", complete_var="_WFCONSOLE_COMPLETE", shell=shell)
    session_of(ctx).out.raw(f"{script}\n".encode())
    return 0
