"""The order of the ways to an image, on a scripted engine; and one real import of a small tar."""

from __future__ import annotations

import asyncio
import hashlib
import io
import tarfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wfconsole.ports import WfconsoleError
from wfconsole.sandbox.policy import Policy
from wfconsole.sandbox.templates import build as building, inventory, rootfs, small
from wfconsole.sandbox.templates.engine import Engine
from wfconsole.sandbox.templates.shape import Archive, Rootfs, Template

TEMPLATE = Template(
    name="tiny",
    description="",
    digest="whole",
    image_digest="d1",
    pull="base:1",
    rootfs=Rootfs(suite="bookworm"),
    policy=Policy(env={"LANG": "C"}),
    tools={"git": ">=2.30"},
)


MAKE = rootfs.make


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

    def details(self, image: str) -> tuple[str, list[str]]:
        return "linux/amd64", ["sha256:new"]

    def read(self, image: str, path: str) -> bytes | None:
        return b"Package: git\nStatus: install ok installed\nVersion: 2.39\n"

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
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: Template = TEMPLATE, **more: Any
) -> tuple[building.BuiltTemplate, list[str]]:
    async def seal(_template: Template, image: str, _tools: Mapping[str, str]) -> None:
        engine.asked.append(f"seal {image}")

    monkeypatch.setattr(building, "Engine", lambda: engine)
    said: list[str] = []
    made = building.build(
        template, cache=tmp_path / "cache", progress=said.append, **{"seal": seal, "committed": None, **more}
    )
    return asyncio.run(made), said


def test_a_registry_that_answers_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(pulled="sha256:base")
    built, said = _build(engine, tmp_path, monkeypatch)
    assert (built.way, built.image_id, built.tools) == ("pulled", "sha256:on-top", {"git": "2.39.5"})
    assert engine.asked == ["pull base:1", "build", "seal sha256:on-top", "tag sha256:on-top wfconsole/tiny"]
    assert said[-1].startswith("template tiny: pulled, ")


def test_without_a_registry_the_packages_are_used_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    built, said = _build(engine, tmp_path, monkeypatch)
    assert (built.way, built.image_id) == ("built from packages", "sha256:loaded")
    assert engine.asked == ["pull base:1", "load", "seal sha256:loaded", "tag sha256:loaded wfconsole/tiny"]
    assert "no registry answered with base:1" in said
    assert said[-1].startswith("template tiny: built from packages, ")


