"""Text with ``${{ }}`` in it to the markers that `domain.values` reads.

Owns where an expression begins and ends. Refuses to know what it means. The one decision that would surprise: the end is
found by reading over quotes and braces, so ``${{ {'a': {}} }}`` and ``${{ '}}' }}`` are what they look like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from wfconsole.domain.plan import Json
from wfconsole.domain.values import EXPR, LITERAL, TEXT, marker

OPEN, CLOSE, ESCAPED = "${{", "}}", "$${{"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """One ``${{ source }}``; `offset` is where it begins in the text."""

    source: str
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclosed:
    """A ``${{`` without its end, or with nothing in it."""

    offset: int
    message: str


Part: TypeAlias = str | Expression


def parts(text: str) -> tuple[tuple[Part, ...], tuple[Unclosed, ...]]:
    """`text` as literal parts and expressions, in order; `$${{` has become a literal `${{`."""
    found: list[Part] = []
    bad: list[Unclosed] = []
    literal, at = "", 0
    while True:
        start = text.find(OPEN, at)
        if start < 0:
            break
        if start > 0 and text[start - 1] == "$":
            literal += text[at : start - 1] + OPEN
            at = start + len(OPEN)
            continue
        end = end_of_expression(text, start + len(OPEN))
        if end is None:
            bad.append(Unclosed(offset=start, message="'${{' without its '}}'"))
            break
        source = text[start + len(OPEN) : end].strip()
        if not source:
            bad.append(Unclosed(offset=start, message="an empty expression"))
        literal += text[at:start]
        if literal:
            found.append(literal)
        found.append(Expression(source=source, offset=start))
        literal, at = "", end + len(CLOSE)
    literal += text[at:]
    if literal:
        found.append(literal)
    return tuple(found), tuple(bad)


def end_of_expression(text: str, at: int) -> int | None:
    """Where the ``}}`` of the expression that starts before `at` begins; None when it is not there."""
    depth = 0
    quote = ""
    while at < len(text):
        char = text[at]
        if quote:
            if char == "\\":
                at += 1
            elif char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char == "{":
            depth += 1
        elif char == "}":
            if depth == 0:
                return at if text.startswith(CLOSE, at) else None
            depth -= 1
        at += 1
    return None


def template(found: tuple[Part, ...]) -> Json:
    """The template value of these parts: plain text, a lone expression, or mixed text."""
    if not found:
        return ""
    if len(found) == 1:
        (only,) = found
        return only if isinstance(only, str) else {EXPR: only.source}
    return {TEXT: [part if isinstance(part, str) else {EXPR: part.source} for part in found]}


def shielded(value: Json) -> Json:
    """A mapping that would look like a marker, marked as literal; everything else as it is."""
    return {LITERAL: value} if marker(value) is not None else value
