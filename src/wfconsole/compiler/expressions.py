"""Expressions: the value of a bare source over a scope. This is the `evaluate` that `main` hands to the engine.

Owns nothing but the way through `syntax`, `interpret` and `bounds`. Deterministic: no clock, no chance, no environment, and
limits that count work instead of time.
"""

from __future__ import annotations

from collections.abc import Mapping

from wfconsole.compiler.bounds import as_json
from wfconsole.compiler.interpret import Interpreter
from wfconsole.compiler.syntax import parse
from wfconsole.domain.plan import Json
from wfconsole.domain.values import ExpressionError


def evaluate(source: str, scope: Mapping[str, Json]) -> Json:
    """The value of `source`, a JSON value of its own. ``scope['files']`` serves `file()`. Raises ExpressionError."""
    try:
        return as_json(Interpreter(scope).value(parse(source)))
    except ExpressionError as error:
        raise ExpressionError(f"{source.strip()[:120]}: {error}") from None
    except (TypeError, ValueError, ArithmeticError):
        raise ExpressionError(f"{source.strip()[:120]}: these values do not go together") from None
    except RecursionError:
        raise ExpressionError(f"{source.strip()[:120]}: nested too deeply") from None
