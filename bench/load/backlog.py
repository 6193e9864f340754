"""Workflows of quick steps that all wait at once, run with the library's own offers and leases.

Usage: python backlog.py URL fill JOBS GROUP…     puts JOBS waiting jobs into each group
       python backlog.py URL work PLACES          a worker: starts work on the group that each line of standard input
       names; at the line `over` it prints what it ran, as JSON (needs the SDK and durable_lambda.worker: run it in the
       worker image of an application)
"""

import asyncio
import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from resonate.connections import HttpConnection
from resonate.resonate import Resonate
from resonate.retry import Never

from durable_lambda.worker.connections import Client, Inbox, Requests
from durable_lambda.worker.leases import Leases

STEPS = 5
FOREVER = timedelta(days=3650)
TTL = float(os.environ.get("RESONATE_TASK_TTL_SECONDS", "2"))
RETRY = float(os.environ.get("RESONATE_TASKS__RETRY_TIMEOUT", "5000")) / 1000


class Ran:
    """What ran in this worker after the last report."""

    steps = 0
    first = last = 0.0


async def step(_: Any, n: int) -> int:
    now = time.time()
    Ran.first = Ran.first or now
    Ran.last = now
    Ran.steps += 1
    return n


async def workflow(ctx: Any, n: int) -> int:
    for i in range(STEPS):
        await ctx.options(timeout=FOREVER).run(step, i)
    return n


async def fill(url: str, jobs: int, groups: list[str]) -> None:
    client = Resonate(network=HttpConnection(url), sources=[])
    slots = asyncio.Semaphore(32)

    async def one(group: str, n: int) -> None:
        async with slots:
            await (
                client.options(target=f"poll://any@{group}", timeout=FOREVER)
                .rpc(f"{group}-{n}", "workflow", n)
                .id()
            )

    for group in groups:
        await asyncio.gather(*(one(group, n) for n in range(jobs)))


def connected(url: str, group: str, places: int) -> Client:
    """Connected as durable_lambda.worker does it."""
    pid = uuid.uuid4().hex

    def connect(took: Callable[[float], None] | None = None) -> Requests:
        return Requests(url, took=took)

    leases = Leases(pid, TTL, connect)
    client = Client(
        network=connect(),
        sources=[Inbox(url, pid, group)],
        group=group,
        pid=pid,
        ttl=timedelta(seconds=TTL),
        leases=leases,
        offer_seconds=RETRY,
        task_tries=5,
        max_concurrent_tasks=places,
        retry_policy=Never(),
        subscription_refresh_secs=0,
        autostart=False,
    )
    leases.bind(client.takings)
    client.register(workflow, name="workflow")
    client.register(step, name="step")
    client.start()
    return client


async def work(url: str, places: int) -> None:
    loop = asyncio.get_running_loop()
    client: Client | None = None
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        if line == "over":
            sys.stdout.write(json.dumps({"steps": Ran.steps, "first": Ran.first, "last": Ran.last}) + "\n")
            sys.stdout.flush()
            Ran.steps, Ran.first, Ran.last = 0, 0.0, 0.0
            if client is not None:
                await client.stop()
        else:
            client = connected(url, line, places)
    os._exit(0)


if __name__ == "__main__":
    logging.basicConfig(level=logging.CRITICAL)
    address, what, number, *rest = sys.argv[1:]
    asyncio.run(fill(address, int(number), rest) if what == "fill" else work(address, int(number)))
