"""Nothing in the checkout names one machine or one registry: everybody's set-up decides where packages come from."""

from __future__ import annotations

import re

import pytest

from tests.house.tree import ROOT, tracked

# Put together from halves, so that this file does not find itself.
REGISTRIES = tuple(
    "".join(halves)
    for halves in (
        ("pypi", ".org"), ("python", "hosted.org"), ("registry-1", ".docker.io"), ("docker", ".io/"), ("gh", "cr.io"),
        ("quay", ".io"), ("deb", ".debian.org"), ("archive", ".ubuntu.com"), ("registry", ".npmjs.org"),
        ("index", "-url"), ("find", "-links"), ("trusted", "-host"),
    )
)  # fmt: skip
MACHINE = re.compile(r"(?<![\w.$}])/(?:work|root|Users|home/(?!me/)[a-z]\w*|opt/(?:wheels|pypi))/[\w.]")
LOCKS = ("requirements/run.txt", "requirements/dev.txt", "recipes/templates/python.wheels.txt")
# scripts/lock tells pip-tools to leave addresses out, by these very words; a container's own home is no machine's.
TOLERATED = {"scripts/lock"}


def _texts() -> dict[str, str]:
    found = {}
    for path in tracked():
        name = str(path.relative_to(ROOT))
        content = path.read_bytes()
        if name not in TOLERATED and b"\0" not in content[:8192]:
            found[name] = content.decode(errors="replace")
    return found


def test_no_registry_address_anywhere() -> None:
    found = {(name, word) for name, text in _texts().items() for word in REGISTRIES if word in text}
    assert found == set()


def test_no_absolute_path_of_a_machine() -> None:
    found = {(name, match[0]) for name, text in _texts().items() for match in MACHINE.finditer(text)}
    assert found == set()


@pytest.mark.parametrize("name", LOCKS)
def test_lock_pins_every_package_by_version_and_hash(name: str) -> None:
    lines = (ROOT / name).read_text().replace("\\\n", " ").splitlines()
    entries = [line for line in lines if line.strip() and not line.startswith("#")]
    assert len(entries) > 10
    for entry in entries:
        assert re.fullmatch(r"[a-z0-9._\[\]-]+==\S+(\s+;.*?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*", entry), entry[:80]


@pytest.mark.parametrize("name", LOCKS)
def test_lock_holds_no_address_and_no_path(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert " @ " not in text
    assert "/" not in "".join(line for line in text.splitlines() if not line.startswith("#"))


def test_run_lock_is_a_part_of_the_dev_lock() -> None:
    def versions(name: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9._-]+==[^\s;]+", (ROOT / name).read_text(), re.MULTILINE))

    assert versions("requirements/run.txt") - versions("requirements/dev.txt") == set()


def test_every_dependency_is_locked() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE))
    named = [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]
    assert {re.split(r"[<>=\[]", name)[0].replace(".", "-") for name in named} <= {
        name.replace(".", "-") for name in locked
    }
