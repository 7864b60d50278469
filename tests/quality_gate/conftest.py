"""Puts the recipe's scripts on the import path, as the sandbox does, and keeps real tool outputs at hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
sys.path.insert(0, str(RECIPES / "quality-gate"))


@pytest.fixture
def recorded() -> Path:
    """The folder with outputs recorded from the real tools in the sandbox."""
    return Path(__file__).parent / "data"
