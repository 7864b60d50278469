"""Template values: the one reader of the ``$expr``, ``$text`` and ``$literal`` markers of `plan`.

Refuses to know how an expression is evaluated: that comes in as a function. Mixed text is joined as the recipe's author
would print it: numbers as written, booleans as ``true``/``false``, null as nothing, lists and objects as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from wfconsole.domain.plan import Json

EXPR, TEXT, LITERAL = "$expr", "$text", "$literal"
_MARKERS = frozenset({EXPR, TEXT, LITERAL})


class ExpressionError(Exception):
    """An expression could not be evaluated; the message says why, in the words of the recipe's author."""


def marker(value: Json) -> str | None:
    """Which marker `value` is, or None for a plain value."""
    if isinstance(value, dict) and len(value) == 1:
        (key,) = value
        return key if key in _MARKERS else None
    return None


def resolve(value: Json, evaluate: Callable[[str], Json]) -> Json:
    """`value` with every expression in it replaced by what `evaluate` says. Raises ExpressionError."""
    match marker(value):
        case "$expr":
            return evaluate(value[EXPR])
        case "$text":
            return "".join(part if isinstance(part, str) else as_text(resolve(part, evaluate)) for part in value[TEXT])
        case "$literal":
            return value[LITERAL]
        case _:
            pass
    if isinstance(value, dict):
        return {key: resolve(item, evaluate) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(item, evaluate) for item in value]
    return value


def as_text(value: Json) -> str:
    """How a value reads inside text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def sources(value: Json) -> Iterator[str]:
    """The source of every expression in `value`, in order."""
    match marker(value):
        case "$expr":
            yield value[EXPR]
            return
        case "$literal":
            return
        case "$text":
            for part in value[TEXT]:
                yield from sources(part)
            return
        case _:
            pass
    if isinstance(value, dict):
        for item in value.values():
            yield from sources(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from sources(item)
