"""The table of the whole recipe: every key at the top, and what stands under it.

Owns the recipe language down to the steps; `steps` and `kinds` hold the rest. The one decision that would surprise: what a
run needs as plain numbers before its first step (limits, timeouts, retries) takes no expressions.
"""

from __future__ import annotations

from wfconsole.compiler.forms import AnyJson, Key, Many, Named, Record
from wfconsole.compiler.kinds import INPUTS, NAME, NAME_HINT, ON_REJECT, RULES
from wfconsole.compiler.shapes import Choice, Duration, Number, Size, Text
from wfconsole.compiler.steps import STEP_DEFAULTS, STEP_KEYS, STEPS

RECIPE_NAME = "[a-z][a-z0-9_-]{0,62}"
_PROGRAMS = Many(item=Text(empty=False), unique=True)
_ALLOW = Choice(words=("allow", "deny"))


def _file(name: str) -> str | None:
    parts = name.split("/")
    if not name or name.startswith("/") or "\\" in name or any(part in {"", ".", ".."} for part in parts):
        return f"'{name[:120]}' is no file beside the recipe"
    return None


WORKSPACE = Record(
    title="workspace",
    keys={
        "source": Key(shape=Text(templated=True, empty=False), required=True, doc="the folder to copy; never changed"),
        "ref": Key(
            shape=Text(templated=True, empty=False), doc="a git revision, or worktree for the folder as it lies"
        ),
        "isolation": Key(shape=Choice(words=("shared", "per_step", "read_only"))),
    },
)
LIMITS = Record(
    title="limits",
    keys={
        "max_concurrency": Key(shape=Number(whole=True, minimum=1, maximum=1000)),
        "max_steps": Key(shape=Number(whole=True, minimum=1, maximum=100_000)),
        "timeout": Key(shape=Duration(), doc="of time in `running`"),
        "sandbox_time": Key(shape=Duration()),
        "cost_usd": Key(shape=Number(minimum=0)),
        "output_bytes": Key(shape=Size()),
    },
)
MANUAL_RETRY = Record(
    title="manual_retry",
    keys={
        "run": Key(shape=_ALLOW),
        "step": Key(shape=_ALLOW),
        "reason": Key(shape=Text()),
        "reuse": Key(shape=Choice(words=("trusted", "never"))),
    },
)
COMMANDS = Record(
    title="commands",
    keys={
        "default": Key(shape=_ALLOW, doc="deny: only what `allow` lists"),
        "allow": Key(shape=_PROGRAMS),
        "deny": Key(shape=_PROGRAMS, doc="wins over allow"),
        "shell": Key(shape=_ALLOW),
    },
)
RETENTION = Record(
    title="retention",
    keys={
        "age": Key(shape=Duration()),
        "count": Key(shape=Number(whole=True, minimum=1)),
        "bytes": Key(shape=Size()),
    },
)
DEFAULTS = Record(title="defaults", keys={name: STEP_KEYS[name] for name in STEP_DEFAULTS})

RECIPE = Record(
    title="a recipe",
    keys={
        "recipe": Key(
            shape=Text(pattern=RECIPE_NAME, hint="small letters, digits, _ and -, starting with a letter, at most 63"),
            required=True, doc="the recipe's name",
        ),
        "version": Key(shape=Text(empty=False), doc="quoted when it looks like a number"),
        "description": Key(shape=Text(), doc="its first line stands in lists"),
        "inputs": Key(shape=INPUTS),
        "check": Key(shape=RULES, doc="over all inputs, before the run is created"),
        "template": Key(shape=Text(empty=False), doc="the sandbox template of all steps"),
        "files": Key(
            shape=Many(item=Text(check=_file, hint="a relative path without . and .."), unique=True),
            doc="files beside the recipe, read-only in /recipe",
        ),
        "workspace": Key(shape=WORKSPACE),
        "state": Key(shape=AnyJson(mapping=True), doc="the run's own document"),
        "limits": Key(shape=LIMITS),
        "defaults": Key(shape=DEFAULTS, doc="keys that all steps share"),
        "manual_retry": Key(shape=MANUAL_RETRY),
        "commands": Key(shape=COMMANDS, doc="which programs may run"),
        "retention": Key(shape=RETENTION),
        "on_failure": Key(shape=Choice(words=("keep", "rollback"), templated=True)),
        "on_reject": Key(shape=ON_REJECT),
        "outputs": Key(
            shape=Named(value=AnyJson(), pattern=NAME, what="output", hint=NAME_HINT), doc="the run's result"
        ),
        "steps": Key(shape=STEPS, required=True, doc="what is to be done"),
        "finally": Key(shape=STEPS, doc="steps that run when all others have ended"),
    },
)  # fmt: skip
