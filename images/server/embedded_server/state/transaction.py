"""What an operation works with: the open SQLite transaction, the time, and what is to happen after the
commit."""

import sqlite3
import zlib
from typing import NamedTuple

NEVER = 2**63 - 1


def wrap(value: int) -> int:
    """The sum of two times as the official server's 64-bit integers have it."""
    return value if -(2**63) <= value < 2**63 else (value + 2**63) % 2**64 - 2**63


class Damaged(Exception):
    """The database is damaged. The message says where, and contains no stored data."""


class Promise(NamedTuple):
    """A row of `promises`: a promise and, where it has a target, its task."""

    seq: int
    id: str
    state: str
    param: str
    value: str
    tags: str
    target: str | None
    branch: str | None
    timer: int
    timeout_at: int
    created_at: int
    settled_at: int | None
    watched: int
    task_state: str | None
    task_version: int
    task_pid: str | None
    task_ttl: int | None
    task_at: int | None
    sum: int | None = None
    """Of what a client has written, as `row_sum` makes it; None: an older server wrote the row."""


def row_sum(row: Promise) -> int:
    """The checksum of what clients have written into the row, and of its times: neither changes but by settling."""
    parts = (row.id, row.state, row.param, row.value, row.tags, row.target, row.branch)
    text = "\0".join(map(str, (*parts, row.timer, row.timeout_at, row.created_at, row.settled_at)))
    return zlib.crc32(text.encode(errors="surrogatepass"))


def sound(row: Promise) -> Promise:
    """The row itself. Raises `Damaged` if its checksum is wrong."""
    if row.sum is not None and row.sum != row_sum(row):
        raise Damaged(f"row {row.seq} of its promises is not what was written")
    return row


COLUMNS = ", ".join(Promise._fields)
BY_ID = f"SELECT {COLUMNS} FROM promises WHERE id = ?"


class Outcome(NamedTuple):
    """What is to happen once a transaction is durable."""

    executes: dict[str, tuple[int, str]]
    unblocks: list[tuple[str, str]]
    moves: list[tuple[str, str | None]]
    due: int
    reset: bool


class Transaction:
    """One commit's worth of work. `executes` and `unblocks` are sent, and `due` is waited for, only once it
    is durable.

    Times are ms since 1970.
    """

    __slots__ = (
        "again", "corr", "db", "due", "execute", "executes", "moves", "now", "reset", "retry", "unblocks",
    )  # fmt: skip

    def __init__(self, db: sqlite3.Connection, retry: int) -> None:
        self.db = db
        self.execute = db.execute
        #: ms after which a pending task is due: then it is offered again, and so on each `again` ms.
        self.retry = self.again = retry
        self.now = 0
        self.corr = '""'
        self.begin()

    def begin(self) -> None:
        """Clears what the previous transaction had to send."""
        #: task id -> (version, address)
        self.executes: dict[str, tuple[int, str]] = {}
        #: (promise id, address)
        self.unblocks: list[tuple[str, str]] = []
        #: (task id, the worker that holds it from now on; None: nobody does, and it is not offered as it was)
        self.moves: list[tuple[str, str | None]] = []
        self.due = NEVER
        self.reset = False

    def outcome(self) -> Outcome:
        """What it has to send, and when to wake."""
        return Outcome(self.executes, self.unblocks, self.moves, self.due, self.reset)

    def find(self, id: str) -> Promise | None:
        """The row as it stands, expired or not."""
        row = self.execute(BY_ID, (id,)).fetchone()
        return None if row is None else Promise._make(row)

    def wake(self, at: int) -> None:
        """Something falls due at `at`."""
        if at < self.due:
            self.due = at

    def send(self, id: str, version: int, target: str | None) -> None:
        """Has the task offered to its target."""
        if target is not None:
            self.executes[id] = (version, target)
