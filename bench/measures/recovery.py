"""kill -9 of a worker in the middle of a step; it is started again at once. Measures the time until that step runs
again.
"""

import json
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from bench.core.containers import PREFIX, RUN, container
from bench.core.machine import ROOT
from bench.core.result import Result, rounds
from bench.measures.loads import DBOS_SQLITE, OFFICIAL, OURS, build_peers, no_official
from harness.documents import accepted, wait_until
from harness.stack import SERVICES, Stack
from harness.waiting import wait_for
from harness.world import FILES, open_folder

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
COLUMN = "until the step runs again"
PICTURES = [COLUMN]


def measure() -> Result:
    result = Result(
        "recovery",
        "A worker killed in a step and started again at once",
        "from the worker's SIGKILL until the step runs again: the container engine restarts the worker (without a "
        "delay), Python starts, the lease expires. With Resonate it is the real worker with a real document and "
        "the stack's settings (RESONATE_TASK_TTL_SECONDS=2)",
        "s",
        base=OURS,
    )

    def take(name: str, once: Callable[[], float]) -> None:
        result.row(name).add(COLUMN, once())

    def take_ours(name: str, running: Stack) -> None:
        # The other stack is paused meanwhile, including its health checks.
        running.unpause_all()
        wait_for(lambda: all(map(running.healthy, SERVICES)), "the stack to be healthy", 60)
        take(name, partial(ours, running))
        running.pause_all()

    with ExitStack() as life:
        turns: dict[str, Callable[[], None]] = {}
        for name, target, missing in ((OURS, "embedded", ""), (OFFICIAL, "official", no_official())):
            result.row(name).missing = missing
            if missing:
                continue
            running = life.enter_context(crashing(target))
            running.pause_all()
            turns[name] = partial(take_ours, name, running)
        result.row(DBOS_SQLITE).missing = build_peers()
        if not result.row(DBOS_SQLITE).missing:
            turns[DBOS_SQLITE] = partial(take, DBOS_SQLITE, dbos)
        rounds(result, ROUNDS, turns)
    took = result.row(OURS).median(COLUMN)
    result.aim(f"at most 2.5 s: {took:.2f} s", took <= 2.5)
    result.notes.append(
        "tests/integration/worker/test_leases.py shows that a busy worker loses no lease of two seconds"
    )
    return result


@contextmanager
def crashing(target: str) -> Iterator[Stack]:
    """A copy of the stack with that server, whose worker dies in a step if the job's name asks for it (`ours`)."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "crashes" / target
        folder.mkdir(parents=True)
        settings = {"RESONATE_TARGET": target, "CRASH_FOLDER": str(open_folder(folder))}
        with Stack(RUN, env=settings, files=FILES) as running:
            yield running


def ours(stack: Stack) -> float:
    """Seconds from the worker's death in a step until that step runs again."""
    job_id = accepted(stack, jobId=f"crash-extract_text-middle-{uuid.uuid4().hex[:6]}")
    wait_until(stack, job_id, "done", seconds=90)
    said = [json.loads(line) for line in stack.logs("worker").splitlines() if f'"{job_id}"' in line]
    crashed = next(datetime.fromisoformat(e["time"]) for e in said if "crashing" in e["message"])
    again = next(e for e in said if e.get("event") == "step finished" and e["step"] == "extract_text")
    until = datetime.fromisoformat(again["time"]) - timedelta(milliseconds=again["duration_ms"])
    return (until - crashed).total_seconds()


def dbos() -> float:
    script = ROOT / "bench" / "load" / "dbos_recovery.py"
    options = ("--init", "--restart", "always", "--network", "none", "--volume", "/data")
    with container(
        f"{PREFIX}/bench-peers", *options, "--volume", f"{script}:/load.py:ro", command=("python", "/load.py")
    ) as running:
        wait_for(lambda: "again" in running.logs(), "the step to run again", 90)
        times = dict(
            line.split() for line in running.logs().splitlines() if line.startswith(("killed", "again"))
        )
    return float(times["again"]) - float(times["killed"])
