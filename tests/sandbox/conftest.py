"""The tiny image and the laboratory, for tests on a real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.images import ensure_busybox_test
from tests.sandbox.lab import Lab


@pytest.fixture(scope="session")
def busybox_test() -> Iterator[Any]:
    """A `docker.APIClient` of an engine that has the image."""
    from docker import APIClient

    client = APIClient(version="auto")
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
