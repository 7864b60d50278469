"""Reads, through aiosqlite: one connection for each event loop that asks, each in its own thread.

Owns these connections; refuses to write (query_only). The decision that would surprise: a connection is never shared between
loops, since aiosqlite's thread dies with the first answer to a loop that was closed.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import aiosqlite

from wfconsole.store import database, faults

Row: TypeAlias = tuple[Any, ...]


class Reader:
    """Rows of a statement, from a snapshot of its own. Safe to use from several event loops."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = database.inode(path)
        self._guard = threading.Lock()
        self._opening: dict[asyncio.AbstractEventLoop, asyncio.Task[aiosqlite.Connection]] = {}
        self._closed = False

    def is_closed(self) -> bool:
        return self._closed

    def check_file(self) -> None:
        """Raise STORE_CORRUPT when the file was taken away: whoever waits for changes of it would wait for ever."""
        database.check_same(self._path, self._inode)

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        connection = await self._connection()
        self.check_file()  # an open file that was removed answers for ever: its owner must not go on with it
        try:
            return [tuple(row) for row in await connection.execute_fetchall(sql, parameters)]
        except (sqlite3.Error, ValueError) as error:
            if self._closed or not isinstance(error, sqlite3.Error):  # aiosqlite says ValueError on a closed connection
                raise faults.closed() from error
            raise faults.translate(error, self._path.parent) from error

    async def value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first column of the first row; None when there is none."""
        rows = await self.rows(sql, parameters)
        return rows[0][0] if rows else None

    async def close(self) -> None:
        self._closed = True
        with self._guard:
            opening, self._opening = self._opening, {}
        mine = opening.pop(asyncio.get_running_loop(), None)
        for task in opening.values():
            _stop(task)
        if mine is not None:
            await (await mine).close()

    async def _connection(self) -> aiosqlite.Connection:
        loop = asyncio.get_running_loop()
        with self._guard:
            if self._closed:
                raise faults.closed()
            self._drop_dead_loops()
            task = self._opening.get(loop)
            if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
                task = self._opening[loop] = loop.create_task(self._open())
        return await asyncio.shield(task)

    async def _open(self) -> aiosqlite.Connection:
        def connector() -> sqlite3.Connection:
            db = database.connect(self._path)
            db.execute("PRAGMA query_only = ON")
            return db

        connection = aiosqlite.Connection(connector, iter_chunk_size=64)
        connection._thread.daemon = True  # noqa: SLF001  a store that was not closed must not keep the process alive
        try:
            return await connection
        except sqlite3.Error as error:
            raise faults.translate(error, self._path.parent) from error

    def _drop_dead_loops(self) -> None:
        for loop in [loop for loop in self._opening if loop.is_closed()]:
            _stop(self._opening.pop(loop))


def _stop(task: asyncio.Task[aiosqlite.Connection]) -> None:
    """End another loop's connection; from a thread without a loop, since its thread would answer to ours, perhaps too late."""
    if task.done() and not task.cancelled() and task.exception() is None:
        stopper = threading.Thread(target=task.result().stop)
        stopper.start()
        stopper.join()
