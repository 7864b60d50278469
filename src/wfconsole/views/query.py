"""The language of ``runs --query``: ``FIELD (= != ~ < >) VALUE`` joined by ``and`` and ``or``, with parentheses.

FIELD is a dotted path into a RunView, or ``input.NAME``. A path through a list means any element; an element can be named by its
id (``steps.unit.status``). ``~`` is a regular expression, found anywhere, in any case. ``!=`` is the denial of ``=``. Refuses to
know where views come from: `names` tells the caller which parts of a view it has to get.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from wfconsole.domain.lifecycle import RUN_STATUSES
from wfconsole.domain.plan import Json

FIELDS = frozenset(
    (
        "schema_version",
        "run_id",
        "workflow_id",
        "trace_id",
        "project",
        "trigger",
        "recipe",
        "intent_hash",
        "inputs",
        "state",
        "outputs",
        "status",
        "waiting_for",
        "created_at",
        "started_at",
        "finished_at",
        "duration_ms",
        "current_step",
        "transitions",
        "steps",
        "approvals",
        "artifacts",
        "warnings",
        "failure",
        "rollback",
        "lineage",
        "interventions",
        "budget",
        "bundle",
        "input",
    )
)
SYNONYMS = {
    "queued": "pending",
    "completed": "succeeded",
    "canceled": "cancelled",
    "waiting_input": "awaiting_approval",
}
"""The seeds' words for statuses, taken wherever a status is asked for."""

