"""The compiled plan: what one run will do, pinned and immutable.

Owns the shape of a plan and nothing about running it. It refuses to know YAML, line numbers and defaults: the compiler
has resolved all three. The one decision that would surprise: a template value (a string with ``${{ }}`` in it) is plain
JSON here, ``{"$expr": source}`` for a lone expression that keeps its type, ``{"$text": [part, ...]}`` for mixed text and
``{"$literal": value}`` for a mapping that would otherwise look like one of these. So plans, events and digests need no
codec for values, and `values.resolve` is the only reader of the markers.

Groups are flattened: a step inside group ``checks`` has id ``checks/unit`` and `parent` ``checks``; the group itself is a
step of kind ``steps`` that starts with its first child and ends when all children have ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Json: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, list or str-keyed dict of the same."""

StepKind = Literal[
    "run", "shell", "set", "check", "steps",
    "uses", "map", "approval", "question", "agent", "apply_patch",
    "pull_request", "merge", "comment", "issue", "email",
]  # fmt: skip
Isolation = Literal["shared", "per_step", "read_only"]
Phase = Literal["main", "finally"]
InputType = Literal["string", "integer", "number", "boolean", "path", "list", "object"]

AVAILABLE_KINDS: frozenset[str] = frozenset({"run", "shell", "set", "check", "steps", "approval", "question", "email"})
"""Kinds this version executes; the others parse and validate, and a run of them is refused before creation."""

NETWORKS = ("none", "hosts", "bridge")
"""How far a step reaches, from the tightest: no network, the hosts that it lists, everything."""

GATE_KINDS: frozenset[str] = frozenset({"approval", "question"})
"""Kinds that wait for a person; the attempt of one gathers what that person has to see."""

EFFECT_KINDS: frozenset[str] = frozenset({"pull_request", "merge", "comment", "issue", "email"})
"""Kinds that reach beyond the sandbox: done once, on the host, by a connection of the operator's."""

