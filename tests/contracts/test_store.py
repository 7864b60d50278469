"""Both stores keep the contract."""

from __future__ import annotations

from pathlib import Path

from tests.contracts.successor_contract import SuccessorContract
from tests.fakes.store import MemoryStore
from wfconsole.ports import Store
from wfconsole.store.sqlite import SqliteStore


class TestSqliteStore(SuccessorContract):
    def open(self, folder: Path) -> Store:
        return SqliteStore.open(folder / "state")


class TestMemoryStore(SuccessorContract):
    def open(self, folder: Path) -> Store:
        return MemoryStore()
