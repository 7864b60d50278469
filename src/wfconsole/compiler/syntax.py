"""Reading an expression: source to Jinja's syntax tree, with everything refused that the language does not have.

Owns the only import of the Jinja library, made when the first expression is met. Only its parser is used: the tree is carried
out by `interpret`, so no code is generated, no Python attribute is ever read and no method exists to be called.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from wfconsole.domain.values import ExpressionError

MAX_SOURCE = 4096
MAX_NESTING = 16
MAX_DEPTH = 80

OPERATORS = frozenset({
    "Const", "Name", "Getattr", "Getitem", "Slice", "Call", "Filter", "Test", "Compare", "Operand", "And", "Or", "Not",
    "Neg", "Pos", "Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow", "Concat", "CondExpr", "List", "Tuple", "Dict",
    "Pair", "Keyword",
})  # fmt: skip
"""Node types of the language; anything else that the parser may come to know is refused."""

FUNCTIONS = ("file", "range")


@lru_cache(maxsize=2048)
def parse(source: str) -> Any:
    """The syntax tree of a bare expression. Raises ExpressionError with what is wrong."""
    if len(source) > MAX_SOURCE:
        raise ExpressionError(f"the expression has {len(source)} characters; the limit is {MAX_SOURCE}")
    _refuse_nesting(source)
    from jinja2 import Environment  # noqa: PLC0415 (60 ms that only recipes with expressions should pay)
    from jinja2.exceptions import TemplateSyntaxError  # noqa: PLC0415 (as above)
    from jinja2.parser import Parser  # noqa: PLC0415 (as above)

    environment = Environment(autoescape=False)  # noqa: S701 (nothing is rendered: the parser alone is used)
    try:
        parser = Parser(environment, source, state="variable")
        tree = parser.parse_expression()
        if not parser.stream.eos:
            raise ExpressionError(f"'{parser.stream.current.value}' is not expected there")
    except TemplateSyntaxError as error:
        raise ExpressionError(_plainly(str(error.message))) from None
    except RecursionError:
        raise ExpressionError("nested too deeply") from None
    except (ValueError, OverflowError, AssertionError) as error:
        raise ExpressionError(f"not an expression: {str(error)[:120]}") from None
    _refuse_foreign(tree)
    return tree


def walk(tree: Any) -> Iterator[Any]:
    """Every node of the tree, parents first."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(reversed(list(node.iter_child_nodes())))


def _refuse_nesting(source: str) -> None:
    """Count brackets before parsing: the parser is recursive."""
    depth, quote, skip = 0, "", False
    for char in source:
        if skip:
            skip = False
        elif quote:
            skip = char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
            if depth > MAX_NESTING:
                raise ExpressionError(f"brackets nested deeper than {MAX_NESTING} levels")
        elif char in ")]}":
            depth -= 1


def _refuse_foreign(tree: Any) -> None:
    todo = [(tree, 1)]
    while todo:
        node, depth = todo.pop()
        name = type(node).__name__
        if name not in OPERATORS:
            raise ExpressionError(f"{name.lower()} is not part of the language")
        if depth > MAX_DEPTH:
            raise ExpressionError("nested too deeply")
        if name == "Call" and type(node.node).__name__ != "Name":
            called = getattr(node.node, "attr", "that")
            raise ExpressionError(f"'{called}' cannot be called: there are no methods, use a filter such as | lower")
        if getattr(node, "dyn_args", None) is not None or getattr(node, "dyn_kwargs", None) is not None:
            raise ExpressionError("* and ** are not part of the language")
        todo += [(child, depth + 1) for child in node.iter_child_nodes()]


def _plainly(message: str) -> str:
    """The parser's message without its words for templates."""
    for theirs, ours in (
        ("end of print statement", "the end"),
        ("end of template", "the end"),
        ("unexpected char", "unexpected character"),
    ):
        message = message.replace(theirs, ours)
    return message
