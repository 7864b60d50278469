"""The table of step kinds: what stands under each kind key, which keys may stand beside it, what it gives as outputs.

Owns nothing but these tables; `steps` reads by them and `schema` prints them. The one decision that would surprise: a key
that would do nothing beside a kind is refused there, even where the language knows it elsewhere.
"""

from __future__ import annotations

from wfconsole.compiler.commands import Commands, Script
from wfconsole.compiler.forms import AnyJson, Key, Many, Named, OneOf, Record
from wfconsole.compiler.shapes import Bare, Choice, Duration, Flag, Number, Shape, Text
from wfconsole.domain.plan import EFFECT_KINDS

NAME = "[a-z][a-z0-9_]*"
STEP_NAME = "[a-z][a-z0-9_-]{0,62}"
NAME_HINT = "names are small letters, digits and _, and start with a letter"

TEXT = Text(templated=True)
FILLED = Text(templated=True, empty=False)
LABELS = OneOf(wanted="a list of texts", scalar=Many(item=TEXT, templated=True), listing=Many(item=TEXT))
ADDRESSES = OneOf(wanted="an address or a list of them", scalar=FILLED, listing=Many(item=FILLED, least=1))
STEP_REF = Text(pattern=f"{STEP_NAME}(/{STEP_NAME})*", hint="the name of a step")
STEP_REFS = Many(item=STEP_REF, unique=True)
RETRY_FROM = Record(
    title="on_reject",
    keys={
        "retry_from": Key(
            shape=STEP_REF, required=True, doc="a step to start again at, told why in /rejection/reason.txt"
        )
    },
)
ON_REJECT = OneOf(
    wanted="cancel, route or {retry_from: STEP}", scalar=Choice(words=("cancel", "route")), table=RETRY_FROM
)
RULES = Many(
    least=1,
    item=Record(
        title="a check",
        keys={
            "that": Key(shape=Bare(), required=True, doc="the condition, a bare expression"),
            "message": Key(shape=TEXT, doc="what is said when it does not hold"),
            "hint": Key(shape=TEXT, doc="what to do about it"),
        },
    ),
)

RISK_LEVELS = ("low", "medium", "high")
RISK_RULE = Record(
    title="a rule of risk",
    keys={
        "when": Key(
            shape=Text(empty=False), doc="a glob of changed paths, or a regular expression of added lines in slashes"
        ),
        "level": Key(shape=Choice(words=RISK_LEVELS), required=True),
        "why": Key(shape=Text(empty=False), doc="why it matters"),
    },
)
RISK = OneOf(
    wanted="auto, low, medium, high or a list of rules",
    scalar=Choice(words=("auto", *RISK_LEVELS)),
    listing=Many(item=RISK_RULE, least=1),
)

APPROVAL = Record(
    title="approval",
    keys={
        "title": Key(shape=FILLED, required=True, doc="the question on the card"),
        "context": Key(
            shape=Record(
                title="context",
                keys={
                    "diff": Key(shape=Choice(words=("workspace",))),
                    "tests": Key(shape=STEP_REFS, doc="steps whose reports are shown"),
                    "risk": Key(shape=RISK, doc="a level, or the recipe's own rules, on top of what the score finds"),
                    "files": Key(shape=Many(item=FILLED)),
                    "preview": Key(shape=STEP_REFS, doc="effect steps whose payload is shown and bound"),
                },
            )
        ),
        "approvers": Key(
            shape=Record(
                title="approvers",
                keys={
                    "count": Key(shape=Number(whole=True, minimum=1, templated=True)),
                    "any_of": Key(
                        shape=Many(item=FILLED, unique=True, templated=True),
                        doc="principals of an allowed_signers file",
                    ),
                    "not_author": Key(shape=Flag(templated=True)),
                },
            )
        ),
        "timeout": Key(shape=Duration()),
        "on_timeout": Key(shape=Choice(words=("cancel", "cancel_and_notify", "reject", "route")), doc="never approve"),
        "on_reject": Key(shape=ON_REJECT),
        "require_reason": Key(shape=Choice(words=("always", "on_reject", "never"))),
    },
)

FORM_FIELD = Record(
    title="an input",
    keys={
        "type": Key(shape=Choice(words=("string", "integer", "number", "boolean", "path", "list", "object"))),
        "required": Key(shape=Flag()),
        "default": Key(shape=AnyJson(templated=False)),
        "description": Key(shape=Text()),
        "pattern": Key(shape=Text()),
        "choices": Key(shape=Many(item=AnyJson(templated=False), least=1)),
        "minimum": Key(shape=Number()),
        "maximum": Key(shape=Number()),
    },
)
INPUTS = Named(value=FORM_FIELD, pattern=NAME, what="input", hint=NAME_HINT)

