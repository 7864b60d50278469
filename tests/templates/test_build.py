"""The order of the ways to an image, on a scripted engine; and one real import of a small tar."""

from __future__ import annotations

import asyncio
import io
import tarfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from wfconsole.ports import WfconsoleError
from wfconsole.sandbox.templates import build as building, rootfs, state
from wfconsole.sandbox.templates.engine import Engine
from wfconsole.sandbox.templates.shape import Rootfs, Template
from wfconsole.sandbox.templates.state import check

TEMPLATE = Template(
    name="tiny",
    description="",
    digest="d1",
    pull="base:1",
    rootfs=Rootfs(suite="bookworm"),
    env={"LANG": "C"},
    tools={"git": ">=2.30"},
)


class FakeEngine(Engine):
    """Answers as told and keeps what it was asked for, in order."""

    def __init__(self, *, pulled: str | None = None, versions: Sequence[str] = ("git version 2.39.5",)) -> None:
        super().__init__()
        self.pulled, self.versions, self.asked = pulled, list(versions), list[str]()
        self.images: dict[str, tuple[str, Mapping[str, str]]] = {}

    def pull(self, reference: str) -> str | None:
        self.asked.append(f"pull {reference}")
        return self.pulled

    def load(self, tar: Path, changes: Sequence[str]) -> str:
        self.asked.append("load")
        assert tarfile.is_tarfile(tar)
        assert 'LABEL wfconsole.template_digest="d1"' in changes
        return "sha256:loaded"

    def build_on(self, context: Path) -> str:
        self.asked.append("build")
        return "sha256:on-top"

    def tag(self, image: str, tag: str) -> None:
        self.asked.append(f"tag {image} {tag}")

    def run(self, image: str, argv: Sequence[str], mounts: Mapping[Path, str], user: str) -> str:
        return f"git\t{self.versions.pop(0)}\n"

    def image(self, reference: str) -> tuple[str, Mapping[str, str]] | None:
        return self.images.get(reference)

    def forget(self, image: str) -> None:
        self.asked.append(f"forget {image}")


@pytest.fixture(autouse=True)
def _no_debootstrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def make(_what: Rootfs, _cache: Path, _progress: Callable[[str], None]) -> Path:
        with tarfile.open(tmp_path / "base.tar", "w") as tar:
            tar.addfile(tarfile.TarInfo("./base"))
        return tmp_path / "base.tar"

    monkeypatch.setattr(rootfs, "make", make)


def _build(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: Template = TEMPLATE
) -> tuple[building.BuiltTemplate, list[str]]:
    monkeypatch.setattr(building, "Engine", lambda: engine)
    said: list[str] = []
    return asyncio.run(building.build(template, cache=tmp_path / "cache", progress=said.append)), said


def test_a_registry_that_answers_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(pulled="sha256:base")
    built, said = _build(engine, tmp_path, monkeypatch)
    assert (built.way, built.image_id, built.tools) == ("pulled", "sha256:on-top", {"git": "2.39.5"})
    assert engine.asked == ["pull base:1", "build", "tag sha256:on-top wfconsole/tiny"]
    assert said[-1].startswith("template tiny: pulled, ")


def test_without_a_registry_the_packages_are_used_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    built, said = _build(engine, tmp_path, monkeypatch)
    assert (built.way, built.image_id) == ("built from packages", "sha256:loaded")
    assert engine.asked == ["pull base:1", "load", "tag sha256:loaded wfconsole/tiny"]
    assert "no registry answered with base:1" in said
    assert said[-1].startswith("template tiny: built from packages, ")


def test_a_pulled_image_without_the_tools_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(pulled="sha256:base", versions=["sh: git: not found", "git version 2.39.5"])
    built, said = _build(engine, tmp_path, monkeypatch)
    assert built.way == "built from packages"
    assert any("does not serve" in line for line in said)
    assert engine.asked == [
        "pull base:1", "build", "forget sha256:on-top", "load", "tag sha256:loaded wfconsole/tiny"
    ]  # fmt: skip


@pytest.mark.parametrize("answer", ["sh: git: not found", "git version 2.29.9", "git version 1.99"])
def test_an_image_without_a_promised_tool_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    engine = FakeEngine(versions=[answer])
    with pytest.raises(WfconsoleError, match="no git >=") as caught:
        _build(engine, tmp_path, monkeypatch)
    assert caught.value.code == "TEMPLATE_MISSING"
    assert engine.asked[-1] == "forget sha256:loaded"


def test_without_registry_and_packages_there_is_no_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WfconsoleError, match="no registry answered") as caught:
        _build(FakeEngine(), tmp_path, monkeypatch, replace(TEMPLATE, rootfs=None))
    assert caught.value.code == "TEMPLATE_MISSING"
    assert caught.value.hint


def test_the_image_of_before_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine()
    engine.images["wfconsole/tiny"] = ("sha256:old", {})
    _build(engine, tmp_path, monkeypatch)
    assert engine.asked[-1] == "forget sha256:old"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (None, "missing"),
        ({}, "stale"),
        ({"wfconsole.template_digest": "d0"}, "stale"),
        ({"wfconsole.template_digest": "d1"}, "ok"),
    ],
)
def test_check_compares_the_label_with_the_file(
    monkeypatch: pytest.MonkeyPatch, labels: dict[str, str] | None, expected: str
) -> None:
    engine = FakeEngine()
    if labels is not None:
        engine.images["wfconsole/tiny"] = ("sha256:x", labels)
    monkeypatch.setattr(state, "Engine", lambda: engine)
    (found,) = asyncio.run(check([TEMPLATE]))
    assert found.state == expected
    assert bool(found.remedy) == (expected != "ok")


@pytest.mark.engine
def test_a_small_tar_becomes_an_image_with_labels_and_environment(tmp_path: Path) -> None:
    tar = tmp_path / "tiny.tar"
    with tarfile.open(tar, "w") as content:
        entry = tarfile.TarInfo("./hello")
        entry.size = 2
        content.addfile(entry, io.BytesIO(b"hi"))
    engine = Engine()
    tag = f"wfconsole/test-{uuid.uuid4().hex[:8]}"
    try:
        image_id = engine.load(tar, building._changes(replace(TEMPLATE, name="test", env={"A": 'quote " and $x é'})))
        engine.tag(image_id, tag)
        assert engine.image(tag) == (
            image_id,
            {"wfconsole.template": "test", "wfconsole.template_digest": "d1", "wfconsole.wheels_digest": ""},
        )
        assert 'A=quote " and $x é' in engine.client.images.get(tag).attrs["Config"]["Env"]
        assert engine.machine() in {"x86_64", "aarch64"}
        assert engine.image("wfconsole/no-such-template") is None
    finally:
        engine.forget(tag)
        engine.close()


@pytest.mark.engine
def test_a_registry_that_is_not_there_is_no_error() -> None:
    engine = Engine()
    try:
        assert engine.pull("localhost/wfconsole-no-such-image:1") is None
    finally:
        engine.close()