PURE_KINDS: frozenset[str] = frozenset({"set", "check", "steps"})
"""Kinds that `decide` carries out by itself: no attempt leaves the domain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeRef:
    """Which recipe a run pins. `origin` is where it was found: path, project, user or built-in."""

    name: str
    version: str
    digest: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePin:
    """A file beside the recipe, pinned by content; `name` is its path relative to the recipe's folder."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """One declared input. `default` is plain JSON (inputs take no expressions)."""

    name: str
    type: InputType
    required: bool = False
    has_default: bool = False
    default: Json = None
    description: str = ""
    pattern: str | None = None
    choices: tuple[Json, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRule:
    """`that` is the source of a bare expression; `message` and `hint` are template values."""

    that: str
    message: Json = ""
    hint: Json = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One edge of the graph: `step` must have ended in one of `statuses`.

    Statuses are `succeeded`, `failed`, `skipped`, `cancelled`, or `done` (any end). `skipped` is met only by a step
    whose own `when` skipped it, never by one that an upstream failure skipped.
    """

    step: str
    statuses: tuple[str, ...] = ("succeeded",)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Automatic retry of one step; times in milliseconds."""

    attempts: int = 1
    backoff_ms: int = 1000
    max_backoff_ms: int = 30_000
    jitter: float = 0.2
    outcomes: tuple[str, ...] = ("errored", "timed_out")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandPolicy:
    """The recipe's `commands`. `allow` and `deny` name programs; deny wins; `shell` is for shells and `-c` scripts."""

    default: Literal["allow", "deny"] = "allow"
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    shell: Literal["allow", "deny"] = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """Where one output of a step comes from.

    `source` `result`: a field of the JSON object written to $WFCONSOLE_OUTPUT (or the agent's answer); `file` or
    `stdout`: read `at` a dotted path inside that JSON (the whole text when `at` is None and type is string);
    `expression`: `value` is a template value, evaluated when the step ended.
    """

    name: str
    type: str = "any"
    source: Literal["result", "file", "stdout", "expression"] = "result"
    file: str | None = None
    at: str | None = None
    value: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSpec:
    """Where a step's cost in US dollars is read."""

    file: str
    at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBody:
    """Commands of a `run` step: each an argv of template values, executed one after another without a shell."""

    commands: tuple[tuple[Json, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellBody:
    """A script for `/bin/sh`; it takes no expressions, values reach it by `env`."""

    script: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetBody:
    values: dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckBody:
    rules: tuple[CheckRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupBody:
    """`members` are the ids of the direct children, in the recipe's order."""

    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSpec:
    """What an approver has to see. `tests` and `preview` name steps, `rules` are the recipe's own risk rules."""

    diff: bool = True
    tests: tuple[str, ...] = ()
    risk: bool = True
    files: tuple[str, ...] = ()
    preview: tuple[str, ...] = ()
    rules: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproverRule:
    """Who may decide: `count` different people, out of `any_of` when it names any, never the run's author if `not_author`."""

    count: int = 1
    any_of: tuple[str, ...] = ()
    not_author: bool = False

    @property
    def wants_principals(self) -> bool:
        """Does this rule need identities that an allowed_signers file vouches for?"""
        return self.count > 1 or bool(self.any_of) or self.not_author


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalBody:
    """A gate. `on_reject` is cancel, route or ``{"retry_from": STEP}``; `title` is a template value.

    `who` is `approvers` as written where it holds expressions: then it counts, from when the gate is begun, and not
    `approvers`.
    """

    title: Json
    context: ContextSpec = field(default_factory=ContextSpec)
    approvers: ApproverRule = field(default_factory=ApproverRule)
    timeout_ms: int = 24 * 3600 * 1000
    on_timeout: str = "cancel"
    on_reject: Json = "cancel"
    require_reason: str = "on_reject"
    who: Json = None

    @property
    def wants_principals(self) -> bool:
        """Can this gate be held only where an allowed_signers file vouches for identities?"""
        return self.who is not None or self.approvers.wants_principals


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionBody:
    """A question: one of `choices`, or a `form` of typed inputs. `default` is the answer at the timeout; None expires."""

    prompt: Json
    choices: tuple[str, ...] = ()
    form: tuple[InputSpec, ...] = ()
    timeout_ms: int = 24 * 3600 * 1000
    default: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailBody:
    """A message by the operator's connection `via`; all template values. `to` and `attach`: a text or a list of them.

    Of `to` each is an address or an alias of the connection; of `attach` a file of the workspace, or
    ``/artifacts/STEP/NAME``.
    """

    via: Json
    to: Json
    subject: Json
    body: Json = ""
    attach: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherBody:
    """The body of a kind that this version only checks; `data` is the validated YAML as JSON."""

    data: Json


Body: TypeAlias = (
    RunBody | ShellBody | SetBody | CheckBody | GroupBody | ApprovalBody | QuestionBody | EmailBody | OtherBody
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """One step as it will run. All defaults are filled in; times in milliseconds; `env` and `stdin` are template values."""

    step_id: str
    kind: StepKind
    body: Body
    parent: str | None = None
    phase: Phase = "main"
    needs: tuple[Need, ...] = ()
    when: str | None = None
    template: str = "python"
    halt_on_error: bool = True
    allow_failure: bool = False
    timeout_ms: int | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    workdir: Json = "."
    env: dict[str, Json] = field(default_factory=dict)
    stdin: Json = None
    secrets: tuple[str, ...] = ()
    network: Json = "none"
    isolation: Isolation = "shared"
    outputs: tuple[OutputSpec, ...] = ()
    reports: dict[str, str] = field(default_factory=dict)
    artifacts: tuple[str, ...] = ()
    cost_usd: CostSpec | None = None
    rollback: Json = None
    fix: Json = None
    extra: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceSpec:
    """What the run's workspace is copied from; both are template values over the inputs.

    `ref` is a git revision, or `worktree` for the folder as it lies.
    """

    source: Json
    ref: Json = "HEAD"
    isolation: Isolation = "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one run; None means unbounded. Times in milliseconds; `timeout_ms` counts time in `running` only."""

    max_concurrency: int = 8
    max_steps: int = 500
    timeout_ms: int | None = None
    sandbox_time_ms: int | None = None
    cost_usd: float | None = None
    output_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole run, pinned. `text` is the canonical recipe text; `digest` covers it and every file in `files`."""

    recipe: RecipeRef
    text: str
    steps: tuple[StepPlan, ...]
    description: str = ""
    inputs: tuple[InputSpec, ...] = ()
    checks: tuple[CheckRule, ...] = ()
    files: tuple[FilePin, ...] = ()
    workspace: WorkspaceSpec | None = None
    state: dict[str, Json] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    commands: CommandPolicy = field(default_factory=CommandPolicy)
    outputs: dict[str, Json] = field(default_factory=dict)
    manual_retry: Json = None
    retention: Json = None
    on_failure: Json = "keep"
    on_reject: Json = "cancel"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of the secrets that any step reads. All are hidden in all steps: one may leave its own for the next."""
        return tuple(sorted({name for step in self.steps for name in step.secrets}))

    def step(self, step_id: str) -> StepPlan:
        """The step of that id; KeyError when there is none."""
        for step in self.steps:
            if step.step_id == step_id:
                return step
        raise KeyError(step_id)
