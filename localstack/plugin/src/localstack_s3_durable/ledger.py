"""The database of what exists: buckets, objects and their versions, uploads and their parts, a row each, in SQLite.

Rows hold text that `internals` writes and reads; nothing here knows LocalStack.
"""

import contextlib
import itertools
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from shared.sqlite_damage import Answered, damage_before_opening, is_damage, keep_log, quick_check, wal_of

from .directory import Reserve, take
from .errors import Damaged, DirectoryUnusable, FormatUnknown
from .settings import WAY_BACK

#: Seconds that SQLite may spend on checking the file's structure at the start. After that all rows are read and their
#: checksums compared anyway.
CHECK_SECONDS = 2.0
FORMAT = "2"
#: Since format 2 a row has a checksum, and keys that begin with `$` are marked (see `codec`). Rows that format 1 wrote have
#: no checksum, and stay as they are until they are written again.
FROM_FORMAT_1 = "".join(
    f"ALTER TABLE {table} ADD COLUMN sum INTEGER; "
    for table in ("buckets", "objects", "uploads", "parts", "regions")
)
SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE buckets (name TEXT PRIMARY KEY, state TEXT NOT NULL, sum INTEGER) WITHOUT ROWID;
CREATE TABLE objects (
    bucket TEXT NOT NULL, key TEXT NOT NULL, version TEXT NOT NULL,
    place INTEGER NOT NULL, -- among the versions of a key the highest is the current one
    blob TEXT,              -- null: no bytes
    modified TEXT NOT NULL, state TEXT NOT NULL, sum INTEGER,
    PRIMARY KEY (bucket, key, version)
) WITHOUT ROWID;
CREATE TABLE uploads (
    bucket TEXT NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, sum INTEGER, PRIMARY KEY (bucket, id)
) WITHOUT ROWID;
CREATE TABLE parts (
    bucket TEXT NOT NULL, upload TEXT NOT NULL, number INTEGER NOT NULL,
    blob TEXT, state TEXT NOT NULL, sum INTEGER, PRIMARY KEY (bucket, upload, number)
) WITHOUT ROWID;
CREATE TABLE bodies ( -- of small blobs whose files are not known to be on the disk yet
    id INTEGER PRIMARY KEY, blob TEXT NOT NULL, bytes BLOB NOT NULL
);
CREATE TABLE regions (
    account TEXT NOT NULL, region TEXT NOT NULL, state TEXT NOT NULL, sum INTEGER, PRIMARY KEY (account, region)
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
        columns = (*self.key, *self.rest, "sum")
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
    """The row with this key is now `values` (the columns in `kind.rest`); None: it was removed."""

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


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was read. `sound`: it is as it was written; None: format 1 wrote it, without a sum."""

    values: tuple[Any, ...]
    sound: bool | None


def row_sum(values: Iterable[Any]) -> int:
    """The checksum of a row's columns: tells whether a bit of them has changed since they were written."""
    return zlib.crc32("\0".join(map(str, values)).encode("utf-8", "surrogateescape"))


class Ledger:
    """The open database. Only one thread at a time may apply changes; the caller makes sure of that.

    Raises Damaged where the file is not what was written to it, then and from then on.
    """

    def __init__(self, directory: Path, sync: bool = True, way_back: str = WAY_BACK) -> None:
        self.path = directory / "ledger.sqlite"
        self.way_back = way_back
        #: The damage that was found; nothing is read or written any more.
        self.damage: Damaged | None = None
        #: Called with damage that is found while running.
        self.told: Callable[[Damaged], None] = lambda damage: None
        self._answered: Answered | None = None
        self._lock: int | None = take(directory)
        self._database = sqlite3.connect(":memory:")
        try:
            if (found := damage_before_opening(self.path)) is not None:
                self._damaged(found)
            with self._watched():
                self._connect(directory, sync)
        except sqlite3.Error as error:
            self.close()
            raise DirectoryUnusable(
                f"{self.path} cannot be opened: {error}. Is the disk full? {self.way_back}"
            ) from error
        except BaseException:
            self.close()
            raise

    def _connect(self, directory: Path, sync: bool) -> None:
        database = self._database = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        for pragma in (
            "locking_mode = EXCLUSIVE",
            "journal_mode = WAL",
            f"synchronous = {'FULL' if sync else 'OFF'}",
            # The reserve has space for a log of so many pages, and for as many again of one commit.
            "wal_autocheckpoint = 500",
            "cache_size = -32000",
            "temp_store = MEMORY",
        ):
            database.execute(f"PRAGMA {pragma}")
        found, _ = quick_check(database, CHECK_SECONDS)
        if found is not None:
            self._damaged(found)
        self._prepare(database, directory)
        self._reserve = Reserve(directory / "reserve")
        #: The row of each body: a blob that is dropped before its file is written is deleted with its body.
        self._bodies: dict[str, int] = dict(database.execute("SELECT blob, id FROM bodies ORDER BY id"))
        self._last = max(self._bodies.values(), default=0)
        # Without syncs a power failure may lose what was answered; the setting asks for that.
        if sync and wal_of(self.path).exists():
            with contextlib.suppress(OSError):  # a full disk: only the log itself can be gone by then
                self._answered = Answered(self.path)

    def _note(self) -> None:
        """Note that what was committed is on the disk, and may be answered."""
        if self._answered is not None:
            self._answered.note(self._answered.position())

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Work on the database. Raises Damaged for errors that mean that the file is damaged."""
        if self.damage is not None:
            raise self.damage
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if not is_damage(error):
                raise
            code = getattr(error, "sqlite_errorname", "SQLITE_CORRUPT")
            self._damaged(
                "it is not a database" if code == "SQLITE_NOTADB" else f"SQLite met damage ({code})"
            )

    def _damaged(self, found: str) -> NoReturn:
        """From now on answer nothing from the file, and leave it unchanged."""
        self.damage = Damaged(
            f"{self.path} is damaged: {found}. Nothing is answered from it any more. {self.way_back}"
        )
        keep_log(self._database)
        self.told(self.damage)
        raise self.damage from None

    @staticmethod
    def _prepare(database: sqlite3.Connection, directory: Path) -> None:
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            database.executescript(
                f"BEGIN; {SCHEMA} INSERT INTO about VALUES ('format', '{FORMAT}'); COMMIT;"
            )
            return
        found = database.execute("SELECT value FROM about WHERE name = 'format'").fetchone()
        if found is not None and found[0] == "1":
            database.executescript(
                f"BEGIN; {FROM_FORMAT_1} UPDATE about SET value = '{FORMAT}' WHERE name = 'format'; COMMIT;"
            )
        elif found is None or found[0] != FORMAT:
            raise FormatUnknown(
                f"{directory} holds format {found[0] if found else 'unknown'}; this plugin reads formats 1 and {FORMAT}. "
                "Install the plugin that wrote it, or remove the directory's contents to begin empty."
            )

    def rows(self, kind: Kind) -> Iterator[Row]:
        """All rows of a table, in the order of its key."""
        columns = (*kind.key, *kind.rest, "sum")
        # A row whose text is not valid UTF-8 any more is read as well; its checksum shows the damage.
        self._database.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        try:
            with self._watched():
                for *values, found in self._database.execute(
                    f"SELECT {', '.join(columns)} FROM {kind.table} ORDER BY {', '.join(kind.key)}"
                ):
                    yield Row(tuple(values), None if found is None else found == row_sum(values))
        finally:
            self._database.text_factory = str

    def apply(self, changes: Iterable[Change], bodies: dict[str, bytes]) -> tuple[set[str], dict[str, int]]:
        """Write all changes at once, or none, and return when they are on the disk.

        `bodies` are the bytes of small blobs. They are kept here until `settled` says that their files are on the
        disk: so one sync is enough, and after a power failure the files are made again from here.
        Returns the blobs that rows named before and name no more, and the row of each body.
        Raises sqlite3.Error, after which nothing has changed. On a full disk removals still have a place, once.
        """
        changes = list(changes)
        with self._watched():
            try:
                written = self._apply(changes, bodies)
            except sqlite3.OperationalError as error:
                removals = all(change.values is None for change in changes)
                if error.sqlite_errorcode != sqlite3.SQLITE_FULL or not removals:
                    raise
                written = self._remove_on_a_full_disk(changes)
        self._note()
        if not self._reserve.whole:
            self._reserve.renew()
        return written

    def _remove_on_a_full_disk(self, changes: list[Change]) -> tuple[set[str], dict[str, int]]:
        """Try once with the space of the log's older half, and once with the reserve. Raises sqlite3.OperationalError."""
        with contextlib.suppress(sqlite3.OperationalError):
            # The part that was moved into the database is overwritten, so the log need not grow.
            self._database.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            return self._apply(changes, {})
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
                    found = execute(kind.select, change.key).fetchone()
                    if found is not None and found[0] is not None:
                        before.add(found[0])
                if change.values is None:
                    execute(kind.delete, change.key)
                    if kind is UPLOAD:
                        before.update(self._drop_parts(*change.key))
                    continue
                row = (*change.key, *change.values)
                execute(kind.upsert, (*row, row_sum(row)))
                if change.blob is not None:
                    after.add(change.blob)
            for number, (blob, data) in enumerate(bodies.items(), self._last + 1):
                rows[blob] = number
                execute("INSERT INTO bodies VALUES (?, ?, ?)", (number, blob, data))
            for blob in before - after:
                if blob in self._bodies:
                    execute("DELETE FROM bodies WHERE id = ?", (self._bodies[blob],))
            execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                execute("ROLLBACK")
            raise
        self._last += len(rows)
        self._bodies |= rows
        for blob in before - after:
            self._bodies.pop(blob, None)
        return before - after, rows

    def bodies(self) -> Iterator[tuple[int, str, bytes]]:
        """The small blobs whose files may not be on the disk, and their rows."""
        with self._watched():
            yield from self._database.execute("SELECT id, blob, bytes FROM bodies ORDER BY id")

    def settled(self, last: int) -> None:
        """Delete the bodies up to this row: their files are on the disk."""
        with self._watched():
            self._database.execute("DELETE FROM bodies WHERE id <= ?", (last,))
        for blob in list(itertools.takewhile(lambda blob: self._bodies[blob] <= last, self._bodies)):
            del self._bodies[blob]
        self._note()

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
        self._bodies.clear()
        return blobs - {None}

    def close(self) -> None:
        """Close the database and let another process have the directory."""
        if self._answered is not None and self.damage is None:
            self._answered.forget(self._database)
        self._database.close()
        if self._answered is not None:
            self._answered.close()
            self._answered = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