QUESTION = Record(
    title="question",
    keys={
        "prompt": Key(shape=FILLED, required=True),
        "choices": Key(
            shape=OneOf(
                wanted="a list",
                scalar=Many(item=FILLED, templated=True),
                listing=Many(item=FILLED, least=1, unique=True),
            )
        ),
        "timeout": Key(shape=Duration()),
        "default": Key(shape=AnyJson(), doc="the answer at the timeout"),
        "inputs": Key(shape=INPUTS, doc="a form"),
    },
)
AGENT = Record(
    title="agent",
    keys={
        "profile": Key(shape=FILLED, required=True, doc="a profile of the configuration"),
        "prompt": Key(shape=FILLED, required=True),
        "edits": Key(shape=Choice(words=("none", "patch"))),
    },
)
_PATCH = OneOf(wanted="a patch or a list of them", scalar=FILLED, listing=Many(item=FILLED, least=1))
APPLY_PATCH = Record(title="apply_patch", keys={"patch": Key(shape=_PATCH, required=True)})

_VIA = Key(shape=FILLED, required=True, doc="the operator's connection")
_TITLE = Key(shape=FILLED, required=True)
_NUMBER = Key(shape=Number(whole=True, minimum=1, templated=True), required=True)
PULL_REQUEST = Record(
    title="pull_request",
    keys={
        "via": _VIA, "title": _TITLE, "body": Key(shape=TEXT), "branch": Key(shape=FILLED, required=True),
        "base": Key(shape=FILLED), "labels": Key(shape=LABELS),
    },
)  # fmt: skip
MERGE = Record(title="merge", keys={"via": _VIA, "number": _NUMBER})
COMMENT = Record(
    title="comment", keys={"via": _VIA, "number": _NUMBER, "body": Key(shape=TEXT), "status": Key(shape=TEXT)}
)
ISSUE = Record(title="issue", keys={"via": _VIA, "title": _TITLE, "body": Key(shape=TEXT), "labels": Key(shape=LABELS)})
EMAIL = Record(
    title="email",
    keys={
        "via": _VIA, "to": Key(shape=ADDRESSES, required=True), "subject": Key(shape=FILLED, required=True),
        "body": Key(shape=TEXT), "attach": Key(shape=LABELS),
    },
)  # fmt: skip
SET = Named(value=AnyJson(), pattern=NAME, what="value", hint=NAME_HINT, least=1)

KINDS: dict[str, Shape | None] = {
    "run": Commands(),
    "shell": Script(),
    "steps": None,
    "uses": FILLED,
    "set": SET,
    "check": RULES,
    "approval": APPROVAL,
    "question": QUESTION,
    "agent": AGENT,
    "apply_patch": APPLY_PATCH,
    "pull_request": PULL_REQUEST,
    "merge": MERGE,
    "comment": COMMENT,
    "issue": ISSUE,
    "email": EMAIL,
}
"""Kind key to the shape of its value; None: a group, whose value is steps again."""

GATES = frozenset({"approval", "question"})
EFFECTS = EFFECT_KINDS

_ALWAYS = frozenset({"needs", "when", "allow_failure"})
_SANDBOX = frozenset({
    "template", "timeout", "retry", "workdir", "env", "stdin", "secrets", "network", "isolation", "outputs", "reports",
    "artifacts", "cost_usd", "rollback", "fix", "map",
})  # fmt: skip
_EFFECT = _ALWAYS | {"timeout", "retry", "outputs", "map"}

KEYS_BESIDE: dict[str, frozenset[str]] = {
    "run": _ALWAYS | _SANDBOX | {"halt_on_error"},
    "shell": _ALWAYS | _SANDBOX,
    "steps": _ALWAYS | {"outputs", "isolation", "rollback", "map"},
    "uses": _ALWAYS | {"with", "outputs", "timeout", "map"},
    "set": _ALWAYS | {"map"},
    "check": _ALWAYS | {"map"},
    "approval": _ALWAYS - {"allow_failure"},  # a gate that may fail would let pass what nobody approved
    "question": _ALWAYS - {"allow_failure"},
    "agent": _ALWAYS | _SANDBOX - {"stdin"},
    "apply_patch": _ALWAYS | {"timeout", "retry", "outputs", "isolation", "artifacts", "rollback", "map"},
    **dict.fromkeys(EFFECTS, _EFFECT),
}

OWN_OUTPUTS: dict[str, tuple[str, ...]] = {
    "approval": ("choice", "reason", "actor", "at"),
    "question": ("choice",),
    "pull_request": ("number", "url", "branch", "files_changed"),
    "merge": ("sha",),
    "issue": ("url",),
    "email": ("message_id", "reply"),
}
"""Outputs that a kind has without declaring them; `set`, `agent` and `uses` are decided by their bodies."""
