"""Opens the database's file, after a check for damage. A damaged file is left as it is."""

import logging
import os
import sqlite3
from pathlib import Path

from shared.sqlite_damage import damage_before_opening, keep_log, quick_check

from .schema import migrate
from .state.transaction import Damaged

log = logging.getLogger(__name__)

#: Seconds that SQLite may look at the file's structure before the server begins: a start does not grow with history.
#: Rows are read once more, and their sums compared, behind the requests (`patrol`).
CHECK_SECONDS = 2.0


def open_database(path: str) -> sqlite3.Connection:
    """The database, with the newest schema and its log there. Raises Damaged, sqlite3.Error and ForeignFile."""
    if (found := damage_before_opening(Path(path))) is not None:
        raise Damaged(found)
    db = sqlite3.connect(path, isolation_level=None, cached_statements=256, timeout=5)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        # FULL would sync within each COMMIT. The store syncs the log itself, after it and before any answer.
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA cache_size = -32000")
        db.execute("PRAGMA wal_autocheckpoint = 4000")
        db.execute("PRAGMA journal_size_limit = 67108864")
        found, finished = quick_check(db, CHECK_SECONDS)
        if found is not None:
            raise Damaged(found)
        if not finished:
            log.info("%s: not all of its structure was checked in %.0f s", path, CHECK_SECONDS)
        migrate(db, path)
        db.execute("INSERT OR REPLACE INTO probe (id, at) VALUES (1, 0)")  # the log exists from here on
        folder = os.open(Path(path).parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except BaseException as error:
        if isinstance(error, Damaged):
            keep_log(db)
        db.close()
        raise
    return db


def stand_in() -> sqlite3.Connection:
    """An empty database in memory, for the rest of the server to work with if the file is damaged."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db, ":memory:")
    return db
