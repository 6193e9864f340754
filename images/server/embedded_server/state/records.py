"""Rows as the records of the protocol, in JSON, with sorted keys as v0.9.8 writes them."""

from ..protocol import text
from .transaction import Promise, Transaction, sound


def promise(row: Promise) -> str:
    """`PromiseRecord`. Its parts are stored as JSON already: nothing is parsed, but a row's sum must be right."""
    sound(row)
    settled = "" if row.settled_at is None else f'"settledAt":{row.settled_at},'
    return (
        f'{{"createdAt":{row.created_at},"id":{text(row.id)},"param":{row.param},{settled}"state":"{row.state}",'
        f'"tags":{row.tags},"timeoutAt":{row.timeout_at},"value":{row.value}}}'
    )


def task(
    id: str, state: str, version: int, resumes: int = 0, pid: str | None = None, ttl: int | None = None
) -> str:
    """`TaskRecord`; `pid` and `ttl` only of a task that is held."""
    held = "" if pid is None else f'"pid":{text(pid)},'
    lease = "" if ttl is None else f',"ttl":{ttl}'
    return f'{{"id":{text(id)},{held}"resumes":{resumes},"state":"{state}"{lease},"version":{version}}}'


def task_of(row: Promise, resumes: int) -> str:
    """The record of the row's task."""
    held = row.task_state == "acquired"
    return task(
        row.id,
        str(row.task_state),
        row.task_version,
        resumes,
        row.task_pid if held else None,
        row.task_ttl if held else None,
    )


def preload(tx: Transaction, row: Promise) -> str:
    """The other promises of the row's branch, by id, as a JSON array: what its worker will ask for next."""
    if row.branch is None:
        return "[]"
    rows = tx.execute(_BRANCH, (row.branch, row.id)).fetchall()
    return f"[{','.join([promise(Promise._make(r)) for r in rows])}]" if rows else "[]"


_BRANCH = f"SELECT {', '.join(Promise._fields)} FROM promises WHERE branch = ? AND id <> ? ORDER BY id"
