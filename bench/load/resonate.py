"""Workflows of steps that do nothing, through the Resonate SDK. Prints a JSON line when it begins, and one for each
batch.

Usage: python resonate.py URL JOBS CONCURRENCY [BATCHES [STEPS]]     (needs the SDK: run it in the worker's image)
"""

import asyncio
import json
import logging
import os
import resource
import sys
import time
from typing import Any

from resonate import codec
from resonate.resonate import Resonate

# Never unpickle a value from the server (docs/decisions/0082). Set here, because durable_lambda may not be installed
# where this runs.
vars(codec)["pickle"] = None


async def step(_: Any, n: int) -> int:
    return n


async def workflow(ctx: Any, n: int, steps: int) -> int:
    for i in range(steps):
        await ctx.run(step, i)
    return n


def cpu() -> float:
    """Seconds of CPU this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def main(url: str, jobs: int, concurrency: int, batches: int = 1, steps: int = 5) -> None:
    logging.basicConfig(level=logging.ERROR)
    group = f"bench-{time.time_ns()}"
    client = Resonate(url=url, group=group)
    client.register(workflow, name="workflow")
    client.register(step, name="step")
    slots = asyncio.Semaphore(concurrency)
    latencies: list[float] = []

    async def job(n: int) -> None:
        async with slots:
            started = time.perf_counter()
            handle = client.options(target=f"poll://any@{group}").rpc(f"{group}-{n}", "workflow", n, steps)
            if await asyncio.wait_for(handle.result(), 120) != n:
                raise AssertionError(f"job {n} came back wrong")
            latencies.append(time.perf_counter() - started)

    await asyncio.sleep(0.5)  # The event stream is open now.
    for n in range(3):
        await job(-1 - n)
    say({"begin": True})
    for batch in range(batches):
        latencies.clear()
        used, started = cpu(), time.perf_counter()
        await asyncio.gather(*(job(batch * jobs + n) for n in range(jobs)))
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
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
