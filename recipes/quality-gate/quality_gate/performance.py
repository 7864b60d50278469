"""The check performance: benchmarks against a baseline file in the repository.

Owns the baseline's format (README) and the comparison. The one decision that would surprise: it compares CPU time, not
wall time, and scales the baseline by the speed of this machine: eight checks run at once on whatever hardware there is.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from quality_gate.project import Project
from quality_gate.result import FAILED, PASSED, Result, counted, errored, made, not_applicable
from quality_gate.suite import import_path, prepared
from quality_gate.tool import Room, run

_NAME = "performance"
_REPEATS = 5
_ROUNDS = 200_000
_TOLERANCE = 0.25
_NOISE_S = 0.02


def performance(room: Room, baseline: str) -> Result:
    """Run each benchmark of the baseline file (a path inside the repository) and compare."""
    path = room.workspace / baseline
    inside = baseline and path.resolve().is_relative_to(room.workspace.resolve())
    if not inside or not path.is_file():
        return not_applicable(_NAME, f"No baseline file ({baseline or 'none named'})")
    try:
        declared = read(path.read_text(encoding="utf-8", errors="replace"))
    except ValueError as error:
        return errored(_NAME, f"{baseline}: {error}")
    project = prepared(room)
    measured: dict[str, float] = {}
    for benchmark in declared["benchmarks"]:
        seconds = _measured(room, project, benchmark["run"])
        if isinstance(seconds, str):
            return errored(_NAME, f"Benchmark {benchmark['name']}: {seconds}")
        measured[benchmark["name"]] = seconds
    result = judged(declared, measured, calibration())
    print(json.dumps(result["details"], indent=2))
    (room.out / "perf-measured.json").write_text(json.dumps(result["details"]["baseline"], indent=2), encoding="utf-8")
    return result


def read(text: str) -> dict[str, Any]:
    """Return a baseline `{tolerance, calibration, benchmarks: [{name, run: [argv], seconds}]}`. Raises ValueError."""
    data = json.loads(text)
    benchmarks = data.get("benchmarks") if isinstance(data, dict) else None
    if not isinstance(benchmarks, list) or not benchmarks:
        raise ValueError("no `benchmarks` list")
    for item in benchmarks:
        argv = item.get("run") if isinstance(item, dict) else None
        if not isinstance(argv, list) or not argv or not all(isinstance(part, str) for part in argv):
            raise ValueError("each benchmark needs a `name` and `run`, a list of strings")
        if not isinstance(item.get("name"), str) or not _is_seconds(item.get("seconds"), optional=True):
            raise ValueError("each benchmark needs a `name`; `seconds` is a positive number")
    tolerance, unit = data.get("tolerance", _TOLERANCE), data.get("calibration")
    if not _is_seconds(tolerance) or not _is_seconds(unit, optional=True):
        raise ValueError("`tolerance` and `calibration` are positive numbers")
    return {"tolerance": tolerance, "calibration": unit, "benchmarks": benchmarks}


def judged(declared: dict[str, Any], measured: dict[str, float], unit: float) -> Result:
    """Return the verdict; `unit` is the CPU time of the calibration loop here, seconds."""
    scale = unit / declared["calibration"] if declared["calibration"] else 1.0
    rows = [_row(item, measured[item["name"]], scale, declared["tolerance"]) for item in declared["benchmarks"]]
    slower = [row for row in rows if row["regressed"]]
    details = {
        "scale": round(scale, 3),
        "tolerance": declared["tolerance"],
        "benchmarks": rows,
        "baseline": {
            "tolerance": declared["tolerance"],
            "calibration": round(unit, 4),
            "benchmarks": [
                {"name": item["name"], "run": item["run"], "seconds": round(measured[item["name"]], 4)}
                for item in declared["benchmarks"]
            ],
        },
    }
    if not slower:
        return made(_NAME, PASSED, "No regressions", score=100.0, details=details)
    blocking = [f"{row['name']} is {row['change'] * 100:.0f}% slower than the baseline" for row in slower]
    score = 100.0 * (len(rows) - len(slower)) / len(rows)
    return made(_NAME, FAILED, counted(len(slower), "regression"), score=score, blocking=blocking, details=details)


def calibration() -> float:
    """Return the CPU seconds of a fixed loop: the best of five."""
    best = float("inf")
    for _ in range(_REPEATS):
        started = time.process_time()
        total = 0
        for number in range(_ROUNDS):
            total += number * number % 7
        best = min(best, time.process_time() - started)
    return best


def _row(item: dict[str, Any], seconds: float, scale: float, tolerance: float) -> dict[str, Any]:
    expected = item.get("seconds")
    if expected is None:
        return {
            "name": item["name"],
            "seconds": round(seconds, 4),
            "expected": None,
            "change": None,
            "regressed": False,
        }
    change = seconds / (expected * scale) - 1.0
    slower = change > tolerance and seconds - expected * scale > _NOISE_S
    return {
        "name": item["name"], "seconds": round(seconds, 4), "expected": round(expected * scale, 4),
        "change": round(change, 3), "regressed": slower,
    }  # fmt: skip


def _measured(room: Room, project: Project, argv: list[str]) -> float | str:
    command = [sys.executable if argv[0] in {"python", "python3"} else argv[0], *argv[1:]]
    best = float("inf")
    for _ in range(_REPEATS):
        try:
            ran = run(room, command, cwd=project.root, env={"PYTHONPATH": import_path(room, project)})
        except OSError as error:
            return f"cannot be started ({error.strerror})"
        if ran.timed_out:
            return f"did not end within {room.limit_s:g} s"
        if ran.exit_code != 0:
            print(ran.output)
            return f"exit status {ran.exit_code}"
        best = min(best, ran.cpu_seconds)
    return best


def _is_seconds(value: object, *, optional: bool = False) -> bool:
    if value is None:
        return optional
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9
