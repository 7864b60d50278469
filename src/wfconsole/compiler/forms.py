"""Shapes of collections: lists, free mappings, records with known keys, JSON, and choices by node type.

Owns unknown and missing keys. Refuses to know what the keys mean. The one decision that would surprise: a record goes on
after every finding and leaves out what was refused, so that one reading reports all that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from wfconsole.compiler.findings import Path
from wfconsole.compiler.reading import Reading
from wfconsole.compiler.shapes import LONE, Shape, lone_expression, template_of, wrong
from wfconsole.compiler.templates import shielded
from wfconsole.compiler.tree import Broken, Listing, Node, Scalar, Table
from wfconsole.domain.plan import Json
from wfconsole.domain.values import LITERAL, marker, sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """A list of one shape. With `templated` also a lone expression."""

    item: Shape
    least: int = 0
    templated: bool = False
    unique: bool = False

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        if self.templated and (expression := lone_expression(node, path, reading)) is not None:
            return expression
        if not isinstance(node, Listing):
            return wrong(node, path, reading, "a list")
        if len(node.items) < self.least:
            return reading.report(node.place, path, "an empty list", "give at least one item, or remove the key")
        found: list[Json] = []
        for index, item in enumerate(node.items):
            at = (*path, index)
            reading.note(item, at)
            value = self.item.read(item, at, reading)
            if self.unique and value is not None and value in found:
                reading.report(item.place, at, f"'{value}' a second time", "keep one")
            elif value is not None:
                found.append(value)
        return found

    def schema(self) -> dict[str, Json]:
        schema: dict[str, Json] = {"type": "array", "items": self.item.schema()}
        if self.least:
            schema["minItems"] = self.least
        if self.unique:
            schema["uniqueItems"] = True
        return {"anyOf": [schema, LONE]} if self.templated else schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A mapping from names of the author's choice to one shape. With `templated` also a lone expression."""

    value: Shape
    pattern: str
    what: str
    hint: str = ""
    least: int = 0
    templated: bool = False

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        if self.templated and (expression := lone_expression(node, path, reading)) is not None:
            return expression
        if not isinstance(node, Table):
            return wrong(node, path, reading, "a mapping")
        if len(node.entries) < self.least:
            return reading.report(node.place, path, "an empty mapping", f"give at least one {self.what}")
        found: dict[str, Json] = {}
        for key, item in node.entries:
            at = (*path, key.text)
            reading.keys[at] = key.place
            reading.note(item, at)
            if not re.fullmatch(self.pattern, key.text):
                reading.report(key.place, at, f"'{key.text[:80]}' cannot be the name of {_a(self.what)}", self.hint)
                self.value.read(item, at, reading)
            elif (value := self.value.read(item, at, reading)) is not None:
                found[key.text] = value
        return found

    def schema(self) -> dict[str, Json]:
        schema: dict[str, Json] = {
            "type": "object", "propertyNames": {"pattern": f"^(?:{self.pattern})$"},
            "additionalProperties": self.value.schema(),
        }  # fmt: skip
        if self.least:
            schema["minProperties"] = self.least
        return {"anyOf": [schema, LONE]} if self.templated else schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a record."""

    shape: Shape
    doc: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A mapping with known keys. `title` is what the record is, for messages."""

    title: str
    keys: Mapping[str, Key]

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        if not isinstance(node, Table):
            return wrong(node, path, reading, "a mapping", "keys: " + ", ".join(self.keys))
        found: dict[str, Json] = {}
        for key, item in node.entries:
            at = (*path, key.text)
            reading.keys[at] = key.place
            reading.note(item, at)
            known = self.keys.get(key.text)
            if known is None:
                reading.unknown(key.place, at, f"unknown key of {self.title}", key.text, tuple(self.keys))
            elif (value := known.shape.read(item, at, reading)) is not None:
                found[key.text] = value
        given = {key.text for key, _ in node.entries}
        for name, known in self.keys.items():
            if known.required and name not in given:
                reading.report(node.place, path, f"{self.title} lacks '{name}'", known.doc)
        return found

    def schema(self) -> dict[str, Json]:
        properties = {}
        for name, key in self.keys.items():
            properties[name] = {**key.shape.schema(), **({"description": key.doc} if key.doc else {})}
        schema: dict[str, Json] = {"type": "object", "properties": properties, "additionalProperties": False}
        required = [name for name, key in self.keys.items() if key.required]
        return {**schema, "required": required} if required else schema


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    """One shape for each type of node; what is None is refused as not being `wanted`."""

    wanted: str
    scalar: Shape | None = None
    listing: Shape | None = None
    table: Shape | None = None

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        if isinstance(node, Broken):
            return None
        shape = self.scalar if isinstance(node, Scalar) else self.listing if isinstance(node, Listing) else self.table
        if shape is None:
            return wrong(node, path, reading, self.wanted)
        return shape.read(node, path, reading)

    def schema(self) -> dict[str, Json]:
        return {"anyOf": [shape.schema() for shape in (self.scalar, self.listing, self.table) if shape is not None]}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyJson:
    """Any JSON value; with `templated` its texts may hold expressions. Null is kept as a literal null."""

    templated: bool = True
    mapping: bool = False

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        if self.mapping and not isinstance(node, Table):
            return wrong(node, path, reading, "a mapping")
        if isinstance(node, Scalar) and node.value is None:
            return {LITERAL: None}
        return self._value(node, path, reading)

    def _value(self, node: Node, path: Path, reading: Reading) -> Json:
        reading.note(node, path)
        match node:
            case Scalar():
                text = isinstance(node.value, str) and self.templated
                return template_of(node, node.text, path, reading) if text else node.value
            case Listing():
                return [self._value(item, (*path, index), reading) for index, item in enumerate(node.items)]
            case Table():
                found = {key.text: self._value(item, (*path, key.text), reading) for key, item in node.entries}
                if marker(found) is not None and self.templated and any(True for _ in sources(list(found.values()))):
                    return reading.report(node.place, path, f"'{next(iter(found))}' is a reserved key", "rename it")
                return shielded(found) if self.templated else found
            case Broken():
                return None

    def schema(self) -> dict[str, Json]:
        return {"type": "object"} if self.mapping else {}


def _a(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"
