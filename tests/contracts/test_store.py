"""Both stores keep the contract."""

from __future__ import annotations

from pathlib import Path

from tests.contracts.store_contract import StoreContract
from tests.fakes.store import MemoryStore
from wfconsole.ports import Store
from wfconsole.store.sqlite import SqliteStore


class TestSqliteStore(StoreContract):
    def open(self, folder: Path) -> Store:
        return SqliteStore.open(folder / "state")


class TestMemoryStore(StoreContract):
    def open(self, folder: Path) -> Store:
        return MemoryStore()
