"""Shared by all floors: tests marked `engine` run where an engine and the default template are, and must run where required."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import HealthCheck, settings

# Machines that run everything at once are slow at times; what a test costs is measured by scripts/bench, not by Hypothesis.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("house")

REQUIRED = "WFCONSOLE_TEST_ENGINE"  # set to "required" by scripts/test: then a missing engine fails instead of skipping


@cache
def _why_no_engine() -> str | None:
    """None when the engine answers and has the default template, else the reason in words."""
    from docker.errors import DockerException

    from wfconsole.sandbox.client import LocalDocker

    try:
        client = LocalDocker.from_env(timeout=10)
        try:
            client.images.get("wfconsole/python")
        finally:
            client.close()
    except DockerException as error:
        return f"no Docker engine with the template wfconsole/python: {error}"
    return None


@pytest.fixture(autouse=True)
def _a_leak_is_blamed_on_the_test_that_made_it() -> Iterator[None]:
    """What nobody closed is a warning, thus an error, of its own test and not of whichever runs a while later.

    The collection takes 20 ms and more, so only a test that leaves descriptors open pays for one.
    """
    before = _open_descriptors()
    yield
    if _open_descriptors() - before:
        gc.collect()


def _open_descriptors() -> set[tuple[str, str]]:
    """Number and target of each, sockets and pipes by their inode; empty where there is no /proc."""
    found = set()
    with suppress(FileNotFoundError):
        for number in os.listdir("/proc/self/fd"):
            with suppress(FileNotFoundError):  # the listing's own
                found.add((number, os.readlink(f"/proc/self/fd/{number}")))
    return found


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("engine") is None:
        return
    reason = _why_no_engine()
    if reason is None:
        return
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(reason)
    pytest.skip(reason)
