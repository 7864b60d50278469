"""What values an expression may hold and make: sizes, finite numbers, values that are missing.

Owns every limit of evaluation. The one decision that would surprise: limits count work and size, never time, so the same
expression over the same scope has the same result on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

from wfconsole.domain.plan import Json
from wfconsole.domain.values import ExpressionError

MAX_TEXT = 8 * 1024 * 1024
MAX_ITEMS = 100_000
MAX_WORK = 1_000_000
MAX_BITS = 256
_TEXT_PER_NODE = 32


@dataclass(frozen=True, slots=True)
class Missing:
    """A key that is not there. Only `default` and `is defined` take it; everything else is an error."""

    message: str


class Budget:
    """What one evaluation may still spend. A value costs its nodes and its text, counted again wherever it is repeated."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_WORK

    def spend(self, cost: int) -> None:
        self.left -= cost
        if self.left < 0:
            raise ExpressionError("an expression that takes too long")

    def weigh(self, *values: Json) -> None:
        """Spend what these values cost to read; stops as soon as nothing is left."""
        todo: list[Json] = list(values)
        while todo:
            value = todo.pop()
            self.spend(1)
            if isinstance(value, str):
                self.spend(len(value) // _TEXT_PER_NODE)
            elif isinstance(value, list | tuple):
                self.spend(len(value))
                todo.extend(value)
            elif isinstance(value, Mapping):
                self.spend(len(value))
                todo.extend(value.values())


def is_number(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def present(value: Json) -> Json:
    """`value`, unless it is missing."""
    if isinstance(value, Missing):
        raise ExpressionError(value.message)
    return value


def bounded(value: Json) -> Json:
    """`value`, unless it is too large or no finite number."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise ExpressionError(f"a text of more than {MAX_TEXT} characters")
    if isinstance(value, list) and len(value) > MAX_ITEMS:
        raise ExpressionError(f"a list of more than {MAX_ITEMS} items")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise ExpressionError("a number that is too large")
    if isinstance(value, float) and value - value != 0:
        raise ExpressionError("a number that is not finite")
    return value


def items_of(value: Json, what: str) -> list[Json]:
    """The items of a list, the keys of a mapping, the characters of a text."""
    if isinstance(value, Mapping):
        return list(value)
    if isinstance(value, list | tuple | str):
        return list(value)
    raise ExpressionError(f"{what} takes a list, not {kind(value)}")


def kind(value: Json) -> str:
    """What a value is, in the author's words."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"


def as_json(value: Json) -> Json:
    """A result as JSON of its own: mappings are copied into plain dicts, tuples are lists. Raises when it is too large."""
    left = [MAX_WORK]

    def copy(part: Json) -> Json:
        left[0] -= 1
        if left[0] < 0:
            raise ExpressionError("a result that is too large")
        if isinstance(part, Mapping):
            return {str(key): copy(item) for key, item in part.items()}
        if isinstance(part, list | tuple):
            return [copy(item) for item in part]
        if part is None or isinstance(part, bool | int | float | str):
            return bounded(part)
        raise ExpressionError("a result that is no JSON value")

    try:
        return copy(value)
    except RecursionError:
        raise ExpressionError("a result that is nested too deeply") from None
