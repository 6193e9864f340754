"""The asynchronous events that are still to be delivered, and the dead letters: SQLite, on a volume.

An event is written, and synced to the disk, before its caller gets 202; it is deleted after the function has handled it.
If the gateway dies in between, the event is delivered again: at least once, as in AWS.
"""

import asyncio
import contextlib
import json
import logging
import sqlite3
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from shared.sqlite_damage import Answered, damage_before_opening, is_damage, keep_log, quick_check, wal_of

from .invoker import Call

log = logging.getLogger("gateway.backlog")

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
    throttles      INTEGER NOT NULL DEFAULT 0,
    sum            INTEGER          -- CRC-32 of what never changes of it; null: an older gateway wrote it
);
CREATE INDEX IF NOT EXISTS event_due ON event (due);
CREATE TABLE IF NOT EXISTS dead_letter (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    record TEXT NOT NULL,
    sum    INTEGER
);
"""
_LISTED = 100
#: Seconds that SQLite may take to check the file's structure at the start.
_CHECK_SECONDS = 2.0
_WAY_BACK = "The way back: make reset, then make restore F=… with a file of make backup."


class DamagedError(Exception):
    """The file is damaged: nothing is read from it any more. The message contains no stored data."""

    def __init__(self) -> None:
        super().__init__(
            "The gateway's store of asynchronous events is damaged, and nothing is answered from it any more; accepted "
            f"events may be lost. The gateway's log says what was found. {_WAY_BACK}"
        )


@dataclass
class Event:
    """One event to deliver. `failures` counts the function's errors, `throttles` errors that are not the function's."""

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

    @property
    def sum(self) -> int:
        """The checksum of the fields that never change."""
        parts = (self.request_id, self.arn, self.trace, self.client_context, self.accepted)
        return zlib.crc32("\0".join(map(str, parts)).encode(), zlib.crc32(self.payload))


class Backlog:
    """All calls run on one thread of their own: SQLite's syncs do not hold up the event loop.

    They raise DamagedError once the file is found to be damaged, at the start or later.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError, naming the file, if the folder cannot be written."""
        self._thread = ThreadPoolExecutor(1, "backlog")
        self._file = path / "gateway.db"
        #: What was found to be damaged.
        self.damage: str | None = None
        self._answered: Answered | None = None
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if (found := damage_before_opening(self._file)) is not None:
                self._damaged(found)
            else:
                self._open()
        except sqlite3.Error as error:
            if not is_damage(error):
                raise OSError(
                    f"{self._file} cannot be opened: {error}; the folder must be writable"
                ) from error
            self._damaged(f"SQLite met damage ({getattr(error, 'sqlite_errorname', 'SQLITE_CORRUPT')})")

    def _open(self) -> None:
        database = self._database = sqlite3.connect(self._file, check_same_thread=False, isolation_level=None)
        found, _ = quick_check(database, _CHECK_SECONDS)
        if found is not None:
            self._damaged(found)
            return
        database.executescript(_SCHEMA)
        for table in ("event", "dead_letter"):
            if "sum" not in {row[1] for row in database.execute(f"PRAGMA table_info({table})")}:
                database.execute(f"ALTER TABLE {table} ADD COLUMN sum INTEGER")
        if wal_of(self._file).exists():
            self._answered = Answered(self._file)

    def _damaged(self, found: str) -> None:
        """Logs it once. The file is left as it is."""
        if self.damage is None:
            self.damage = found
            keep_log(self._database)
            log.critical(
                "%s is damaged: %s. Nothing is answered from it any more, and it is left as it is: asynchronous "
                "invocations are refused, and the health check is red. %s",
                self._file,
                found,
                _WAY_BACK,
            )

    async def _run[T](self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._watched, work)

    def _watched[T](self, work: Callable[[], T]) -> T:
        if self.damage is not None:
            raise DamagedError
        try:
            done = work()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if is_damage(error):
                self._damaged(f"SQLite met damage ({getattr(error, 'sqlite_errorname', 'SQLITE_CORRUPT')})")
                raise DamagedError from None
            with contextlib.suppress(sqlite3.Error):
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
            raise
        if self._answered is not None:
            self._answered.note(self._answered.position())
        return done

    def _found_unsound(self, what: str) -> DamagedError:
        self._damaged(f"the checksum of {what} is wrong")
        return DamagedError()

    def _close(self) -> None:
        if self._answered is not None and self.damage is None:
            self._answered.forget(self._database)
        self._database.close()
        if self._answered is not None:
            self._answered.close()

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
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
                "INSERT INTO event (request_id, arn, payload, trace, client_context, accepted, due, sum) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, event.due, event.sum),
            )
        )

    async def due(self, now: float, limit: int, without: set[str]) -> list[Event]:
        """The events to deliver by `now`, oldest first, but those `without`."""

        def select() -> list[Event]:
            rows = self._database.execute(
                "SELECT request_id, arn, payload, trace, client_context, accepted, due, failures, throttles, "
                "sum FROM event WHERE due <= ? AND request_id NOT IN (SELECT value FROM json_each(?)) "
                "ORDER BY due LIMIT ?",
                (now, json.dumps(list(without)), limit),
            )
            events = []
            for *values, known in rows:
                event = Event(*values)
                if known not in (None, event.sum):
                    raise self._found_unsound("an event")
                events.append(event)
            return events

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
                record = json.dumps(dead_letter)
                self._database.execute(
                    "INSERT INTO dead_letter (record, sum) VALUES (?, ?)",
                    (record, zlib.crc32(record.encode())),
                )
            self._database.execute("COMMIT")

        await self._run(over)

    async def dead_letters(self) -> list[dict[str, Any]]:
        """The newest first."""

        def select() -> list[dict[str, Any]]:
            rows = self._database.execute(
                "SELECT record, sum FROM dead_letter ORDER BY number DESC LIMIT ?", (_LISTED,)
            ).fetchall()
            if any(known not in (None, zlib.crc32(record.encode())) for record, known in rows):
                raise self._found_unsound("a dead letter")
            return [json.loads(record) for record, _ in rows]

        return await self._run(select)
