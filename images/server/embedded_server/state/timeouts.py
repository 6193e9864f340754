"""What falls due by itself: promises, retries of offers, leases, schedules. Source: v0.9.8
`process_all_timeouts`."""

from . import schedules
from .settlement import expire
from .transaction import COLUMNS, NEVER, Promise, Transaction, wrap

_PROMISES = f"SELECT {COLUMNS} FROM promises WHERE state = 'pending' AND timeout_at <= ? LIMIT ?"
_TASKS = f"SELECT {COLUMNS} FROM promises WHERE task_at <= ? AND task_state = ? LIMIT ?"
_LATER = "UPDATE promises SET task_at = ? WHERE seq = ?"
_RETURN = (
    "UPDATE promises SET task_state = 'pending', task_pid = NULL, task_ttl = NULL, task_at = ? WHERE seq = ?"
)


def process(tx: Transaction, most: int = -1) -> int:
    """Does what is due at `tx.now`, `most` of each kind (-1: all of it); how many schedules fired."""
    expire(tx, [Promise._make(row) for row in tx.execute(_PROMISES, (tx.now, most)).fetchall()])
    for state, change in (("pending", _LATER), ("acquired", _RETURN)):
        for found in tx.execute(_TASKS, (tx.now, state, most)).fetchall():
            row = Promise._make(found)
            # A worker that polls has its offer, or the offer waits for room (`offers`): looking again is a precaution.
            polled = state == "pending" and (row.target or "").startswith("poll:")
            at = wrap(tx.now + (tx.again if polled else tx.retry))
            tx.execute(change, (at, row.seq))
            if state == "acquired":
                tx.moves.append((row.id, None))
            tx.wake(at)
            tx.send(row.id, row.task_version, row.target)
    return schedules.fire(tx)


def next_due(tx: Transaction) -> int:
    """When something falls due next, from the indexes; `NEVER` if nothing does."""
    (due,) = tx.execute(
        """SELECT min(at) FROM (
            SELECT min(timeout_at) AS at FROM promises WHERE state = 'pending'
            UNION ALL SELECT min(task_at) FROM promises WHERE task_at IS NOT NULL
            UNION ALL SELECT min(next_run_at) FROM schedules)"""
    ).fetchone()
    return NEVER if due is None else due
