"""The tiny image and the laboratory, for tests on a real engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.images import BUSYBOX_TEST, ensure_busybox_test
from tests.sandbox.lab import Lab
from wfconsole.config import read_settings
from wfconsole.main.templates import TemplateShelf
from wfconsole.sandbox.locks import HostLocks


@pytest.fixture(scope="session")
def busybox_test() -> Iterator[Any]:
    """A `LocalClient` of an engine that has the image."""
    from wfconsole.sandbox.client import LocalClient

    client = LocalClient(version="auto")
    ensure_busybox_test(client)
    yield client
    client.close()


@pytest.fixture
def lab(tmp_path: Path, busybox_test: Any) -> Iterator[Lab]:
    """A laboratory that must be empty again after the test."""
    lab = Lab(tmp_path, busybox_test)
    yield lab
    left = lab.containers()
    for container in left:
        busybox_test.remove_container(container["Id"], force=True)
    assert left == []


@pytest.fixture
def python_lab(lab: Lab) -> Lab:
    """A laboratory that also has the template `python`, as it is on this machine."""
    settings = read_settings({"WFCONSOLE_HOME": str(lab.locks.folder / "home")})
    both = HostLocks(settings.template_locks, settings.template_folders)
    if both.find("python") is None:
        asyncio.run(TemplateShelf(settings).lock("python", lambda _: None))
        both.path(BUSYBOX_TEST).write_bytes(lab.locks.path(BUSYBOX_TEST).read_bytes())
    lab.locks = both
    return lab
