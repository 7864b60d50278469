"""The template file is read strictly: every finding at once, with a near name, and a digest that covers everything."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from wfconsole.compiler.load import load
from wfconsole.compiler.tree import plain
from wfconsole.ports import WfconsoleError
from wfconsole.sandbox.templates import inventory
from wfconsole.sandbox.templates.shape import Template, fits, parse

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
    data = _data(description="Small", drift={"fallback_template": "base"})
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
    assert _findings(_data(tool={}), tmp_path) == ["tool: unknown key `tool`, did you mean `tools`?"]


def test_all_findings_come_at_once(tmp_path: Path) -> None:
    data = {
        "template": "Tiny",
        "image": {"rootfs": {"suite": "bookworm", "packages": ["--bad"]}, "wheels": "../x"},
        "env": {"1": "x"},
        "tools": {"git": "2"},
        "drift": {"fallback_template": 3, "probe": "never"},
        "user": {"uid": 0},
        "mounts": {"workspace": "rw", "inputs": "rw", "socket": "ro"},
        "network": "host",
        "limits": {"memory": 512, "cpus": 0, "pids": True},
        "workdir": "../x",
        "platform": "windows/amd64",
    }
    findings = "\n".join(_findings(data, tmp_path))
    places = (
        "template:", "image.rootfs.packages[0]", "image.wheels", "env.1:", "tools.git", "drift.fallback_template",
        "drift.probe", "user.uid", "user: needs", "mounts.inputs", "mounts.socket", "network", "limits.memory", "limits.cpus",
        "limits.pids", "workdir", "platform",
    )  # fmt: skip
    for place in places:
        assert place in findings


def test_an_image_needs_a_source(tmp_path: Path) -> None:
    assert _findings(_data(image={}), tmp_path) == ["image: needs one of `pull`, `rootfs`, `archive`, `dockerfile`"]


def test_a_template_cannot_fall_back_to_itself(tmp_path: Path) -> None:
    assert _findings(_data(drift={"fallback_template": "tiny"}), tmp_path) == [
        "drift.fallback_template: a template cannot fall back to itself"
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


def test_limits_and_drift_need_a_new_lock_and_no_new_image(tmp_path: Path) -> None:
    plain, other = parse(_data(), tmp_path), parse(_data(limits={"memory": "1GiB"}, network="bridge"), tmp_path)
    assert plain.image_digest == other.image_digest
    assert plain.digest != other.digest
    assert other.policy.limits.memory_bytes == 2**30
    assert parse(_data(env={"A": "b"}), tmp_path).image_digest != plain.image_digest


def test_findings_are_told_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(WfconsoleError, match=r"\[network\]network: must be one of none, hosts, bridge"):
        parse(_data(network="host"), tmp_path, lambda path: f"[{path[0]}]")


def test_an_archive_is_pinned_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(b"x")
    sha256 = hashlib.sha256(b"x").hexdigest()
    good = parse(_data(image={"archive": {"file": "root.tar", "sha256": sha256}}), tmp_path)
    assert good.archive is not None
    assert good.files == {"root.tar": sha256}
    bad = _findings(_data(image={"archive": {"file": "root.tar", "sha256": "0" * 64}}), tmp_path)
    assert bad == [f"image.archive.sha256: root.tar has the sha256 {sha256}"]


def test_no_field_reaches_the_engine_as_it_stands(tmp_path: Path) -> None:
    for name in ("options", "security_opt", "privileged", "devices", "volumes", "cap_add", "args"):
        assert _findings(_data(**{name: ["x"]}), tmp_path)[0].startswith(f"{name}: unknown key")


@pytest.mark.parametrize(
    ("version", "wanted", "good"),
    [
        ("3.11.2", ">=3.11,<4", True), ("4.0", ">=3.11,<4", False), ("3.9", ">=3.11", False), ("2.39.5", "==2.39", True),
        ("2.39.5", ">2.39", False), ("2.40", ">2.39", True), ("2.39.5", "<=2.39", True), ("2.40", "<=2.39", False),
    ],
)  # fmt: skip
def test_ranges_of_versions(version: str, wanted: str, good: bool) -> None:
    assert fits(version, wanted) is good


def test_the_shipped_templates_are_valid_and_locked() -> None:
    folder = Path(__file__).parents[2] / "recipes/templates"
    for path in sorted(folder.glob("*.yaml")):
        document, findings = load(path.read_bytes(), file=path.name)
        assert document is not None
        assert not findings
        template = parse(plain(document.root), folder)
        committed = inventory.read(inventory.path(template, folder))
        assert committed is not None, f"{path.stem}: `templates build {path.stem} --update` writes its lock"
        assert committed["template_digest"] == template.image_digest, path.stem
