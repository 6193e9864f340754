"""Ten thousand jobs that wait at once, beside the same jobs a hundred at a time; with one, two and four workers."""

import os

from bench.core.containers import PREFIX, RUN
from bench.core.result import Result
from bench.measures.loads import OFFICIAL, OURS, no_official, resonate
from harness.backlog import PLACES, Server, Wave, Worker, loops, paused, working

WORKERS = tuple(map(int, os.environ.get("BENCH_WORKERS", "1 2 4").split()))
JOBS = int(os.environ.get("BENCH_BACKLOG", "10000"))
FEW, WAVES = 100, int(os.environ.get("BENCH_WAVES", "30"))
#: Processes beside that do nothing but use a processor each.
BESIDE = {"quiet": 0, "busy": 12}
SECONDS = 3600
#: What ten thousand at once must reach of what a hundred at once do.
ENOUGH = 0.9
#: A job is 14 requests: one in a hundred of them.
MOST_REFUSED = 0.14
HUNDREDS, ALL = f"{FEW} at once, jobs/s", f"{JOBS:,} at once, jobs/s"
RATIO, TWICE, REFUSED = "of it", "steps run twice", "409 a job"
PICTURES = [ALL, RATIO]


def measure() -> Result:
    result = Result(
        "backlog",
        f"{JOBS:,} jobs at once",
        f"workflows of five empty steps that wait when the workers come, {PLACES} places each, on a fresh store: {WAVES} "
        f"times {FEW} in turn, and {JOBS:,} at once; from the first step to the last. Busy: twelve loops beside that do "
        "nothing but use the processors. Twice: steps run more often than once; 409: requests the server refused, all at "
        "once",
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
    """What the figures are held against."""
    measured = [row for row in result.rows if not row.missing]
    worst = min(row.median(RATIO) for row in measured)
    result.aim(f"at least {ENOUGH} of a hundred at once: {worst:.2f}", worst >= ENOUGH)
    twice = sum(row.median(TWICE) for row in measured)
    result.aim(f"no step runs twice: {twice:.0f}", twice == 0)
    refused = max(row.median(REFUSED) for row in measured)
    result.aim(
        f"no storm of 409, at most one in a hundred requests: {refused:.4f} a job", refused <= MOST_REFUSED
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
