"""What one more step costs: a workflow of 55 empty steps compared with one of 5, one workflow at a time."""

import os
import time
from collections.abc import Callable
from functools import partial

from bench.core.result import Result, rounds
from bench.measures.loads import OURS, Contender, contenders

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
JOBS = 30
FEW, MANY = 5, 55
STEP, WORKER, SERVER = "a step", "worker's CPU", "server's CPU"
CALL = "a plain function call"
PICTURES = [STEP]


def measure() -> Result:
    result = Result(
        "step",
        "The cost of one step",
        f"(time of {MANY} steps - time of {FEW} steps) / {MANY - FEW}, medians of {JOBS} workflows, one after the "
        "other; each step's result is on disk before the next step begins. With Resonate a step is two requests "
        "to a server in another process; with DBOS it is one transaction, in the worker's own process (SQLite) or "
        "in PostgreSQL",
        "ms",
        base=OURS,
    )

    def take(contender: Contender) -> None:
        (few,), (many,) = (contender.run(JOBS, 1, 1, steps) for steps in (FEW, MANY))
        row = result.row(contender.name)
        for column, figure in ((STEP, "p50_ms"), (WORKER, "worker_cpu_ms"), (SERVER, "server_cpu_ms")):
            if many.get(figure):
                row.add(column, per_step(few[figure], many[figure]))

    turns: dict[str, Callable[[], None]] = {c.name: partial(take, c) for c in contenders(result)}
    turns[CALL] = lambda: result.row(CALL).add(STEP, call())
    rounds(result, ROUNDS, turns)
    result.notes.append("The profile below shows where the time goes")
    return result


def per_step(few: float, many: float) -> float:
    """The time of one step, computed from workflows of FEW and of MANY steps."""
    return (many - few) / (MANY - FEW)


def call() -> float:
    """Milliseconds for one call of a function, in a loop."""

    def step(n: int) -> int:
        return n

    count, begun = 1_000_000, time.perf_counter()
    for n in range(count):
        step(n)
    return (time.perf_counter() - begun) * 1000 / count
