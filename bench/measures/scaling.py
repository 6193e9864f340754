"""The stack compared with itself: with more workers, and with more execution environments."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

from bench.core.containers import docker
from bench.core.result import Result
from bench.core.stacks import stack
from bench.measures.submit import CLIENTS, many, percentile, submitting
from harness.documents import accepted
from harness.stack import Stack
from harness.waiting import wait_for

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
WORKERS = (1, 2, 4)
#: The share of a core for each worker: with four workers, two cores leave enough for the rest of the stack.
SHARE = 0.2
ENVIRONMENTS = (1, 4, 16)
DOCUMENTS = 60
#: How many documents when each worker has only that share.
FEWER = 32
REAL, SUBMIT, P99, REFUSED = "documents/s", "submissions/s", "p99, ms", "refused"
PICTURES = [REAL, SUBMIT]
#: Submissions per round.
REQUESTS = 1000
#: With twice the workers, documents/s must grow by at least this factor.
NEAR_LINEAR = 1.6


def measure() -> Result:
    result = Result(
        "scaling",
        "More workers, more execution environments",
        f"workers: {DOCUMENTS} real documents, from the first submission until the last one is done, once with all "
        f"processors for every part of the stack, and once with {SHARE} of a core for each worker ({FEWER} "
        f"documents, two at a time), so that the processors are not the limit. Environments: {CLIENTS} clients "
        "submit jobs, and no worker runs",
        "per second",
    )
    for workers in WORKERS:
        for name, most, share in (
            (plural(workers, "worker"), DOCUMENTS, 0.0),
            (shared(workers), FEWER, SHARE),
        ):
            # Two jobs per worker: with eight, one of four workers would get none of the last documents.
            concurrency = {"WORKER_CONCURRENCY": "2"} if share else {}
            with stack(WORKER_REPLICAS=str(workers), LAMBDA_BURST_SECONDS="20", **concurrency) as running:
                documents(running, 8)
                if share:
                    docker("update", "--cpus", str(share), *running.containers("worker"))
                for _ in range(ROUNDS):
                    result.row(name).add(REAL, documents(running, most))
                    result.look()
    for count in ENVIRONMENTS:
        with stack(LAMBDA_CONCURRENCY=str(count), LAMBDA_BURST_SECONDS="20") as running:
            running.stop("worker")
            client = partial(submitting, int(running.settings["API_PORT"]))
            many(client, CLIENTS * count)
            for _ in range(ROUNDS):
                begun = time.perf_counter()
                taken, refused = many(client, REQUESTS)
                row = result.row(plural(count, "environment"))
                row.add(SUBMIT, len(taken) / (time.perf_counter() - begun))
                row.add(P99, percentile(taken, 0.99))
                row.add(REFUSED, refused)
                result.look()
    for few, more in pairwise(WORKERS):
        times = result.row(shared(more)).median(REAL) / result.row(shared(few)).median(REAL)
        result.aim(f"{shared(more)}: {times:.2f} times the documents/s of {few}", times >= NEAR_LINEAR)
    cores = os.cpu_count() or 1
    one, two = (result.row(plural(n, "worker")).median(REAL) for n in WORKERS[:2])
    result.notes.append(
        f"Two workers process {two / one:.2f} times the documents/s of one: the readers of one worker already use "
        f"all of the {cores} cores"
    )
    return result


def plural(count: int, what: str) -> str:
    return f"{count} {what}" + ("s" if count > 1 else "")


def shared(workers: int) -> str:
    return f"{plural(workers, 'worker')}, {SHARE} of a core each"


def documents(running: Stack, count: int) -> float:
    """Real documents per second, from the first submission until the last one is done."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        waiting = list(pool.map(lambda _: accepted(running), range(count)))

    def over() -> bool:
        while waiting:
            seen = running.api.get(f"/status/{waiting[-1]}").json()["status"]
            if seen != "done":
                return False
            waiting.pop()
        return True

    wait_for(over, "every document to be done", 300, every=0.2)
    return count / (time.perf_counter() - begun)
