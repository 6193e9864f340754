"""How promises end, and what that resumes. Source: v0.9.8 `persistence_sqlite.rs`, "Settlement chain".

A promise that ends fulfils its own task, marks the callbacks of those who await it as ready, makes suspended
awaiters pending again (their version grows only when a worker claims them), and has its listeners told.
"""

from collections.abc import Sequence

from .transaction import Promise, Transaction, row_sum, sound, wrap

_SETTLE = "UPDATE promises SET state = ?, value = ?, settled_at = ?, sum = ? WHERE seq = ?"
_SETTLE_TASK = """UPDATE promises SET state = ?, value = ?, settled_at = ?, sum = ?, task_state = 'fulfilled',
    task_pid = NULL, task_ttl = NULL, task_at = NULL WHERE seq = ?"""
_AWAITERS = """SELECT p.seq, p.id, p.task_version, p.target FROM callbacks c JOIN promises p ON p.id =
c.awaiter
    WHERE c.awaited = ? AND p.task_state = 'suspended'"""
_RESUME = (
    "UPDATE promises SET task_state = 'pending', task_pid = NULL, task_ttl = NULL, task_at = ? WHERE seq = ?"
)


def settle(tx: Transaction, row: Promise, state: str, value: str, at: int) -> Promise:
    """Ends a pending promise, resumes its awaiters and tells its listeners. Returns the new row."""
    ended = end(tx, row, state, value, at)
    wake(tx, row)
    return ended._replace(task_state=row.task_state and "fulfilled", task_at=None)


def end(tx: Transaction, row: Promise, state: str, value: str, at: int) -> Promise:
    """Ends the promise and its task, but resumes nothing yet. Returns the new row."""
    ended = sound(row)._replace(state=state, value=value, settled_at=at)
    ended = ended._replace(sum=row_sum(ended))
    if row.task_state is None or row.task_state == "fulfilled":
        tx.execute(_SETTLE, (state, value, at, ended.sum, row.seq))
    else:
        tx.execute(_SETTLE_TASK, (state, value, at, ended.sum, row.seq))
        tx.moves.append((row.id, None))
        tx.execute("DELETE FROM callbacks WHERE awaiter = ?", (row.id,))
    return ended


def wake(tx: Transaction, row: Promise) -> None:
    """Wakes the awaiters and listeners of a promise that has ended."""
    if not row.watched:
        return
    tx.execute("UPDATE callbacks SET ready = 1 WHERE awaited = ?", (row.id,))
    for seq, id, version, target in tx.execute(_AWAITERS, (row.id,)).fetchall():
        resume(tx, seq, id, version, target)
    found = tx.execute("SELECT address FROM listeners WHERE promise = ?", (row.id,)).fetchall()
    if found:
        told = [(row.id, address) for (address,) in found]
        tx.db.executemany("INSERT OR IGNORE INTO unblocks (promise, address) VALUES (?, ?)", told)
        tx.execute("DELETE FROM listeners WHERE promise = ?", (row.id,))
        tx.unblocks.extend(told)


def resume(tx: Transaction, seq: int, id: str, version: int, target: str | None) -> None:
    """Offers a suspended task again."""
    at = wrap(tx.now + tx.retry)
    tx.execute(_RESUME, (at, seq))
    tx.wake(at)
    tx.send(id, version, target)


def expire(tx: Transaction, rows: Sequence[Promise]) -> None:
    """Ends promises whose time is over. First all of them end, then awaiters are resumed, so that an awaiter which
    expires together with what it awaits is not offered again."""
    for row in rows:
        end(tx, row, "resolved" if row.timer else "rejected_timedout", row.value, row.timeout_at)
    for row in rows:
        wake(tx, row)


def fresh(tx: Transaction, id: str) -> Promise | None:
    """The promise, ended first if its time is over."""
    row = tx.find(id)
    if row is not None and row.timeout_at <= tx.now and row.state == "pending":
        expire(tx, (row,))
        return tx.find(id)
    return row


def refresh(tx: Transaction, ids: Sequence[str]) -> dict[str, Promise]:
    """The promises among `ids` that exist, ended first where their time is over."""
    rows = {id: row for id in ids if (row := tx.find(id)) is not None}
    late = [row for row in rows.values() if row.timeout_at <= tx.now and row.state == "pending"]
    if late:
        expire(tx, late)
        return {id: row for id in ids if (row := tx.find(id)) is not None}
    return rows
