"""Shared by all floors: tests marked `engine` run where an engine and the default template are, and must run where required."""

from __future__ import annotations

import os
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
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=10)
        try:
            client.images.get("wfconsole/python")
        finally:
            client.close()
    except DockerException as error:
        return f"no Docker engine with the template wfconsole/python: {error}"
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("engine") is None:
        return
    reason = _why_no_engine()
    if reason is None:
        return
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(reason)
    pytest.skip(reason)
