"""Reading declared outputs: bytes that a step left, turned into the value that the recipe declares. Pure.

A step's answer is data of somebody else: everything that is not exactly what was declared is an OutputError with a
sentence, never a guess.
"""

from __future__ import annotations

import json

from wfconsole.domain.plan import Json, OutputSpec

_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
}


class OutputError(Exception):
    """A declared output is not what it should be; the message names it."""


def parse_json(data: bytes, what: str) -> Json:
    """JSON by the book: no NaN, no number too large to be one. Raises OutputError."""
    try:
        return json.loads(data, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise OutputError(f"{what} is not JSON: {error}") from error


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(f"{text} is too large a number")
    return number


def at_path(document: Json, path: str, what: str) -> Json:
    """The value at a dotted path (`totals.percent`, `items.0.name`) of a JSON document. Raises OutputError."""
    value = document
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise OutputError(f"{what} has nothing at {path}")
    return value


def typed(value: Json, kind: str, what: str) -> Json:
    """`value` when it has the declared type. Raises OutputError."""
    if kind == "any":
        return value
    fits = isinstance(value, _JSON_TYPES[kind]) and not (kind in {"integer", "number"} and isinstance(value, bool))
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if not fits:
        raise OutputError(f"{what} should be {kind} and is {type(value).__name__}")
    return value


def read_output(spec: OutputSpec, data: bytes) -> Json:
    """The value of `spec` from the content of its file or of stdout. Raises OutputError."""
    what = f"output {spec.name} ({spec.file or spec.source})"
    if spec.at is not None:
        return typed(at_path(parse_json(data, what), spec.at, what), spec.type, what)
    if spec.type in {"string", "any"}:
        return _text(data, what)
    return typed(parse_json(data, what), spec.type, what)


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode().rstrip("\n")
    except UnicodeDecodeError as error:
        raise OutputError(f"{what} is not UTF-8 text") from error
