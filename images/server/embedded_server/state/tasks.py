"""The `task.*` operations. Source: v0.9.8 `server.rs`, `op_task_*`.

A task is pending (offered), acquired (a worker holds its lease), suspended (waits for promises), halted or
fulfilled. Its version grows by one each time a worker claims it; a request with an older version is
refused.
"""

from .. import PROTOCOL
from ..decoding import decode
from ..protocol import (
    PromiseCreateData,
    PromiseSettleData,
    Refusal,
    TaskAcquireData,
    TaskContinueData,
    TaskCreateData,
    TaskFenceData,
    TaskFulfillData,
    TaskGetData,
    TaskHaltData,
    TaskHeartbeatData,
    TaskReleaseData,
    TaskSearchData,
    TaskSuspendData,
    payload,
    text,
)
from . import promises, records
from .promises import Answer
from .settlement import fresh, refresh, settle
from .transaction import Promise, Transaction, wrap

DONE: Answer = (200, "{}")
NO_TASK: Answer = (404, '"Task not found"')
NOT_YOURS: Answer = (409, '"Task version mismatch or invalid state"')
NOT_SUSPENDABLE: Answer = (409, '"Task is not acquired or version mismatch"')
WRONG_VERSION: Answer = (409, '"Version mismatch"')

_RESUMES = "SELECT count(*) FROM callbacks WHERE awaiter = ? AND ready"
_FORGET = "DELETE FROM callbacks WHERE awaiter = ? AND ready"
_ACQUIRE = """UPDATE promises SET task_state = 'acquired', task_version = ?, task_pid = ?, task_ttl = ?,
task_at = ?
    WHERE seq = ?"""
_PEND = (
    "UPDATE promises SET task_state = 'pending', task_pid = NULL, task_ttl = NULL, task_at = ? WHERE seq = ?"
)
_REST = "UPDATE promises SET task_state = ?, task_pid = NULL, task_ttl = NULL, task_at = NULL WHERE seq = ?"
_HEARTBEAT = """UPDATE promises SET task_at = ? + task_ttl
    WHERE id = ? AND task_state = 'acquired' AND task_version = ? AND task_pid = ?"""

_RESTING = "task_state IN ('suspended', 'halted')"  # the index's own words: SQLite infers nothing from others
#: The tasks not done yet are found by their own indexes, however many are: state -> from, where.
_SEARCHES: dict[str | None, tuple[str, str]] = {
    "pending": ("promises INDEXED BY tasks_due", "task_at IS NOT NULL AND task_state = 'pending'"),
    "acquired": ("promises INDEXED BY tasks_due", "task_at IS NOT NULL AND task_state = 'acquired'"),
    "suspended": ("promises INDEXED BY tasks_resting", f"{_RESTING} AND task_state = 'suspended'"),
    "halted": ("promises INDEXED BY tasks_resting", f"{_RESTING} AND task_state = 'halted'"),
}


def get(tx: Transaction, r: TaskGetData) -> Answer:
    row = fresh(tx, r.id)
    if row is None or row.task_state is None:
        return NO_TASK
    (resumes,) = tx.execute(_RESUMES, (r.id,)).fetchone()
    return 200, f'{{"task":{records.task_of(row, resumes)}}}'


def create(tx: Transaction, r: TaskCreateData) -> Answer:
    """The promise with its task acquired; an offered task that exists is acquired."""
    data = r.action.data
    promises.target(data)
    row = fresh(tx, data.id)
    if row is None:
        row = promises.ensure(tx, data, None, (r.pid, r.ttl))
        preload = records.preload(tx, row) if row.task_state == "acquired" else "[]"
    elif row.task_state == "fulfilled":
        preload = "[]"
    elif row.task_state == "pending":
        row = _claim(tx, row, r.pid, r.ttl)
        preload = records.preload(tx, row)
    elif row.task_state is None:
        return 422, '"Promise exists without a target task"'
    else:
        return 409, '"Already exists"'
    return _given(row, preload)


def acquire(tx: Transaction, r: TaskAcquireData) -> Answer:
    row = fresh(tx, r.id)
    if row is None or row.task_state is None:
        return NO_TASK
    if row.task_state != "pending":
        return 409, '"Task is not pending"'
    if row.task_version != r.version:
        return WRONG_VERSION
    row = _claim(tx, row, r.pid, r.ttl)
    return _given(row, records.preload(tx, row))


def release(tx: Transaction, r: TaskReleaseData) -> Answer:
    row = fresh(tx, r.id)
    if row is None or row.task_state is None:
        return NO_TASK
    if row.task_state != "acquired" or row.task_version != r.version:
        return NOT_YOURS
    _offer(tx, row)
    return DONE


def fulfill(tx: Transaction, r: TaskFulfillData) -> Answer:
    row = fresh(tx, r.id)
    if row is None or row.task_state is None:
        return NO_TASK
    if row.task_state != "acquired" or row.task_version != r.version:
        return NOT_YOURS
    action = r.action.data
    row = settle(tx, row, action.state, payload(action.value), tx.now)
    return 200, f'{{"promise":{records.promise(row)}}}'


