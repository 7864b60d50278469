"""Compiling: recipe text to a plan, with everything that is wrong found in one go.

Owns the order of the passes, the canonical form and the digest. Refuses to know files and folders: what lies beside the recipe
comes through `read_file`. The one decision that would surprise: the canonical form is JSON, which is YAML as well, so a
pinned recipe compiles to the same plan and digest again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from wfconsole.compiler import lower, review
from wfconsole.compiler.findings import Finding
from wfconsole.compiler.grammar import RECIPE
from wfconsole.compiler.graph import Graph, build
from wfconsole.compiler.inputs import check_inputs
from wfconsole.compiler.load import load
from wfconsole.compiler.names import check_uses
from wfconsole.compiler.reading import Reading
from wfconsole.compiler.review import ResolveRecipe, Unavailable
from wfconsole.compiler.tree import Document, plain
from wfconsole.domain.plan import FilePin, InputSpec, Json, Plan, RecipeRef

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_FILES_BYTES = 16 * 1024 * 1024
_NOT_PRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")

ReadFile = Callable[[str], bytes]
"""The bytes of a file beside the recipe; raises OSError or ValueError when it cannot be read or lies outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What came of a recipe. `plan` is None when a finding is an error; `files` are the pinned files by name.

    `name`, `version`, `description` and `inputs` are what could be read of an invalid recipe too.
    """

    plan: Plan | None
    findings: tuple[Finding, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)
    unavailable: tuple[Unavailable, ...] = ()
    name: str = ""
    version: str = ""
    description: str = ""
    inputs: tuple[InputSpec, ...] = ()


def compile_recipe(
    text: bytes,
    *,
    file: str,
    origin: str,
    read_file: ReadFile,
    templates: Collection[str],
    resolve_recipe: ResolveRecipe | None = None,
) -> Compiled:
    """The plan of a recipe, or the findings that stand against it. Never raises for anything that `text` says.

    `file` is only shown; `origin` is path, project, user or built-in; `templates` are the names that exist.
    """
    document, findings = load(text, file=file)
    if document is None:
        return Compiled(plan=None, findings=findings)
    reading = Reading(document=document, findings=list(findings))
    recipe: dict[str, Json] = RECIPE.read(document.root, (), reading) or {}
    graph = build(recipe, reading)
    check_inputs(recipe.get("inputs") or {}, ("inputs",), reading)
    review.check_steps(graph, recipe, reading)
    review.check_templates(recipe, graph, templates, reading)
    check_uses(reading, graph, recipe)
    review.check_used_recipes(graph, resolve_recipe, reading)
    review.check_policy(recipe, graph, reading)
    missing = review.unavailable(recipe, graph, reading)
    files = _read_files(recipe, read_file, reading)
    plan = _plan(recipe, graph, reading, files=files, origin=origin) if reading.is_valid else None
    return Compiled(
        plan=plan,
        findings=tuple(sorted(reading.findings, key=lambda finding: (finding.line, finding.column))),
        files=files,
        unavailable=missing,
        name=recipe.get("recipe", ""),
        version=recipe.get("version", ""),
        description=recipe.get("description", ""),
        inputs=tuple(lower.input_spec(name, value) for name, value in (recipe.get("inputs") or {}).items()),
    )


def canonical(document: Document, as_text: Collection[int] = ()) -> str:
    """The recipe as compact JSON with sorted keys; numbers in an argv and in `env` are as written."""
    value = plain(document.root, frozenset(as_text))
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return _NOT_PRINTABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def digest_of(text: str, files: Mapping[str, bytes]) -> str:
    """sha256 in hex over the canonical form and the sha256 of each file, by name."""
    total = hashlib.sha256(text.encode())
    for name in sorted(files):
        total.update(f"\n{hashlib.sha256(files[name]).hexdigest()} {name}".encode())
    return total.hexdigest()


def _plan(recipe: dict[str, Json], graph: Graph, reading: Reading, *, files: dict[str, bytes], origin: str) -> Plan:
    text = canonical(reading.document, reading.as_text)
    ref = RecipeRef(
        name=recipe["recipe"], version=recipe.get("version", "0.0.0"), digest=digest_of(text, files), origin=origin
    )
    pins = [
        FilePin(name=name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)) for name, data in files.items()
    ]
    return Plan(
        recipe=ref,
        text=text,
        steps=lower.steps(graph, recipe),
        description=recipe.get("description", ""),
        inputs=tuple(lower.input_spec(name, value) for name, value in (recipe.get("inputs") or {}).items()),
        checks=lower.rules(recipe.get("check")),
        files=tuple(pins),
        workspace=lower.workspace(recipe.get("workspace")),
        state=recipe.get("state") or {},
        limits=lower.limits(recipe.get("limits") or {}),
        commands=lower.commands(recipe.get("commands") or {}),
        outputs=recipe.get("outputs") or {},
        manual_retry={**lower.MANUAL_RETRY, **(recipe.get("manual_retry") or {})},
        retention=recipe.get("retention"),
        on_failure=recipe.get("on_failure", "keep"),
        on_reject=recipe.get("on_reject", "cancel"),
    )


def _read_files(recipe: dict[str, Json], read_file: ReadFile, reading: Reading) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for index, name in enumerate(recipe.get("files") or ()):
        path = ("files", index)
        try:
            data = read_file(name)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error) or "it cannot be read"
            place = reading.value_place(path)
            reading.report(
                place, path, f"the file '{name}' beside the recipe: {reason}", "put it there, or remove it here"
            )
            continue
        if len(data) > MAX_FILE_BYTES or sum(map(len, files.values())) + len(data) > MAX_FILES_BYTES:
            place = reading.value_place(path)
            reading.report(
                place, path, f"the file '{name}' is too large ({len(data)} bytes)", "give large data as an input"
            )
            continue
        files[name] = data
    return files
