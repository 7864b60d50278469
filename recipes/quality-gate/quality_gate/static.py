"""The check static_analysis: complexity, maintainability, syntax, and types where the project checks types.

Owns the score out of radon's and mypy's findings. Two decisions that would surprise: mypy runs with a neutral
configuration, never the project's, since a configuration can name plugins, and plugins are code; and a source over
50 KB is not measured for maintainability (radon takes minutes on tables): with functions in it it counts as poor,
without any it is data and does not count.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from pathlib import Path
from typing import Any

from quality_gate.project import Project
from quality_gate.result import FAILED, PASSED, Result, counted, errored, made, not_applicable
from quality_gate.tool import Ran, Room, module, run

_NAME = "static_analysis"
_PASS = 70.0
_COMPLEX = 10
_VERY_COMPLEX = 30
_MAINTAINABLE = 20.0
_MAX_LISTED = 50
_MAX_MEASURED_BYTES = 50_000
_TYPE_ERROR = re.compile(r"^(?P<where>[^:\n]+:\d+): error: (?P<what>.*)$", re.MULTILINE)


def static_analysis(room: Room) -> Result:
    """Measure all sources that are no tests."""
    project = Project(root=room.workspace)
    if not project.source_files:
        return not_applicable(_NAME, "No Python sources found")
    broken = syntax_errors(project)
    good = [f"./{name}" for name in project.source_files if name not in {item["file"] for item in broken}]
    small = [name for name in good if (room.workspace / name).stat().st_size <= _MAX_MEASURED_BYTES]
    try:
        functions = blocks(_radon(room, "cc", good))
        index = indexes(_radon(room, "mi", small))
    except ValueError:
        return errored(_NAME, "radon gave no report")
    large = {name.removeprefix("./") for name in set(good) - set(small)}
    index |= dict.fromkeys(large & {item["file"] for item in functions}, 0.0)
    types = _types(room, project, good)
    result = judged(functions, index, broken, types, project.lines(project.source_files))
    print(json.dumps(result["details"], indent=2))
    return result


def syntax_errors(project: Project) -> list[dict[str, Any]]:
    """Return `{file, line, message}` of each source that this Python cannot parse."""
    found: list[dict[str, Any]] = []
    for name in project.source_files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse((project.root / name).read_bytes(), filename=name)
        except (SyntaxError, ValueError, RecursionError) as error:
            line = getattr(error, "lineno", None)
            found.append({"file": name, "line": line, "message": str(getattr(error, "msg", None) or error)})
    return found


def blocks(text: str) -> list[dict[str, Any]]:
    """Return radon's functions and methods as `{file, name, line, complexity}`, the most complex first."""
    found = [
        {
            "file": name.removeprefix("./"),
            "name": ".".join(part for part in (item.get("classname"), item["name"]) if part),
            "line": item["lineno"],
            "complexity": item["complexity"],
        }
        for name, items in json.loads(text).items()
        if isinstance(items, list)
        for item in items
        if item["type"] in {"function", "method"}
    ]
    return sorted(found, key=lambda item: (-item["complexity"], item["file"], item["line"]))


def indexes(text: str) -> dict[str, float]:
    """Return file to maintainability index (0..100)."""
    return {name.removeprefix("./"): round(item["mi"], 1) for name, item in json.loads(text).items() if "mi" in item}


def type_errors(output: str) -> list[str]:
    """Return mypy's errors as `file:line: message`."""
    return [f"{match['where']}: {match['what']}" for match in _TYPE_ERROR.finditer(output)]


def judged(
    functions: list[dict[str, Any]],
    index: dict[str, float],
    broken: list[dict[str, Any]],
    types: list[str] | None,
    lines: int,
) -> Result:
    """Return the verdict; `types` is None when types are not checked, `lines` counts the sources."""
    worst = [item for item in functions if item["complexity"] > _COMPLEX]
    poor = {name: value for name, value in index.items() if value < _MAINTAINABLE}
    penalties = {
        "complexity": min(30.0, 150.0 * len(worst) / max(1, len(functions))),
        "very_complex": min(10.0, 2.0 * sum(item["complexity"] > _VERY_COMPLEX for item in functions)),
        "maintainability": min(30.0, 60.0 * len(poor) / max(1, len(index))),
        "types": min(20.0, 1000.0 * len(types or ()) / max(500, lines)),
        "syntax": 100.0 if broken else 0.0,
    }
    score = max(0.0, 100.0 - sum(penalties.values()))
    blocking = [f"Syntax error in {item['file']}, line {item['line']}: {item['message']}" for item in broken]
    if not broken and score < _PASS:
        blocking = [f"Score {score:.0f} < {_PASS:.0f}: {counted(len(worst), 'function')} too complex"]
    details = {
        "functions": len(functions),
        "complex": worst[:_MAX_LISTED],
        "hard_to_maintain": poor,
        "type_errors": None if types is None else types[:_MAX_LISTED],
        "penalties": {name: round(value, 1) for name, value in penalties.items()},
    }
    status = FAILED if blocking else PASSED
    return made(_NAME, status, f"Score {score:.0f}", score=score, blocking=blocking, details=details)


def _radon(room: Room, measure: str, names: list[str]) -> str:
    target = room.out / f"radon-{measure}.json"
    target.write_text("{}", encoding="utf-8")
    if not names:
        return "{}"
    # radon reads setup.cfg from where it stands: an empty folder keeps the project's settings out of the score.
    neutral = room.folder("neutral")
    paths = [str(room.workspace / name) for name in names]
    run(room, [*module("radon"), measure, "-j", "-O", str(target), *paths], cwd=neutral)
    return target.read_text(encoding="utf-8").replace(f'"{room.workspace}/', '"')


def _types(room: Room, project: Project, names: list[str]) -> list[str] | None:
    configured = (
        project.table("tool", "mypy") is not None
        or {"mypy.ini", ".mypy.ini"} & set(project.files)
        or project.has_section("setup.cfg", "mypy")
    )
    if not configured or not names:
        return None
    ran = _mypy(room, [name for name in names if Path(name).name != "setup.py"])
    return None if ran.timed_out or ran.exit_code not in {0, 1} else type_errors(ran.output)


def _mypy(room: Room, names: list[str]) -> Ran:
    argv = [
        *module("mypy"), "--config-file=", "--ignore-missing-imports", "--no-error-summary", "--no-color-output",
        "--explicit-package-bases", "--namespace-packages", "--hide-error-context", f"--cache-dir={room.folder('cache')}",
    ]  # fmt: skip
    path = "src" if (room.workspace / "src").is_dir() else "."
    return run(room, [*argv, *names], cwd=room.workspace, env={"MYPYPATH": path})
