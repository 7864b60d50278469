"""The template file is read strictly: every finding at once, with a near name, and a digest that covers everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from wfconsole.ports import WfconsoleError
from wfconsole.sandbox.templates.shape import Template, parse

HASH = "a" * 64
WHEELS = f"alpha==1.0 \\\n    --hash=sha256:{HASH}\n"


def _data(**changes: Any) -> dict[str, Any]:
    image = {"pull": "base:1", "rootfs": {"suite": "bookworm", "packages": ["python3", "git"]}}
    return {"template": "tiny", "image": image, "env": {"LANG": "C.UTF-8"}, "tools": {"git": ">=2.30"}, **changes}


def _findings(data: dict[str, Any], folder: Path) -> list[str]:
    with pytest.raises(WfconsoleError) as caught:
        parse(data, folder)
    assert caught.value.code == "RECIPE_INVALID"
    findings = caught.value.details["findings"]
    assert isinstance(findings, list)
    return [str(line) for line in findings]


def test_every_field_is_read(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text(WHEELS)
    data = _data(description="Small", fallback_template="base")
    data["image"]["wheels"] = "w.txt"
    template = parse(data, tmp_path)
    assert (template.name, template.tag, template.description) == ("tiny", "wfconsole/tiny", "Small")
    assert template.pull == "base:1"
    assert template.rootfs is not None
    assert template.rootfs.packages == ("git", "python3")
    assert template.wheels == tmp_path / "w.txt"
    assert template.env["LANG"] == "C.UTF-8"
    assert template.env["PATH"].startswith("/usr/local/bin:")
    assert template.tools == {"git": ">=2.30"}
    assert template.fallback_template == "base"


def test_unknown_key_is_refused_with_a_near_name(tmp_path: Path) -> None:
    assert _findings(_data(tool={}), tmp_path) == ["unknown key `tool`, did you mean `tools`?"]


def test_all_findings_come_at_once(tmp_path: Path) -> None:
    data = {
        "template": "Tiny",
        "image": {"rootfs": {"suite": "bookworm", "packages": ["--bad"]}, "wheels": "../x"},
        "env": {"1": "x"},
        "tools": {"git": "2"},
        "fallback_template": 3,
    }
    findings = "\n".join(_findings(data, tmp_path))
    for place in ("template:", "image.rootfs.packages[0]", "image.wheels", "env:", "tools.git", "fallback_template"):
        assert place in findings


def test_an_image_needs_a_source(tmp_path: Path) -> None:
    assert _findings(_data(image={}), tmp_path) == ["image: needs `pull`, `rootfs` or both"]


def test_a_template_cannot_fall_back_to_itself(tmp_path: Path) -> None:
    assert _findings(_data(fallback_template="tiny"), tmp_path) == [
        "fallback_template: a template cannot fall back to itself"
    ]


def test_wheels_without_hash_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text(WHEELS + "beta==2.0\ngamma\n")
    findings = _findings(_data(image={"pull": "base:1", "wheels": "w.txt"}), tmp_path)
    assert [line.split("`")[1] for line in findings] == ["beta==2.0", "gamma"]


@pytest.mark.parametrize("change", [{"env": {"LANG": "C"}}, {"tools": {}}, {"description": "x"}, {"template": "other"}])
def test_digest_changes_with_the_file(tmp_path: Path, change: dict[str, Any]) -> None:
    assert parse(_data(), tmp_path).digest != parse(_data(**change), tmp_path).digest


def test_digest_changes_with_the_wheels_and_not_with_the_order_of_keys(tmp_path: Path) -> None:
    def digest(wheels: str, data: dict[str, Any]) -> str:
        (tmp_path / "w.txt").write_text(wheels)
        return parse({**data, "image": {"pull": "base:1", "wheels": "w.txt"}}, tmp_path).digest

    first = digest(WHEELS, _data())
    assert digest(WHEELS, dict(reversed(_data().items()))) == first
    assert digest(WHEELS.replace("1.0", "1.1"), _data()) != first


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["template", "image", "rootfs", "suite", "packages", "wheels", "x"]), inner)
    ),
    max_leaves=12,
)


@given(data=st.dictionaries(st.sampled_from(["template", "image", "env", "tools", "description", "y"]), _values))
def test_any_mapping_is_a_template_or_a_finding(data: dict[str, Any]) -> None:
    try:
        outcome: object = parse(data, Path("/nowhere"))
    except WfconsoleError as error:
        outcome = error.details["findings"]
    assert isinstance(outcome, Template) or outcome
