"""Shapes of a step and of the graph around it: needs, outputs, map, and the choice of the kind.

Owns the rule of one kind key a step. Refuses to know ids, defaults and cycles: names are only read here, `graph` resolves
them. The one decision that would surprise: a step is read completely even when its kind is missing, so that its needs and
expressions still count for the steps around it.
"""

from __future__ import annotations

from wfconsole.compiler.findings import Path
from wfconsole.compiler.forms import AnyJson, Key, Many, Named, OneOf, Record
from wfconsole.compiler.kinds import GATES, KEYS_BESIDE, KINDS, NAME, NAME_HINT, STEP_NAME, STEP_REF
from wfconsole.compiler.reading import Reading
from wfconsole.compiler.shapes import Bare, Choice, Duration, Flag, Number, Shape, Text, template_of, text_of, wrong
from wfconsole.compiler.templates import OPEN
from wfconsole.compiler.tree import Node, Scalar, Table
from wfconsole.domain.plan import Json

STATUSES = ("succeeded", "failed", "skipped", "cancelled", "done")
OUTPUT_TYPES = ("string", "integer", "number", "boolean", "list", "object", "any")
_ENV_NAME = "(?!WFCONSOLE_)[A-Za-z_][A-Za-z0-9_]*"
_INSIDE = Text(empty=False)
_STATUS = Choice(words=STATUSES)


_NEEDS_TABLE = Named(
    value=OneOf(wanted="a status or a list of them", scalar=_STATUS, listing=Many(item=_STATUS, least=1, unique=True)),
    pattern=STEP_REF.pattern or "", what="step",
)  # fmt: skip
_NEEDS_LIST = Many(item=STEP_REF, unique=True)


class Needs:
    """``[a, b]`` or ``{a: succeeded, b: [succeeded, skipped], c: done}``, as name to statuses."""

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        if isinstance(node, Table):
            found = _NEEDS_TABLE.read(node, path, reading)
            return {name: (words,) if isinstance(words, str) else tuple(words) for name, words in found.items()}
        if isinstance(node, Scalar):
            hint = f"write needs: [{node.text[:60]}]"
            return wrong(node, path, reading, "a list of steps", hint)
        names = _NEEDS_LIST.read(node, path, reading)
        if names is None:
            return None
        for index, name in enumerate(names):
            reading.keys[*path, name] = reading.value_place((*path, index))
        return dict.fromkeys(names, ("succeeded",))

    def schema(self) -> dict[str, Json]:
        return {"anyOf": [_NEEDS_LIST.schema(), _NEEDS_TABLE.schema()]}


_OUTPUT_FROM = Record(
    title="an output",
    keys={
        "from": Key(shape=_INSIDE, required=True, doc="a file in the workspace, or stdout"),
        "at": Key(shape=_INSIDE, doc="dotted path inside the JSON document"),
        "type": Key(shape=Choice(words=OUTPUT_TYPES)),
    },
)


class Output:
    """One declared output: a type, an expression, or ``{from: FILE|stdout, at: PATH, type: TYPE}``."""

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        if isinstance(node, Table):
            return _OUTPUT_FROM.read(node, path, reading)
        text = text_of(node, path, reading, "a type, an expression or {from, at, type}")
        if text is None or not isinstance(node, Scalar):
            return None
        if OPEN in text:
            value = template_of(node, text, path, reading)
            return None if value is None else {"value": value}
        if text in OUTPUT_TYPES:
            return {"type": text}
        reading.unknown(node.place, path, "unknown type", text, OUTPUT_TYPES)
        return None

    def schema(self) -> dict[str, Json]:
        expression = {"type": "string", "pattern": r"\$\{\{"}
        return {"anyOf": [{"enum": list(OUTPUT_TYPES)}, expression, _OUTPUT_FROM.schema()]}


def _tolerance(text: str) -> str | None:
    digits = text.removesuffix("%")
    fits = digits.isascii() and digits.isdigit() and int(digits[:4]) <= 100 and len(digits) <= 3
    return None if fits and text != digits else f"'{text[:40]}' is neither a number nor a percentage"


