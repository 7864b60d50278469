"""Declared inputs, of a recipe or of a question's form: does each declaration hold together?

Refuses to know values that somebody gives later (`domain.inputs`). The one decision that would surprise: a default and a choice
are checked by the same function that will check what is given, so a declaration cannot refuse its own default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from wfconsole.compiler import lower
from wfconsole.compiler.findings import Path
from wfconsole.compiler.reading import Reading
from wfconsole.domain.inputs import bind_value
from wfconsole.domain.plan import InputSpec, Json


def check_inputs(inputs: Mapping[str, Json], at_path: Path, reading: Reading) -> None:
    """Each input, of the recipe or of a form, against its own declaration."""
    for name, value in inputs.items():
        path: Path = (*at_path, name)
        spec = lower.input_spec(name, value)
        _check_pattern(spec, path, reading)
        if spec.minimum is not None and spec.maximum is not None and spec.minimum > spec.maximum:
            reading.report(reading.value_place((*path, "minimum")), path, "minimum is more than maximum")
        for key in ("minimum", "maximum"):
            if key in value and spec.type not in {"integer", "number"}:
                at = (*path, key)
                reading.report(reading.key_place(at), at, f"`{key}` means nothing for type {spec.type}", "remove it")
        bare = InputSpec(name=name, type=spec.type, required=True)
        for index, choice in enumerate(spec.choices):
            _, problem = bind_value(bare, choice, textual=False)
            if problem is not None:
                at = (*path, "choices", index)
                reading.report(reading.value_place(at), at, problem.message, problem.hint)
        if spec.has_default and _pattern_works(spec):
            _, problem = bind_value(spec, spec.default, textual=False)
            if problem is not None:
                at = (*path, "default")
                reading.report(
                    reading.value_place(at), at, f"the default does not fit: {problem.message}", problem.hint
                )


def _check_pattern(spec: InputSpec, path: Path, reading: Reading) -> None:
    if spec.pattern is None:
        return
    at = (*path, "pattern")
    if spec.type not in {"string", "path"}:
        reading.report(reading.key_place(at), at, f"`pattern` means nothing for type {spec.type}", "remove it")
    if not _pattern_works(spec):
        reading.report(reading.value_place(at), at, "not a regular expression", "check brackets and backslashes")


def _pattern_works(spec: InputSpec) -> bool:
    try:
        re.compile(spec.pattern or "")
    except (re.error, RecursionError, OverflowError):
        return False
    return True
