"""Making a run: compile, bind, check, copy the workspace, commit. Until the commit nothing exists; after it everything is pinned.

Refuses to drive the run. If anything fails on the way, the run's folder is removed again and nothing was created (ST-
WF-001, 002).
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from wfconsole.control.authors import Author, author_of
from wfconsole.control.door import Created, InvalidRequestError, Prepared, Problem, RunRequest
from wfconsole.domain.codec import to_json
from wfconsole.domain.decide import decide
from wfconsole.domain.facts import StartRun, WorkspacePin
from wfconsole.domain.inputs import bind_inputs
from wfconsole.domain.plan import CheckRule, Json, Plan
from wfconsole.domain.values import ExpressionError, as_text, resolve, sources
from wfconsole.ports import (
    Clock,
    Commit,
    Evaluate,
    RunFolder,
    Secrets,
    Signer,
    Store,
    StoreConflictError,
    WfconsoleError,
    Workspaces,
)

_T = TypeVar("_T")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PINNING = "`wfconsole doctor` looks at the store; then run again"
_WORKFLOW_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What `main`'s compile function gives: a plan, or the problems; `files` are the recipe's pinned files by name."""

    plan: Plan | None
    problems: tuple[Problem, ...]
    files: Mapping[str, bytes]


Permit = Callable[[Plan, Mapping[str, Json], Evaluate], None]
"""Whether the operator lets the effects of a plan with these inputs be carried out. Raises WfconsoleError when not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPorts:
    """What making a run needs."""

    store: Store
    workspaces: Workspaces
    clock: Clock
    folder: Callable[[str], RunFolder]
    compile: Callable[[str], Compiled]
    evaluate_with: Callable[[Mapping[str, bytes]], Evaluate]
    trace_url: str | None = None
    project: str | None = None
    signer: Signer | None = None
    secrets: Secrets | None = None
    permit: Permit | None = None


def new_run_id(now_ms: int) -> str:
    """Time-ordered and sortable as text: ten characters of milliseconds, six of chance (base 32)."""
    value = (now_ms << 30) | secrets.randbits(30)
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(75, -1, -5))


async def prepare(request: RunRequest, ports: StartPorts) -> Prepared:
    """Everything about the request that can be known without writing. Raises InvalidRequestError."""
    compiled = ports.compile(request.recipe)
    errors = [problem for problem in compiled.problems if problem.severity == "error"]
    if compiled.plan is None or errors:
        raise InvalidRequestError("RECIPE_INVALID", f"{request.recipe} has {len(errors)} error(s)", errors)
    plan = _with_budget(compiled.plan, request.cost_usd)
    evaluate = ports.evaluate_with(compiled.files)
    inputs, problems = _bind(plan, request)
    problems += _check_problems(plan, inputs, frozenset(problem.where for problem in problems), evaluate)
    problems += _key_problems(request.workflow_id)
    if problems:
        raise InvalidRequestError(*_told(problems), problems)
    if ports.permit is not None:
        ports.permit(plan, inputs, evaluate)
    if plan.secrets and ports.secrets is not None:
        await ports.secrets.read(plan.secrets)  # before anything is written: one that is missing is told now
    return Prepared(
        request=request,
        plan=plan,
        inputs=inputs,
        files=compiled.files,
        warnings=tuple(problem for problem in compiled.problems if problem.severity != "error"),
    )


def _with_budget(plan: Plan, cost_usd: float | None) -> Plan:
    """An intent's budget can tighten the recipe's, never loosen it."""
    if cost_usd is None:
        return plan
    own = plan.limits.cost_usd
    return replace(plan, limits=replace(plan.limits, cost_usd=cost_usd if own is None else min(own, cost_usd)))


def _told(problems: Sequence[Problem]) -> tuple[str, str]:
    """The code and the sentence above all that is wrong with a request."""
    if all(problem.where == "check" for problem in problems):
        return "INPUT_INVALID", "the inputs break a check of the recipe"
    if len(problems) == 1 and problems[0].where == "--id":
        return "INPUT_INVALID", problems[0].message
    code = "INPUT_MISSING" if all(problem.code == "INPUT_MISSING" for problem in problems) else "INPUT_INVALID"
    return code, f"{len(problems)} input(s) do not hold"


def _key_problems(key: str | None) -> list[Problem]:
    if key is None or _WORKFLOW_ID.fullmatch(key):
        return []
    hint = "letters, digits and . _ : / @ + -, at most 200"
    return [Problem(code="INPUT_INVALID", message=f"--id {key!r} is no key", hint=hint, where="--id")]


def _bind(plan: Plan, request: RunRequest) -> tuple[dict[str, Json], list[Problem]]:
    given = {**request.values, **request.inputs}
    values, found = bind_inputs(plan.inputs, given, textual=frozenset(request.inputs))
    problems = [Problem(code=p.code, message=p.message, hint=p.hint, where=p.name) for p in found]
    for spec in plan.inputs:
        path = values.get(spec.name)
        if spec.type == "path" and isinstance(path, str):
            absolute = os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - text in, text out
            values[spec.name] = absolute
            if not os.path.exists(absolute):  # noqa: PTH110
                problems.append(
                    Problem(
                        code="INPUT_INVALID",
                        message=f"{spec.name}: no such file or folder: {path}",
                        hint="a path is read from the folder that the command is started in",
                        where=spec.name,
                    )
                )
    return values, problems


def _check_problems(plan: Plan, inputs: Mapping[str, Json], bad: frozenset[str], evaluate: Evaluate) -> list[Problem]:
    """The checks that do not hold; those that may read one of the `bad` inputs can say nothing yet."""
    scope = {"inputs": dict(inputs), "state": plan.state}
    problems = []
    for rule in plan.checks:
        if bad and not _reads_only_others(rule, bad):
            continue
        try:
            if evaluate(rule.that, scope):
                continue
            message, hint = (as_text(resolve(part, lambda e: evaluate(e, scope))) for part in (rule.message, rule.hint))
            problems.append(
                Problem(code="INPUT_INVALID", message=message or f"{rule.that} does not hold", hint=hint, where="check")
            )
        except ExpressionError as error:
            problems.append(Problem(code="INPUT_INVALID", message=f"{rule.that}: {error}", where="check"))
    return problems


def _reads_only_others(rule: CheckRule, bad: frozenset[str]) -> bool:
    """Does the check name every input that it reads, and none of the `bad` ones?"""
    texts = [rule.that, *sources(rule.message), *sources(rule.hint)]
    whole = any(re.search(r"\binputs\b(?!\s*(?:\.\s*[a-z]|\[\s*['\"]))", text) for text in texts)
    return not whole and not any(re.search(rf"\b{re.escape(name)}\b", text) for name in bad for text in texts)


async def create(prepared: Prepared, ports: StartPorts) -> Created:
    """Copy, pin, commit. The same workflow_id and the same request give the run that exists."""
    request = prepared.request
    if request.workflow_id is not None:
        earlier = await ports.store.run_of_workflow(request.workflow_id)
        if earlier is not None:
            return Created(run_id=earlier, existed=True)
    now = ports.clock.now_ms()
    run_id = new_run_id(now)
    author = await author_of(prepared.plan, prepared.inputs, ports.signer, request.workflow_id or run_id, now)
    folder = ports.folder(run_id)
    _make_folder(folder)
    try:
        pin, warnings = await _to_its_end(_copy_workspace(prepared, ports, folder))
        await _to_its_end(asyncio.to_thread(_copy_files, prepared, folder))
        fact = _start_fact(prepared, ports, _Copied(run_id=run_id, at=now, pin=pin, warnings=warnings, author=author))
        ruling = decide(None, fact, ports.evaluate_with(prepared.files))
        commit = Commit(run_id=run_id, expected_seq=0, records=ruling.records, fact=fact)
        await _to_its_end(ports.store.commit(commit))
    except BaseException as error:
        if not await ports.store.load(run_id):  # cancelled just when it was committed: then it is there for good
            await asyncio.to_thread(shutil.rmtree, folder.root, ignore_errors=True)
        if isinstance(error, StoreConflictError) and request.workflow_id is not None:
            earlier = await ports.store.run_of_workflow(request.workflow_id)
            if earlier is not None:
                return Created(run_id=earlier, existed=True)
        if isinstance(error, StoreConflictError):  # a new run has no journal that another could have changed
            message = f"the recipe's version and digest could not be recorded, so no run was created: {error.message}"
            raise WfconsoleError("VERSION_NOT_PINNED", message, _PINNING, error.details) from error
        if isinstance(error, OSError):
            raise _unwritable(folder, error) from error
        raise
    return Created(run_id=run_id, warnings=warnings)


async def _to_its_end(work: Awaitable[_T]) -> _T:
    """Wait for all of `work` also when we are cancelled: a thread that still copies cannot be cleaned up after."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _make_folder(folder: RunFolder) -> None:
    try:
        folder.root.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: RunFolder, error: OSError) -> WfconsoleError:
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    message = f"{folder.root} cannot be written: {error.strerror or error}"
    return WfconsoleError(
        "DISK_FULL" if full else "WORKSPACE_INVALID", message, "look at the state folder and its disk"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copied:
    """The run's identity and what its workspace was copied from."""

    run_id: str
    at: int
    pin: WorkspacePin | None
    warnings: tuple[str, ...]
    author: Author | None = None


def _start_fact(prepared: Prepared, ports: StartPorts, copied: _Copied) -> StartRun:
    request, run_id = prepared.request, copied.run_id
    trigger: Any = request.trigger
    return StartRun(
        fact_id=f"start:{run_id}",
        at=copied.at,
        actor=request.actor,
        run_id=run_id,
        workflow_id=request.workflow_id or run_id,
        trace_id=secrets.token_hex(16),
        plan=prepared.plan,
        inputs=dict(prepared.inputs),
        project=request.project or ports.project or _project(copied.pin),
        trigger=trigger,
        intent_hash=request.intent_hash,
        trace_url=ports.trace_url,
        workspace=copied.pin,
        author=None if copied.author is None else copied.author.principal,
        start={} if copied.author is None else copied.author.start,
        warnings=(*(problem.message for problem in prepared.warnings), *copied.warnings),
    )


def _project(pin: WorkspacePin | None) -> str | None:
    """What the run is about when nobody said: the name of the folder its workspace is copied from."""
    return Path(pin.source).name if pin is not None else None


async def _copy_workspace(
    prepared: Prepared, ports: StartPorts, folder: RunFolder
) -> tuple[WorkspacePin | None, tuple[str, ...]]:
    spec = prepared.plan.workspace
    if spec is None:
        folder.workspace.mkdir()
        folder.workspace.chmod(0o755)  # whatever our umask is: the sandbox is another user
        return None, ()
    evaluate = ports.evaluate_with(prepared.files)
    scope = {"inputs": dict(prepared.inputs), "state": prepared.plan.state}
    try:
        source = resolve(spec.source, lambda expression: evaluate(expression, scope))
        ref = resolve(spec.ref, lambda expression: evaluate(expression, scope))
    except ExpressionError as error:
        raise WfconsoleError("WORKSPACE_INVALID", f"workspace: {error}", "mend the recipe's workspace") from error
    if not isinstance(source, str) or not source:
        raise WfconsoleError(
            "WORKSPACE_INVALID", "the recipe's workspace has no source", "give the input that names it"
        )
    place = _source(source, prepared.plan)
    copy = await ports.workspaces.copy(place, as_text(ref) or "HEAD", folder)
    return copy.pin, copy.warnings


def _source(source: str, plan: Plan) -> Path:
    """Where the workspace is copied from, absolute.

    A path that the recipe itself writes out is relative to the recipe's folder when the recipe was named by its path; any
    other is relative to the current folder, as inputs are.
    """
    literal = plan.workspace is not None and not any(sources(plan.workspace.source))
    by_path = plan.recipe.origin.startswith("path:")
    base = Path(plan.recipe.origin.removeprefix("path:")).parent if literal and by_path else Path()
    return Path(os.path.abspath(base / os.path.expanduser(source)))  # noqa: PTH100, PTH111 - text in, text out


def _copy_files(prepared: Prepared, folder: RunFolder) -> None:
    """The recipe's own files and the `path` inputs that a step reads, as they are now."""
    for name, data in prepared.files.items():
        target = folder.recipe / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    wanted = _inputs_read(prepared.plan)
    for spec in prepared.plan.inputs:
        value = prepared.inputs.get(spec.name)
        if spec.type != "path" or not isinstance(value, str) or spec.name not in wanted:
            continue
        folder.inputs.mkdir(exist_ok=True)
        _copy_path(Path(value), folder.inputs / spec.name, own=folder.root)
    if folder.recipe.is_dir():
        _readable(folder.recipe)


def _inputs_read(plan: Plan) -> set[str]:
    """Names of the `path` inputs to copy: all but one that only names the source of the workspace."""
    steps = [to_json(step) for step in plan.steps]
    bodies = [[step.get(key) for key in ("body", "env", "stdin", "workdir", "network", "outputs")] for step in steps]
    texts = " ".join([*sources(bodies), *(step.when for step in plan.steps if step.when)])
    written = json.dumps(bodies, ensure_ascii=False)
    source_only = " ".join(sources(plan.workspace.source)) if plan.workspace is not None else ""
    names = {spec.name for spec in plan.inputs if spec.type == "path"}
    return {
        name
        for name in names
        if not re.search(rf"\b{name}\b", source_only)
        or re.search(rf"\b{name}\b", texts)
        or re.search(rf"/inputs/{name}\b", written)
    }


def _copy_path(source: Path, target: Path, *, own: Path) -> None:
    """Copy a file or a folder; what lies in it of the run itself is left out, or the copy would never end."""
    here = own.stat()

    def leave_out(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if os.path.samestat(os.lstat(os.path.join(folder, name)), here)]  # noqa: PTH118

    try:
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=leave_out)
        elif source.is_file():
            shutil.copy(source, target)
        else:
            raise WfconsoleError("INPUT_INVALID", f"{source} is no file and no folder", "write it to a file first")
        _readable(target)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise WfconsoleError("INPUT_INVALID", f"{source} cannot be copied: {error}", "make it readable") from error


def _readable(root: Path) -> None:
    """The sandbox is another user: let it read what was put there for it."""
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
