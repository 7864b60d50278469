"""Inputs of a run: raw values bound to their declarations, all problems at once.

Owns the reading of text by type and the checks of type, pattern, choices and bounds. Refuses to know where a value came
from, and whether a path exists. The one decision that would surprise: only `textual` values are read by their type; values of a
JSON document must have it, so that the text "3" in a file is no number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from wfconsole.domain.plan import InputSpec, InputType, Json

_INTEGER = re.compile(r"[-+]?[0-9]{1,40}", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,40}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?", re.ASCII)
_ARTICLE: dict[InputType, str] = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "path": "a path",
    "list": "a list", "object": "an object",
}  # fmt: skip
_EXAMPLE: dict[InputType, str] = {
    "string": "NAME=text", "integer": "NAME=3", "number": "NAME=2.5", "boolean": "NAME=true", "path": "NAME=./folder",
    "list": 'NAME=a,b or NAME=["a","b"]', "object": 'NAME={"key": "value"}',
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with one input. `code` is INPUT_MISSING or INPUT_INVALID."""

    code: str
    name: str
    message: str
    hint: str = ""


class _Refused(Exception):  # noqa: N818 (never leaves this module; it is a refusal, not an error)
    """A value that does not fit; message and hint."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def bind_inputs(
    specs: Sequence[InputSpec], raw: Mapping[str, Json], *, textual: bool | Collection[str]
) -> tuple[dict[str, Json], tuple[Problem, ...]]:
    """Values by name, defaults filled in and null where there is none; and every problem.

    `textual` says which inputs were typed as text (all, none, or these names). Such a text is read by the input's type:
    ``'3'`` for an integer, JSON or ``a,b`` for a list, JSON for an object.
    """
    known = [spec.name for spec in specs]
    problems = [_unknown(name, known) for name in raw if name not in known]
    values: dict[str, Json] = {}
    for spec in specs:
        if spec.name not in raw:
            values[spec.name] = spec.default if spec.has_default else None
            if spec.required and not spec.has_default:
                problems.append(_missing(spec))
            continue
        typed_in = textual if isinstance(textual, bool) else spec.name in textual
        value, problem = bind_value(spec, raw[spec.name], textual=typed_in)
        values[spec.name] = value
        if problem is not None:
            problems.append(problem)
    return values, tuple(problems)


def bind_value(spec: InputSpec, raw: Json, *, textual: bool) -> tuple[Json, Problem | None]:
    """One value read and checked against its declaration."""
    if raw is None and not spec.required and not textual:
        return None, None
    try:
        value = read_text(spec.type, raw) if textual and isinstance(raw, str) else raw
        value = _typed(spec.type, value)
        _check(spec, value)
    except _Refused as refused:
        hint = refused.hint or spec.description
        return None, Problem(code="INPUT_INVALID", name=spec.name, message=f"{spec.name}: {refused.message}", hint=hint)
    return value, None


def read_text(kind: InputType, text: str) -> Json:
    """What `text` means for an input of this type; the text itself where it cannot be read, for `_typed` to refuse."""
    match kind:
        case "integer":
            return int(text) if _INTEGER.fullmatch(text.strip()) else text
        case "number":
            stripped = text.strip()
            if _INTEGER.fullmatch(stripped):
                return int(stripped)
            return float(stripped) if _NUMBER.fullmatch(stripped) else text
        case "boolean":
            return {"true": True, "false": False}.get(text.strip().lower(), text)
        case "list":
            if text.lstrip().startswith("["):
                return _json(text)
            return [part.strip() for part in text.split(",")] if text.strip() else []
        case "object":
            return _json(text)
        case "string" | "path":
            return text


def _json(text: str) -> Json:
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        place = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise _Refused(f"not JSON{place}", "check quotes and commas") from None


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    return number if number - number == 0 else _no_constant(text)


def _typed(kind: InputType, value: Json) -> Json:
    """`value` when it has the type. 3.0 is a whole number, a boolean is no number."""
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if not _fits(kind, value):
        raise _Refused(f"{_ARTICLE[kind]} is wanted, not {_shown(value)}", f"like {_EXAMPLE[kind]}")
    if kind == "path" and (not value or "\0" in value):
        raise _Refused("a path with a NUL character" if value else "an empty path", "name a file or folder")
    return value


def _fits(kind: InputType, value: Json) -> bool:
    match kind:
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0
        case "boolean":
            return isinstance(value, bool)
        case "list":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case "string" | "path":
            return isinstance(value, str)


def _check(spec: InputSpec, value: Json) -> None:
    if spec.pattern is not None and isinstance(value, str) and not re.fullmatch(spec.pattern, value):
        raise _Refused(f"{_shown(value)} does not match {spec.pattern}")
    if spec.choices and not any(same(value, choice) for choice in spec.choices):
        suggestion = _near(value, [choice for choice in spec.choices if isinstance(choice, str)])
        hint = f"did you mean '{suggestion}'?" if suggestion else ""
        raise _Refused(f"{_shown(value)} is not one of " + ", ".join(map(_shown, spec.choices)), hint)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if spec.minimum is not None and value < spec.minimum:
            raise _Refused(f"{value} is less than {spec.minimum:g}")
        if spec.maximum is not None and value > spec.maximum:
            raise _Refused(f"{value} is more than {spec.maximum:g}")


def same(left: Json, right: Json) -> bool:
    """Equal as JSON: true is not 1."""
    return isinstance(left, bool) is isinstance(right, bool) and bool(left == right)


def _missing(spec: InputSpec) -> Problem:
    hint = spec.description or f"a {spec.type}"
    return Problem(
        code="INPUT_MISSING", name=spec.name, message=f"the input {spec.name} is required",
        hint=f"give it with -i {_EXAMPLE[spec.type].replace('NAME', spec.name)} ({hint})",
    )  # fmt: skip


def _unknown(name: str, known: Sequence[str]) -> Problem:
    suggestion = _near(name, known)
    if suggestion:
        hint = f"did you mean '{suggestion}'?"
    else:
        hint = "inputs: " + ", ".join(known) if known else "this recipe takes no inputs"
    return Problem(code="INPUT_INVALID", name=name, message=f"there is no input '{name[:80]}'", hint=hint)


def _near(name: Json, known: Iterable[str]) -> str:
    import difflib  # noqa: PLC0415 (only a wrong name pays for it)

    found = difflib.get_close_matches(str(name)[:80], list(known), n=1, cutoff=0.6)
    return found[0] if found else ""


def _shown(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
