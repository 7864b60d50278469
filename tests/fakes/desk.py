"""One command line against fakes: its exit status, its stdout as bytes, its stderr as text."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from tests.fakes.door import FakeDoor
from tests.fakes.journals import ANN, START, plan, step
from wfconsole.cli.app import run_cli
from wfconsole.control.door import Door, Problem, RunRequest
from wfconsole.control.wiring import Audited, Check, RecipeInfo, SavedIntent, Trusted, Wiring
from wfconsole.domain.plan import Plan
from wfconsole.domain.records import Actor
from wfconsole.ports import WfconsoleError


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Ran:
    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def objects(self) -> list[Any]:
        return [json.loads(line) for line in self.lines]


@dataclass
class FakeRecipes:
    findings: list[Problem] = field(default_factory=list)
    trusts: list[Trusted] = field(default_factory=list)

    def list(self) -> Sequence[RecipeInfo]:
        return [
            RecipeInfo(
                name="quality-gate", version="1.0.0", description="Eight checks", origin="project", path="recipes/q.yaml",
                shadows=("built-in",),
            )
        ]  # fmt: skip

    def show(self, ref: str) -> RecipeInfo:
        if ref != "quality-gate":
            raise WfconsoleError("RECIPE_NOT_FOUND", f"no recipe {ref}", "`wfconsole recipes list` shows what there is")
        return RecipeInfo(
            name="quality-gate", version="1.0.0", description="Eight checks\x1b[2J", origin="built-in", path="q.yaml",
            digest="ab" * 32, text="recipe: quality-gate\n",
            inputs=({"name": "repo", "type": "path", "required": True, "description": "What to check"},),
            steps=({"step_id": "unit", "kind": "run", "needs": ["lint"]},),
        )  # fmt: skip

    def validate(self, ref: str) -> Sequence[Problem]:
        return self.findings

    def trust(self, ref: str, actor: Actor, at: int) -> Trusted:
        self.trusts.append(Trusted(name=ref, digest="ab" * 32, path=f"/r/{ref}.yaml", by=actor.name, at=at))
        return self.trusts[-1]

    def trusted(self) -> Sequence[Trusted]:
        return self.trusts

    def revoke(self, name: str) -> int:
        before, self.trusts = self.trusts, [item for item in self.trusts if item.name != name]
        return len(before) - len(self.trusts)

    def schema(self) -> Mapping[str, Any]:
        return {"type": "object"}


@dataclass
class FakeTemplates:
    state: str = "ok"

    async def list(self) -> Sequence[Mapping[str, Any]]:
        return [{"name": "python", "state": self.state, "image_id": "sha256:00"}]

    async def show(self, name: str) -> Mapping[str, Any]:
        return {
            "name": name, "state": self.state, "image_id": None, "env": {"PATH": "/bin"}, "differences": ["one", "\x1b[2Jtwo"],
            "tools": {"git": {"version": "2.39.5", "path": "/usr/bin/git", "sha256": "0123456789abcdef"}, "ruff": ">=0.6"},
        }  # fmt: skip

    async def lock(self, name: str, progress: Any) -> Mapping[str, Any]:
        progress("looking")
        return {"name": name, "state": "ok", "image_id": "sha256:00"}

    async def build(self, name: str, progress: Any, *, frozen: bool = False, update: bool = False) -> Mapping[str, Any]:
        if frozen:
            raise WfconsoleError("TEMPLATE_MISSING", "the image is not the committed one", "build without --frozen")
        progress("unpacking")
        return {"name": name, "state": "ok", "image_id": "sha256:00"}

    async def check(self, name: str | None) -> Sequence[Mapping[str, Any]]:
        difference = {"field": "layers", "expected": "a", "observed": "b"}
        differences = [] if self.state == "ok" else [difference]
        return [{"name": "python", "state": self.state, "image_id": None, "differences": differences}]


class FakeIntents:
    async def submit(self, door: Door, data: bytes) -> SavedIntent:
        return SavedIntent(intent_id="ab" * 32, intent=json.loads(data))

    async def request(self, door: Door, ref: str, recipe: str | None, actor: Actor) -> RunRequest:
        if recipe is None:
            raise WfconsoleError("INPUT_MISSING", "the intent names no recipe", "give --recipe")
        return RunRequest(recipe=recipe, actor=actor, trigger="intent", intent_hash=ref)


class Desk:
    """A fake door and all the rest; `run` is one command line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        self._patch = monkeypatch
        self.home = home
        self.door = FakeDoor(plan(step("lint"), step("unit", "lint")), home)
        self.recipes = FakeRecipes()
        self.templates = FakeTemplates()
        self.checks = [Check(name="engine", status="ok", message="Docker 20.10")]
        self.conformity = [Check(name="io-uring", status="ok", message="io_uring is denied", area="walls", ms=1234)]
        self.now = START + 60_000
        self.opened = 0
        self.signed: list[tuple[bytes, str]] = []
        self.audited: list[Audited] = []
        self.consoles: list[tuple[str | None, bool]] = []
        self.detached = 0

    @property
    def plan(self) -> Plan:
        return self.door.plan

    @plan.setter
    def plan(self, made: Plan) -> None:
        self.door.plan = made

    async def _open(self) -> Door:
        self.opened += 1
        return self.door

    async def _doctor(self) -> Sequence[Check]:
        return self.checks

    async def _doctor_sandbox(self, tell: Callable[[int, int], None]) -> Sequence[Check]:
        tell(len(self.conformity), len(self.conformity))
        return self.conformity

    async def _identity(self) -> str:
        return ANN.name

    async def _sign(self, payload: bytes, namespace: str) -> str:
        self.signed.append((payload, namespace))
        return f"signature {len(self.signed)}"

    async def _worker(self, until_idle: bool, say: Callable[[str], None]) -> None:
        say(f"until idle: {until_idle}")

    def _detach(self) -> int:
        self.detached += 1
        return 4711

    def _console(self, target: str | None, read_only: bool) -> int:
        self.consoles.append((target, read_only))
        return 0

    async def _audit(self, run: str | None) -> Sequence[Audited]:
        return [item for item in self.audited if run in {None, item.run_id}]

    def wiring(self) -> Wiring:
        return Wiring(
            open_door=self._open,
            actor=lambda: ANN,
            now_ms=lambda: self.now,
            read_values=lambda path: dict(json.loads(path.read_bytes())),
            recipes=lambda: self.recipes,
            templates=lambda: self.templates,
            intents=FakeIntents,
            doctor=self._doctor,
            doctor_sandbox=self._doctor_sandbox,
            identity=self._identity,
            sign=self._sign,
            worker=self._worker,
            audit=self._audit,
            console=self._console,
            detach=self._detach,
            database=lambda: cast("Any", self.door.store),
            config=lambda: {"settings": {"keep": {"value": "30d", "source": "default"}}, "folders": {"state": "/s"}},
        )

    def run(self, *argv: str, terminal: bool = False, encoding: str = "utf-8", stdin: bytes = b"") -> Ran:
        out, err = io.BytesIO(), io.BytesIO()
        stdout = (Terminal if terminal else io.TextIOWrapper)(out, encoding=encoding, write_through=True)
        stderr = io.TextIOWrapper(err, encoding="utf-8", write_through=True)
        with self._patch.context() as patch:
            patch.setattr(sys, "stdout", stdout)
            patch.setattr(sys, "stderr", stderr)
            patch.setattr(sys, "stdin", (Terminal if terminal else io.TextIOWrapper)(io.BytesIO(stdin)))
            code = run_cli(list(argv), self.wiring())
            stdout.flush()
            stderr.flush()
        return Ran(code, out.getvalue(), err.getvalue().decode())
