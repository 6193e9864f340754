"""Ten thousand jobs that wait at once, compared with a hundred at a time; with one, two and four workers."""

import os

from bench.core.containers import PREFIX, RUN
from bench.core.result import Result
from bench.measures.loads import OFFICIAL, OURS, no_official, resonate
from harness.backlog import PLACES, Server, Wave, Worker, loops, paused, working

WORKERS = tuple(map(int, os.environ.get("BENCH_WORKERS", "1 2 4").split()))
JOBS = int(os.environ.get("BENCH_BACKLOG", "10000"))
FEW, WAVES = 100, int(os.environ.get("BENCH_WAVES", "30"))
#: How many other processes run that only use a processor each.
BESIDE = {"quiet": 0, "busy": 12}
SECONDS = 3600
#: Ten thousand at once must reach this share of the rate of a hundred at once.
ENOUGH = 0.9
#: A job is 14 requests: this is one in a hundred of them.
MOST_REFUSED = 0.14
HUNDREDS, ALL = f"{FEW} at once, jobs/s", f"{JOBS:,} at once, jobs/s"
RATIO, TWICE, REFUSED = "ratio", "steps run twice", "409 a job"
PICTURES = [ALL, RATIO]


def measure() -> Result:
    result = Result(
        "backlog",
        f"{JOBS:,} jobs at once",
        f"workflows of five empty steps that are already waiting when the workers start, {PLACES} at a time per "
        f"worker, on a fresh store: {WAVES} batches of {FEW} one after the other, and {JOBS:,} at once; from the "
        "first step to the last. Ratio: the second rate divided by the first. Busy: twelve other processes run "
        "that do nothing but use the processors. Twice: steps that ran more than once; 409: requests that the "
        f"server refused with this status while {JOBS:,} ran at once",
        "",
    )
    servers = {OURS: f"{PREFIX}/server-embedded"}
    if no_official():
        result.row(OFFICIAL).missing = no_official()
    else:
        servers[OFFICIAL] = f"{PREFIX}/server-official"
    for name, image in servers.items():
        for how in os.environ.get("BENCH_BESIDE", "quiet busy").split():
            for workers in WORKERS:
                team = f"{workers} worker{'s' * (workers > 1)}"
                take(result, f"{name}, {team}, {how}", image, BESIDE[how], workers)
    judge(result)
    return result


def judge(result: Result) -> None:
    """Compare the figures with what is expected."""
    measured = [row for row in result.rows if not row.missing]
    worst = min(row.median(RATIO) for row in measured)
    result.aim(
        f"{JOBS:,} at once reach at least {ENOUGH} times the rate of {FEW} at once: {worst:.2f}",
        worst >= ENOUGH,
    )
    twice = sum(row.median(TWICE) for row in measured)
    result.aim(f"no step runs twice: {twice:.0f}", twice == 0)
    refused = max(row.median(REFUSED) for row in measured)
    result.aim(
        f"at most one 409 in a hundred requests, {MOST_REFUSED} a job: {refused:.4f} a job",
        refused <= MOST_REFUSED,
    )


def take(result: Result, name: str, image: str, busy: int, workers: int) -> None:
    row = result.row(name)
    beside = f"{RUN}-busy"
    with loops(busy, beside), resonate(image, "--publish", "127.0.0.1::9090") as container:
        server = Server(container.name, f"http://127.0.0.1:{container.port(9090)}")
        with paused(busy, beside):
            waves = [Wave(server, FEW) for _ in range(WAVES)]
        with working(server, workers, f"{RUN}-worker") as team:
            hundreds = sum(run(wave, team) for wave in waves)
            with paused(busy, beside):
                whole = Wave(server, JOBS)
            at_once = run(whole, team)
    row.add(HUNDREDS, FEW * WAVES / hundreds)
    row.add(ALL, JOBS / at_once)
    row.add(RATIO, (JOBS / at_once) / (FEW * WAVES / hundreds))
    row.add(TWICE, whole.twice + sum(wave.twice for wave in waves))
    row.add(REFUSED, whole.refused / JOBS)
    result.look()


def run(wave: Wave, team: list[Worker]) -> float:
    wave.begin(team)
    return wave.end(team, SECONDS)
