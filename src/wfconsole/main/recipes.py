"""Recipes by name or path, compiled: for runs, for intents and for the commands that show them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from wfconsole.compiler import catalog
from wfconsole.compiler.compile import Compiled as Compilation
from wfconsole.compiler.findings import Finding
from wfconsole.compiler.load import load
from wfconsole.compiler.tree import plain
from wfconsole.config import Settings
from wfconsole.control.door import InvalidRequestError, Problem
from wfconsole.control.starting import Compiled
from wfconsole.control.wiring import RecipeInfo, Recipes, Trusted
from wfconsole.domain.plan import NETWORKS, Plan
from wfconsole.domain.records import Actor
from wfconsole.main.trust import TrustFile, distrust
from wfconsole.ports import WfconsoleError
from wfconsole.views.safe_text import safe_text

MAX_VALUES_BYTES = 4 * 1024**2


class KnownTemplates(Mapping[str, str]):
    """Every template that there is a file for, with the widest network that it allows; a file is read when that is asked."""

    def __init__(self, folders: Sequence[Path]) -> None:
        found = [path for folder in folders if folder.is_dir() for path in folder.glob("*.yaml")]
        self._paths = {path.stem: path for path in reversed(found)}

    def __getitem__(self, name: str) -> str:
        """A file that cannot be read allows everything here: whoever builds the template is told of it."""
        with suppress(OSError, ValueError):
            document, _ = load(self._paths[name].read_bytes(), file=name)
            top = plain(document.root) if document is not None else None
            said = top.get("network", NETWORKS[0]) if isinstance(top, dict) else None
            if said in NETWORKS:
                return str(said)
        return NETWORKS[-1]

    def __contains__(self, name: object) -> bool:
        return name in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def template_names(settings: Settings) -> KnownTemplates:
    """Every template that there is a file for."""
    return KnownTemplates(settings.template_folders)


def compile_ref(settings: Settings, ref: str) -> tuple[catalog.Found, Compilation]:
    """Find and compile. Raises RECIPE_NOT_FOUND."""
    found = catalog.find(ref, settings.recipe_folders, beside=Path.cwd())
    if found.origin == "path":
        found = replace(found, origin=f"path:{found.path.absolute()}")
    return found, catalog.compile_found(found, settings.recipe_folders, templates=template_names(settings))


def compile_for_run(settings: Settings, ref: str) -> Compiled:
    """What a run needs of a recipe: no plan when it has an error, or a step that this version cannot carry out."""
    found, compiled = compile_ref(settings, ref)
    problems = [_problem(finding) for finding in compiled.findings if finding.severity == "error"]
    problems += [
        Problem(
            code="RECIPE_INVALID",
            message=f"{missing.step_id or 'recipe'}: {missing.feature} is not available in this version",
            hint="leave the step out, or wait for a version that has it",
            where=f"{found.path}:{missing.line}:{missing.column}",
        )
        for missing in compiled.unavailable
    ]
    for hidden in (path for path in found.shadowed if not path.samefile(found.path)):
        sys.stderr.write(safe_text(f"{found.name}: {found.path} hides {hidden}") + "\n")
    warnings = [_problem(finding) for finding in compiled.findings if finding.severity != "error"]
    plan = None if problems else compiled.plan
    return Compiled(plan=plan, problems=(*problems, *warnings), files=compiled.files)


def compile_named(settings: Settings, ref: str) -> Plan:
    """The plan of a recipe. Raises InvalidRequestError with every finding."""
    compiled = compile_for_run(settings, ref)
    if compiled.plan is None:
        errors = [problem for problem in compiled.problems if problem.severity == "error"]
        raise InvalidRequestError("RECIPE_INVALID", f"{ref} has {len(errors)} error(s)", errors)
    return compiled.plan


def _problem(finding: Finding) -> Problem:
    message = f"{finding.path}: {finding.message}" if finding.path else finding.message
    return Problem(
        code=finding.code,
        message=message,
        hint=finding.hint,
        where=f"{finding.file}:{finding.line}:{finding.column}",
        severity=finding.severity,
    )


def read_values(path: Path) -> Mapping[str, Any]:
    """A file of inputs: JSON or YAML, one object. Raises INPUT_INVALID."""
    try:
        with path.open("rb") as source:
            data = source.read(MAX_VALUES_BYTES)
    except OSError as error:
        raise WfconsoleError("INPUT_INVALID", f"{path}: {error.strerror}", "name a readable file") from error
    document, findings = load(data, file=str(path))
    if document is None:
        problems = [_problem(finding) for finding in findings]
        raise InvalidRequestError("INPUT_INVALID", f"{path} cannot be read", problems)
    values = plain(document.root)
    if not isinstance(values, dict):
        raise WfconsoleError("INPUT_INVALID", f"{path} holds no object", "write NAME: VALUE lines")
    return values


class RecipeShelf(Recipes):
    """`cli.wiring.Recipes` over the catalogue."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def list(self) -> Sequence[RecipeInfo]:
        entries = catalog.entries(self._settings.recipe_folders, templates=template_names(self._settings))
        return [
            RecipeInfo(
                name=entry.name,
                version=entry.version,
                description=entry.description if entry.valid else f"({entry.problems} errors) {entry.description}",
                origin=entry.origin,
                path=str(entry.path),
                shadows=tuple(str(other.path) for other in entries if other.shadowed_by == entry.path),
            )
            for entry in entries
        ]

    def show(self, ref: str) -> RecipeInfo:
        found, compiled = compile_ref(self._settings, ref)
        plan = compiled.plan
        if plan is None:
            errors = [_problem(finding) for finding in compiled.findings if finding.severity == "error"]
            raise InvalidRequestError("RECIPE_INVALID", f"{ref} has {len(errors)} error(s)", errors)
        return RecipeInfo(
            name=plan.recipe.name,
            version=plan.recipe.version,
            description=plan.description,
            origin=found.origin,
            path=str(found.path),
            digest=plan.recipe.digest,
            shadows=tuple(str(path) for path in found.shadowed),
            inputs=tuple(
                {
                    "name": spec.name,
                    "type": spec.type,
                    "required": spec.required,
                    "default": spec.default,
                    "description": spec.description,
                    "choices": list(spec.choices) if spec.choices else [],
                }
                for spec in plan.inputs
            ),
            steps=tuple(
                {"step_id": step.step_id, "kind": step.kind, "needs": [need.step for need in step.needs]}
                for step in plan.steps
            ),
            text=found.path.read_text(),
        )

    def validate(self, ref: str) -> Sequence[Problem]:
        found, compiled = compile_ref(self._settings, ref)
        problems = [_problem(finding) for finding in compiled.findings]
        why = None if compiled.plan is None else distrust(self._settings, compiled.plan)
        if why is not None:
            where = f"{found.path}:1:1"
            problems.append(
                Problem(code="POLICY_BLOCKED", message=why[0], hint=why[1], where=where, severity="warning")
            )
        return problems

    def trust(self, ref: str, actor: Actor, at: int) -> Trusted:
        shown = self.show(ref)
        item = Trusted(
            name=shown.name, digest=shown.digest, path=str(Path(shown.path).absolute()), by=actor.name, at=at
        )
        TrustFile(self._settings).add(item)
        return item

    def trusted(self) -> Sequence[Trusted]:
        return TrustFile(self._settings).read()

    def revoke(self, name: str) -> int:
        return TrustFile(self._settings).remove(name)

    def schema(self) -> Mapping[str, Any]:
        from wfconsole.compiler.schema import json_schema

        return json_schema()
