"""The filters and tests of expressions: plain functions over JSON values.

Owns the allow-list: what is not in `FILTERS` or `TESTS` does not exist. They behave as their namesakes in Jinja do; those
that could be random, read the clock, format by a template or grow without bound were left out.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from wfconsole.compiler.bounds import (
    MAX_ITEMS,
    MAX_TEXT,
    Budget,
    Missing,
    as_json,
    bounded,
    is_number,
    items_of,
    kind,
    present,
)
from wfconsole.domain.plan import Json
from wfconsole.domain.values import ExpressionError, as_text

Filter = Callable[..., Json]


def look_up(value: Json, key: Json) -> Json:
    """The key of a mapping or the index of a list or text; a key of null is null."""
    if isinstance(value, Missing) or value is None:
        return value
    if isinstance(value, Mapping):
        return (
            value[key] if isinstance(key, str) and key in value else Missing(f"there is no key '{as_text(key)[:80]}'")
        )
    if isinstance(value, list | tuple | str) and isinstance(key, int) and not isinstance(key, bool):
        return value[key] if -len(value) <= key < len(value) else Missing(f"there is no item {key}")
    return Missing(f"{kind(value)} has no key '{as_text(key)[:80]}'")


def _attribute(value: Json, path: Json) -> Json:
    for part in str(path).split("."):
        value = look_up(value, int(part) if part.isdigit() and isinstance(value, list | tuple) else part)
    return value


def _default(value: Json, fallback: Json = "", falsy: Json = False) -> Json:
    if isinstance(value, Missing) or (falsy and not value):
        return fallback
    return value


def _tojson(value: Json, indent: Json = None) -> str:
    spaces = indent if isinstance(indent, int) and 0 <= indent <= 8 else None
    return json.dumps(as_json(value), ensure_ascii=False, sort_keys=True, indent=spaces, allow_nan=False)


def _join(value: Json, between: Json = "", attribute: Json = None) -> str:
    items = items_of(value, "join")
    if attribute is not None:
        items = [present(_attribute(item, attribute)) for item in items]
    texts = [as_text(item) for item in items]
    if sum(map(len, texts)) + len(as_text(between)) * len(texts) > MAX_TEXT:
        raise ExpressionError(f"a text of more than {MAX_TEXT} characters")
    return as_text(between).join(texts)


def _length(value: Json) -> int:
    if not isinstance(value, str | list | tuple | Mapping):
        raise ExpressionError(f"length takes text, a list or an object, not {kind(value)}")
    return len(value)


def _round(value: Json, precision: Json = 0, method: Json = "common") -> float:
    number = _number(value, "round")
    if not isinstance(precision, int) or abs(precision) > 15 or method not in {"common", "ceil", "floor"}:
        raise ExpressionError("round takes a precision from -15 to 15 and common, ceil or floor")
    if method == "common":
        return float(round(number, precision))
    scaled = number * 10**precision
    return float((math.ceil(scaled) if method == "ceil" else math.floor(scaled)) / 10**precision)


def _number(value: Json, what: str) -> int | float:
    if not is_number(value):
        raise ExpressionError(f"{what} takes a number, not {kind(value)}")
    return value


def _int(value: Json, default: Json = 0, base: Json = 10) -> Json:
    try:
        if isinstance(value, str):
            return int(value[:400], base if base in {2, 8, 10, 16} else 10)
        return int(value)
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return default


def _float(value: Json, default: Json = 0.0) -> Json:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return default


def _folded(value: Json, case_sensitive: Json) -> Json:
    return value.lower() if isinstance(value, str) and not case_sensitive else value


def _key(attribute: Json, case_sensitive: Json) -> Callable[[Json], Any]:
    def key(item: Json) -> Json:
        found = item if attribute is None else present(_attribute(item, attribute))
        return _folded(found, case_sensitive)

    return key


def _sort(value: Json, reverse: Json = False, case_sensitive: Json = False, attribute: Json = None) -> list[Json]:
    try:
        return sorted(items_of(value, "sort"), key=_key(attribute, case_sensitive), reverse=bool(reverse))
    except TypeError:
        raise ExpressionError("sort cannot compare items of different types") from None


def _extreme(name: str, choose: Callable[..., Json]) -> Filter:
    def extreme(value: Json, case_sensitive: Json = False, attribute: Json = None) -> Json:
        items = items_of(value, name)
        if not items:
            return Missing(f"{name} of an empty list")
        try:
            return choose(items, key=_key(attribute, case_sensitive))
        except TypeError:
            raise ExpressionError(f"{name} cannot compare items of different types") from None

    return extreme


def _unique(value: Json, case_sensitive: Json = False, attribute: Json = None) -> list[Json]:
    key, seen, kept = _key(attribute, case_sensitive), set(), []
    for item in items_of(value, "unique"):
        mark = json.dumps(key(item), sort_keys=True)
        if mark not in seen:
            seen.add(mark)
            kept.append(item)
    return kept


def _sum(value: Json, attribute: Json = None, start: Json = 0) -> Json:
    total = _number(start, "sum")
    for item in items_of(value, "sum"):
        total += _number(item if attribute is None else present(_attribute(item, attribute)), "sum")
    return total


def _text(value: Json, what: str) -> str:
    if not isinstance(value, str):
        raise ExpressionError(f"{what} takes text, not {kind(value)}")
    return value


def _replace(value: Json, old: Json, new: Json, count: Json = -1) -> str:
    text, old_text, new_text = _text(value, "replace"), _text(old, "replace"), as_text(new)
    if text.count(old_text) * len(new_text) + len(text) > MAX_TEXT:
        raise ExpressionError(f"a text of more than {MAX_TEXT} characters")
    return text.replace(old_text, new_text, count if isinstance(count, int) else -1)


def _items(value: Json) -> list[Json]:
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise ExpressionError(f"items takes an object, not {kind(value)}")
    return [[key, value[key]] for key in sorted(value)]


def _edge(name: str, index: int) -> Filter:
    def edge(value: Json) -> Json:
        items = items_of(value, name)
        return items[index] if items else Missing(f"{name} of an empty list")

    return edge


def _of_text(name: str, change: Callable[[str], str]) -> Filter:
    return lambda value: change(_text(value, name))


def _map(
    budget: Budget, value: Json, name: Json = None, *rest: Json, attribute: Json = None, default: Json = None
) -> list[Json]:
    items = items_of(value, "map")
    if attribute is not None:
        found = [_attribute(item, attribute) for item in items]
        return [default if isinstance(item, Missing) and default is not None else present(item) for item in found]
    return [present(apply(budget, name, item, rest)) for item in items]


def _picked(*, wanted: bool, by_attribute: bool) -> Filter:
    def pick(budget: Budget, value: Json, *arguments: Json) -> list[Json]:
        path, rest = (arguments[0], arguments[1:]) if by_attribute and arguments else (None, arguments)
        kept = []
        for item in items_of(value, "select"):
            subject = item if path is None else _attribute(item, path)
            held = holds(budget, rest[0], subject, rest[1:]) if rest else bool(present(subject))
            if held is wanted:
                kept.append(item)
        return kept

    return pick


def apply(
    budget: Budget, name: Json, value: Json, arguments: tuple[Json, ...], keywords: Mapping[str, Json] | None = None
) -> Json:
    """The filter `name` applied to `value`; what it reads and what it gives is spent."""
    found = FILTERS.get(name) if isinstance(name, str) else None
    if found is None:
        raise ExpressionError(f"there is no filter '{name}'")
    subject = value if name in _TAKES_MISSING else present(value)
    budget.weigh(subject, *arguments)
    first = (budget, subject) if name in _TAKES_BUDGET else (subject,)
    try:
        result = bounded(found(*first, *arguments, **(keywords or {})))
        budget.weigh(result)
        return result
    except (TypeError, ValueError, ArithmeticError):
        raise ExpressionError(f"the filter {name} cannot take these values") from None


def holds(budget: Budget, name: Json, value: Json, arguments: tuple[Json, ...]) -> bool:
    """Whether the test `name` holds for `value`."""
    found = TESTS.get(name) if isinstance(name, str) else None
    if found is None:
        raise ExpressionError(f"there is no test '{name}'")
    subject = value if name in {"defined", "undefined"} else present(value)
    budget.weigh(subject, *arguments)
    try:
        return bool(found(subject, *arguments))
    except (TypeError, ValueError, ArithmeticError):
        raise ExpressionError(f"the test {name} cannot take these values") from None


_TAKES_BUDGET = frozenset({"map", "select", "selectattr", "reject", "rejectattr"})
_TAKES_MISSING = frozenset({"default", "d"})

FILTERS: dict[str, Filter] = {
    "abs": lambda value: abs(_number(value, "abs")),
    "capitalize": _of_text("capitalize", str.capitalize),
    "count": _length,
    "d": _default,
    "default": _default,
    "first": _edge("first", 0),
    "float": _float,
    "int": _int,
    "items": _items,
    "join": _join,
    "last": _edge("last", -1),
    "length": _length,
    "list": lambda value: items_of(value, "list"),
    "lower": _of_text("lower", str.lower),
    "map": _map,
    "max": _extreme("max", max),
    "min": _extreme("min", min),
    "reject": _picked(wanted=False, by_attribute=False),
    "rejectattr": _picked(wanted=False, by_attribute=True),
    "replace": _replace,
    "reverse": lambda value: value[::-1] if isinstance(value, str) else items_of(value, "reverse")[::-1],
    "round": _round,
    "select": _picked(wanted=True, by_attribute=False),
    "selectattr": _picked(wanted=True, by_attribute=True),
    "sort": _sort,
    "string": as_text,
    "sum": _sum,
    "title": _of_text("title", str.title),
    "tojson": _tojson,
    "trim": lambda value, chars=None: _text(value, "trim").strip(chars if isinstance(chars, str) else None),
    "unique": _unique,
    "upper": _of_text("upper", str.upper),
}

_COMPARISONS: dict[tuple[str, ...], Callable[..., object]] = {
    ("eq", "equalto", "=="): operator.eq,
    ("ne", "!="): operator.ne,
    ("lt", "lessthan", "<"): operator.lt,
    ("le", "<="): operator.le,
    ("gt", "greaterthan", ">"): operator.gt,
    ("ge", ">="): operator.ge,
}

TESTS: dict[str, Callable[..., object]] = {
    "defined": lambda value: not isinstance(value, Missing),
    "undefined": lambda value: isinstance(value, Missing),
    "none": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "true": lambda value: value is True,
    "false": lambda value: value is False,
    "integer": lambda value: is_number(value) and isinstance(value, int),
    "float": lambda value: isinstance(value, float),
    "number": is_number,
    "string": lambda value: isinstance(value, str),
    "mapping": lambda value: isinstance(value, Mapping),
    "sequence": lambda value: isinstance(value, list | tuple | str),
    "odd": lambda value: _number(value, "odd") % 2 == 1,
    "even": lambda value: _number(value, "even") % 2 == 0,
    "divisibleby": lambda value, by: _number(value, "divisibleby") % _number(by, "divisibleby") == 0,
    "in": lambda value, among: value in among,
    **{name: test for names, test in _COMPARISONS.items() for name in names},
}


def whole_range(*bounds: Json) -> list[int]:
    """`range` as a list, with as many items as a list may have."""
    if not 1 <= len(bounds) <= 3 or not all(isinstance(b, int) and not isinstance(b, bool) for b in bounds):
        raise ExpressionError("range takes one to three whole numbers")
    if len(bounds) == 3 and bounds[2] == 0:
        raise ExpressionError("range with a step of 0")
    found = range(*bounds)
    if len(found) > MAX_ITEMS:
        raise ExpressionError(f"a range of more than {MAX_ITEMS} items")
    return list(found)
