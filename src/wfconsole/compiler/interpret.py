"""Carrying out the syntax tree of an expression over a scope of JSON values.

Owns what each operator means and the budget of work. Refuses to know where a scope comes from. The one decision that would
surprise: nothing of Python shows through; text has no methods, a lookup reads keys of the data and nothing else.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from wfconsole.compiler.bounds import MAX_BITS, MAX_ITEMS, MAX_TEXT, Budget, bounded, is_number, kind, present
from wfconsole.compiler.filters import apply, holds, look_up, whole_range
from wfconsole.domain.plan import Json
from wfconsole.domain.values import ExpressionError, as_text

FILES = "files"
"""The key of the scope that holds the recipe's files, name to text; `file()` reads it, expressions cannot name it."""

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "lteq": operator.le, "gt": operator.gt, "gteq": operator.ge,
}  # fmt: skip
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "Sub": operator.sub, "Div": operator.truediv, "FloorDiv": operator.floordiv, "Mod": operator.mod,
}  # fmt: skip
_SIGN = {"Sub": "-", "Div": "/", "FloorDiv": "//", "Mod": "%", "Mul": "*", "Add": "+", "Pow": "**"}


class Interpreter:
    """One evaluation: a scope and what is left of the budget."""

    def __init__(self, scope: Mapping[str, Json]) -> None:
        self._scope = scope
        self._budget = Budget()

    def value(self, node: Any) -> Json:
        """What `node` means; a missing key is an error."""
        return present(self.peek(node))

    def peek(self, node: Any) -> Json:
        """What `node` means, or that it is missing."""
        self._budget.spend(1)
        carry_out: Callable[[Any], Json] = getattr(self, f"_{type(node).__name__.lower()}")
        return bounded(carry_out(node))

    # Names and data

    def _const(self, node: Any) -> Json:
        return node.value

    def _name(self, node: Any) -> Json:
        if node.name == FILES or node.name not in self._scope:
            raise ExpressionError(f"unknown name '{node.name}'")
        return self._scope[node.name]

    def _getattr(self, node: Any) -> Json:
        return look_up(self.peek(node.node), node.attr)

    def _getitem(self, node: Any) -> Json:
        subject = self.peek(node.node)
        if type(node.arg).__name__ != "Slice":
            return look_up(subject, self.value(node.arg))
        if not isinstance(present(subject), list | tuple | str):
            raise ExpressionError(f"{kind(subject)} cannot be sliced")
        ends = [None if part is None else self.value(part) for part in (node.arg.start, node.arg.stop, node.arg.step)]
        if not all(end is None or (isinstance(end, int) and not isinstance(end, bool)) for end in ends) or ends[2] == 0:
            raise ExpressionError("a slice takes whole numbers")
        self._budget.spend(len(subject))
        return subject[slice(*ends)]

    def _list(self, node: Any) -> list[Json]:
        return [self.value(item) for item in node.items]

    _tuple = _list

    def _dict(self, node: Any) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for pair in node.items:
            key = self.value(pair.key)
            if not isinstance(key, str):
                raise ExpressionError("the keys of an object are text")
            found[key] = self.value(pair.value)
        return found

    # Functions, filters, tests

    def _call(self, node: Any) -> Json:
        name = node.node.name
        arguments = [self.value(argument) for argument in node.args]
        if node.kwargs or name not in {"range", "file"}:
            raise ExpressionError(f"'{name}' is no function")
        if name == "range":
            found = whole_range(*arguments)
            self._budget.spend(len(found))
            return found
        files = self._scope.get(FILES) or {}
        if len(arguments) != 1 or not isinstance(arguments[0], str):
            raise ExpressionError("file takes the name of one of the recipe's files")
        if arguments[0] not in files:
            raise ExpressionError(f"'{arguments[0][:120]}' is not one of the recipe's files")
        return files[arguments[0]]

    def _filter(self, node: Any) -> Json:
        if node.node is None:
            raise ExpressionError(f"the filter {node.name} has nothing to its left")
        subject = self.peek(node.node)
        arguments = tuple(self.value(argument) for argument in node.args)
        keywords = {pair.key: self.value(pair.value) for pair in node.kwargs}
        self._budget.weigh(*keywords.values())
        return apply(self._budget, node.name, subject, arguments, keywords)

    def _test(self, node: Any) -> bool:
        return holds(
            self._budget, node.name, self.peek(node.node), tuple(self.value(argument) for argument in node.args)
        )

    # Logic and comparison

    def _and(self, node: Any) -> Json:
        left = self.value(node.left)
        return self.value(node.right) if left else left

    def _or(self, node: Any) -> Json:
        left = self.value(node.left)
        return left or self.value(node.right)

    def _not(self, node: Any) -> bool:
        return not self.value(node.node)

    def _condexpr(self, node: Any) -> Json:
        if self.value(node.test):
            return self.value(node.expr1)
        return None if node.expr2 is None else self.value(node.expr2)

    def _compare(self, node: Any) -> bool:
        left = self.value(node.expr)
        for operand in node.ops:
            right = self.value(operand.expr)
            self._budget.weigh(left, right)
            if not _compared(operand.op, left, right):
                return False
            left = right
        return True

    # Arithmetic

    def _neg(self, node: Any) -> Json:
        return -self._operand(node.node, "-")

    def _pos(self, node: Any) -> Json:
        return self._operand(node.node, "+")

    def _operand(self, node: Any, sign: str) -> int | float:
        value = self.value(node)
        if not is_number(value):
            raise ExpressionError(f"'{sign}' takes numbers, not {kind(value)}")
        return value

    def _calculated(self, node: Any) -> Json:
        name = type(node).__name__
        left, right = self._operand(node.left, _SIGN[name]), self._operand(node.right, _SIGN[name])
        try:
            return _ARITHMETIC[name](left, right)
        except ZeroDivisionError:
            raise ExpressionError("a division by zero") from None
        except OverflowError:
            raise ExpressionError("a number that is too large") from None

    _sub = _div = _floordiv = _mod = _calculated

    def _add(self, node: Any) -> Json:
        left, right = self.value(node.left), self.value(node.right)
        if is_number(left) and is_number(right):
            return left + right
        if isinstance(left, str) and isinstance(right, str):
            return left + right
        if isinstance(left, list) and isinstance(right, list):
            self._budget.spend(len(left) + len(right))
            return left + right
        raise ExpressionError(f"'+' cannot add {kind(left)} and {kind(right)}; ~ joins anything as text")

    def _mul(self, node: Any) -> Json:
        left, right = self.value(node.left), self.value(node.right)
        if is_number(left) and is_number(right):
            return left * right
        if isinstance(right, str | list):
            left, right = right, left
        if isinstance(left, str | list) and is_number(right) and isinstance(right, int):
            if right > MAX_TEXT or len(left) * max(right, 0) > (MAX_TEXT if isinstance(left, str) else MAX_ITEMS):
                raise ExpressionError("a repetition that is too long")
            self._budget.spend(len(left) * max(right, 0))
            return left * right
        raise ExpressionError(f"'*' cannot multiply {kind(left)} and {kind(right)}")

    def _pow(self, node: Any) -> Json:
        left, right = self._operand(node.left, "**"), self._operand(node.right, "**")
        if abs(right) > MAX_BITS or (isinstance(left, int) and left.bit_length() * abs(right) > MAX_BITS):
            raise ExpressionError("a number that is too large")
        try:
            result = left**right
        except ZeroDivisionError:
            raise ExpressionError("a division by zero") from None
        except OverflowError:
            raise ExpressionError("a number that is too large") from None
        if isinstance(result, complex):
            raise ExpressionError("a root of a negative number")
        return result

    def _concat(self, node: Any) -> str:
        values = [self.value(part) for part in node.nodes]
        self._budget.weigh(*values)
        texts = [as_text(value) for value in values]
        if sum(map(len, texts)) > MAX_TEXT:
            raise ExpressionError(f"a text of more than {MAX_TEXT} characters")
        return "".join(texts)


def _compared(name: str, left: Json, right: Json) -> bool:
    if name in {"in", "notin"}:
        if isinstance(right, str) and not isinstance(left, str):
            raise ExpressionError(f"'in' cannot look for {kind(left)} in text")
        if not isinstance(right, str | list | tuple | Mapping):
            raise ExpressionError(f"'in' takes a list, an object or text, not {kind(right)}")
        found = left in right if not isinstance(right, Mapping) else isinstance(left, str) and left in right
        return found is (name == "in")
    try:
        return bool(_COMPARE[name](left, right))
    except TypeError:
        raise ExpressionError(f"{kind(left)} and {kind(right)} have no order") from None
