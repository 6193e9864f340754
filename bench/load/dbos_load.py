"""The same workflows through DBOS Transact: from a queue, or one at a time. The output is that of resonate.py.

Usage: python dbos_load.py URL JOBS CONCURRENCY [BATCHES [STEPS]]     (URL: sqlite:///… or postgresql://…)

SQLite is switched to WAL mode first, which DBOS leaves to its users; the queue is polled every 0.05 s instead of every
second.
"""

import json
import os
import resource
import sqlite3
import sys
import time
from typing import Any

from dbos import DBOS, DBOSConfig

POLL_SECONDS = 0.05


@DBOS.step()
def step(n: int) -> int:
    return n


@DBOS.workflow()
def workflow(n: int, steps: int) -> int:
    for i in range(steps):
        step(i)
    return n


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main(url: str, jobs: int, concurrency: int, batches: int = 1, steps: int = 5) -> None:
    if url.startswith("sqlite:///"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as db:
            db.execute("PRAGMA journal_mode = WAL")
    config: DBOSConfig = {"name": "bench", "system_database_url": url, "log_level": "ERROR"}
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue("bench", worker_concurrency=concurrency, polling_interval_sec=POLL_SECONDS)
    for n in range(3):
        workflow(-1 - n, steps)
        DBOS.enqueue_workflow("bench", workflow, n, steps).get_result()
    say({"begin": True})
    for batch in range(batches):
        latencies = []
        used, started = cpu(), time.perf_counter()
        if concurrency == 1:
            # One at a time, called directly: there is no queue to wait for.
            for n in range(jobs):
                begun = time.perf_counter()
                workflow(batch * jobs + n, steps)
                latencies.append(time.perf_counter() - begun)
        else:
            handles = [DBOS.enqueue_workflow("bench", workflow, batch * jobs + n, steps) for n in range(jobs)]
            for handle in handles:
                handle.get_result(polling_interval_sec=POLL_SECONDS)
                latencies.append(time.perf_counter() - started)
        elapsed = time.perf_counter() - started
        latencies.sort()
        say(
            {
                "jobs_per_second": jobs / elapsed,
                "p50_ms": latencies[len(latencies) // 2] * 1000,
                "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000,
                "worker_cpu_ms": (cpu() - used) * 1000 / jobs,
            }
        )
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
