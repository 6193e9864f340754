"""Steady load for a long time: nothing grows that should not.

    make soak                      30 minutes
    make soak SOAK_MINUTES=10

Only the second half is judged, when caches are full and connection pools are open. Memory and descriptors: the line
through the half (the median of all slopes, Theil-Sen) rises by less than MEMORY_MB or DESCRIPTORS. The server's disk,
S3's disk and S3's memory keep something for each job, so they are divided by the number of jobs: no more per job in the
second half than in the first. Latency: the median of the last quarter, compared with that of the quarter before.
"""

import os
import random
import statistics
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations

import pytest

from chaos.account import Account
from harness.fixtures import MakeStack
from harness.report import SHORT, circumstances, write
from harness.stack import SERVICES, Stack

SEED = int(os.environ.get("CHAOS_SEED", "1"))
MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
#: Jobs and status calls a second.
JOBS_A_SECOND = 2.0
ASKED_A_SECOND = 4.0
SAMPLE_SECONDS = 10.0
#: How much a service's memory may rise in the second half, in MB; and how many more open descriptors it may have.
MEMORY_MB = 12.0
DESCRIPTORS = 8.0
#: S3 keeps the metadata of each object in memory, as LocalStack does: this many KB per job (four or five objects).
S3_MEMORY_KB_A_JOB = 60.0
#: The largest ratios: disk per job of the second half to the first; latency of the last quarter to the one before.
DISK_RATIO = 1.25
LATENCY_RATIO = 1.5
#: The files of cgroup v1 and v2, as a container sees its own.
MEMORY_FILES = ("/sys/fs/cgroup/memory/memory.stat", "/sys/fs/cgroup/memory.stat")
#: Services that write to a volume.
VOLUMES = ("gateway", "server", "localstack")


@dataclass
class Series:
    """One figure over time: pairs of seconds since the start and value."""

    points: list[tuple[float, float]] = field(default_factory=list)

    def half(self, number: int) -> list[tuple[float, float]]:
        middle = self.points[-1][0] / 2
        return [point for point in self.points if (point[0] >= middle) == (number == 2)]

    def rise(self, number: int) -> float:
        """How much the line through a half rises from the start of the half to its end."""
        points = self.half(number)
        slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2) if b[0] > a[0]]
        return statistics.median(slopes) * (points[-1][0] - points[0][0])

    def middle(self, number: int) -> float:
        return statistics.median(value for _, value in self.half(number))


@pytest.mark.skipif(SHORT or "SOAK_MINUTES" not in os.environ, reason="make soak")
@pytest.mark.timeout(MINUTES * 60 + 600)
def test_nothing_grows_under_steady_load(make_stack: MakeStack) -> None:
    stack = make_stack(env={"WORKER_REPLICAS": "2", "LAMBDA_BURST_SECONDS": "20"})
    account = Account(stack)
    gauges = Gauges(stack)
    over = threading.Event()
    begun = time.time()
    # Status calls need a job to ask for.
    assert account.submit() in account.accepted, account.refusals
    with ThreadPoolExecutor(10) as pool:
        tasks = [pool.submit(steadily, over, JOBS_A_SECOND / 4, account.submit) for _ in range(4)]
        chance = random.Random(SEED)
        tasks += [
            pool.submit(steadily, over, ASKED_A_SECOND / 4, lambda: account.status(chance.choice([*account.accepted])))
            for _ in range(4)
        ]  # fmt: skip
        while time.time() < begun + MINUTES * 60:
            gauges.sample(time.time() - begun, len(account.accepted))
            time.sleep(SAMPLE_SECONDS)
        over.set()
        for task in tasks:
            task.result()
    ended = account.settle(120)
    account.check(ended)
    assert account.errors == []
    assert not account.refusals, account.refusals
    took = Series([(end - begun, end - begin) for begin, end in account.under_way["status"]])
    submitted = Series([(end - begun, end - begin) for begin, end in account.under_way["submit"]])
    write("soak", gauges.table(len(ended), submitted, took))
    assert gauges.verdicts(submitted, took) == []


def steadily(over: threading.Event, a_second: float, act: object) -> None:
    """Call `act` that many times a second, until the run ends."""
    assert callable(act)
    following = time.time() + 1 / a_second
    while not over.wait(max(0.0, following - time.time())):
        act()
        following += 1 / a_second