def test_a_pulled_image_without_the_tools_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(pulled="sha256:base", versions=["sh: git: not found", "git version 2.39.5"])
    built, said = _build(engine, tmp_path, monkeypatch)
    assert built.way == "built from packages"
    assert any("does not serve" in line for line in said)
    assert engine.asked == [
        "pull base:1", "build", "forget sha256:on-top", "load", "seal sha256:loaded", "tag sha256:loaded wfconsole/tiny"
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


def test_what_differs_from_the_committed_lock_is_told_package_by_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = inventory.document(
        TEMPLATE, "linux/amd64", ["sha256:old"], {"git": {"version": "1", "sha256": None}}, None
    )
    built, said = _build(FakeEngine(), tmp_path, monkeypatch, committed=committed)
    assert built.differences == ("package git: committed 1, here 2.39", "layers: committed old, here new")
    assert set(built.differences) <= set(said)
    again = inventory.differences(built.committed, TEMPLATE, "linux/amd64", ["sha256:new"], {})
    assert list(again) == []


def test_with_frozen_another_image_is_refused_and_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine()
    committed = inventory.document(TEMPLATE, "linux/amd64", ["sha256:old"], {}, None)
    with pytest.raises(WfconsoleError, match="not the committed one") as caught:
        _build(engine, tmp_path, monkeypatch, committed=committed, frozen=True)
    assert caught.value.code == "TEMPLATE_MISSING"
    assert engine.asked[-1] == "forget sha256:loaded"
    assert not any(asked.startswith(("tag", "seal")) for asked in engine.asked)


def test_an_image_that_cannot_be_locked_is_not_tagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine()

    async def refuse(_template: Template, _image: str, _tools: Mapping[str, str]) -> None:
        raise WfconsoleError("TEMPLATE_MISSING", "no lock")

    with pytest.raises(WfconsoleError, match="no lock"):
        _build(engine, tmp_path, monkeypatch, seal=refuse)
    assert engine.asked[-1] == "forget sha256:loaded"
    assert not any(asked.startswith("tag") for asked in engine.asked)


def test_an_archive_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(tmp_path / "kept.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("./kept"))
    engine = FakeEngine(pulled="sha256:base")
    template = replace(TEMPLATE, archive=Archive(file=tmp_path / "kept.tar", sha256="0"))
    built, _ = _build(engine, tmp_path, monkeypatch, template)
    assert built.way == "taken from its archive"
    assert not any(asked.startswith("pull") for asked in engine.asked)


def test_a_dockerfile_is_built_and_the_tools_go_on_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Dockerfile").write_text("FROM base:1\n")
    engine = FakeEngine()
    template = replace(TEMPLATE, pull=None, rootfs=None, dockerfile=tmp_path / "Dockerfile")
    built, _ = _build(engine, tmp_path, monkeypatch, template)
    assert (built.way, engine.asked[:2]) == ("made from its Dockerfile", ["build", "build"])


def test_packages_are_read_from_the_image_with_the_hashes_of_what_was_fetched(tmp_path: Path) -> None:
    (tmp_path / "git_1%3a2.39-0_amd64.deb").write_bytes(b"deb")
    status = (
        b"Package: git\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2.39-0\nDescription: x\n more\n\n"
        b"Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n"
        b"Package: make\nStatus: install ok installed\nArchitecture: amd64\nVersion: 4\n"
    )
    sha256 = hashlib.sha256(b"deb").hexdigest()
    assert inventory.of_debian(status, tmp_path) == {
        "git": {"version": "1:2.39-0", "sha256": sha256}, "make": {"version": "4", "sha256": None}
    }  # fmt: skip


@pytest.mark.engine
def test_a_small_tar_becomes_an_image_with_labels_and_environment(tmp_path: Path) -> None:
    tar = tmp_path / "tiny.tar"
    with tarfile.open(tar, "w") as content:
        entry = tarfile.TarInfo("./hello")
        entry.size = 2
        content.addfile(entry, io.BytesIO(b"hi"))
    engine, policy = Engine(), Policy(env={"A": 'quote " and $x é'})
    tag = f"wfconsole/test-{uuid.uuid4().hex[:8]}"
    try:
        image_id = engine.load(tar, building._changes(replace(TEMPLATE, name="test", policy=policy)))
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
def test_two_builds_that_share_nothing_give_the_same_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the shipped `busybox` template under another name, so that the real one keeps its tag."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    template = Template(
        name=name, description="", digest="d", rootfs=Rootfs(builder="busybox"), tools={"busybox": ">=1.30"},
        policy=Policy(env={"LANG": "C.UTF-8", "PATH": "/bin"}),
    )  # fmt: skip
    layers: list[list[str]] = []
    monkeypatch.setattr(rootfs, "make", MAKE)

    async def seal(_template: Template, image_id: str, _versions: Mapping[str, str]) -> None:
        layers.append(engine.details(image_id)[1])

    engine = Engine()
    try:
        for cache in ("one", "two"):
            asyncio.run(building.build(template, cache=tmp_path / cache, progress=lambda _: None, seal=seal))
            engine.forget(template.tag)
    finally:
        engine.close()
    assert layers[0] == layers[1]
    assert len(layers[0]) == 1
    committed = inventory.read(Path(__file__).parents[2] / "recipes/templates/busybox.lock.json")
    assert committed is not None
    its = committed["platforms"]["linux/amd64"]
    if inventory.of_busybox(small.program()) == its["packages"]:
        assert layers[0] == its["layers"]


@pytest.mark.engine
def test_a_registry_that_is_not_there_is_no_error() -> None:
    engine = Engine()
    try:
        assert engine.pull("localhost/wfconsole-no-such-image:1") is None
    finally:
        engine.close()
