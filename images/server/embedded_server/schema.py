"""The SQLite schema: its version, its tables, and the steps from one version to the next."""

import sqlite3

#: "resn": says that a file is ours (the official server leaves 0 here).
APPLICATION_ID = 0x7265736E

#: A promise and its task share an id and one row: a request reads and writes one row, not four.
#: The task's columns are NULL for a promise without `resonate:target`. `task_at` is the retry of a pending
#: task, the lease of an acquired one, else NULL. `watched` says that `callbacks` or `listeners` may name the
#: promise, so that settling one nobody waits for touches neither table.
PROMISES = """
CREATE TABLE promises (
    seq          INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    state        TEXT NOT NULL,
    param        TEXT NOT NULL,
    value        TEXT NOT NULL DEFAULT '{}',
    tags         TEXT NOT NULL DEFAULT '{}',
    target       TEXT,
    branch       TEXT,
    timer        INTEGER NOT NULL DEFAULT 0,
    timeout_at   INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    settled_at   INTEGER,
    watched      INTEGER NOT NULL DEFAULT 0,
    task_state   TEXT,
    task_version INTEGER,
    task_pid     TEXT,
    task_ttl     INTEGER,
    task_at      INTEGER
);
CREATE INDEX promises_due ON promises (timeout_at) WHERE state = 'pending';
CREATE INDEX tasks_due ON promises (task_at) WHERE task_at IS NOT NULL;
CREATE INDEX promises_branch ON promises (branch, id) WHERE branch IS NOT NULL;
"""

#: What waits for a promise: tasks (`callbacks`), addresses (`listeners`), addresses that are still to be told
#: (`unblocks`).
WAITING = """
CREATE TABLE callbacks (
    awaited TEXT NOT NULL,
    awaiter TEXT NOT NULL,
    ready   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (awaited, awaiter)
) WITHOUT ROWID;
CREATE INDEX callbacks_awaiter ON callbacks (awaiter, ready);
CREATE TABLE listeners (promise TEXT NOT NULL, address TEXT NOT NULL, PRIMARY KEY (promise, address)) WITHOUT
ROWID; CREATE TABLE unblocks (promise TEXT NOT NULL, address TEXT NOT NULL, PRIMARY KEY (promise, address))
WITHOUT ROWID;
"""

SCHEDULES = """
CREATE TABLE schedules (
    id              TEXT PRIMARY KEY,
    cron            TEXT NOT NULL,
    promise_id      TEXT NOT NULL,
    promise_timeout INTEGER NOT NULL,
    promise_param   TEXT NOT NULL,
    promise_tags    TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    next_run_at     INTEGER NOT NULL,
    last_run_at     INTEGER
);
CREATE INDEX schedules_due ON schedules (next_run_at);
CREATE TABLE probe (id INTEGER PRIMARY KEY, at INTEGER NOT NULL);
"""

#: `MIGRATIONS[n]` takes a file from version n to n + 1. Never edit one that was released: append.
MIGRATIONS = (
    PROMISES + WAITING + SCHEDULES,
    "CREATE INDEX tasks_resting ON promises (task_state, id) WHERE task_state IN ('suspended', 'halted');",
    # Of rows written before it, none has a sum.
    "ALTER TABLE promises ADD COLUMN sum INTEGER;",
)


class ForeignFile(Exception):
    """The file is a database, but not one this server can go on with."""


def migrate(db: sqlite3.Connection, path: str) -> None:
    """Brings the open file to the newest version, in one transaction; raises `ForeignFile` where it
    cannot."""
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and application != APPLICATION_ID:
        raise ForeignFile(
            f"{path} was not written by the embedded server (the official one?): "
            "run the server that wrote it, or give this one another RESONATE_STORAGE__SQLITE__PATH"
        )
    if version > len(MIGRATIONS):
        raise ForeignFile(
            f"{path} has schema version {version}, this server knows {len(MIGRATIONS)}: run the newer server"
        )
    if version == len(MIGRATIONS):
        return
    script = "".join(MIGRATIONS[version:])
    db.executescript(
        f"BEGIN IMMEDIATE; {script} PRAGMA application_id = {APPLICATION_ID}; "
        f"PRAGMA user_version = {len(MIGRATIONS)}; COMMIT;"
    )