def suspend(tx: Transaction, r: TaskSuspendData) -> Answer:
    """Waits for all of the awaited promises' first; 300 where one of them has ended already: go on."""
    awaited = list(dict.fromkeys(action.data.awaited for action in r.actions))
    rows = refresh(tx, (r.id, *awaited))
    row = rows.get(r.id)
    if row is None or row.task_state is None:
        return NO_TASK
    if row.task_state != "acquired" or row.task_version != r.version:
        return NOT_SUSPENDABLE
    if any(id not in rows for id in awaited):
        return 422, '"Awaited promise not found"'
    tx.execute(_FORGET, (r.id,))
    if any(rows[id].state != "pending" for id in awaited):
        return 300, f'{{"preload":{records.preload(tx, row)}}}'
    for id in awaited:
        promises.watch(tx, rows[id], r.id)
    tx.execute(_REST, ("suspended", row.seq))
    tx.moves.append((row.id, None))
    return DONE


def fence(tx: Transaction, r: TaskFenceData) -> Answer:
    """Creates or settles another promise, if the worker still holds the task."""
    action_id = r.action_id()
    rows = refresh(tx, (r.id, action_id))
    create: PromiseCreateData | None = None
    ending: PromiseSettleData | None = None
    if r.action.kind == "promise.create":
        create = decode(PromiseCreateData, r.action.data, "Invalid action data")
        promises.target(create)
    elif r.action.kind == "promise.settle":
        ending = decode(PromiseSettleData, r.action.data, "Invalid action data")
    else:
        raise Refusal(400, "Invalid fence action kind")
    row = rows.get(r.id)
    if row is None or row.task_state is None:
        return NO_TASK
    if row.task_state != "acquired" or row.task_version != r.version:
        return WRONG_VERSION
    inner = create or ending
    assert inner is not None
    # Data given as a list names its promise all the same, but then v0.9.8 does not look whether its time is over.
    other = rows.get(action_id) if inner.id == action_id else tx.find(inner.id)
    if create is not None:
        other = promises.ensure(tx, create, other)
    elif ending is not None and other is not None and other.state == "pending":
        other = settle(tx, other, ending.state, payload(ending.value), tx.now)
    status, data = promises.NO_PROMISE if other is None else (200, f'{{"promise":{records.promise(other)}}}')
    head = f'{{"corrId":{tx.corr},"status":{status},"version":"{PROTOCOL}"}}'
    action = f'{{"data":{data},"head":{head},"kind":"{r.action.kind}"}}'
    return 200, f'{{"action":{action},"preload":{records.preload(tx, row)}}}'


def heartbeat(tx: Transaction, r: TaskHeartbeatData) -> Answer:
    """Extends the leases that are still held; others are ignored."""
    for task in r.tasks:
        tx.execute(_HEARTBEAT, (tx.now, task.id, task.version, r.pid))
    return DONE


def halt(tx: Transaction, r: TaskHaltData) -> Answer:
    row = fresh(tx, r.id)
    if row is None or row.task_state is None:
        return NO_TASK
    if row.task_state == "fulfilled":
        return 409, '"Task is fulfilled"'
    if row.task_state != "halted":
        tx.execute(_REST, ("halted", row.seq))
        tx.moves.append((row.id, None))
    return DONE


def continue_(tx: Transaction, r: TaskContinueData) -> Answer:
    row = fresh(tx, r.id)
    if row is None or row.task_state is None:
        return NO_TASK
    if row.task_state != "halted":
        return 409, '"Task is not halted"'
    _offer(tx, row)
    return DONE


def search(tx: Transaction, r: TaskSearchData) -> Answer:
    size = promises.limit(r.limit, 100)
    source, where = _SEARCHES.get(
        r.state, ("promises", "task_state = :state" if r.state else "task_state IS NOT NULL")
    )
    if r.cursor is not None:
        where += " AND id > :cursor"
    rows = tx.execute(
        f"""SELECT id, task_state, task_version,
                (SELECT count(*) FROM callbacks WHERE awaiter = promises.id AND ready),
                iif(task_state = 'acquired', task_pid, NULL), iif(task_state = 'acquired', task_ttl, NULL)
            FROM {source} WHERE {where} ORDER BY id LIMIT :size""",
        {"state": r.state, "cursor": r.cursor, "size": size + 1},
    ).fetchall()
    found = ",".join([records.task(*row) for row in rows[:size]])
    cursor = f'"cursor":{text(rows[size - 1][0])},' if len(rows) > size else ""
    return 200, f'{{{cursor}"tasks":[{found}]}}'


def _claim(tx: Transaction, row: Promise, pid: str, ttl: int) -> Promise:
    """Gives a pending task to a worker for `ttl` ms."""
    at = wrap(tx.now + ttl)
    tx.execute(_ACQUIRE, (row.task_version + 1, pid, ttl, at, row.seq))
    tx.execute(_FORGET, (row.id,))
    tx.moves.append((row.id, pid))
    tx.wake(at)
    return row._replace(
        task_state="acquired", task_version=row.task_version + 1, task_pid=pid, task_ttl=ttl, task_at=at
    )


def _offer(tx: Transaction, row: Promise) -> None:
    """Offers the task to its target, and again after a while if no worker takes it."""
    at = wrap(tx.now + tx.retry)
    tx.execute(_PEND, (at, row.seq))
    tx.moves.append((row.id, None))
    tx.wake(at)
    tx.send(row.id, row.task_version, row.target)


def _given(row: Promise, preload: str) -> Answer:
    return 200, f'{{"preload":{preload},"promise":{records.promise(row)},"task":{records.task_of(row, 0)}}}'
