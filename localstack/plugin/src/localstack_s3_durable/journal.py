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

    #: What to write a row of, in words only `Memory` understands.
    touched: set[tuple[object, ...]] = field(default_factory=set)
    #: Blobs made for this request, with the bytes of small ones; those no row names in the end are removed.
    created: dict[str, bytes | None] = field(default_factory=dict)
    done: bool = False
    error: Exception | None = None


class Memory(Protocol):
    """Where the truth is between two commits."""

    def changes(self, touched: Iterable[tuple[object, ...]]) -> list[Change]:
        """How these things stand now."""
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
        self._owed: set[tuple[object, ...]] = set()  # touched by requests whose commit failed
        self._committing = threading.Lock()
        self._local = threading.local()
        self.helper: Helper

    @property
    def request(self) -> Request | None:
        """The request this thread is in."""
        return getattr(self._local, "request", None)

    def run[T](self, work: Callable[[], T], touched: Iterable[tuple[object, ...]] = ()) -> T:
        """Do the work, and return when all it changed is on disk. Raises sqlite3.Error if that cannot be."""
        if self.request is not None:  # a request inside a request: the outer one commits
            self.request.touched.update(touched)
            return work()
        request = self._local.request = Request()
        try:
            return work()
        finally:
            # After an error too: memory may have changed before it.
            self._local.request = None
            request.touched.update(touched)
            self._commit(request)

    def created(self, blob: str, data: bytes | None) -> None:
        """Note that this blob was made, and its bytes if it is small."""
        if (request := self.request) is not None:
            request.created[blob] = data

    def settled(self, last: int) -> None:
        """The small blobs up to this row of the ledger are on the disk."""
        with self._committing:
            self._ledger.settled(last)

    def touch(self, *thing: object) -> None:
        """Note that this has changed in memory."""
        if (request := self.request) is not None:
            request.touched.add(thing)
        else:  # from outside any request: there is nobody to wait, so wait here
            self._commit(Request({thing}))

    def _commit(self, request: Request) -> None:
        if not request.touched:
            self.helper.give(request.created, {})
            return
        self._waiting.append(request)
        with self._committing:
            if not request.done:
                self._commit_all()
        if request.error is not None:
            raise request.error

    def _commit_all(self) -> None:
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        touched = self._owed.union(*(request.touched for request in batch))
        created = {blob: data for request in batch for blob, data in request.created.items()}
        error: Exception | None = None
        try:
            changes = self._memory.changes(touched)
            named = {change.blob for change in changes}
            bodies = {blob: data for blob, data in created.items() if data is not None and blob in named}
            dropped, small = self._ledger.apply(changes, bodies)
        except sqlite3.Error as failed:
            # Memory is ahead of the disk now; the next commit that succeeds makes up for it.
            self._owed, error = touched, failed
        except Exception as failed:
            # Something has no row (a value that is no text, a blob never written): retrying would not help.
            error = failed
        else:
            self._owed = set()
            self.helper.give(dropped | created.keys() - named, small)
        for request in batch:
            request.error, request.done = error, True