_IDS = ("step_id", "gate_id", "artifact_id", "name")
_TOKEN = re.compile(
    r"""\s*(?:(?P<op>!=|=|~|<|>)|(?P<paren>[()])|"(?P<dq>(?:[^"\\]|\\.)*)"|'(?P<sq>[^']*)'|(?P<word>[^\s()=!~<>"']+))"""
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DEPTH = 50

Test = Callable[[Mapping[str, Json]], bool]


class QueryError(ValueError):
    """The expression cannot be read: `position` counts characters from 0, `hint` says what would be right."""

    def __init__(self, message: str, position: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed expression. `names` are the top-level fields of a RunView that it looks at."""

    test: Test
    names: frozenset[str]

    def matches(self, view: Mapping[str, Json]) -> bool:
        return self.test(view)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def canonical_status(word: str) -> str:
    """The status that a word means. ValueError, with the near miss, for one that means none."""
    status = SYNONYMS.get(word, word)
    if status not in RUN_STATUSES:
        near = get_close_matches(word, [*RUN_STATUSES, *SYNONYMS], 1)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(RUN_STATUSES)}"
        raise ValueError(f"no status {word!r}; {hint}")
    return status


def parse_query(text: str) -> Query:
    """Read an expression. Raises QueryError."""
    parser = _Parser(_tokens(text), len(text))
    test = parser.either(0)
    if parser.token is not None:
        raise QueryError(
            f"{parser.token.text!r} is not expected here", parser.token.at, "join conditions by `and` or `or`"
        )
    return Query(test, frozenset(parser.names))


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            at = place + len(text[place:]) - len(text[place:].lstrip())
            raise QueryError(f"cannot read {text[at]!r}", at, "quote values that hold spaces or signs")
        kind = found.lastgroup or ""
        value = found.group(kind)
        if kind == "dq":
            value = re.sub(r"\\(.)", r"\1", value)
        tokens.append(_Token("text" if kind in {"dq", "sq"} else kind, value, found.start(kind)))
        place = found.end()
    return tokens


class _Parser:
    """Recursive descent; `and` binds tighter than `or`."""

    def __init__(self, tokens: list[_Token], end: int) -> None:
        self._tokens = tokens
        self._next = 0
        self._end = end
        self.names: set[str] = set()

    @property
    def token(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _take(self, kinds: set[str], wanted: str, hint: str = "") -> _Token:
        token = self.token
        if token is None:
            raise QueryError(f"{wanted} is missing at the end", self._end, hint)
        if token.kind not in kinds:
            raise QueryError(f"{token.text!r} where {wanted} should be", token.at, hint)
        self._next += 1
        return token

    def _is_word(self, word: str) -> bool:
        token = self.token
        if token is not None and token.kind == "word" and token.text.lower() == word:
            self._next += 1
            return True
        return False

    def either(self, depth: int) -> Test:
        tests = [self._both(depth)]
        while self._is_word("or"):
            tests.append(self._both(depth))
        return tests[0] if len(tests) == 1 else lambda view: any(test(view) for test in tests)

    def _both(self, depth: int) -> Test:
        tests = [self._condition(depth)]
        while self._is_word("and"):
            tests.append(self._condition(depth))
        return tests[0] if len(tests) == 1 else lambda view: all(test(view) for test in tests)

    def _condition(self, depth: int) -> Test:
        token = self.token
        if token is not None and token.kind == "paren" and token.text == "(":
            if depth >= _DEPTH:
                raise QueryError("too many parentheses", token.at)
            self._next += 1
            inner = self.either(depth + 1)
            closing = self._take({"paren"}, "`)`")
            if closing.text != ")":
                raise QueryError("`(` where `)` should be", closing.at)
            return inner
        field = self._take({"word"}, "a field", "a field is a path into a RunView, as in failure.code")
        path = self._path(field)
        operator = self._take({"op"}, "an operator", "one of = != ~ < >")
        value = self._take({"word", "text"}, "a value", 'quote values that hold spaces: "..."')
        return _condition(path, operator, value)

    def _path(self, field: _Token) -> list[str]:
        path = field.text.split(".")
        if path[0] not in FIELDS:
            near = get_close_matches(path[0], sorted(FIELDS), 1)
            hint = (
                f"did you mean {near[0]}?"
                if near
                else "fields are those of `wfconsole show RUN --json`, and input.NAME"
            )
            raise QueryError(f"no field {path[0]!r}", field.at, hint)
        if path[0] == "input":
            path[0] = "inputs"
        self.names.add(path[0])
        return path


def _condition(path: list[str], operator: _Token, value: _Token) -> Test:
    wanted = SYNONYMS.get(value.text, value.text) if path[-1] == "status" else value.text
    if operator.text == "~":
        try:
            pattern = re.compile(value.text, re.IGNORECASE)
        except re.error as error:
            raise QueryError(f"not a regular expression: {error}", value.at) from error
        return lambda view: any(pattern.search(_text(found)) is not None for found in _find(view, path))
    bare = value.kind == "word"
    if operator.text in {"<", ">"}:
        sign = 1 if operator.text == ">" else -1
        return lambda view: any(_compare(found, wanted, path[-1]) == sign for found in _find(view, path))
    if operator.text == "=":
        return lambda view: any(_equal(found, wanted, bare=bare, name=path[-1]) for found in _find(view, path))
    return lambda view: not any(_equal(found, wanted, bare=bare, name=path[-1]) for found in _find(view, path))


def _find(value: Json, path: list[str]) -> list[Json]:
    """Every value at `path`; null when nothing is there."""
    if not path:
        return list(value) if isinstance(value, list) and value else [value]
    if isinstance(value, Mapping):
        return _find(value.get(path[0]), path[1:])
    if isinstance(value, list):
        named = [item for item in value if isinstance(item, Mapping) and any(item.get(key) == path[0] for key in _IDS)]
        if named and not any(isinstance(item, Mapping) and path[0] in item for item in value):
            return [found for item in named for found in _find(item, path[1:])]
        return [found for item in value for found in _find(item, path)]
    return [None]


def _text(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _number(text: str, name: str) -> float | None:
    """The value as a number; a duration counts as milliseconds where milliseconds are kept."""
    if name.endswith("_ms") and (parts := _DURATION.findall(text)) and "".join(map("".join, parts)) == text:
        return sum(float(count) * _UNITS[unit] for count, unit in parts)
    try:
        return float(text)
    except ValueError:
        return None


def _compare(found: Json, wanted: str, name: str) -> int | None:
    """-1, 0 or 1; None for what cannot be compared."""
    if found is None or isinstance(found, bool | Mapping | list):
        return None
    if isinstance(found, int | float):
        number = _number(wanted, name)
        return None if number is None else (found > number) - (found < number)
    text = str(found)
    return (text > wanted) - (text < wanted)


def _equal(found: Json, wanted: str, *, bare: bool, name: str) -> bool:
    if found is None:
        return bare and wanted == "null"
    if isinstance(found, int | float) and not isinstance(found, bool):
        return _compare(found, wanted, name) == 0
    return _text(found) == wanted
