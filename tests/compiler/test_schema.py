"""The JSON Schema for editors says yes and no where the checker does, as far as a schema can."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.compiler.test_sketches import SKETCHES
from wfconsole.compiler.load import load
from wfconsole.compiler.schema import json_schema
from wfconsole.compiler.tree import plain
from wfconsole.domain.plan import Json

jsonschema = pytest.importorskip("jsonschema")


def document(text: str) -> Json:
    loaded, findings = load(text.encode(), file="r.yaml")
    assert findings == ()
    assert loaded is not None
    return plain(loaded.root)


def errors(text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(json_schema())
    return [error.message for error in validator.iter_errors(document(text))]


def test_the_schema_is_a_schema_and_plain_json() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert json.loads(json.dumps(json_schema())) == json_schema()


@pytest.mark.parametrize("name", SKETCHES)
def test_the_sketched_recipes_pass(name: str) -> None:
    assert errors(SKETCHES[name]) == []


def test_the_golden_recipe_passes() -> None:
    assert errors((Path(__file__).parent / "golden" / "quality.yaml").read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "steps: {a: {run: x}}",
        "recipe: r",
        "recipe: R\nsteps: {a: {run: x}}",
        "recipe: r\nsteps: {}",
        "recipe: r\nsteps: {a: {run: x, shell: y}}",
        "recipe: r\nsteps: {a: {needs: [b]}}",
        "recipe: r\nsteps: {a: {run: x, timeout: 10}}",
        "recipe: r\nsteps: {a: {run: x, timeout: ten}}",
        "recipe: r\nsteps: {a: {set: {b: 1}, env: {A: b}}}",
        "recipe: r\nsteps: {A: {run: x}}",
        "recipe: r\nversion: 1.0\nsteps: {a: {run: x}}",
        "recipe: r\nsteps: {a: {run: [-q]}}",
        "recipe: r\nsteps: {a: {run: [[x, true]]}}",
        "recipe: r\nsteps: {a: {run: x, needs: {b: success}}}",
        "recipe: r\nlimits: {output_bytes: 64}\nsteps: {a: {run: x}}",
        "recipe: r\nsteps: {a: {steps: {b: {runn: x}}}}",
        "recipe: r\nsteps: {a: {approval: {title: x, on_timeout: approve}}}",
    ],
)
def test_what_the_checker_refuses_by_shape_the_schema_refuses_too(text: str) -> None:
    assert errors(text) != []