_NUMBER_OF_CHILDREN = Number(whole=True, minimum=0, templated=True)
_SHARE = Text(templated=True, check=_tolerance, hint="write 5 or 10%")


class Tolerance:
    """How many children may fail: ``5`` or ``10%``."""

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return _SHARE.read(node, path, reading)
        return _NUMBER_OF_CHILDREN.read(node, path, reading)

    def schema(self) -> dict[str, Json]:
        return {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}


MAP = Record(
    title="map",
    keys={
        "over": Key(shape=AnyJson(), required=True, doc="the items: an expression, or a list"),
        "as": Key(shape=Text(pattern=NAME, hint=NAME_HINT), doc="the name of the item in expressions"),
        "max_concurrency": Key(shape=Number(whole=True, minimum=1, templated=True)),
        "tolerance": Key(shape=Tolerance()),
        "fail_fast": Key(shape=Flag(templated=True)),
        "sandbox": Key(shape=Choice(words=("pooled", "fresh"))),
        "queue": Key(shape=Text(pattern=STEP_NAME, hint="the name of a queue")),
        "priority": Key(shape=Choice(words=("high", "normal", "low"))),
    },
)


def _endpoint(text: str) -> str | None:
    host, _, port = text.rpartition(":")
    fits = bool(host) and not any(char.isspace() or char == "/" for char in host) and port.isascii() and port.isdigit()
    return None if fits and 0 < int(port[:6]) < 65536 else f"'{text[:80]}' is no host:port"


RETRY = Record(
    title="retry",
    keys={
        "attempts": Key(shape=Number(whole=True, minimum=1, maximum=100), doc="how often in all"),
        "backoff": Key(shape=Duration()),
        "max_backoff": Key(shape=Duration()),
        "jitter": Key(shape=Number(minimum=0, maximum=1)),
        "outcomes": Key(shape=Many(item=Choice(words=("failed", "errored", "timed_out")), least=1, unique=True)),
    },
)
_RUN_ONLY = Key(shape=KINDS["run"] or Text(), required=True)
_ROLLBACK = OneOf(
    wanted="workspace or {run: [...]}", scalar=Choice(words=("workspace",)),
    table=Record(title="rollback", keys={"run": _RUN_ONLY}),
)  # fmt: skip
_NETWORK = OneOf(
    wanted="none, bridge or a list of host:port", scalar=Choice(words=("none", "bridge")),
    listing=Many(item=Text(templated=True, check=_endpoint, hint="like example.org:443"), least=1),
)  # fmt: skip
_WITH = OneOf(
    wanted="a mapping of inputs", scalar=Named(value=AnyJson(), pattern=NAME, what="input", templated=True),
    table=Named(value=AnyJson(), pattern=NAME, what="input", hint=NAME_HINT),
)  # fmt: skip
_SECRET = Text(pattern="[A-Za-z_][A-Za-z0-9_]*", hint="the name of a secret")

