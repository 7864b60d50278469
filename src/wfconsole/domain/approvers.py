"""Who may decide, where the recipe says it with expressions: what these gave when the gate was begun, checked.

Refuses every value that would let more people decide than were meant: none of what is given here has a default. The decision
that would surprise: an empty `any_of` written in the recipe means anybody, one that an expression gave is an error.
"""

from __future__ import annotations

from wfconsole.domain.plan import ApproverRule, Json
from wfconsole.domain.values import ExpressionError, as_text


def resolved_approvers(value: Json) -> dict[str, Json]:
    """`approvers` with its expressions replaced, as it is recorded. Raises ExpressionError."""
    who = dict(value) if isinstance(value, dict) else {}
    count, not_author = who.get("count", 1), who.get("not_author", False)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise _bad("count", "a whole number from 1", count)
    if not isinstance(not_author, bool):
        raise _bad("not_author", "true or false", not_author)
    names = _names(who["any_of"]) if "any_of" in who else []
    if names and count > len(names):
        raise ExpressionError(f"`approvers`: {count} people have to approve, and `any_of` names {len(names)}")
    return {"count": count, "any_of": names, "not_author": not_author}


def approver_rule(recorded: Json) -> ApproverRule | None:
    """The rule that `resolved_approvers` gave; None where the recipe's own holds."""
    if recorded is None:
        return None
    return ApproverRule(count=recorded["count"], any_of=tuple(recorded["any_of"]), not_author=recorded["not_author"])


def _names(value: Json) -> list[str]:
    if not isinstance(value, list) or not value:
        raise _bad("any_of", "a list of names", value)
    for name in value:
        if not isinstance(name, str) or not name.strip():
            raise _bad("any_of", "a list of names", value)
    if len(set(value)) < len(value):
        raise ExpressionError("`approvers`: `any_of` names somebody twice")
    return list(value)


def _bad(key: str, wanted: str, value: Json) -> ExpressionError:
    shown = "null" if value is None else as_text(value)[:80]
    return ExpressionError(f"`approvers`: `{key}` must be {wanted}, and its expression gives {shown or 'nothing'}")
