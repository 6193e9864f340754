"""A thousand jobs while something breaks every two seconds; afterwards every job is checked.

    make chaos T=tests/chaos/test_storm.py             CHAOS_SEED=7 for another storm

The seed decides which container is hit, how and for how long; what each fault interrupts depends on the machine.
"""

import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from chaos.account import Account, ended_at
from chaos.faults import CUT, KILL, LOOP, PAUSE, STOP, Fault
from harness.fixtures import MakeStack
from harness.report import SHORT, circumstances, write
from harness.stack import SERVICES, Stack
from harness.waiting import wait_for
from harness.world import FILES, World

SEED = int(os.environ.get("CHAOS_SEED", "1"))
JOBS = int(os.environ.get("STORM_JOBS", "1000"))
SECONDS = int(os.environ.get("STORM_SECONDS", "300"))
EVERY = 2.0
WORKERS = 4
#: How long the last job may take after the storm: a step that met seven faults pauses for two minutes.
CALM_SECONDS = 600
#: A fault lasts a number of seconds between these.
LASTS = {KILL: (0.5, 4.0), STOP: (0.5, 4.0), PAUSE: (0.5, 8.0), CUT: (0.5, 8.0), LOOP: (0.0, 0.0)}


@pytest.mark.skipif(SHORT, reason="runs in make chaos only")
@pytest.mark.timeout(SECONDS + CALM_SECONDS + 300)
def test_storm(make_stack: MakeStack) -> None:
    stack = make_stack(
        env={
            "WORKER_REPLICAS": str(WORKERS),
            "LAMBDA_BURST_SECONDS": "20",
            "STEP_RETRY_SECONDS": "1,2,5,10,30,60,120,300,600,1800",
            "WEBHOOK_RETRY_SECONDS": "5,30,120,600,1800",
        },
        files=FILES,
    )
    account = Account(stack, World(stack))
    storm = Storm(stack, random.Random(SEED))
    over = threading.Event()
    begun = time.time()
    with ThreadPoolExecutor(16) as pool:
        clients = [pool.submit(submit, account, number, 6, begun) for number in range(6)]
        others = [pool.submit(ask, account, random.Random(f"{SEED} {n}"), over) for n in range(2)]
        others.append(pool.submit(approve, account, over))
        try:
            storm.blow(begun + SECONDS)
            calm = time.time()
            for task in clients:
                task.result()
            ended = account.settle(CALM_SECONDS)
        finally:
            over.set()
        for task in others:
            task.result()
    account.check(ended)
    assert not account.errors, "\n".join(account.errors)
    assert len(account.bodies) == len(ended) == JOBS
    last = max(map(ended_at, ended.values())) - calm
    rerun = again(ended)
    vain = stack.logs("worker").count("no longer ours")
    write("storm", summary(account, storm, last, rerun, vain))


class Storm:
    """Faults, one every two seconds, on whichever container is not already hit."""

    def __init__(self, stack: Stack, chance: random.Random) -> None:
        self.stack = stack
        self.chance = chance
        self.hits: Counter[tuple[str, str]] = Counter()
        self._service = {c: service for service in SERVICES for c in stack.containers(service)}
        self._hit: dict[str, Future[None]] = {}

    def blow(self, until: float) -> None:
        """Cause faults until then, mend all of them, and wait until all services are healthy again."""
        with ThreadPoolExecutor(len(self._service)) as pool:
            following = time.time()
            while following < until:
                following += EVERY
                fault, lasts = self._choose()
                free = [c for c in self._service if c not in self._hit or self._hit[c].done()]
                if free:
                    container = self.chance.choice(free)
                    self._hit[container] = pool.submit(self._strike, container, fault, lasts)
                    self.hits[self._service[container], fault.name] += 1
                time.sleep(max(0.0, following - time.time()))
            for hit in self._hit.values():
                hit.result()
        for service in SERVICES:
            wait_for(lambda service=service: self.stack.healthy(service), f"{service} to be healthy", 90)  # type: ignore[misc] # fmt: skip

    def _choose(self) -> tuple[Fault, float]:
        fault = self.chance.choice(list(LASTS))
        return fault, self.chance.uniform(*LASTS[fault])

    @staticmethod
    def _strike(container: str, fault: Fault, lasts: float) -> None:
        kept = fault.strike([container])
        time.sleep(lasts)
        fault.mend([container], kept)


def submit(account: Account, number: int, of: int, begun: float) -> None:
    """One client's share of the jobs, spread over the storm; each job is sent again until it is accepted."""
    for index in range(number, JOBS, of):
        time.sleep(max(0.0, begun + index * SECONDS / JOBS - time.time()))
        name = f"storm-{SEED}-{index:04}"
        waits = (
            {"requiresApproval": True} if index % 20 == 0 else {"callbackUrl": f"{World.inside}/hook/{name}"}
        )
        account.submit(jobId=name, **waits)
        if name not in account.accepted:
            wait_for(lambda name=name: account.send(name), f"{name} to be accepted", SECONDS, every=0.5)  # type: ignore[misc] # fmt: skip


def ask(account: Account, chance: random.Random, over: threading.Event) -> None:
    """A client that asks for statuses: an accepted job is never unknown."""
    while not over.wait(0.3):
        if account.accepted:
            account.status(chance.choice(list(account.accepted)))


def approve(account: Account, over: threading.Event) -> None:
    """Approves every job that waits."""
    approved: set[str] = set()
    while not over.wait(0.5):
        for job_id in [i for i in list(account.accepted) if account.bodies[i].get("requiresApproval")]:
            if job_id not in approved and (account.status(job_id) or {}).get("status") == "awaiting_approval":
                account.approve(job_id, 120)
                approved.add(job_id)


def again(ended: dict[str, dict[str, Any]]) -> int:
    """How many steps needed more than one try."""
    return sum(step.get("attempts", 1) > 1 for seen in ended.values() for step in seen["steps"])


def summary(account: Account, storm: Storm, last: float, rerun: int, vain: int) -> str:
    faults = sum(storm.hits.values())
    refused = sum(account.refusals.values())
    answers = ", ".join(f"{count} times {what}" for what, count in sorted(account.refusals.items()))
    names = [fault.name for fault in LASTS]
    lines = [
        f"{JOBS} jobs, {faults} faults in {SECONDS} s on {WORKERS} workers: **0 lost, 0 twice, 0 stuck**.",
        "",
        circumstances("make chaos T=tests/chaos/test_storm.py", SEED),
        "",
        f"{refused} requests were refused ({answers or 'none'}) and sent again; {rerun} steps were tried more than "
        f"once; the last job was over {last:.0f} s after the last fault. Workers asked {vain} times for a job that another "
        "one had already.",
        "",
        "| faults on | " + " | ".join(names) + " |",
        "|---|" + "---:|" * len(names),
    ]
    for service in SERVICES:
        lines.append(f"| {service} | " + " | ".join(str(storm.hits[service, name]) for name in names) + " |")
    return "\n".join(lines)
