"""The `schedule.*` operations, and how a schedule fires. Source: v0.9.8 `server.rs`,
`processing_timeouts.rs`."""

from msgspec.json import Decoder

from .. import cron
from ..protocol import (
    Refusal,
    ScheduleCreateData,
    ScheduleDeleteData,
    ScheduleGetData,
    ScheduleSearchData,
    payload,
    text,
)
from . import promises
from .promises import Answer
from .transaction import Promise, Transaction, wrap

_COLUMNS = (
    "id, cron, promise_id, promise_timeout, promise_param, promise_tags, created_at, next_run_at, last_run_at"
)
_BY_ID = f"SELECT {_COLUMNS} FROM schedules WHERE id = ?"
_tags = Decoder(dict[str, str])

NO_SCHEDULE: Answer = (404, '"Schedule not found"')

type Row = tuple[str, str, str, int, str, str, int, int, int | None]


def get(tx: Transaction, r: ScheduleGetData) -> Answer:
    row = tx.execute(_BY_ID, (r.id,)).fetchone()
    return NO_SCHEDULE if row is None else (200, f'{{"schedule":{_record(row)}}}')


def create(tx: Transaction, r: ScheduleCreateData) -> Answer:
    if cron.parse(r.cron) is None:
        raise Refusal(400, "Invalid cron expression")
    row = tx.execute(_BY_ID, (r.id,)).fetchone()
    if row is None:
        due = cron.following(r.cron, tx.now)
        row = (
            r.id,
            r.cron,
            r.promiseId,
            r.promiseTimeout,
            payload(r.promiseParam),
            text(r.promiseTags),
            tx.now,
            due,
            None,
        )
        tx.execute(f"INSERT INTO schedules ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        tx.wake(due)
    return 200, f'{{"schedule":{_record(row)}}}'


def delete(tx: Transaction, r: ScheduleDeleteData) -> Answer:
    gone = tx.execute("DELETE FROM schedules WHERE id = ?", (r.id,)).rowcount
    return (200, "{}") if gone else NO_SCHEDULE


def search(tx: Transaction, r: ScheduleSearchData) -> Answer:
    size = promises.limit(r.limit, 10)
    where = []
    if r.tags:
        where.append(
            "NOT EXISTS (SELECT key, value FROM json_each(:tags)"
            " EXCEPT SELECT key, value FROM json_each(promise_tags))"
        )
    if r.cursor is not None:
        where.append("id > :cursor")
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM schedules WHERE {' AND '.join(where) or 'TRUE'} ORDER BY id LIMIT :size",
        {"tags": text(r.tags), "cursor": r.cursor, "size": size + 1},
    ).fetchall()
    found = ",".join([_record(row) for row in rows[:size]])
    cursor = f'"cursor":{text(rows[size - 1][0])},' if len(rows) > size else ""
    return 200, f'{{{cursor}"schedules":[{found}]}}'


def fire(tx: Transaction) -> int:
    """Fires each schedule that is due once; how many did. One that is far behind catches up a run at a
    time."""
    due = f"SELECT {_COLUMNS} FROM schedules WHERE next_run_at <= ? ORDER BY next_run_at, id"
    rows = tx.execute(due, (tx.now,)).fetchall()
    for row in rows:
        _run(tx, row)
    return len(rows)


def _run(tx: Transaction, row: Row) -> None:
    id, expression, template, timeout, param, tags_text, _, at, _ = row
    tags = _tags.decode(tags_text)
    target = tags.get("resonate:target")
    promise = template.replace("{{.id}}", id).replace("{{.timestamp}}", str(at))
    tags |= dict.fromkeys(
        ("resonate:origin", "resonate:branch", "resonate:parent", "resonate:prefix"), promise
    )
    tags["resonate:schedule"] = id
    if tx.find(promise) is None:
        timeout_at = wrap(at + timeout)
        late = tx.now >= timeout_at
        timer = tags.get("resonate:timer") == "true"
        state = "pending" if not late else "resolved" if timer else "rejected_timedout"
        task: tuple[str | None, int, None, None, int | None] = (None, 0, None, None, None)
        if target is not None:
            task = (
                ("fulfilled", 0, None, None, None)
                if late
                else ("pending", 0, None, None, wrap(at + tx.retry))
            )
        settled_at = timeout_at if late else None
        promises.insert(
            tx,
            Promise(
                0,
                promise,
                state,
                param,
                "{}",
                text(tags),
                target,
                promise,
                int(timer),
                timeout_at,
                at,
                settled_at,
                0,
                *task,
            ),
        )
    due = cron.following(expression, at)
    tx.execute("UPDATE schedules SET last_run_at = ?, next_run_at = ? WHERE id = ?", (at, due, id))
    tx.wake(due)


def _record(row: Row) -> str:
    id, expression, template, timeout, param, tags, created_at, due, last = row
    ran = "" if last is None else f'"lastRunAt":{last},'
    return (
        f'{{"createdAt":{created_at},"cron":{text(expression)},"id":{text(id)},{ran}"nextRunAt":{due},'
        f'"promiseId":{text(template)},"promiseParam":{param},"promiseTags":{tags},"promiseTimeout":{timeout}}}'
    )
