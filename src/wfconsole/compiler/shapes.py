"""Shapes of scalars: what a single value of a recipe may be. Each shape reads a node and can say itself as JSON Schema.

Owns types, units and patterns. Refuses to know which key a value belongs to. The one decision that would surprise: a number
where text is wanted is refused instead of being printed back, because ``version: 1.10`` would become 1.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from wfconsole.compiler.findings import Path
from wfconsole.compiler.reading import Reading
from wfconsole.compiler.templates import OPEN, Expression, parts, template
from wfconsole.compiler.tree import Broken, Node, Scalar, described, named
from wfconsole.compiler.units import DURATION, SIZE, duration_ms, size_bytes
from wfconsole.domain.plan import Json
from wfconsole.domain.values import EXPR

LONE = {"type": "string", "pattern": r"^\s*\$\{\{[\s\S]*\}\}\s*$"}


class Shape(Protocol):
    """Something that a value must look like."""

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        """The value in its compiled form; None after a finding was reported."""
        ...

    def schema(self) -> dict[str, Json]: ...


def wrong(node: Node, path: Path, reading: Reading, wanted: str, hint: str = "") -> Json:
    """Report a value of the wrong type. The answer is null, the value of everything that was refused."""
    if not isinstance(node, Broken):
        reading.report(node.place, path, f"{wanted} is wanted here, not {described(node)}", hint)
    return None


def text_of(node: Node, path: Path, reading: Reading, wanted: str = "text") -> str | None:
    """The text of a scalar that is text; a finding and None for anything else."""
    if not isinstance(node, Scalar):
        wrong(node, path, reading, wanted)
        return None
    if not isinstance(node.value, str):
        hint = f'quote it: "{node.text}"' if node.text else "write a value"
        wrong(node, path, reading, wanted, hint)
        return None
    return node.text


def template_of(node: Scalar, text: str, path: Path, reading: Reading) -> Json:
    """A text that may hold expressions, as a template value; its expressions are noted."""
    found, bad = parts(text)
    for unclosed in bad:
        place = reading.document.place_in(node, unclosed.offset)
        reading.report(place, path, unclosed.message, "write ${{ NAME }}, or $${{ for a literal ${{")
    if bad:
        return None
    if (
        len(found) > 1
        and text.strip().startswith(OPEN)
        and all(isinstance(p, Expression) or not p.strip() for p in found)
    ):
        lone = [part for part in found if isinstance(part, Expression)]
        found = tuple(lone) if len(lone) == 1 else found
    for part in found:
        if isinstance(part, Expression):
            reading.use(part.source, node, part.offset, path)
    return template(found)


def lone_expression(node: Node, path: Path, reading: Reading) -> Json:
    """The marker of a lone expression, or None when the node is not one (without a finding)."""
    if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.text.strip().startswith(OPEN):
        return None
    found, bad = parts(node.text.strip())
    if bad or len(found) != 1 or not isinstance(found[0], Expression):
        return None
    reading.use(found[0].source, node, node.text.find(OPEN), path)
    return {EXPR: found[0].source}


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Text; with `templated` it may hold expressions, with `as_written` numbers count as their digits."""

    templated: bool = False
    as_written: bool = False
    pattern: str | None = None
    hint: str = ""
    empty: bool = True
    check: Callable[[str], str | None] | None = None

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        if self.as_written and isinstance(node, Scalar) and isinstance(node.value, int | float):
            if isinstance(node.value, bool):
                return wrong(node, path, reading, "text", f'quote it: "{node.text}"')
            reading.as_text.add(node.start)
            return node.text
        text = text_of(node, path, reading)
        if text is None or not isinstance(node, Scalar):
            return None
        if not text and not self.empty:
            return reading.report(node.place, path, "an empty text", self.hint or "write a value")
        value = template_of(node, text, path, reading) if self.templated else text
        if not isinstance(value, str):
            return value
        if self.pattern is not None and not re.fullmatch(self.pattern, text):
            return reading.report(node.place, path, f"'{text[:80]}' is not allowed here", self.hint)
        if self.check is not None and (message := self.check(value)) is not None:
            return reading.report(node.place, path, message, self.hint)
        if not self.templated and OPEN in text and "$${{" not in text and self.pattern is None and self.check is None:
            return reading.report(
                reading.document.place_in(node, text.find(OPEN)),
                path,
                "no expression is possible here",
                "write the value",
            )
        return value

    def schema(self) -> dict[str, Json]:
        kind: Json = ["string", "number"] if self.as_written else "string"
        schema: dict[str, Json] = {"type": kind}
        if self.pattern is not None:
            schema["pattern"] = f"^(?:{self.pattern})$"
        if not self.empty:
            schema["minLength"] = 1
        return schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number within bounds; with `whole` an integer, with `templated` also a lone expression."""

    whole: bool = False
    minimum: float | None = None
    maximum: float | None = None
    templated: bool = False

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        if self.templated and (expression := lone_expression(node, path, reading)) is not None:
            return expression
        wanted = "a whole number" if self.whole else "a number"
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            text = node.text if isinstance(node, Scalar) else ""
            hint = "no expression is possible here" if OPEN in text and not self.templated else ""
            return wrong(node, path, reading, wanted, hint)
        if (self.minimum is not None and value < self.minimum) or (self.maximum is not None and value > self.maximum):
            low = "" if self.minimum is None else f"at least {self.minimum:g}"
            high = "" if self.maximum is None else f"at most {self.maximum:g}"
            return reading.report(
                node.place, path, f"{value} is out of bounds", " and ".join(filter(None, (low, high)))
            )
        return value

    def schema(self) -> dict[str, Json]:
        schema: dict[str, Json] = {"type": "integer" if self.whole else "number"}
        if self.minimum is not None:
            schema["minimum"] = self.minimum
        if self.maximum is not None:
            schema["maximum"] = self.maximum
        return {"anyOf": [schema, LONE]} if self.templated else schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """true or false; with `templated` also a lone expression."""

    templated: bool = False

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        if self.templated and (expression := lone_expression(node, path, reading)) is not None:
            return expression
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return node.value
        return wrong(node, path, reading, "true or false")

    def schema(self) -> dict[str, Json]:
        return {"anyOf": [{"type": "boolean"}, LONE]} if self.templated else {"type": "boolean"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of a few words; with `templated` also a lone expression."""

    words: tuple[str, ...]
    templated: bool = False

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        if self.templated and (expression := lone_expression(node, path, reading)) is not None:
            return expression
        text = text_of(node, path, reading, "one of " + ", ".join(self.words))
        if text is None or text in self.words:
            return text
        reading.unknown(node.place, path, "unknown value", text, self.words)
        return None

    def schema(self) -> dict[str, Json]:
        schema: dict[str, Json] = {"enum": list(self.words)}
        return {"anyOf": [schema, LONE]} if self.templated else schema


