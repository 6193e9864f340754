"""A thousand workflows of five empty steps at once: the first thousand on a fresh store, and the tenth."""

import os
from functools import partial

from bench.core.result import Result, number, rounds
from bench.measures.loads import OURS, Contender, contenders

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
JOBS = int(os.environ.get("BENCH_JOBS", "1000"))
CONCURRENCY = 64
STEPS = 5
FIRST, TENTH = f"first {JOBS:,}", f"tenth {JOBS:,}"
WORKER, SERVER = "worker's CPU, ms a job", "server's CPU, ms a job"
PICTURES = [FIRST, TENTH]


def measure() -> Result:
    result = Result(
        "jobs",
        f"{JOBS:,} workflows of five empty steps at once",
        f"from sending the first workflow to the last result, with {CONCURRENCY} in progress at a time; one "
        "process both sends and works. DBOS's queue is polled every 0.05 s and starts as many at a time. First: "
        f"on a fresh store. Tenth: the last of ten batches of {JOBS:,} in one run. Server: the Resonate server or "
        "PostgreSQL; DBOS on SQLite has none",
        "jobs/s",
        base=OURS,
    )
    taking_part = contenders(result)

    def first(contender: Contender) -> None:
        (batch,) = contender.run(JOBS, CONCURRENCY, 1, STEPS)
        row = result.row(contender.name)
        row.add(FIRST, batch["jobs_per_second"])
        row.add(WORKER, batch["worker_cpu_ms"])
        if batch.get("server_cpu_ms"):
            row.add(SERVER, batch["server_cpu_ms"])

    def tenth(contender: Contender) -> None:
        speeds = [batch["jobs_per_second"] for batch in contender.run(JOBS, CONCURRENCY, 10, STEPS)]
        result.row(contender.name).add(TENTH, speeds[-1])
        told = ", ".join(map(number, speeds))
        result.notes.append(f"{contender.name}: the ten batches in order: {told} jobs/s")

    rounds(result, ROUNDS, {c.name: partial(first, c) for c in taking_part})
    still = [c for c in taking_part if not result.row(c.name).missing]
    rounds(result, 1, {c.name: partial(tenth, c) for c in still})
    for column in (FIRST, TENTH):
        peers = [row for row in result.rows if column in row.figures and row.name != OURS]
        if peers:
            best = max(peers, key=lambda row: row.median(column))
            ratio = result.row(OURS).median(column) / best.median(column)
            result.aim(
                f"{column}: faster than the best peer ({best.name}): {ratio:.2f} times its rate", ratio > 1
            )
    return result
