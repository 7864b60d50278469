"""What a front end can ask for, in one place: the wiring that `main` fills and the verbs that use it.

Refuses to know adapters: everything comes in as a port or a function. Starting a run is a pipeline in which nothing
is written until all of it is known to be right: compile, bind inputs, check, copy the workspace, and only then one
commit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from wfconsole.domain.draft import Refusal
from wfconsole.domain.events import Record
from wfconsole.domain.facts import AnyFact
from wfconsole.domain.plan import Json, Plan
from wfconsole.domain.records import Actor
from wfconsole.ports import Artifacts, RunFilter, RunFolder, RunRow, Store, WfconsoleError


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with what was asked: an input, a finding in a recipe, a check that does not hold.

    `where` is a place (``recipe.yaml:12:7``) or an input's name; `severity` is error or warning.
    """

    code: str
    message: str
    hint: str = ""
    where: str = ""
    severity: str = "error"


class InvalidRequestError(WfconsoleError):
    """Nothing was created: `problems` lists everything that is wrong, all at once. Exit status 2."""

    def __init__(self, code: str, message: str, problems: Sequence[Problem], hint: str = "") -> None:
        details = [{"code": p.code, "message": p.message, "hint": p.hint, "where": p.where} for p in problems]
        super().__init__(code, message, hint, {"problems": details})
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What somebody asks to run. `inputs` as typed on a command line (text), `values` as JSON (from files and intents)."""

    recipe: str
    actor: Actor
    inputs: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Json] = field(default_factory=dict)
    workflow_id: str | None = None
    trigger: str = "manual"
    intent_hash: str | None = None
    project: str | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A request that holds: compiled, bound and checked, with nothing written yet. `warnings` are for the operator."""

    request: RunRequest
    plan: Plan
    inputs: Mapping[str, Json]
    files: Mapping[str, bytes]
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """`existed`: the workflow_id was taken by an earlier run of the same request; that run is meant, nothing new was made."""

    run_id: str
    existed: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a command: the records it led to, or the refusal.

    `owned`: a live owner decided and goes on with it; otherwise it is recorded and what follows starts with the next owner.
    """

    owned: bool = True
    records: tuple[Record, ...] = ()
    refusal: Refusal | None = None


class Door(Protocol):
    """Every verb of a front end. All raise WfconsoleError; NOT_FOUND for a name that nothing has."""

    @property
    def store(self) -> Store: ...

    @property
    def artifacts(self) -> Artifacts: ...

    def folder(self, run_id: str) -> RunFolder:
        """Where the run's files are."""
        ...

    async def prepare(self, request: RunRequest) -> Prepared:
        """Compile, bind, check. Raises InvalidRequestError with everything that is wrong."""
        ...

    async def create(self, prepared: Prepared) -> Created:
        """Copy the workspace and pin everything; all or nothing."""
        ...

    async def drive(self, run_id: str, *, until_waiting: bool = False) -> None:
        """Own the run in this process until it is over (or, with `until_waiting`, only a person can go on).

        Raises WfconsoleError OWNER_LOST when another process drives it: watch it instead.
        """
        ...

    async def send(self, run_id: str, fact: AnyFact) -> Answer:
        """Hand a command to whoever drives the run in this process, else decide it here."""
        ...

    def watch(self, run_id: str, after_seq: int = 0) -> AsyncIterator[Sequence[Record]]:
        """The run's records as they are committed; ends after a terminal one."""
        ...

    async def records(self, ref: str) -> tuple[str, Sequence[Record]]:
        """The run id that `ref` names and its whole journal."""
        ...

    async def runs(self, where: RunFilter) -> Sequence[RunRow]: ...

    async def export(self, run_id: str, target: Path) -> Mapping[str, Json]:
        """Write the run's bundle as tar.gz; what went in, with sums."""
        ...

    async def close(self) -> None:
        """Let go of everything that is open; runs that are driven here are not stopped."""
        ...
