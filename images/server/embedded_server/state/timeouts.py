"""What falls due by itself: promises, retries of offers, leases, schedules. Source: v0.9.8
`process_all_timeouts`."""

from . import schedules
from .settlement import expire
from .transaction import COLUMNS, NEVER, Promise, Transaction, wrap

_PROMISES = f"SELECT {COLUMNS} FROM promises WHERE state = 'pending' AND timeout_at <= ?"
_TASKS = f"SELECT {COLUMNS} FROM promises WHERE task_at <= ? AND task_state = ?"
_LATER = "UPDATE promises SET task_at = ? WHERE seq = ?"
_RETURN = (
    "UPDATE promises SET task_state = 'pending', task_pid = NULL, task_ttl = NULL, task_at = ? WHERE seq = ?"
)


def process(tx: Transaction) -> int:
    """Does everything that is due at `tx.now`; how many schedules fired."""
    expire(tx, [Promise._make(row) for row in tx.execute(_PROMISES, (tx.now,)).fetchall()])
    again = wrap(tx.now + tx.retry)
    for state, change in (("pending", _LATER), ("acquired", _RETURN)):
        for found in tx.execute(_TASKS, (tx.now, state)).fetchall():
            row = Promise._make(found)
            tx.execute(change, (again, row.seq))
            tx.wake(again)
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
