"""What a front end is given: functions that open the rest of the program when it needs it. `main` fills this in.

Every field is a function, so that building a Wiring costs nothing and `recipes list` never opens a store.
Functions that return awaitables may touch disk, engine and database; the others read files at most. All raise WfconsoleError;
those that judge what somebody wrote raise InvalidRequestError with every problem at once.

- `open_door()`: the door of `control`; the command closes it when it is done.
- `actor()`: who is at the keyboard.
- `now_ms()`: wall time.
- `read_values(path)`: a JSON or YAML file that holds one object; INPUT_INVALID else.
- `recipes()`, `templates()`, `intents()`: the protocols below.
- `doctor()`: every check, in the order in which one would mend them.
- `doctor_sandbox(tell)`: the conformance suite of sandboxes; `tell` is given how many checks are done, and of how many.
- `config()`: the settings in force, ``{"settings": {NAME: {"value", "source"}}, "folders": {...}}``.
- `identity()`: the principal that this operator signs as. `sign(payload, namespace)`: the armored signature of these bytes. Both
  raise DECISION_NOT_APPLIED when the key cannot be used.
- `worker(until_idle, say)`: drives what nobody drives, for ever or until nothing is left to drive; `say` takes a line of text.
- `detach()`: starts a worker that outlives this process; its process id.
- `relieve()`: starts a worker that takes over at once what this process has let go; its process id.
- `console(target, read_only)`: opens the console, on ``RUN[/STEP|/GATE]`` if given; the exit status.
- `glance(limit)`: the newest runs without opening the store; None when that is not to be had at once.
- `cleaning()`: removing runs and what is left over; the command closes it when it is done.
- `database()`: looking after the store.
- `audit(run)`: every check of one run's journal (a RUN as it was typed) or, with None, of all runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from wfconsole.control.collection import Collected, Rubbish
    from wfconsole.control.door import Door, Problem, RunRequest
    from wfconsole.control.removal import Preview, Receipt
    from wfconsole.domain.records import Actor
    from wfconsole.ports import RunRow


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeInfo:
    """One recipe as lists show it. `shadows` names the places whose recipe of the same name this one hides.

    `inputs` and `steps` are JSON objects (``name type required default description``; ``step_id kind needs``), filled by `show`.
    `text` is the recipe as it is written, filled by `show`.
    """

    name: str
    version: str
    description: str
    origin: str
    path: str
    digest: str = ""
    shadows: tuple[str, ...] = ()
    inputs: tuple[Mapping[str, Any], ...] = ()
    steps: tuple[Mapping[str, Any], ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """A recipe whose effects may be carried out, in the form of this digest. `at` is milliseconds since the epoch."""

    name: str
    digest: str
    path: str
    by: str
    at: int


class Recipes(Protocol):
    """Recipes by name or path."""

    def list(self) -> Sequence[RecipeInfo]:
        """All that can be found, by name."""
        ...

    def show(self, ref: str) -> RecipeInfo:
        """One recipe in full. Raises RECIPE_NOT_FOUND, or InvalidRequestError when it cannot be compiled."""
        ...

    def validate(self, ref: str) -> Sequence[Problem]:
        """Every finding, errors and warnings, in the order of the file. Raises RECIPE_NOT_FOUND."""
        ...

    def trust(self, ref: str, actor: Actor, at: int) -> Trusted:
        """Let the effects of this recipe, as it is now, be carried out. Raises as `show` does."""
        ...

    def trusted(self) -> Sequence[Trusted]:
        """What is trusted besides the built-in recipes and the user's own."""
        ...

    def revoke(self, name: str) -> int:
        """Trust a recipe no longer, by name or digest; how many forms of it there were."""
        ...

    def schema(self) -> Mapping[str, Any]:
        """The JSON Schema of a recipe."""
        ...


