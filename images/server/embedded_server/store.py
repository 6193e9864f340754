"""Makes operations durable: one transaction for all waiting requests, and answers only after its log is synced.

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

from shared.sqlite_damage import Answered, Position, is_damage, keep_log

from .opening import open_database, stand_in
from .protocol import Refusal, text
from .state.promises import Answer
from .state.transaction import Damaged, Outcome, Transaction

log = logging.getLogger(__name__)

#: The most requests in one transaction, so that none has to wait for thousands of others.
BATCH = 256
#: So small a batch is synced on the event loop: to hand it to the thread would cost more than the sync.
ALONE = 2
#: An idle disk is tried again after this long, in seconds, when somebody asks whether the server is ready.
PROBE_SECONDS = 5.0
ROOM = 65536  # bytes
WAY_BACK = "The way back: make reset, then make restore F=… with a file of make backup."
#: The answer to every request once the store is damaged. It contains nothing from the file or from SQLite.
DAMAGED: Answer = (
    500,
    text(
        "The server's store is damaged, and nothing is answered from it any more; jobs may be lost. "
        f"The server's log says what was found. {WAY_BACK}"
    ),
)
FAILED: Answer = (
    500,
    text("Internal error: the request failed and nothing of it was stored. The server's log says why."),
)
#: Time synchronisation may set the clock back by so much; more than that, and a person has set it.
SLIP_MS = 1000

type Operation = Callable[[Transaction, Any], Answer]


class Call:
    """A request in the queue: what to do, at which time (ms), and what to call then. `operation` None: the answer is
    already known."""

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
    """The database and its one writer. `published` gets each committed transaction, to send its messages."""

    def __init__(self, path: str, retry: int) -> None:
        self.path = path
        #: The damage that was found, at the start or later: then nothing is answered from the file any more.
        self.damage: str | None = None
        self._answered: Answered | None = None
        self._wal = -1
        try:
            self.db = open_database(path)
        except (Damaged, sqlite3.DatabaseError) as error:
            if not _damages(error):
                raise
            self.db = stand_in()
            self._damaged(error)
        else:
            self._wal = os.open(f"{path}-wal", os.O_RDONLY)
            self._answered = Answered(Path(path))
        self.tx = Transaction(self.db, retry)
        self.published: Callable[[Outcome], None] = lambda outcome: None
        #: Listeners that were told: their `unblocks` go with the next commit.
        self.told: list[tuple[str, str]] = []
        #: Committed, and not yet known to be on the disk: whom to answer, and what to send.
        self._written: list[tuple[list[Call], Outcome]] = []
        self._syncing: asyncio.Future[None] | None = None
        self._position: Position | None = None
        self._queue: list[Call] = []
        self._scheduled = False
        self._dirty = False
        self._thread = ThreadPoolExecutor(1, "sync")
        self._refused = False
        self._wrote_at = monotonic()
        self._last_ms = 0

    def now(self) -> int:
        """The time in ms since 1970. It goes backwards only if the machine's clock was set back by more than a second.

        If it stood still until that clock had caught up, perhaps for an hour, no lease would end meanwhile.
        """
        ms = int(time() * 1000)
        if ms < self._last_ms:
            if self._last_ms - ms <= SLIP_MS:
                return self._last_ms
            log.warning(
                "the clock was set back by %.0f s; whatever is due will be late by that",
                (self._last_ms - ms) / 1000,
            )
        self._last_ms = ms
        return ms

    def pending(self, id: str, version: int) -> bool:
        """Whether the task is pending at that version."""
        query = "SELECT task_state, task_version FROM promises WHERE id = ?"
        found = self.read(lambda: self.db.execute(query, (id,)).fetchone(), None)
        return bool(found == ("pending", version))

    def submit(self, call: Call) -> None:
        """Puts the call into the next batch. `call.done` is called after the commit, in the order of submission."""
        self._queue.append(call)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Runs the queued calls."""
        calls = self._queue[:BATCH]
        del self._queue[:BATCH]
        self._scheduled = bool(self._queue)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self.flush)
        if self.damage is not None:
            self._refuse(calls)
        elif calls or self.told:
            self._batch(calls)

    @property
    def busy(self) -> bool:
        """Whether requests wait, or a sync."""
        return self._scheduled or self._syncing is not None

    def read[T](self, work: Callable[[], T], otherwise: T) -> T:
        """The result of `work`, which reads outside of any request; `otherwise` if it finds damage."""
        if self.damage is None:
            try:
                return work()
            except (Damaged, sqlite3.Error, UnicodeDecodeError) as error:
                if not _damages(error):
                    raise
                self._damaged(error)
        return otherwise

    def _damaged(self, error: BaseException) -> None:
        """Logs it once. The file is left as it is."""
        if self.damage is None:
            code = getattr(error, "sqlite_errorname", "SQLITE_CORRUPT")
            self.damage = str(error) if isinstance(error, Damaged) else f"SQLite met damage ({code})"
            keep_log(self.db)
            log.critical(
                "%s is damaged: %s. Nothing is answered from it any more, /ready is 503, and the file is left as it "
                "is. %s",
                self.path,
                self.damage,
                WAY_BACK,
            )

    def _refuse(self, calls: list[Call]) -> None:
        self.told = []
        for call in calls:
            if call.operation is not None:
                call.answer = DAMAGED
            call.done(call)

    def _batch(self, calls: list[Call]) -> None:
        told = self.told
        try:
            self._run(calls, told)
        except Exception as error:
            self._rollback()
            if _damages(error):
                self._damaged(error)
                self._refuse(calls)
                return
            # The batch was rolled back. Each call is tried alone, so that only the one that fails is refused.
            self._each(calls)
            return
        self.told = []
        self._committed(calls, alone=len(calls) <= ALONE)

    def _committed(self, calls: list[Call], alone: bool) -> None:
        """Has the transaction's messages sent and its calls answered once its log is on the disk."""
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
        position = self._answered.position() if self._answered is not None else None
        try:
            os.fdatasync(self._wal)
        except OSError as error:
            _die(self.path, error)
        if self._answered is not None and position is not None:
            self._answered.note(position)

    def _sync_beside(self) -> None:
        """Syncs the log in the thread; commits meanwhile wait for the next sync."""
        self._dirty = False
        count = len(self._written)
        self._position = self._answered.position() if self._answered is not None else None
        self._syncing = asyncio.get_running_loop().run_in_executor(self._thread, os.fdatasync, self._wal)
        self._syncing.add_done_callback(lambda synced: self._synced(synced, count))

    def _synced(self, synced: "asyncio.Future[None]", count: int) -> None:
        if self._syncing is not synced:
            return  # closed meanwhile
        self._syncing = None
        if (error := synced.exception()) is not None:
            _die(self.path, error)
        if self._answered is not None and self._position is not None:
            self._answered.note(self._position)
        self._finish(count)
        if self._dirty:
            self._sync_beside()
        else:
            self._finish(len(self._written))

    def _finish(self, count: int) -> None:
        """Answers the `count` oldest transactions."""
        done, self._written = self._written[:count], self._written[count:]
        for calls, outcome in done:
            self.published(outcome)
            for call in calls:
                call.done(call)

    def _run(self, calls: list[Call], told: list[tuple[str, str]]) -> None:
        """Runs all calls in one transaction."""
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
        for number, call in enumerate(calls):
            try:
                self._run([call], [])
            except Exception as error:
                self._rollback()
                if _damages(error):
                    self._damaged(error)
                    self._refuse(calls[number:])
                    return
                self._refused = self._refused or isinstance(error, sqlite3.Error)
                known = isinstance(error, sqlite3.Error)
                log.error(
                    "%s: a request failed and was rolled back: %s",
                    self.path,
                    error,
                    exc_info=not self._refused,
                )
                # SQLite's messages only name tables and columns; any other error could contain stored data.
                call.answer = (500, text(f"Internal error: Storage error: {error}")) if known else FAILED
                self.tx.begin()
            self._committed([call], alone=True)

    def _rollback(self) -> None:
        if self.db.in_transaction:
            try:
                self.db.execute("ROLLBACK")
            except sqlite3.Error as error:
                log.error("%s: rollback failed: %s", self.path, error)

    def ready(self) -> bool:
        """Whether the disk can be written. Tries it if nothing was written for a while."""
        if self.damage is not None:
            return False
        if not self._refused and monotonic() - self._wrote_at < PROBE_SECONDS:
            return True
        # Room for one more page is too little: after a full disk the server is ready again once this much fits.
        rooms = (bytes(ROOM), self.now()) if self._refused else (self.now(),)
        try:
            for room in rooms:
                self.db.execute("INSERT OR REPLACE INTO probe (id, at) VALUES (1, ?)", (room,))
            os.fdatasync(self._wal)
        except (sqlite3.Error, OSError) as error:
            self._rollback()
            if _damages(error):
                self._damaged(error)
                return False
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
        if self._answered is not None:
            self._sync()
            self._finish(len(self._written))
            if self.damage is None:
                self._answered.forget(self.db)
            os.close(self._wal)
        self.db.close()
        if self._answered is not None:
            self._answered.close()
        self._thread.shutdown()


def _damages(error: BaseException) -> bool:
    return isinstance(error, Damaged) or is_damage(error)


def _die(path: str, error: BaseException) -> None:
    """Ends the process: after a failed sync only a new start, which reads the log, can tell what is on the disk."""
    log.critical("%s: the log could not be synced: %s", path, error)
    os._exit(1)
