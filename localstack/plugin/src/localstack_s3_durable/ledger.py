"""What exists: buckets, objects and their versions, uploads and their parts, a row each, in SQLite.

Rows hold text that `internals` writes and reads; nothing here knows LocalStack.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import DirectoryUnusable, FormatUnknown

FORMAT = "1"
SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE buckets (name TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE objects (
    bucket TEXT NOT NULL, key TEXT NOT NULL, version TEXT NOT NULL,
    place INTEGER NOT NULL, -- among the versions of a key the highest is the current one
    blob TEXT,              -- null: no bytes
    modified TEXT NOT NULL, state TEXT NOT NULL,
    PRIMARY KEY (bucket, key, version)
) WITHOUT ROWID;
CREATE TABLE uploads (
    bucket TEXT NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (bucket, id)
) WITHOUT ROWID;
CREATE TABLE parts (
    bucket TEXT NOT NULL, upload TEXT NOT NULL, number INTEGER NOT NULL,
    blob TEXT, state TEXT NOT NULL, PRIMARY KEY (bucket, upload, number)
) WITHOUT ROWID;
CREATE TABLE bodies ( -- of small blobs whose files are not known to be on the disk yet
    id INTEGER PRIMARY KEY, blob TEXT NOT NULL, bytes BLOB NOT NULL
);
CREATE TABLE regions (
    account TEXT NOT NULL, region TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (account, region)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """One table: its columns, the first of which are its key."""

    table: str
    key: tuple[str, ...]
    rest: tuple[str, ...]

    @property
    def select(self) -> str:
        """Reads the blob of one row."""
        return f"SELECT blob FROM {self.table} WHERE {self.match}"

    @property
    def match(self) -> str:
        """The condition that finds one row."""
        return " AND ".join(f"{column} = ?" for column in self.key)

    @property
    def upsert(self) -> str:
        """Writes one row."""
        columns = (*self.key, *self.rest)
        marks = ", ".join("?" * len(columns))
        return f"INSERT OR REPLACE INTO {self.table} ({', '.join(columns)}) VALUES ({marks})"

    @property
    def delete(self) -> str:
        """Removes one row."""
        return f"DELETE FROM {self.table} WHERE {self.match}"


BUCKET = Kind("buckets", ("name",), ("state",))
OBJECT = Kind("objects", ("bucket", "key", "version"), ("place", "blob", "modified", "state"))
UPLOAD = Kind("uploads", ("bucket", "id"), ("state",))
PART = Kind("parts", ("bucket", "upload", "number"), ("blob", "state"))
REGION = Kind("regions", ("account", "region"), ("state",))


@dataclass(frozen=True, slots=True)
class Change:
    """The row with this key is now `values` (the columns in `kind.rest`), or is no more."""

    kind: Kind
    key: tuple[Any, ...]
    values: tuple[Any, ...] | None

    @property
    def blob(self) -> str | None:
        """The blob the row names, if it names one."""
        if self.values is None or "blob" not in self.kind.rest:
            return None
        blob: str | None = self.values[self.kind.rest.index("blob")]
        return blob


class Reserve:
    """Room kept for the day the disk is full: without it not even a delete could be written down."""

    SIZE = 2 * 1024 * 1024

    def __init__(self, path: Path) -> None:
        self._path = path
        self.spent = True
        self.renew()

    def renew(self) -> None:
        """Take the room again, if there is any."""
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self.SIZE)
                self.spent = False
            finally:
                if self.spent:
                    os.ftruncate(descriptor, 0)
                os.close(descriptor)

    def spend(self) -> None:
        """Give the room away."""
        os.truncate(self._path, 0)
        self.spent = True


class Ledger:
    """The open database. One thread at a time may apply changes; the caller sees to that."""

    def __init__(self, directory: Path, sync: bool = True) -> None:
        self._lock: int | None = take(directory)
        try:
            self._database = sqlite3.connect(
                directory / "ledger.sqlite",
                isolation_level=None,
                check_same_thread=False,
                cached_statements=64,
            )
            for pragma in (
                "locking_mode = EXCLUSIVE",
                "journal_mode = WAL",
                f"synchronous = {'FULL' if sync else 'OFF'}",
                "wal_autocheckpoint = 1000",
                "cache_size = -32000",
                "temp_store = MEMORY",
            ):
                self._database.execute(f"PRAGMA {pragma}")
            self._prepare(directory)
            self._reserve = Reserve(directory / "reserve")
            self._last: int = self._database.execute("SELECT coalesce(max(id), 0) FROM bodies").fetchone()[0]
        except sqlite3.Error as error:
            self.close()
            raise DirectoryUnusable(
                f"{directory / 'ledger.sqlite'} cannot be opened: {error}. Is the disk full, or the file not a "
                "ledger? Restore it from a copy, or remove the directory's contents to begin empty."
            ) from error
        except FormatUnknown:
            self.close()
            raise

    def _prepare(self, directory: Path) -> None:
        tables = {
            row[0] for row in self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        if not tables:
            self._database.executescript(
                f"BEGIN; {SCHEMA} INSERT INTO about VALUES ('format', '{FORMAT}'); COMMIT;"
            )
            return
        found = self._database.execute("SELECT value FROM about WHERE name = 'format'").fetchone()
        if found is None or found[0] != FORMAT:
            raise FormatUnknown(
                f"{directory} holds format {found[0] if found else 'unknown'}; this plugin reads format {FORMAT}. "
                "Install the plugin that wrote it, or remove the directory's contents to begin empty."
            )

    def rows(self, kind: Kind) -> Iterator[tuple[Any, ...]]:
        """All rows of a table, in the order of its key."""
        columns = (*kind.key, *kind.rest)
        yield from self._database.execute(
            f"SELECT {', '.join(columns)} FROM {kind.table} ORDER BY {', '.join(kind.key)}"
        )

    def apply(self, changes: Iterable[Change], bodies: dict[str, bytes]) -> tuple[set[str], dict[str, int]]:
        """Write all changes at once, or none, and return when they are on the disk.

        `bodies` are the bytes of small blobs. They are kept here until `settled` says that their files are on the
        disk: so one sync is enough, and after a power failure the files are made again from here.
        Returns the blobs that rows named before and name no more, and the row of each body.
        Raises sqlite3.Error, after which nothing has changed. On a full disk removals still have a place, once.
        """
        changes = list(changes)
        try:
            written = self._apply(changes, bodies)
        except sqlite3.OperationalError as error:
            removals = all(change.values is None for change in changes)
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL or not removals:
                raise
            written = self._remove_on_a_full_disk(changes)
        if self._reserve.spent:
            self._reserve.renew()
        return written

    def _remove_on_a_full_disk(self, changes: list[Change]) -> tuple[set[str], dict[str, int]]:
        """Once with the room of the log's older half, once with the reserve. Raises sqlite3.OperationalError."""
        with contextlib.suppress(sqlite3.OperationalError):
            # What it has moved into the database is written over: the log need not grow.
            self._database.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            return self._apply(changes, {})
        if not self._reserve.spent:
            self._reserve.spend()
        return self._apply(changes, {})

    def _apply(self, changes: list[Change], bodies: dict[str, bytes]) -> tuple[set[str], dict[str, int]]:
        rows: dict[str, int] = {}
        before: set[str] = set()
        after: set[str] = set()
        execute = self._database.execute
        execute("BEGIN IMMEDIATE")
        try:
            for change in changes:
                kind = change.kind
                if "blob" in kind.rest:
                    row = execute(kind.select, change.key).fetchone()
                    if row is not None and row[0] is not None:
                        before.add(row[0])
                if change.values is None:
                    execute(kind.delete, change.key)
                    if kind is UPLOAD:
                        before.update(self._drop_parts(*change.key))
                    continue
                execute(kind.upsert, (*change.key, *change.values))
                if change.blob is not None:
                    after.add(change.blob)
            for blob, data in bodies.items():
                self._last += 1
                rows[blob] = self._last
                execute("INSERT INTO bodies VALUES (?, ?, ?)", (self._last, blob, data))
            execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                execute("ROLLBACK")
            raise
        return before - after, rows

    def bodies(self) -> Iterator[tuple[int, str, bytes]]:
        """The small blobs whose files may not be on the disk, and their rows."""
        yield from self._database.execute("SELECT id, blob, bytes FROM bodies ORDER BY id")

    def settled(self, last: int) -> None:
        """The files of the bodies up to this row are on the disk: forget the bodies."""
        self._database.execute("DELETE FROM bodies WHERE id <= ?", (last,))

    def _drop_parts(self, bucket: str, upload: str) -> set[str]:
        where = "WHERE bucket = ? AND upload = ?"
        found = self._database.execute(f"SELECT blob FROM parts {where}", (bucket, upload))
        blobs = {row[0] for row in found if row[0] is not None}
        self._database.execute(f"DELETE FROM parts {where}", (bucket, upload))
        return blobs

    def forget(self) -> set[str]:
        """Remove every row. Returns the blobs they named."""
        blobs = {
            row[0] for row in self._database.execute("SELECT blob FROM objects UNION SELECT blob FROM parts")
        }
        tables = ("buckets", "objects", "uploads", "parts", "regions", "bodies")
        self._database.executescript(
            "BEGIN; " + " ".join(f"DELETE FROM {table};" for table in tables) + " COMMIT;"
        )
        return blobs - {None}

    def close(self) -> None:
        """Close the database and let another process have the directory."""
        self._database.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def take(directory: Path) -> int:
    """Make the directory ours alone. Returns the descriptor that holds the lock, for as long as it is open."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DirectoryUnusable(
            f"{directory} cannot be written ({error.strerror}). Mount a volume there that user {os.getuid()} may "
            "write to, or set S3_DURABLE_DIR to a directory that is."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise DirectoryUnusable(
            f"{directory} is in use by another LocalStack. Stop that one, or set S3_DURABLE_DIR to another directory."
        ) from error
    return descriptor
