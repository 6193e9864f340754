"""The stack compared with itself: with more jobs in the store, finished or waiting."""

import os
import time
from collections.abc import Callable
from functools import partial

from bench.core.containers import PREFIX, RUN, Container, docker
from bench.core.machine import ROOT
from bench.core.result import Result, rounds
from bench.measures.loads import Batches, resonate, run
from bench.measures.recovery import crashing, ours
from bench.measures.step import FEW, JOBS, MANY, per_step
from bench.measures.submit import in_turn, percentile, submitting
from harness.application import image_of
from harness.stack import Stack

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "400"))
TEN, MUCH, OPEN = "10 jobs in the store", "100,000 jobs in the store", "100,000 jobs that wait"
#: For each row, how many jobs the store holds, and whether they are finished.
STORES = {
    TEN: (10, "done"),
    "1,000 jobs in the store": (1_000, "done"),
    MUCH: (100_000, "done"),
    OPEN: (100_000, "open"),
}
EMPTY, STEP, SUBMIT, RECOVERY, START = (
    "empty jobs/s",
    "a step, ms",
    "submit p50, ms",
    "recovery, s",
    "start, s",
)
DISK, MEMORY = "store before, MB", "server's memory after, MB"
PICTURES = [EMPTY, SUBMIT]
IMAGE = f"{PREFIX}/server-embedded"
#: With a full store, everything may take at most this many times as long as with ten jobs.
FLAT = 1.25


def measure() -> Result:
    result = Result(
        "growth",
        "Growth",
        "the same as above, on a store that already holds this many jobs, all of them finished or all waiting for "
        "a person: 1,000 workflows of five empty steps at once, one step, submitting by one client, recovery. "
        "Start: the time from the stopped stack until every service is healthy",
        "",
    )
    turns: dict[str, Callable[[], None]] = {
        name: partial(grown, result, name, *store) for name, store in STORES.items()
    }
    rounds(result, ROUNDS, turns, ours="")
    ten = result.row(TEN)
    for name in (MUCH, OPEN):
        row = result.row(name)
        worse = {
            column: row.median(column) / ten.median(column) for column in (STEP, SUBMIT, RECOVERY, START)
        }
        worse[EMPTY] = ten.median(EMPTY) / row.median(EMPTY)
        told = ", ".join(f"{column.partition(',')[0]} {times:.2f}" for column, times in worse.items())
        result.aim(
            f"{name}: at most {FLAT} times worse than with ten jobs: {told}", max(worse.values()) <= FLAT
        )
    return result


def grown(result: Result, name: str, jobs: int, state: str) -> None:
    """One round on such a store: first the server alone with one worker, then the whole stack."""
    row = result.row(name)
    volume = f"{RUN}-filled"
    mount = ("--volume", f"{volume}:/data")
    try:
        with resonate(IMAGE, *mount) as server:  # creates the file
            docker("stop", server.name)
        row.add(DISK, fill(volume, jobs, state) / 1e6)
        with resonate(IMAGE, *mount) as server:
            row.add(EMPTY, *(batch["jobs_per_second"] for batch in load(server, 1000, 64, 3, 5)))
            few, many = (load(server, JOBS, 1, 1, steps)[0]["p50_ms"] for steps in (FEW, MANY))
            row.add(STEP, per_step(few, many))
            row.add(MEMORY, server.memory() / 1e6)
    finally:
        docker("volume", "rm", "--force", volume)
    with crashing("embedded") as chain:
        chain.stop("server")
        fill(f"{chain.project}_server-embedded", jobs, state)
        chain.start("server")
        row.add(RECOVERY, ours(chain))
        row.add(START, started(chain))
        # A worker would use the processors that the submissions need.
        chain.stop("worker")
        ask = submitting(int(chain.settings["API_PORT"]))
        in_turn({name: ask}, REQUESTS // 8)
        row.add(SUBMIT, percentile(in_turn({name: ask}, REQUESTS)[name], 0.5))


def fill(volume: str, jobs: int, state: str) -> int:
    """Put `jobs` jobs into the store on that volume; returns its size in bytes."""
    python = (
        "run", "--rm", "--interactive", "--volume", f"{volume}:/data", "--entrypoint", "python", IMAGE, "-",
    )  # fmt: skip
    script = (ROOT / "bench" / "load" / "fill.py").read_text(encoding="utf-8")
    docker(*python, "/data/resonate.db", str(jobs), state, stdin=script)
    return int(docker(*python, stdin="import os; print(os.stat('/data/resonate.db').st_size)"))


def load(server: Container, *wanted: int) -> Batches:
    return run(image_of("worker"), "resonate.py", "http://127.0.0.1:8001", wanted, server)


def started(chain: Stack) -> float:
    """How many seconds the stopped stack takes to start."""
    chain.stop()
    begun = time.perf_counter()
    chain.start()
    return time.perf_counter() - begun
