"""A thousand workflows of five steps that do nothing, at once: the first thousand on a store, and the tenth."""

import os
from functools import partial

from bench.core.result import Calibration, Result, rounds
from bench.measures.loads import DBOS_POSTGRES, DBOS_SQLITE, OURS, Contender, build_peers, contenders

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
JOBS = int(os.environ.get("BENCH_JOBS", "1000"))
CONCURRENCY = 64
FIRST, TENTH, CPU = "first 1,000", "tenth 1,000", "CPU of the worker, ms a job"


def measure() -> Result:
    build_peers()
    result = Result(
        "jobs",
        f"{JOBS:,} workflows of five empty steps at once",
        f"from the first one sent to the last one's result, {CONCURRENCY} under way; one process sends and works. DBOS's "
        "queue is polled every 0.05 s",
        "jobs/s",
        base=OURS,
    )
    taking_part = []
    for contender in contenders():
        row = result.row(contender.name)
        row.missing = contender.missing
        if not contender.missing:
            taking_part.append(contender)

    def first(contender: Contender) -> None:
        (batch,) = contender.run(JOBS, CONCURRENCY, 1, 5)
        result.row(contender.name).add(FIRST, batch["jobs_per_second"])
        result.row(contender.name).add(CPU, batch["worker_cpu_ms"])

    result.noise = rounds(ROUNDS, {c.name: partial(first, c) for c in taking_part})
    calibration = Calibration()
    for contender in taking_part:
        batches = contender.run(JOBS, CONCURRENCY, 10, 5)
        result.row(contender.name).add(TENTH, batches[-1]["jobs_per_second"])
        calibration.again()
    result.noise = max(result.noise, calibration.noise)
    for column in (FIRST, TENTH):
        best = max((result.row(n) for n in (DBOS_SQLITE, DBOS_POSTGRES)), key=lambda row: row.median(column))
        ratio = result.row(OURS).median(column) / best.median(column)
        result.aim(f"{column}: above the better DBOS, {best.name}: {ratio:.2f} times", ratio > 1)
    return result