class Templates(Protocol):
    """Sandbox templates. Documents are JSON objects with at least `name`, `state` (ok, missing, stale, drift) and `image_id`."""

    async def list(self) -> Sequence[Mapping[str, Any]]: ...

    async def show(self, name: str) -> Mapping[str, Any]: ...

    async def lock(self, name: str, progress: Callable[[str], None]) -> Mapping[str, Any]:
        """Make this machine's lock of the image that is there."""
        ...

    async def build(
        self, name: str, progress: Callable[[str], None], *, frozen: bool = False, update: bool = False
    ) -> Mapping[str, Any]:
        """Make the image; `progress` takes one line of text at a time."""
        ...

    async def check(self, name: str | None) -> Sequence[Mapping[str, Any]]:
        """One document for each template: `state` is ok or not, `differences` lists ``{field, expected, observed}``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedIntent:
    """A stored intent: `intent_id` is the sha256 of its canonical form."""

    intent_id: str
    intent: Mapping[str, Any]


class Intents(Protocol):
    """Intents: {goal, inputs, constraints, project_path?, recipe?}."""

    async def submit(self, door: Door, data: bytes) -> SavedIntent:
        """Validate and store; the same payload gives the same id."""
        ...

    async def request(self, door: Door, ref: str, recipe: str | None, actor: Actor) -> RunRequest:
        """The run that the intent asks for. Raises NOT_FOUND, and INPUT_MISSING when nothing names a recipe."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of `doctor`. `status` is ok, warn or fail; `remedy` says what to do when it is not ok.

    Those of `doctor sandbox` also have an `area`, and how long they took.
    """

    name: str
    status: str
    message: str
    remedy: str = ""
    area: str = ""
    ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What `audit` found out about one run. `problems` are sentences; empty when everything holds.

    `events` and `decisions` were checked; `signed_through` is the last event that a signature covers, None when none does.
    Of a `deleted` run the tombstone was checked: its one event, and that nothing else of the run is left in the database.
    """

    run_id: str
    events: int
    decisions: int
    signed_through: int | None = None
    problems: tuple[str, ...] = ()
    deleted: bool = False


class Cleaning(Protocol):
    """What `delete` and `gc` do: look first, then remove what was shown."""

    async def preview(self, ref: str, *, cascade: bool) -> Preview:
        """What deleting the run would remove. Raises NOT_FOUND, TRANSITION_REFUSED."""
        ...

    async def delete(self, preview: Preview, actor: Actor) -> Receipt: ...

    async def find(self) -> Rubbish:
        """What is left over and would go."""
        ...

    async def collect(self, rubbish: Rubbish, actor: Actor) -> Collected: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFinding:
    """One thing that is wrong with the store: a stable word, a sentence, and the run it concerns, if one."""

    code: str
    message: str
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """What a migration did: schema revisions before and after, and where the backup is; None when there was nothing to do."""

    before: str | None
    after: str
    backup: str | None


class DatabaseCare(Protocol):
    """`db check`, `db backup`, `db migrate`, `db query`.

    Raise STORE_CORRUPT, STORE_TOO_NEW, DISK_FULL, or NOT_FOUND when there is no store.
    """

    async def check(self) -> Sequence[StoreFinding]:
        """Everything that is wrong; empty when the store holds."""
        ...

    async def backup(self, target: Path | None) -> Path:
        """Make a verified copy; where it is."""
        ...

    async def migrate(self) -> Migrated: ...

    async def query(self, sql: str) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Names of the columns, and rows, of one statement that only reads; makes nothing and migrates nothing."""
        ...


def _not_wired(*_: object) -> Any:
    raise RuntimeError("this front end was not given it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """See the module's docstring."""

    open_door: Callable[[], Awaitable[Door]]
    actor: Callable[[], Actor]
    now_ms: Callable[[], int]
    read_values: Callable[[Path], Mapping[str, Any]]
    recipes: Callable[[], Recipes]
    templates: Callable[[], Templates]
    intents: Callable[[], Intents]
    doctor: Callable[[], Awaitable[Sequence[Check]]]
    config: Callable[[], Mapping[str, Any]]
    identity: Callable[[], Awaitable[str]]
    sign: Callable[[bytes, str], Awaitable[str]]
    worker: Callable[[bool, Callable[[str], None]], Awaitable[None]]
    audit: Callable[[str | None], Awaitable[Sequence[Audited]]]
    doctor_sandbox: Callable[[Callable[[int, int], None]], Awaitable[Sequence[Check]]] = _not_wired
    cleaning: Callable[[], Awaitable[Cleaning]] = _not_wired
    database: Callable[[], DatabaseCare] = _not_wired
    console: Callable[[str | None, bool], int]
    detach: Callable[[], int]
    relieve: Callable[[], int] = _not_wired
    glance: Callable[[int], Sequence[RunRow] | None] = lambda _: None
