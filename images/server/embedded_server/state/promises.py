"""The `promise.*` operations. Source: v0.9.8 `server.rs`, `op_promise_*`.

An operation takes the transaction and the request, and answers a status and JSON data.
"""

from .. import address
from ..protocol import (
    PromiseCreateData,
    PromiseGetData,
    PromiseRegisterCallbackData,
    PromiseRegisterListenerData,
    PromiseSearchData,
    PromiseSettleData,
    Refusal,
    payload,
    text,
)
from . import records
from .settlement import fresh, refresh, resume, settle
from .transaction import COLUMNS, Promise, Transaction, row_sum, wrap

type Answer = tuple[int, str]

NO_PROMISE: Answer = (404, '"Promise not found"')
NO_AWAITED: Answer = (404, '"Awaited promise not found"')

_INSERT = f"INSERT INTO promises ({COLUMNS}) VALUES ({', '.join('?' * len(Promise._fields))})"


def get(tx: Transaction, r: PromiseGetData) -> Answer:
    row = fresh(tx, r.id)
    return NO_PROMISE if row is None else _answer(row)


def create(tx: Transaction, r: PromiseCreateData) -> Answer:
    target(r)
    return _answer(ensure(tx, r, fresh(tx, r.id)))


def settle_(tx: Transaction, r: PromiseSettleData) -> Answer:
    row = fresh(tx, r.id)
    if row is None:
        return NO_PROMISE
    if row.state == "pending":
        row = settle(tx, row, r.state, payload(r.value), tx.now)
    return _answer(row)


def register_callback(tx: Transaction, r: PromiseRegisterCallbackData) -> Answer:
    rows = refresh(tx, (r.awaited, r.awaiter))
    awaited, awaiter = rows.get(r.awaited), rows.get(r.awaiter)
    if awaited is None:
        return NO_AWAITED
    if awaiter is None:
        return 422, '"Awaiter promise not found"'
    if awaited.state != "pending":
        # Too late to wait: a suspended awaiter goes on at once, and one that runs or is offered is told by a
        # ready callback.
        if awaiter.task_state == "suspended":
            resume(tx, awaiter.seq, awaiter.id, awaiter.task_version, awaiter.target)
        if awaiter.task_state in ("pending", "acquired", "suspended"):
            tx.execute(
                "INSERT OR IGNORE INTO callbacks (awaited, awaiter, ready) VALUES (?, ?, 1)",
                (r.awaited, r.awaiter),
            )
    elif awaiter.state == "pending" and awaiter.target is not None:
        watch(tx, awaited, r.awaiter)
    if awaiter.target is None:
        return 422, '"Awaiter promise has no resonate:target tag"'
    return _answer(awaited)


def register_listener(tx: Transaction, r: PromiseRegisterListenerData) -> Answer:
    if address.parse(r.address) is None:
        raise Refusal(400, "Invalid listener address")
    row = fresh(tx, r.awaited)
    if row is None:
        return NO_AWAITED
    if row.state == "pending":
        tx.execute("INSERT OR IGNORE INTO listeners (promise, address) VALUES (?, ?)", (row.id, r.address))
        _mark(tx, row)
    return _answer(row)


def search(tx: Transaction, r: PromiseSearchData) -> Answer:
    """In the order of ids. Overdue promises are not ended first: v0.9.8 does not either."""
    size = limit(r.limit, 100)
    # The pending ones are found by their own index, however many have ended.
    source = "promises INDEXED BY promises_due" if r.state == "pending" else "promises"
    where = ["state = 'pending'"] if r.state == "pending" else ["state = :state"] if r.state else []
    if r.tags:
        where.append(
            "NOT EXISTS (SELECT key, value FROM json_each(:tags)"
            " EXCEPT SELECT key, value FROM json_each(tags))"
        )
    if r.cursor is not None:
        where.append("id > :cursor")
    rows = tx.execute(
        f"SELECT {COLUMNS} FROM {source} WHERE {' AND '.join(where) or 'TRUE'} ORDER BY id LIMIT :size",
        {"state": r.state, "tags": text(r.tags), "cursor": r.cursor, "size": size + 1},
    ).fetchall()
    found = [records.promise(Promise._make(row)) for row in rows[:size]]
    cursor = f'"cursor":{text(rows[size - 1][1])},' if len(rows) > size else ""
    return 200, f'{{{cursor}"promises":[{",".join(found)}]}}'


def target(r: PromiseCreateData) -> str | None:
    """The address that the promise's task is offered to. Raises Refusal if it is invalid."""
    found = r.tags.get("resonate:target")
    if found is not None and address.parse(found) is None:
        raise Refusal(400, "Invalid resonate:target address")
    return found


def ensure(
    tx: Transaction, r: PromiseCreateData, row: Promise | None, holder: tuple[str, int] | None = None
) -> Promise:
    """The promise, made unless it exists. With a `holder` (pid, ttl in ms) its task starts acquired, else it
    is offered."""
    if row is not None:
        return row
    tags, to, now = r.tags, r.tags.get("resonate:target"), tx.now
    late = now >= r.timeoutAt
    timer = tags.get("resonate:timer") == "true"
    state = "pending" if not late else "resolved" if timer else "rejected_timedout"
    task: tuple[str | None, int, str | None, int | None, int | None]
    if to is None:
        task = (None, 0, None, None, None)
    elif late:
        task = ("fulfilled", 0, None, None, None)
    elif holder is not None:
        task = ("acquired", 1, *holder, wrap(now + holder[1]))
    else:
        task = ("pending", 0, None, None, wrap(now + tx.retry))
    return insert(
        tx,
        Promise(
            0,
            r.id,
            state,
            payload(r.param),
            "{}",
            text(tags) if tags else "{}",
            to,
            tags.get("resonate:branch"),
            int(timer),
            r.timeoutAt,
            r.timeoutAt if late else now,
            r.timeoutAt if late else None,
            0,
            *task,
        ),
    )


def insert(tx: Transaction, row: Promise) -> Promise:
    """Writes a new promise; what falls due is waited for, and a pending task is offered."""
    row = row._replace(sum=row_sum(row))
    seq = tx.execute(_INSERT, (None, *row[1:])).lastrowid
    if row.state == "pending":
        tx.wake(row.timeout_at)
    if row.task_at is not None:
        tx.wake(row.task_at)
        if row.task_state == "pending":
            tx.send(row.id, row.task_version, row.target)
        else:
            tx.moves.append((row.id, row.task_pid))
    return row._replace(seq=seq or 0)


def watch(tx: Transaction, awaited: Promise, awaiter: str) -> None:
    """Has the task `awaiter` resumed when the pending promise `awaited` ends."""
    tx.execute("INSERT OR IGNORE INTO callbacks (awaited, awaiter) VALUES (?, ?)", (awaited.id, awaiter))
    _mark(tx, awaited)


def limit(asked: int | None, default: int) -> int:
    """The size of a page."""
    if asked is not None and asked > 1000:
        raise Refusal(400, "Invalid 'limit' — must be between 1 and 1000")
    return default if asked is None else asked


def _mark(tx: Transaction, row: Promise) -> None:
    if not row.watched:
        tx.execute("UPDATE promises SET watched = 1 WHERE seq = ?", (row.seq,))


def _answer(row: Promise) -> Answer:
    return 200, f'{{"promise":{records.promise(row)}}}'
