"""How operations become durable: one transaction for all requests that wait, and answers only once its log is synced.

SQLite runs on the event loop's own thread. The sync runs beside it, and what is committed meanwhile goes with the next
one: see docs/decisions/0010-group-commit.md.
"""

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, time
from typing import Any

from .protocol import Refusal, text
from .schema import migrate
from .state.promises import Answer
from .state.transaction import Outcome, Transaction

log = logging.getLogger(__name__)

#: The most requests one transaction takes, so that one of them never waits for thousands.
BATCH = 256
#: A batch of so few is synced on the spot: handing it to the thread would cost more than the sync.
ALONE = 2
#: An idle disk is tried again after this long, in seconds, when somebody asks whether the server is ready.
PROBE_SECONDS = 5.0
ROOM = 65536  # bytes
#: A clock may slip back by so much, as time synchronisation does it; beyond it was set.
SLIP_MS = 1000

type Operation = Callable[[Transaction, Any], Answer]


class Call:
    """A request on its way: what to do, at which time (ms), and whom to answer. `operation` None: the answer
    is known."""

    __slots__ = ("answer", "corr", "done", "now", "operation", "request")

    def __init__(
        self,
        operation: Operation | None,
        request: Any,
        now: int,
        corr: str,
        done: Callable[["Call"], None],
        answer: Answer = (500, '""'),
    ) -> None:
        self.operation = operation
        self.request = request
        self.now = now
        self.corr = corr
        self.done = done
        self.answer = answer