class Duration:
    """A duration with units, in milliseconds; more than none."""

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        hint = "like 250ms, 30s, 1h30m or 2d"
        return _measured(node, path, reading, measure=duration_ms, wanted="a duration with a unit", hint=hint)

    def schema(self) -> dict[str, Json]:
        return {"type": "string", "pattern": f"^(?=.){DURATION}$"}


class Size:
    """A size with its unit, in bytes; more than none."""

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        hint = "like 512KiB, 64MiB or 5GiB"
        return _measured(node, path, reading, measure=size_bytes, wanted="a size with a unit", hint=hint)

    def schema(self) -> dict[str, Json]:
        return {"type": "string", "pattern": f"^{SIZE}$"}


def _measured(
    node: Node, path: Path, reading: Reading, *, measure: Callable[[str], int | None], wanted: str, hint: str
) -> int | None:
    if not isinstance(node, Scalar):
        wrong(node, path, reading, wanted, hint)
        return None
    value = measure(node.text)
    if value is None:
        found = f"'{node.text[:60]}'" if isinstance(node.value, str) else f"{named(node.value)} ({node.text[:60]})"
        reading.report(node.place, path, f"{wanted} is wanted here, not {found}", hint)
        return None
    if value <= 0:
        reading.report(node.place, path, f"{node.text} is none at all", hint)
        return None
    return value


class Bare:
    """A bare expression, as `when` and `that` take it. true and false stand for themselves."""

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return "true" if node.value else "false"
        text = text_of(node, path, reading, "an expression")
        if text is None or not isinstance(node, Scalar):
            return None
        if OPEN in text:
            place = reading.document.place_in(node, text.find(OPEN))
            return reading.report(place, path, "this expression is written without ${{ }}", "remove ${{ and }}")
        if not text.strip():
            return reading.report(node.place, path, "an empty expression", "write a condition such as inputs.floor > 0")
        reading.use(text.strip(), node, 0, path)
        return text.strip()

    def schema(self) -> dict[str, Json]:
        return {"type": ["string", "boolean"]}
