"""The JSON Schema (2020-12) of the recipe language, for editors; made from the same tables as the checker.

Owns only the frame around the shapes' own schemas. What no schema can say (cycles, names in expressions, text that needs a
shell) is left to `recipes validate`.
"""

from __future__ import annotations

from wfconsole.compiler.grammar import RECIPE
from wfconsole.compiler.steps import Step
from wfconsole.domain.plan import Json

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Json]:
    """The schema as a document of its own; it refers to nothing outside."""
    return {
        "$schema": DIALECT,
        "title": "wfconsole recipe",
        "description": "A workflow recipe: steps that run in sandboxes, gates, and what becomes of their results.",
        **RECIPE.schema(),
        "$defs": {"step": Step().definition()},
    }
