"""The positioned tree of a recipe: scalars, sequences and mappings, each with its place in the text.

Owns the YAML 1.2 core schema: what a plain scalar means. Refuses to know the recipe language. The one decision that would
surprise: a `Broken` node stands where something was refused already, so that later checks stay silent about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from wfconsole.compiler.findings import Place
from wfconsole.domain.plan import Json

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST_NUMBER = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """`text` is the content; `plain` says that it was written without quotes. `start` and `end` index the document."""

    text: str
    plain: bool
    literal: bool
    place: Place
    start: int
    end: int

    @property
    def value(self) -> Json:
        """What the scalar means: text when quoted, else by the core schema. Not-finite numbers stay text."""
        return core_value(self.text) if self.plain else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A YAML sequence."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A YAML mapping, in the author's order. Keys are unique: a second one was refused."""

    entries: tuple[tuple[Scalar, Node], ...]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """Something that was refused while loading."""

    place: Place


Node: TypeAlias = Scalar | Listing | Table | Broken


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A loaded recipe: its whole text and the root of its tree."""

    file: str
    text: str
    root: Node

    def place_in(self, node: Scalar, offset: int) -> Place:
        """The place of character `offset` of the scalar's content; its start where the content was folded or escaped."""
        raw = self.text[node.start : node.end]
        if node.literal:
            return self._place_in_block(node, raw, offset)
        quote = 0 if node.plain else 1
        if raw[quote : len(raw) - quote] == node.text and "\n" not in raw:
            return Place(line=node.place.line, column=node.place.column + quote + offset)
        return node.place

    def _place_in_block(self, node: Scalar, raw: str, offset: int) -> Place:
        head, _, tail = node.text[:offset].rpartition("\n")
        index = head.count("\n") + 1 if offset and "\n" in node.text[:offset] else 0
        lines, body = node.text.split("\n"), raw.split("\n")[1:]
        if index >= len(body) or index >= len(lines):
            return node.place
        indent = max(len(body[index].rstrip("\r")) - len(lines[index]), 0)
        return Place(line=node.place.line + 1 + index, column=indent + len(tail) + 1)


def core_value(text: str) -> Json:
    """A plain scalar by the YAML 1.2 core schema: ``on``, ``no`` are text, ``012`` is twelve."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in {"0x", "0o"} else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def is_refused_number(text: str) -> bool:
    """Numbers that JSON cannot carry: infinities, not-a-number, and those too long to be meant."""
    if _NOT_FINITE.fullmatch(text):
        return True
    if len(text) > _LONGEST_NUMBER:
        return bool(_INT.fullmatch(text) or _FLOAT.fullmatch(text))
    value = core_value(text)
    return isinstance(value, float) and value in {float("inf"), float("-inf")}


def named(value: Json) -> str:
    """What kind of value it is, in the words of a message."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "a number"
        case float():
            return "a decimal number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def described(node: Node) -> str:
    """The same for a node of the tree."""
    match node:
        case Scalar():
            return named(node.value)
        case Listing():
            return "a list"
        case Table():
            return "a mapping"
        case Broken():
            return "something refused"


def plain(node: Node, as_text: frozenset[int] = frozenset()) -> Json:
    """The tree as JSON, without places; scalars whose `start` is in `as_text` count as written."""
    match node:
        case Scalar():
            return node.text if node.start in as_text else node.value
        case Listing():
            return [plain(item, as_text) for item in node.items]
        case Table():
            return {key.text: plain(item, as_text) for key, item in node.entries}
        case Broken():
            return None
