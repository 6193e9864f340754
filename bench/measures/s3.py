"""Persistent S3 compared with plain LocalStack: the same image twice, once without the plugin."""

import os
import statistics
import time
from collections.abc import Callable

from bench.core.containers import PREFIX, docker
from bench.core.result import OURS, Result
from bench.core.s3 import S3, s3
from harness.machine import found_on_this_machine

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3")) * 4
OBJECTS = int(os.environ.get("BENCH_OBJECTS", "100000"))
SMALL, LARGE = os.urandom(4 * 1024), os.urandom(50 * 1024 * 1024)
PLAIN, DURABLE = "plain LocalStack", f"{OURS}, S3"
PUT = "put 4 KiB"
PICTURES = [PUT]
#: What is timed: the column; how many requests in a row; how many times as long as in plain LocalStack it may take; the
#: request.
WORKS: list[tuple[str, int, float, Callable[[S3, int], object]]] = [
    (PUT, 50, 1.3, lambda s3, n: s3.bare("PUT", f"/bench/bare/{n}", SMALL)),
    ("get 4 KiB", 50, 1.3, lambda s3, n: s3.bare("GET", f"/bench/bare/{n}")),
    ("put 4 KiB, boto3", 25, 1.3, lambda s3, n: s3.client.put_object(Bucket="bench", Key=f"b/{n}", Body=SMALL)),
    ("get 4 KiB, boto3", 25, 1.3, lambda s3, n: s3.client.get_object(Bucket="bench", Key=f"b/{n}")["Body"].read()),
    ("put 50 MiB", 1, 1.1, lambda s3, n: s3.client.put_object(Bucket="bench", Key=f"l/{n % 2}", Body=LARGE)),
    ("get 50 MiB", 1, 1.1, lambda s3, _: s3.client.get_object(Bucket="bench", Key="l/0")["Body"].read()),
]  # fmt: skip
#: Writes to the disk as the ledger's log does for a small put: some pages that replace existing ones, and a sync.
SYNC = """
import os, statistics, time
path = "/data/sync-alone"
descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
os.write(descriptor, bytes(16384 * 200)); os.fsync(descriptor)
taken = []
for number in range(400):
    begun = time.perf_counter()
    os.pwrite(descriptor, os.urandom(16384), 16384 * (number % 200))
    os.fdatasync(descriptor)
    taken.append(time.perf_counter() - begun)
os.unlink(path)
print(statistics.median(taken) * 1000)
"""


def measure() -> Result:
    result = Result(
        "s3",
        "S3 that survives kill -9",
        "time of a request on a kept-alive connection, until the whole response has arrived (plain HTTP, or boto3 "
        "where the column says so and for 50 MiB); each round's median. When this stack answers a put, the object "
        "is on disk; in plain LocalStack it is in memory only",
        "ms",
        base=PLAIN,
    )
    image = f"{PREFIX}/localstack-{found_on_this_machine()['LOCALSTACK_TARGET']}"
    with s3(image, "default") as plain, s3(image, "durable") as durable:
        both = {PLAIN: plain, DURABLE: durable}
        for name, count, _, work in WORKS:
            for one in both.values():
                block(one, 0, min(count, 20), work)
            result.look()
            for turn in range(ROUNDS):
                for who in list(both) if turn % 2 else list(reversed(both)):
                    result.row(who).add(name, block(both[who], turn * count, count, work))
        judge(result, float(docker("exec", durable.container.name, "python", "-c", SYNC)))
        if OBJECTS:
            grow(result, durable)
    return result


def block(one: S3, first: int, count: int, work: Callable[[S3, int], object]) -> float:
    """The median time of `count` calls in a row, in ms."""
    taken = []
    for number in range(first, first + count):
        begun = time.perf_counter()
        work(one, number)
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


def judge(result: Result, sync: float) -> None:
    """Check each column against its limit, and note how much of a put is the sync alone."""
    plain, ours = result.row(PLAIN), result.row(DURABLE)
    for name, _, limit, _ in WORKS:
        ratio = ours.median(name) / plain.median(name)
        result.aim(
            f"{name}: at most {limit} times as long as in plain LocalStack: {ratio:.2f} times", ratio <= limit
        )
    without = (ours.median(PUT) - sync) / plain.median(PUT)
    result.notes.append(
        f"One sync of this disk takes {sync:.2f} ms by itself; without it, {PUT} takes "
        f"{without:.2f} times as long as in plain LocalStack"
    )


def grow(result: Result, ours: S3) -> None:
    """Puts into a store with few objects and with many, and the start with many."""
    ours.client.create_bucket(Bucket="full")
    begun = time.monotonic()
    ours.fill("full", os.urandom(1024), OBJECTS)
    speed = OBJECTS / (time.monotonic() - begun)
    taken: dict[str, list[float]] = {"bench": [], "full": []}
    for turn in range(10):
        for bucket, times in taken.items():
            times.append(block(ours, turn * 50, 50, putting(bucket)))
    ratio = statistics.median(taken["full"]) / statistics.median(taken["bench"])
    started = ours.restart()
    result.look()
    result.notes.append(
        f"{OBJECTS:,} objects put over 4 connections: {speed:.0f}/s; a put into their bucket takes "
        f"{ratio:.2f} times as long as into a small one"
    )
    result.aim(f"start after kill -9 with {OBJECTS:,} objects: at most 5 s: {started:.1f} s", started <= 5)


def putting(bucket: str) -> Callable[[S3, int], object]:
    return lambda one, n: one.bare("PUT", f"/{bucket}/new/{n}", SMALL)
