"""The stack beside itself: more jobs in the store, more workers, more execution environments."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bench.core.containers import PREFIX, RUN, container, docker
from bench.core.machine import ROOT
from bench.core.result import Result, rounds
from bench.core.stacks import stack
from bench.measures.loads import SERVER, run, until_healthy
from bench.measures.submit import CLIENTS, many, submitting
from harness.jobs import accepted
from harness.stack import Stack
from harness.waiting import wait_for

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
STORES = (10, 1_000, 100_000)
#: Jobs that wait for a person.
OPEN = 100_000
WORKERS = (1, 2, 4)
ENVIRONMENTS = (1, 4, 16)
DOCUMENTS = 60
EMPTY, REAL, SUBMIT = "empty jobs/s", "documents/s", "submissions/s"
DISK, MEMORY = "store before, MB", "server's memory after, MB"
PICTURES = [EMPTY, REAL, SUBMIT]
#: Submissions a round.
REQUESTS = 1000
FLAT = 0.8


def measure() -> Result:
    result = Result(
        "growth",
        "Growth",
        "jobs in the store, all over or all waiting for a person: 1,000 workflows of five empty steps at once. Workers: "
        f"{DOCUMENTS} real documents, from the first submission to the last end, the processors being shared by all of the "
        f"stack. Environments: {CLIENTS} clients that submit, no worker running",
        "a second",
    )

    turns: dict[str, Callable[[], None]] = {}
    stores = {f"{jobs:,} jobs in the store": (jobs, "done") for jobs in STORES}
    stores[waiting := f"{OPEN:,} jobs that wait"] = (OPEN, "open")
    for name, store in stores.items():
        turns[name] = partial(filled, result, name, *store)
    rounds(result, ROUNDS, turns, ours="")
    for workers in WORKERS:
        with stack(WORKER_REPLICAS=str(workers), LAMBDA_BURST_SECONDS="20") as running:
            documents(running, 8)
            for _ in range(ROUNDS):
                result.row(plural(workers, "worker")).add(REAL, documents(running, DOCUMENTS))
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
                row.add("p99, ms", sorted(taken)[int(len(taken) * 0.99)])
                row.add("refused", refused)
                result.look()
    few, much = (result.row(f"{jobs:,} jobs in the store").median(EMPTY) for jobs in (STORES[0], STORES[-1]))
    result.aim(
        f"{STORES[-1]:,} jobs in the store as fast as {STORES[0]}: {much / few:.2f} times", much / few >= FLAT
    )
    held = result.row(waiting).median(EMPTY)
    result.aim(f"{waiting} beside: {held / few:.2f} times as fast", held / few >= FLAT)
    cores = os.cpu_count() or 1
    one, two = (result.row(plural(n, "worker")).median(REAL) for n in WORKERS[:2])
    result.notes.append(
        f"Two workers do {two / one:.2f} times what one does, on {cores} cores that one worker's readers use as well"
    )
    return result


def plural(count: int, what: str) -> str:
    return f"{count} {what}" + ("s" if count > 1 else "")


def filled(result: Result, name: str, jobs: int, state: str) -> None:
    """Jobs a second on a store that holds so many, done or open."""
    row = result.row(name)
    volume, image = f"{RUN}-filled", f"{PREFIX}/server-embedded"
    mount = ("--volume", f"{volume}:/data")
    options = tuple(word for word in SERVER if word not in ("--volume", "/data"))
    python = ("run", "--rm", "--interactive", *mount, "--entrypoint", "python", image, "-")
    script = (ROOT / "bench" / "load" / "fill.py").read_text(encoding="utf-8")
    try:
        with container(image, *options, *mount) as server:  # makes the file
            until_healthy(server)
            docker("stop", server.name)
        docker(*python, "/data/resonate.db", str(jobs), state, stdin=script)
        size = docker(*python, stdin="import os; print(os.stat('/data/resonate.db').st_size)")
        with container(image, *options, *mount) as server:
            until_healthy(server)
            (batch,) = run(
                f"{PREFIX}/worker", "resonate.py", "http://127.0.0.1:8001", (1000, 64, 1, 5), server
            )
            row.add(EMPTY, batch["jobs_per_second"])
            row.add(DISK, int(size) / 1e6)
            row.add(MEMORY, server.memory() / 1e6)
    finally:
        docker("volume", "rm", "--force", volume)


def documents(running: Stack, count: int) -> float:
    """Real documents a second, from the first submission to the last end."""
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