class Store:
    """The database and its one writer. `published` gets each committed transaction; it sends what that has to
    send."""

    def __init__(self, path: str, retry: int) -> None:
        self.path = path
        self.db = _open(path)
        self.tx = Transaction(self.db, retry)
        self.published: Callable[[Outcome], None] = lambda outcome: None
        #: Listeners that were told: their `unblocks` go with the next commit.
        self.told: list[tuple[str, str]] = []
        self._wal = os.open(f"{path}-wal", os.O_RDONLY)
        #: Committed, and not yet known to be on the disk: whom to answer, and what to send.
        self._written: list[tuple[list[Call], Outcome]] = []
        self._syncing: asyncio.Future[None] | None = None
        self._queue: list[Call] = []
        self._scheduled = False
        self._dirty = False
        self._thread = ThreadPoolExecutor(1, "sync")
        self._refused = False
        self._wrote_at = monotonic()
        self._last_ms = 0

    def now(self) -> int:
        """The time in ms since 1970. It never goes backwards, but where the machine's clock was set back.

        To stand still until that clock has caught up, for an hour maybe, would be a server on which no lease ends.
        """
        ms = int(time() * 1000)
        if ms < self._last_ms:
            if self._last_ms - ms <= SLIP_MS:
                return self._last_ms
            log.warning(
                "the clock was set back by %.0f s; what is due later stays so", (self._last_ms - ms) / 1000
            )
        self._last_ms = ms
        return ms

    def pending(self, id: str, version: int) -> bool:
        """Whether the task waits for a worker at that version."""
        found = self.db.execute(
            "SELECT task_state, task_version FROM promises WHERE id = ?", (id,)
        ).fetchone()
        return found == ("pending", version)

    def submit(self, call: Call) -> None:
        """Has the call done with the next batch; `call.done` comes after the commit, in the order of
        submission."""
        self._queue.append(call)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Does what is queued."""
        calls = self._queue[:BATCH]
        del self._queue[:BATCH]
        self._scheduled = bool(self._queue)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self.flush)
        if calls or self.told:
            self._batch(calls)

    def _batch(self, calls: list[Call]) -> None:
        told = self.told
        try:
            self._run(calls, told)
        except Exception:
            # Nothing of it was kept: each alone, so that only the one that cannot be done is refused.
            self._rollback()
            self._each(calls)
            return
        self.told = []
        self._committed(calls, alone=len(calls) <= ALONE)

    def _committed(self, calls: list[Call], alone: bool) -> None:
        """The transaction is in the log. Once that is on the disk, its messages leave and its calls are answered."""
        self._written.append((calls, self.tx.outcome()))
        if self._syncing is not None:
            return
        if self._dirty and not alone:
            self._sync_beside()
            return
        if self._dirty:
            self._sync()
        self._finish(len(self._written))

    def _sync(self) -> None:
        self._dirty = False
        try:
            os.fdatasync(self._wal)
        except OSError as error:
            _die(self.path, error)

    def _sync_beside(self) -> None:
        """Syncs the log beside the loop; what is committed meanwhile goes with the next sync."""
        self._dirty = False
        count = len(self._written)
        self._syncing = asyncio.get_running_loop().run_in_executor(self._thread, os.fdatasync, self._wal)
        self._syncing.add_done_callback(lambda synced: self._synced(synced, count))

    def _synced(self, synced: "asyncio.Future[None]", count: int) -> None:
        if self._syncing is not synced:
            return  # closed meanwhile
        self._syncing = None
        if (error := synced.exception()) is not None:
            _die(self.path, error)
        self._finish(count)
        if self._dirty:
            self._sync_beside()
        else:
            self._finish(len(self._written))

    def _finish(self, count: int) -> None:
        """Answers the oldest of what was written."""
        done, self._written = self._written[:count], self._written[count:]
        for calls, outcome in done:
            self.published(outcome)
            for call in calls:
                call.done(call)

    def _run(self, calls: list[Call], told: list[tuple[str, str]]) -> None:
        """All of it in one transaction."""
        tx = self.tx
        tx.begin()
        changes = self.db.total_changes
        tx.execute("BEGIN")
        if told:
            self.db.executemany("DELETE FROM unblocks WHERE promise = ? AND address = ?", told)
        for call in calls:
            if call.operation is not None:
                tx.now = call.now
                tx.corr = call.corr
                try:
                    call.answer = call.operation(tx, call.request)
                except Refusal as refusal:
                    call.answer = refusal.status, text(refusal.message)
        tx.execute("COMMIT")
        if self.db.total_changes != changes:
            self._wrote_at = monotonic()
            self._refused = False
            self._dirty = True

    def _each(self, calls: list[Call]) -> None:
        for call in calls:
            try:
                self._run([call], [])
            except Exception as error:
                self._rollback()
                self._refused = self._refused or isinstance(error, sqlite3.Error)
                what = f"Storage error: {error}" if isinstance(error, sqlite3.Error) else repr(error)
                log.error(
                    "%s: not done, and nothing of it kept: %s", self.path, what, exc_info=not self._refused
                )
                call.answer = 500, text(f"Internal error: {what}")
                self.tx.begin()
            self._committed([call], alone=True)

    def _rollback(self) -> None:
        if self.db.in_transaction:
            try:
                self.db.execute("ROLLBACK")
            except sqlite3.Error as error:
                log.error("%s: rollback failed: %s", self.path, error)

    def ready(self) -> bool:
        """Whether the disk takes what is written to it. Tries it, if nothing was written for a while."""
        if not self._refused and monotonic() - self._wrote_at < PROBE_SECONDS:
            return True
        # Room for one more page is no room: after a refusal it takes this much before the server is ready again.
        rooms = (bytes(ROOM), self.now()) if self._refused else (self.now(),)
        try:
            for room in rooms:
                self.db.execute("INSERT OR REPLACE INTO probe (id, at) VALUES (1, ?)", (room,))
            os.fdatasync(self._wal)
        except (sqlite3.Error, OSError) as error:
            self._rollback()
            self._refused = True
            log.error("%s: not ready: %s", self.path, error)
            return False
        self._wrote_at = monotonic()
        self._refused = False
        return True

    def close(self) -> None:
        """Writes everything into the one file and closes it."""
        self.flush()
        self._syncing = None
        self._sync()
        self._finish(len(self._written))
        self.db.close()
        os.close(self._wal)
        self._thread.shutdown()


def _die(path: str, error: BaseException) -> None:
    """What the disk has of the log is unknown after a failed sync: only a new start, which reads it, knows."""
    log.critical("%s: the log could not be synced: %s", path, error)
    os._exit(1)


def _open(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, cached_statements=256, timeout=5)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        # FULL would sync within each COMMIT. The store syncs the log itself, after it and before any answer.
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA cache_size = -32000")
        db.execute("PRAGMA wal_autocheckpoint = 4000")
        db.execute("PRAGMA journal_size_limit = 67108864")
        migrate(db, path)
        db.execute("INSERT OR REPLACE INTO probe (id, at) VALUES (1, 0)")  # the log exists from here on
        folder = os.open(Path(path).parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except BaseException:
        db.close()
        raise
    return db
