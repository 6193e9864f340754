#!/usr/bin/env python3
"""Fills an embedded server's file with finished workflows, to see that history costs nothing. The server must be down.

Usage: server_fill.py FILE [PROMISES]     (default 1,000,000; a root and five steps each workflow)

The file must exist: start and stop the server on it once. Its schema is the server's own.
"""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing

ROOT = (
    "INSERT INTO promises (id, state, param, value, tags, target, branch, timeout_at, created_at, settled_at, watched,"
    " task_state, task_version) VALUES (?, 'resolved', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
AT = 1_790_000_000_000  # ms since 1970
VALUE = '{"data":"ImFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6Ig=="}'


def rows(count: int) -> Iterator[tuple[object, ...]]:
    for n in range(count):
        job, step = divmod(n, 6)
        root = f"doc/job-{job:08}"
        common = f'"resonate:branch":"{root}","resonate:origin":"{root}"'
        if step == 0:
            tags = f'{{{common},"resonate:target":"poll://any@worker"}}'
            yield root, VALUE, VALUE, tags, "poll://any@worker", root, AT, AT, AT + 5, 1, "fulfilled", 1
        else:
            tags = f'{{{common},"resonate:parent":"{root}"}}'
            yield f"{root}:{step}", "{}", VALUE, tags, None, root, AT, AT, AT + 5, 0, None, 0


def main() -> None:
    path = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        db.executemany(ROOT, rows(count))
        db.execute("COMMIT")


if __name__ == "__main__":
    main()
