"""The `debug.*` operations that touch the state. Source: v0.9.8 `server.rs`, `op_debug_*`, and `snap`."""

from collections.abc import Mapping

from ..protocol import DebugTickData, Refusal, text
from . import records, timeouts
from .promises import Answer
from .transaction import COLUMNS, Promise, Transaction

TABLES = ("unblocks", "listeners", "callbacks", "promises", "schedules")


def tick(tx: Transaction, r: DebugTickData) -> Answer:
    """Does what is due at the request's time."""
    if type(r.time) is not int or not -(2**63) <= r.time < 2**63:
        raise Refusal(400, "Missing or invalid 'time' field")
    tx.now = r.time
    timeouts.process(tx)
    return 200, "[]"


def reset(tx: Transaction) -> Answer:
    """Forgets everything."""
    for table in TABLES:
        tx.execute(f"DELETE FROM {table}")
    tx.reset = True
    tx.executes.clear()
    tx.unblocks.clear()
    return 200, "{}"


def snap(tx: Transaction, executes: Mapping[str, tuple[int, str]]) -> Answer:
    """The whole state but the schedules; `executes` are the offers not sent yet."""
    rows = [Promise._make(row) for row in tx.execute(f"SELECT {COLUMNS} FROM promises ORDER BY id")]
    resumes = dict(tx.execute("SELECT awaiter, count(*) FROM callbacks WHERE ready GROUP BY awaiter"))
    callbacks = tx.execute(
        "SELECT awaiter, awaited FROM callbacks WHERE NOT ready ORDER BY awaiter, awaited"
    ).fetchall()
    listeners = tx.execute("SELECT promise, address FROM listeners ORDER BY promise, address").fetchall()
    unblocks = tx.execute("SELECT promise, address FROM unblocks ORDER BY promise, address").fetchall()
    by_id = {row.id: row for row in rows}
    messages = [
        f'{{"address":{text(to)},"message":{{"data":{{"task":{{"id":{text(id)},"version":{version}}}}},'
        f'"head":{{}},"kind":"execute"}}}}'
        for id, (version, to) in sorted(executes.items(), key=lambda item: item[0].encode())
    ] + [
        f'{{"address":{text(to)},"message":{{"data":{{"promise":{records.promise(by_id[id])}}},"head":{{}},'
        f'"kind":"unblock"}}}}'
        for id, to in unblocks
    ]
    parts = {
        "callbacks": [f'{{"awaited":{text(b)},"awaiter":{text(a)}}}' for a, b in callbacks],
        "listeners": [f'{{"address":{text(to)},"id":{text(id)}}}' for id, to in listeners],
        "messages": messages,
        "promiseTimeouts": [
            f'{{"id":{text(row.id)},"timeout":{row.timeout_at}}}' for row in rows if row.state == "pending"
        ],
        "promises": [records.promise(row) for row in rows],
        "taskTimeouts": [
            f'{{"id":{text(row.id)},"timeout":{row.task_at},"type":{int(row.task_state == "acquired")}}}'
            for row in rows
            if row.task_at is not None
        ],
        "tasks": [records.task_of(row, resumes.get(row.id, 0)) for row in rows if row.task_state is not None],
    }
    return 200, "{" + ",".join(f'"{name}":[{",".join(items)}]' for name, items in parts.items()) + "}"
