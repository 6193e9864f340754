#!/usr/bin/env python3
"""Fills the file of an embedded server with workflows, to measure what they cost the server later. The server must be
stopped.

Usage: fill.py FILE JOBS done|open     done: a root and five steps, all finished. open: three steps are finished; the
root is suspended on a fourth that waits up to ten years for a person

The file must exist, so that it has the server's schema: start and stop the server on it once.
"""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing

PROMISE = (
    "INSERT INTO promises (id, state, param, value, tags, target, branch, timeout_at, created_at, settled_at, watched,"
    " task_state, task_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
AT = 1_790_000_000_000  # ms since 1970
LATER = AT + 10 * 365 * 86_400_000
VALUE = '{"data":"ImFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6Ig=="}'
TARGET = "poll://any@worker"
STEPS, DONE_OF_OPEN = 5, 3


def rows(jobs: int, over: bool) -> Iterator[tuple[object, ...]]:
    for root in map(root_of, range(jobs)):
        common = f'"resonate:branch":"{root}","resonate:origin":"{root}"'
        tags = f'{{{common},"resonate:target":"{TARGET}"}}'
        if over:
            yield root, "resolved", VALUE, VALUE, tags, TARGET, root, AT, AT, AT + 5, 1, "fulfilled", 1
        else:
            yield root, "pending", VALUE, "{}", tags, TARGET, root, LATER, AT, None, 0, "suspended", 1
        child = f'{{{common},"resonate:parent":"{root}"}}'
        for step in range(1, STEPS + 1 if over else DONE_OF_OPEN + 1):
            yield f"{root}:{step}", "resolved", "{}", VALUE, child, None, root, LATER, AT, AT + 5, 0, None, 0
        if not over:
            yield awaited(root), "pending", "{}", "{}", child, None, root, LATER, AT, None, 1, None, 0


def root_of(job: int) -> str:
    return f"doc/job-{job:08}"


def awaited(root: str) -> str:
    return f"{root}:{DONE_OF_OPEN + 1}"


def main() -> None:
    path, jobs, over = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "done"
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        db.executemany(PROMISE, rows(jobs, over))
        if not over:
            roots = map(root_of, range(jobs))
            db.executemany(
                "INSERT INTO callbacks (awaited, awaiter) VALUES (?, ?)",
                ((awaited(root), root) for root in roots),
            )
        db.execute("COMMIT")


if __name__ == "__main__":
    main()
