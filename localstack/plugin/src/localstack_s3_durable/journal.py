"""Group commit: requests that finish at the same time share one transaction and one sync."""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from .blobs import Helper
from .ledger import Change, Ledger


@dataclass(eq=False)
class Request:
    """What one request has changed in memory and written to files."""

    #: What to write rows of, as names that only `Memory` understands.
    touched: set[tuple[object, ...]] = field(default_factory=set)
    #: Blobs made for this request. Those that no row names in the end are removed.
    created: set[str] = field(default_factory=set)
    done: bool = False
    error: Exception | None = None


class Memory(Protocol):
    """What holds the current state between two commits."""

    def changes(self, touched: Iterable[tuple[object, ...]]) -> list[Change]:
        """The current rows of these things."""
        ...


class Journal:
    """Turns what requests touched into rows.

    Rows are made from memory as it is at the time of the commit, never from what a request saw: so of two requests
    that change the same thing the later one wins on disk as it did in memory, whoever commits first.
    """

    def __init__(self, ledger: Ledger, memory: Memory) -> None:
        self._ledger = ledger
        self._memory = memory
        self._waiting: deque[Request] = deque()
        self._owed = Request()  # the changes of requests whose commit failed
        # Small blobs whose bytes are in no row yet. The first row that names one is written with them, in any request.
        self._unkept: dict[str, bytes] = {}
        self._committing = threading.Lock()
        self._local = threading.local()
        self.helper: Helper

    @property
    def request(self) -> Request | None:
        """The request this thread is in."""
        return getattr(self._local, "request", None)

    def run[T](self, work: Callable[[], T], named: Callable[[], Iterable[tuple[object, ...]]] = tuple) -> T:
        """Do the work, and return when all that it changed, and all that is named afterwards, is on the disk.

        Raises sqlite3.Error if that cannot be.
        """
        if (outer := self.request) is not None:  # a request inside a request: the outer one commits
            try:
                return work()
            finally:
                outer.touched.update(named())
        request = self._local.request = Request()
        try:
            return work()
        finally:
            # Also after an error: memory may have changed before it.
            self._local.request = None
            request.touched.update(named())
            self._commit(request)

    def created(self, blob: str, data: bytes | None) -> None:
        """Note that this blob was made, and its bytes if it is small."""
        if data is not None:
            self._unkept[blob] = data
        if (request := self.request) is not None:
            request.created.add(blob)

    def settled(self, last: int) -> None:
        """The small blobs up to this row of the ledger are on the disk."""
        with self._committing:
            self._ledger.settled(last)

    def touch(self, *thing: object) -> None:
        """Note that this has changed in memory."""
        if (request := self.request) is not None:
            request.touched.add(thing)
        else:  # outside of any request nobody else waits for the commit, so wait here
            self._commit(Request({thing}))

    def _commit(self, request: Request) -> None:
        if not request.touched and not self._owed.touched:
            self._drop(request.created, {})
            return
        # While changes of a failed commit are not on the disk, a request that found nothing to change may have found just
        # those changes: it must wait for them too.
        self._waiting.append(request)
        with self._committing:
            if not request.done:
                self._write([self._waiting.popleft() for _ in range(len(self._waiting))])
        if request.error is not None:
            raise request.error

    def _write(self, batch: list[Request]) -> None:
        error: Exception | None = None
        try:
            self._apply([self._owed, *batch])
            self._owed = Request()
        except sqlite3.Error as failed:
            if self._owed.touched or len(batch) > 1:  # one of them alone may succeed: a delete on a full disk
                for request in batch:
                    self._write_alone(request, failed)
                return
            # Memory now has changes that the disk has not; the next successful commit writes them.
            self._owed, error = Request(set(batch[0].touched), set(batch[0].created)), failed
        except Exception as failed:
            # Something cannot be made a row (a value that is not text, a blob never written): to retry would not help.
            if len(batch) > 1:
                for request in batch:
                    self._write([request])
                return
            error = failed
        for request in batch:
            request.error, request.done = error, True

    def _write_alone(self, request: Request, failed: sqlite3.Error) -> None:
        try:
            if not request.touched:
                raise failed
            self._apply([request])
        except sqlite3.Error as error:
            self._owed.touched |= request.touched
            self._owed.created |= request.created
            request.error = error
        except Exception as error:
            request.error = error
        request.done = True

    def _apply(self, requests: list[Request]) -> None:
        touched = set[tuple[object, ...]]().union(*(request.touched for request in requests))
        created = set[str]().union(*(request.created for request in requests))
        changes = self._memory.changes(touched)
        named = {change.blob for change in changes if change.blob is not None}
        bodies = {blob: data for blob in named if (data := self._unkept.get(blob)) is not None}
        dropped, small = self._ledger.apply(changes, bodies)
        for blob in small:
            self._unkept.pop(blob, None)
        self._drop(dropped | created - named, small)

    def _drop(self, blobs: set[str], small: dict[str, int]) -> None:
        for blob in blobs:
            self._unkept.pop(blob, None)
        self.helper.give(blobs, small)
