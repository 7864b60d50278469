"""The options that the commands about gates share, and how the answers of a form are read from the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from wfconsole.cli import offers

Gate = Annotated[
    str | None,
    typer.Argument(
        metavar="[GATE]",
        help="The step that asks, or a gate's id; needed when several are open.",
        autocompletion=offers.gates,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs.")]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why; signed and recorded with the decision.")
]
Form = Annotated[
    list[str] | None, typer.Option("--input", "-i", metavar="NAME=VALUE", help="An answer of a form; @FILE reads it.")
]


def read_answer(gate: Mapping[str, Any], given: list[str]) -> dict[str, Any]:
    """The answers of a form, read by their types. Raises InvalidRequestError with everything that is wrong."""
    from wfconsole.cli.run import read_inputs
    from wfconsole.control.door import InvalidRequestError, Problem
    from wfconsole.domain.codec import from_json
    from wfconsole.domain.inputs import bind_inputs
    from wfconsole.domain.plan import InputSpec

    form = [from_json(InputSpec, spec) for spec in gate.get("form") or ()]
    values, wrong = bind_inputs(form, read_inputs(given), textual=True)
    if wrong:
        problems = [Problem(code=one.code, message=one.message, hint=one.hint, where=one.name) for one in wrong]
        raise InvalidRequestError("INPUT_INVALID", "the answer does not hold", problems)
    return values