class Gauges:
    """The measurements of each service, summed over its containers."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.service = {c: service for service in SERVICES for c in stack.containers(service)}
        self.memory = {service: Series() for service in SERVICES}
        self.descriptors = {service: Series() for service in SERVICES}
        self.disk = {service: Series() for service in VOLUMES}
        self.jobs = Series()

    def sample(self, at: float, jobs: int) -> None:
        memory = dict.fromkeys(SERVICES, 0.0)
        descriptors = dict.fromkeys(SERVICES, 0.0)
        for container, service in self.service.items():
            memory[service] += held(inside(container, f"cat {' '.join(MEMORY_FILES)} 2>/dev/null"))
            # As root: the worker hides its descriptors from its own user.
            count = inside(
                container, "ls -d /proc/[0-9]*/fd/* 2>/dev/null | wc -l", "--privileged", "--user=0"
            )
            descriptors[service] += float(count)
            if service in VOLUMES:
                self.disk[service].points.append((at, float(inside(container, "du -sk /data").split()[0])))
        for service in SERVICES:
            self.memory[service].points.append((at, memory[service]))
            self.descriptors[service].points.append((at, descriptors[service]))
        self.jobs.points.append((at, float(jobs)))

    def a_job(self, series: Series, number: int) -> float:
        """How much a series rose per job of a half."""
        return series.rise(number) / max(1.0, self.jobs.rise(number))

    def verdicts(self, submitted: Series, took: Series) -> list[str]:
        """The list of what is not flat."""
        found = []
        for service in SERVICES:
            rise = self.memory[service].rise(2)
            if service == "localstack":
                rise -= self.jobs.rise(2) * S3_MEMORY_KB_A_JOB / 1000
            if rise > MEMORY_MB:
                found.append(f"{service}: memory rose by {rise:.1f} MB beyond what is allowed")
            if (more := self.descriptors[service].rise(2)) > DESCRIPTORS:
                found.append(f"{service}: {more:.0f} more descriptors")
        for service in VOLUMES:
            first, second = (self.a_job(self.disk[service], number) for number in (1, 2))
            if second > max(1.0, first * DISK_RATIO):
                found.append(f"{service}: {second:.1f} KB of disk a job, after {first:.1f}")
        for name, series in (("submit", submitted), ("status", took)):
            if (ratio := quarters(series)) > LATENCY_RATIO:
                found.append(f"{name}: takes {ratio:.2f} times as long as in the quarter before")
        return found

    def table(self, jobs: int, submitted: Series, took: Series) -> str:
        verdict = self.verdicts(submitted, took)
        lines = [
            f"{MINUTES:g} minutes, {jobs} jobs (all done, each effect once, no request refused): "
            + ("**flat**." if not verdict else f"**not flat**: {'; '.join(verdict)}."),
            "",
            circumstances(f"make soak SOAK_MINUTES={MINUTES:g}", SEED),
            "",
            "| service | memory, MB | rise in the 2nd half | descriptors | rise | disk, KB a job, 1st and 2nd half |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for service in SERVICES:
            disk = "" if service not in VOLUMES else " and ".join(
                f"{self.a_job(self.disk[service], n):.1f}" for n in (1, 2)
            )  # fmt: skip
            lines.append(
                f"| {service} | {self.memory[service].middle(2):.0f} | {self.memory[service].rise(2):+.1f} "
                f"| {self.descriptors[service].middle(2):.0f} | {self.descriptors[service].rise(2):+.1f} | {disk} |"
            )
        lines += [
            "",
            "| call | median 1st half, ms | 2nd half | 95th percentile | last quarter / the one before |",
        ]
        lines += ["|---|---:|---:|---:|---:|"]
        for name, series in (("submit", submitted), ("status", took)):
            tail = statistics.quantiles((value for _, value in series.points), n=20)[-1]
            lines.append(
                f"| {name} | {series.middle(1) * 1000:.1f} | {series.middle(2) * 1000:.1f} | {tail * 1000:.1f} "
                f"| {quarters(series):.2f} |"
            )
        return "\n".join(lines)


def quarters(series: Series) -> float:
    """The last quarter's median divided by that of the quarter before."""
    end = series.points[-1][0]
    last = [value for at, value in series.points if at >= end * 0.75]
    before = [value for at, value in series.points if end * 0.5 <= at < end * 0.75]
    return statistics.median(last) / statistics.median(before)


def inside(container: str, command: str, *options: str) -> str:
    done = subprocess.run(
        ["docker", "exec", *options, container, "sh", "-c", command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip()


def held(stat: str) -> float:
    """The memory of a container's processes and its tmpfs, in MB, from its memory.stat.

    Without the volume's files that the kernel caches: `docker stats` counts some of those, and they grow with the disk.
    """
    known = dict(line.split() for line in stat.splitlines())
    names = ("total_rss", "total_shmem") if "total_rss" in known else ("anon", "shmem")
    return sum(float(known.get(name, 0)) for name in names) / 1e6
