"""How much memory the idle stack uses, by service, and how much disk its images take."""

import json
import time

from bench.core.containers import docker
from bench.core.machine import work
from bench.core.result import OURS, Result
from bench.core.stacks import stack
from harness.documents import accepted, wait_until
from harness.engine import inspect
from harness.stack import SERVICES, Stack

PICTURES = ["memory"]
COLUMN, IMAGE, CPU = "memory", "image on disk", "CPU, % of one core"
#: How long the processors are watched, once with the stack and once without.
IDLE_SECONDS = 20
#: The stack counts as idle once no service's memory changes by more than this between two looks.
STEADY = 0.02
MOST_LOOKS = 30


def measure() -> Result:
    result = Result(
        "memory",
        "The idle stack",
        "what `docker stats` reports for each service (all its containers) once a job has run and the figures no "
        "longer change. Images share layers, so their sizes add up to more than the disk they take. CPU: what the "
        "machine uses with the idle stack minus what it uses without the stack; most of it is used by the "
        "container engine, for health checks",
        "MB",
    )
    result.look()
    with stack() as running:
        wait_until(running, accepted(running), "done", seconds=60)
        before = memory(running)
        for _ in range(MOST_LOOKS):
            time.sleep(2)
            now = memory(running)
            if all(abs(now[s] - before[s]) <= STEADY * before[s] for s in SERVICES):
                break
            before = now
        idling = work(IDLE_SECONDS)
        for service in SERVICES:
            containers = running.containers(service)
            row = result.row(f"{service} x {len(containers)}")
            row.add(COLUMN, now[service])
            row.add(IMAGE, size(inspect(containers[0])["Image"]))
    idling -= work(IDLE_SECONDS)
    together = sum(now.values())
    result.row(f"{OURS}, together").add(COLUMN, together)
    result.row(f"{OURS}, together").add(CPU, idling * 100)
    without = together - now["localstack"]
    result.row(f"{OURS}, without LocalStack").add(COLUMN, without)
    result.aim(f"at most 900 MB with LocalStack: {together:.0f}", together <= 900)
    result.aim(f"at most 350 MB without it: {without:.0f}", without <= 350)
    return result


def memory(running: Stack) -> dict[str, float]:
    """MB by service."""
    service = {c: s for s in SERVICES for c in running.containers(s)}
    totals = dict.fromkeys(SERVICES, 0.0)
    lines = docker("stats", "--no-stream", "--no-trunc", "--format", "{{json .}}", *service).splitlines()
    for seen in map(json.loads, lines):
        totals[service[seen["ID"]]] += megabytes(seen["MemUsage"].partition(" / ")[0])
    return totals


def megabytes(text: str) -> float:
    """`12.3MiB` as docker stats prints it, in MB."""
    for unit, size in (("GiB", 1073.741824), ("MiB", 1.048576), ("KiB", 0.001024), ("B", 1e-6)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * size
    raise ValueError(f"{text!r} is no size")


def size(image: str) -> float:
    return int(docker("image", "inspect", "--format", "{{.Size}}", image)) / 1e6
