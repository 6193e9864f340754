"""The load of `server.py`: workflows of five steps that do nothing, through the SDK. Prints a JSON line a measurement.

Usage: python server_load.py URL JOBS CONCURRENCY     (needs the SDK: run it in the worker's image)
"""

import asyncio
import json
import logging
import os
import resource
import sys
import time
from typing import Any

from resonate.resonate import Resonate

STEPS = 5


async def step(_: Any, n: int) -> int:
    return n


async def workflow(ctx: Any, n: int) -> int:
    for i in range(STEPS):
        await ctx.run(step, i)
    return n


def cpu() -> float:
    """Seconds of CPU this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main(url: str, jobs: int, concurrency: int) -> None:
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
            handle = client.options(target=f"poll://any@{group}").rpc(f"{group}-{n}", "workflow", n)
            if await asyncio.wait_for(handle.result(), 120) != n:
                raise AssertionError(f"job {n} came back wrong")
            latencies.append(time.perf_counter() - started)

    await asyncio.sleep(0.5)  # the stream is open
    for n in range(3):
        await job(-1 - n)
    latencies.clear()
    used, started = cpu(), time.perf_counter()
    sys.stdout.write(json.dumps({"begin": True}) + "\n")
    sys.stdout.flush()
    await asyncio.gather(*(job(n) for n in range(jobs)))
    elapsed = time.perf_counter() - started
    latencies.sort()
    result = {
        "jobs_per_second": jobs / elapsed,
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000,
        "worker_cpu_ms": (cpu() - used) * 1000 / jobs,
    }
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
