"""What one more step costs: a workflow of 55 empty steps against one of 5, one workflow at a time."""

import os
import time
from collections.abc import Callable
from functools import partial

from bench.core.result import Result, rounds
from bench.measures.loads import OURS, Contender, build_peers, contenders

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
JOBS = 30
FEW, MANY = 5, 55


def measure() -> Result:
    build_peers()
    result = Result(
        "step",
        "The cost of one step",
        f"({MANY} steps - {FEW} steps) / {MANY - FEW}, medians of {JOBS} workflows one after the other; each step's result "
        "is on disk before the next begins",
        "ms",
        base=OURS,
    )

    def take(contender: Contender) -> None:
        (few,), (many,) = (contender.run(JOBS, 1, 1, steps) for steps in (FEW, MANY))
        row = result.row(contender.name)
        row.add("a step", (many["p50_ms"] - few["p50_ms"]) / (MANY - FEW))
        row.add("CPU of the worker", (many["worker_cpu_ms"] - few["worker_cpu_ms"]) / (MANY - FEW))

    turns: dict[str, Callable[[], None]] = {}
    for contender in contenders():
        result.row(contender.name).missing = contender.missing
        if not contender.missing:
            turns[contender.name] = partial(take, contender)
    turns["a function that is called"] = lambda: result.row("a function that is called").add("a step", call())
    result.noise = rounds(ROUNDS, turns)
    return result


def call() -> float:
    """Milliseconds for one call of a function, in a loop."""

    def step(n: int) -> int:
        return n

    count, begun = 1_000_000, time.perf_counter()
    for n in range(count):
        step(n)
    return (time.perf_counter() - begun) * 1000 / count