STEP_KEYS: dict[str, Key] = {
    "needs": Key(shape=Needs(), doc="what must have ended first; without it the step starts at once"),
    "when": Key(shape=Bare(), doc="a bare expression; false skips the step"),
    "map": Key(shape=MAP, doc="run the step once for each item"),
    "with": Key(shape=_WITH, doc="inputs of the recipe in `uses`"),
    "template": Key(shape=Text(empty=False), doc="the sandbox template"),
    "halt_on_error": Key(shape=Flag(), doc="stop at the first command that fails (true)"),
    "allow_failure": Key(shape=Flag(), doc="its failing harms neither the run nor others"),
    "timeout": Key(shape=Duration()),
    "retry": Key(shape=RETRY),
    "workdir": Key(shape=Text(templated=True, empty=False), doc="inside the workspace"),
    "env": Key(
        shape=Named(
            value=Text(templated=True, as_written=True), pattern=_ENV_NAME, what="environment variable",
            hint="letters, digits and _; names that start with WFCONSOLE_ are taken",
        )
    ),
    "stdin": Key(shape=Text(templated=True)),
    "secrets": Key(shape=Many(item=_SECRET, unique=True), doc="files under /run/secrets"),
    "network": Key(shape=_NETWORK),
    "isolation": Key(shape=Choice(words=("shared", "per_step", "read_only"))),
    "outputs": Key(shape=Named(value=Output(), pattern=NAME, what="output", hint=NAME_HINT)),
    "reports": Key(
        shape=Record(
            title="reports",
            keys={"junit": Key(shape=_INSIDE), "coverage": Key(shape=_INSIDE), "sarif": Key(shape=_INSIDE)},
        )
    ),
    "artifacts": Key(shape=Many(item=_INSIDE, unique=True), doc="patterns of files in the workspace"),
    "cost_usd": Key(
        shape=Record(title="cost_usd", keys={"from": Key(shape=_INSIDE, required=True), "at": Key(shape=_INSIDE)})
    ),
    "rollback": Key(shape=_ROLLBACK),
    "fix": Key(shape=Record(title="fix", keys={"run": _RUN_ONLY}), doc="for retry --fix"),
}  # fmt: skip
STEP_DEFAULTS = (
    "template", "halt_on_error", "allow_failure", "timeout", "retry", "workdir", "env", "secrets", "network", "isolation",
)  # fmt: skip


class Step:
    """One step; read as ``{kind, body, KEY: value}``. A group's body is steps again."""

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        if not isinstance(node, Table):
            return wrong(node, path, reading, "a step", "like {run: pytest -q}")
        kinds = [key for key, _ in node.entries if key.text in KINDS]
        kind = kinds[0].text if kinds else None
        found: dict[str, Json] = {"kind": kind}
        if kind is None and not _has_near_kind(node):
            reading.report(node.place, path, "a step without a kind", "give it one of " + ", ".join(KINDS))
        for extra in kinds[1:]:
            hint = f"this step is a '{kind}' already; make two steps"
            reading.report(extra.place, (*path, extra.text), "a second kind in one step", hint)
        for key, item in node.entries:
            at = (*path, key.text)
            reading.keys[at] = key.place
            reading.note(item, at)
            if key.text in KINDS:
                value = (KINDS[key.text] or STEPS).read(item, at, reading)
                if key.text == kind:
                    found["body"] = value
            elif _may_stand(key, at, kind, reading):
                value = STEP_KEYS[key.text].shape.read(item, at, reading)
                if value is not None:
                    found[key.text] = value
        return found

    def schema(self) -> dict[str, Json]:
        """By reference, since steps nest."""
        return {"$ref": "#/$defs/step"}

    def definition(self) -> dict[str, Json]:
        """What the reference points to: exactly one kind, and only the keys that go beside it."""
        variants = []
        for kind, shape in KINDS.items():
            beside = {name: STEP_KEYS[name].shape.schema() for name in sorted(KEYS_BESIDE[kind])}
            variants.append({
                "type": "object", "required": [kind], "additionalProperties": False,
                "properties": {kind: (shape or STEPS).schema(), **beside},
            })  # fmt: skip
        return {"oneOf": variants}


def _may_stand(key: Scalar, at: Path, kind: str | None, reading: Reading) -> bool:
    """Whether the key is known and means something beside this kind; else it is reported."""
    name = key.text
    if name not in STEP_KEYS:
        reading.unknown(key.place, at, "unknown key of a step", name, (*KINDS, *STEP_KEYS))
        return False
    if kind is None or name in KEYS_BESIDE[kind]:
        return True
    message = "a gate has no `map`" if name == "map" and kind in GATES else f"`{name}` does nothing beside `{kind}`"
    reading.report(key.place, at, message, f"remove it; beside `{kind}` go " + ", ".join(sorted(KEYS_BESIDE[kind])))
    return False


def _has_near_kind(node: Table) -> bool:
    """Whether an unknown key of the step will be reported anyway: then one finding is enough."""
    return any(key.text not in STEP_KEYS for key, _ in node.entries)


STEPS: Shape = Named(
    value=Step(), pattern=STEP_NAME, what="step", least=1,
    hint="names are small letters, digits, _ and -, start with a letter, and have at most 63 characters",
)  # fmt: skip
