"""The layout of a repository: which files are sources, which are tests, which tests are integration tests.

Owns the conventions (src/, tests/, an integration folder, the marker `integration`). It runs nothing and follows no
symlink. The one decision that would surprise: folders that hold other people's code (virtual environments,
node_modules) are invisible to every check, even when the repository contains them.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

_FOREIGN = frozenset({
    ".git", ".hg", ".svn", ".venv", "venv", ".tox", ".nox", "node_modules", "__pycache__", ".mypy_cache",
    ".ruff_cache", ".pytest_cache", ".eggs", "site-packages",
})  # fmt: skip
_TEST_FOLDERS = frozenset({"tests", "test"})
_INTEGRATION_FOLDERS = frozenset({"integration", "integration_tests", "integration-tests", "e2e"})
_TEST_NAME = re.compile(r"(test_.*|.*_test)\.py")
_MARKER = re.compile(r"\bmark\.integration\b")
_MAX_SOURCE_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Project:
    """A repository at `root`; all file names are POSIX paths relative to it, sorted."""

    root: Path

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Regular files, without foreign folders and symlinks."""
        found: list[str] = []
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if name not in _FOREIGN]
            found.extend(
                _relative(self.root, folder, name) for name in names if _is_regular(os.path.join(folder, name))
            )
        return tuple(sorted(found))

    @cached_property
    def python_files(self) -> tuple[str, ...]:
        """Files ending in .py; very large ones (data in disguise) are left out."""
        return tuple(
            name
            for name in self.files
            if name.endswith(".py") and (self.root / name).stat().st_size <= _MAX_SOURCE_BYTES
        )

    @cached_property
    def source_files(self) -> tuple[str, ...]:
        """Python files that are no tests."""
        return tuple(name for name in self.python_files if not is_test(name))

    @cached_property
    def test_files(self) -> tuple[str, ...]:
        """Python files that belong to the tests, helpers and conftest.py included."""
        return tuple(name for name in self.python_files if is_test(name))

    @cached_property
    def test_modules(self) -> tuple[str, ...]:
        """Python files that pytest collects by its default naming rules."""
        return tuple(name for name in self.python_files if _TEST_NAME.fullmatch(PurePosixPath(name).name))

    @cached_property
    def integration_folders(self) -> tuple[str, ...]:
        """Topmost folders with integration tests in them."""
        found = {folder for name in self.test_modules if (folder := _integration_folder(name))}
        return tuple(sorted(found))

    @cached_property
    def integration_files(self) -> tuple[str, ...]:
        """Test modules outside the integration folders that use the marker `integration`."""
        return tuple(
            name for name in self.test_modules if not _integration_folder(name) and _MARKER.search(self.text(name))
        )

    @cached_property
    def pyproject(self) -> dict[str, Any]:
        """The tables of pyproject.toml; empty when it is missing or not valid TOML."""
        try:
            return tomllib.loads(self.text("pyproject.toml"))
        except (OSError, tomllib.TOMLDecodeError):
            return {}

    def text(self, name: str) -> str:
        """Return a file's text; bytes that are not UTF-8 are replaced. Raises OSError."""
        return (self.root / name).read_text(encoding="utf-8", errors="replace")

    def table(self, *path: str) -> Any:
        """Return the value at `path` in pyproject.toml, or None."""
        value: Any = self.pyproject
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def has_section(self, ini: str, section: str) -> bool:
        """Tell whether the INI file `ini` has a section named `section`."""
        return ini in self.files and f"[{section}]" in self.text(ini).splitlines()

    def lines(self, names: tuple[str, ...]) -> int:
        """Return how many non-blank lines the files have together."""
        return sum(1 for name in names for line in self.text(name).splitlines() if line.strip())


def is_test(name: str) -> bool:
    """Tell whether a path belongs to the tests: by folder, by pytest's naming rules, or as conftest.py."""
    path = PurePosixPath(name)
    return (
        bool(_TEST_FOLDERS & set(path.parts[:-1]))
        or path.parts[0] == "testing"
        or path.name == "conftest.py"
        or _TEST_NAME.fullmatch(path.name) is not None
    )


def copied(root: Path, target: Path) -> Project:
    """Copy the repository to `target` (new) and return it; sockets and pipes are left out, symlinks stay symlinks."""

    def skipped(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if name in _FOREIGN or _is_special(os.path.join(folder, name))]

    shutil.copytree(root, target, symlinks=True, ignore=skipped)
    return Project(root=target)


def _integration_folder(name: str) -> str | None:
    parts = PurePosixPath(name).parts[:-1]
    for index, part in enumerate(parts):
        if part in _INTEGRATION_FOLDERS:
            return "/".join(parts[: index + 1])
    return None


def _relative(root: Path, folder: str, name: str) -> str:
    return (Path(folder) / name).relative_to(root).as_posix()


def _is_regular(path: str) -> bool:
    return stat.S_ISREG(os.lstat(path).st_mode)


def _is_special(path: str) -> bool:
    mode = os.lstat(path).st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))
