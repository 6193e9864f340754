"""The asynchronous events that are still to be delivered, and the dead letters: SQLite, on a volume.

An event is written, and synced to the disk, before its caller gets 202; it is deleted after the function
has had it. In between, whatever happens to the gateway, it is delivered again: at least once, as in AWS.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from .invoker import Call

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS event (
    request_id     TEXT PRIMARY KEY,
    arn            TEXT NOT NULL,
    payload        BLOB NOT NULL,
    trace          TEXT NOT NULL,
    client_context TEXT,
    accepted       REAL NOT NULL,   -- seconds since 1970
    due            REAL NOT NULL,
    failures       INTEGER NOT NULL DEFAULT 0,
    throttles      INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS event_due ON event (due);
CREATE TABLE IF NOT EXISTS dead_letter (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    record TEXT NOT NULL
);
"""
_LISTED = 100


@dataclass
class Event:
    """One event on its way. `failures` counts the function's errors, `throttles` those that are not its
    own.
    """

    request_id: str
    arn: str
    payload: bytes
    trace: str
    client_context: str | None
    accepted: float
    due: float
    failures: int = 0
    throttles: int = 0

    @classmethod
    def of(cls, call: Call) -> Self:
        now = time.time()
        return cls(call.request_id, call.arn, call.payload, call.trace, call.client_context, now, now)

    def call(self) -> Call:
        return Call(self.payload, self.arn, self.request_id, self.trace, self.client_context)


class Backlog:
    """All calls run on one thread of their own: SQLite's syncs do not hold up the event loop."""

    def __init__(self, path: Path) -> None:
        """Raises OSError or sqlite3.Error, naming the file, if the folder cannot be written."""
        self._thread = ThreadPoolExecutor(1, "backlog")
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                path / "gateway.db", check_same_thread=False, isolation_level=None
            )
            self._database.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise OSError(
                f"{path / 'gateway.db'} cannot be opened: {error}; the folder must be writable"
            ) from error

    async def _run[T](self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        await self._run(self._database.close)
        self._thread.shutdown()

    async def add(self, event: Event) -> None:
        values = (
            event.request_id,
            event.arn,
            event.payload,
            event.trace,
            event.client_context,
            event.accepted,
        )
        await self._run(
            lambda: self._database.execute(
                "INSERT INTO event (request_id, arn, payload, trace, client_context, accepted, due) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*values, event.due),
            )
        )

    async def due(self, now: float, limit: int, without: set[str]) -> list[Event]:
        """The events to deliver by `now`, oldest first, but those `without`."""

        def select() -> list[Event]:
            rows = self._database.execute(
                "SELECT request_id, arn, payload, trace, client_context, accepted, due, failures, throttles "
                "FROM event WHERE due <= ? AND request_id NOT IN (SELECT value FROM json_each(?)) "
                "ORDER BY due LIMIT ?",
                (now, json.dumps(list(without)), limit),
            )
            return [Event(*row) for row in rows]

        return await self._run(select)

    async def next_due(self, without: set[str]) -> float | None:
        """When the next event is due, in seconds since 1970; None if there is none."""
        row = await self._run(
            lambda: self._database.execute(
                "SELECT min(due) FROM event WHERE request_id NOT IN (SELECT value FROM json_each(?))",
                (json.dumps(list(without)),),
            ).fetchone()
        )
        return None if row[0] is None else float(row[0])

    async def count(self) -> int:
        row = await self._run(lambda: self._database.execute("SELECT count(*) FROM event").fetchone())
        return int(row[0])

    async def postpone(self, event: Event) -> None:
        await self._run(
            lambda: self._database.execute(
                "UPDATE event SET due = ?, failures = ?, throttles = ? WHERE request_id = ?",
                (event.due, event.failures, event.throttles, event.request_id),
            )
        )

    async def remove(self, event: Event, dead_letter: dict[str, Any] | None = None) -> None:
        """The event is over: delivered, or given up and kept as a dead letter, in one transaction."""

        def over() -> None:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("DELETE FROM event WHERE request_id = ?", (event.request_id,))
            if dead_letter is not None:
                self._database.execute(
                    "INSERT INTO dead_letter (record) VALUES (?)", (json.dumps(dead_letter),)
                )
            self._database.execute("COMMIT")

        await self._run(over)

    async def dead_letters(self) -> list[dict[str, Any]]:
        """The newest first."""
        rows = await self._run(
            lambda: self._database.execute(
                "SELECT record FROM dead_letter ORDER BY number DESC LIMIT ?", (_LISTED,)
            ).fetchall()
        )
        return [json.loads(row[0]) for row in rows]
