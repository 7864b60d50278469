"""What the commands are given: functions that open the rest of the program when a command needs it. `main` fills this in.

Every field is a function, so that building a Wiring costs nothing and `recipes list` never opens a store.
Functions that return awaitables may touch disk, engine and database; the others read files at most. All raise WfconsoleError;
those that judge what somebody wrote raise InvalidRequestError with every problem at once.

- `open_door()`: the door of `control`; the command closes it when it is done.
- `actor()`: who is at the keyboard.
- `now_ms()`: wall time.
- `read_values(path)`: a JSON or YAML file that holds one object; INPUT_INVALID else.
- `recipes()`, `templates()`, `intents()`: the protocols below.
- `doctor()`: every check, in the order in which one would mend them.
- `config()`: the settings in force, ``{"settings": {NAME: {"value", "source"}}, "folders": {...}}``.
- `identity()`: the principal that this operator signs as. `sign(payload, namespace)`: the armored signature of these bytes. Both
  raise DECISION_NOT_APPLIED when the key cannot be used.
- `worker(until_idle, say)`: drives what nobody drives, for ever or until nothing is left to drive; `say` takes a line of text.
- `audit(run)`: every check of one run's journal (a RUN as it was typed) or, with None, of all runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from wfconsole.control.door import Door, Problem, RunRequest
    from wfconsole.domain.records import Actor


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

    def schema(self) -> Mapping[str, Any]:
        """The JSON Schema of a recipe."""
        ...


class Templates(Protocol):
    """Sandbox templates. Documents are JSON objects with at least `name`, `state` (ok, missing, drift) and `image_id`."""

    async def list(self) -> Sequence[Mapping[str, Any]]: ...

    async def show(self, name: str) -> Mapping[str, Any]: ...

    async def build(self, name: str, progress: Callable[[str], None]) -> Mapping[str, Any]:
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
    """One check of `doctor`. `status` is ok, warn or fail; `remedy` says what to do when it is not ok."""

    name: str
    status: str
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What `audit` found out about one run. `problems` are sentences; empty when everything holds.

    `events` and `decisions` were checked; `signed_through` is the last event that a signature covers, None when none does.
    """

    run_id: str
    events: int
    decisions: int
    signed_through: int | None = None
    problems: tuple[str, ...] = ()


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
