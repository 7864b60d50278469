"""A pytest plugin that keeps unit tests or integration tests and deselects the others.

It works beside the project's own `-m`, which stays in force. It lies in a folder of its own because that folder goes
on PYTHONPATH: nothing else here may shadow a module of the project.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, so that strict markers do not refuse it."""
    config.addinivalue_line("markers", "integration: an integration test")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what the environment asks for: unit, integration, or all."""
    wanted = os.environ.get("QUALITY_GATE_SELECT", "all")
    folders = [os.path.realpath(path) for path in os.environ.get("QUALITY_GATE_FOLDERS", "").split(os.pathsep) if path]
    if wanted == "all":
        return
    kept = [item for item in items if _is_integration(item, folders) is (wanted == "integration")]
    dropped = [item for item in items if _is_integration(item, folders) is not (wanted == "integration")]
    items[:] = kept
    config.hook.pytest_deselected(items=dropped)


def _is_integration(item: pytest.Item, folders: list[str]) -> bool:
    path = os.path.realpath(item.path)
    return item.get_closest_marker("integration") is not None or any(
        path.startswith(folder + os.sep) for folder in folders
    )
