"""Ten thousand jobs that wait at once, beside the same jobs a hundred at a time; with one, two and four workers."""

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from bench.core.containers import PREFIX, RUN, Container, container, docker
from bench.core.result import Result
from bench.measures.loads import LOADS, OFFICIAL, OURS, no_official, resonate
from harness.waiting import wait_for

WORKERS = tuple(map(int, os.environ.get("BENCH_WORKERS", "1 2 4").split()))
JOBS = int(os.environ.get("BENCH_BACKLOG", "10000"))
FEW, WAVES = 100, int(os.environ.get("BENCH_WAVES", "10"))
LOADS_BESIDE = tuple(map(int, os.environ.get("BENCH_BUSY", "0 12").split()))
PLACES, STEPS = 8, 5
SECONDS = 3600
#: What ten thousand at once must reach of what a hundred at once do.
ENOUGH = 0.9
HUNDREDS, ALL = f"{FEW} at once, jobs/s", f"{JOBS:,} at once, jobs/s"
RATIO, TWICE, REFUSED = "of it", "steps run twice", "409 a job"
PICTURES = [ALL, RATIO]
_names = count()


def measure() -> Result:
    result = Result(
        "backlog",
        f"{JOBS:,} jobs at once",
        f"workflows of five empty steps that wait when the workers come, {PLACES} places each, on a fresh store: {WAVES} times "
        f"{FEW} in turn, and {JOBS:,} at once; from the first step to the last. Busy: twelve loops beside that do nothing "
        "but use the processors. Twice: steps run more often than once; 409: requests the server refused, with all at once",
        "",
    )
    servers = {OURS: f"{PREFIX}/server-embedded"}
    if no_official():
        result.row(OFFICIAL).missing = no_official()
    else:
        servers[OFFICIAL] = f"{PREFIX}/server-official"
    for name, image in servers.items():
        for busy in LOADS_BESIDE:
            for workers in WORKERS:
                row = result.row(f"{name}, {workers} worker{'s' * (workers > 1)}, {'busy' if busy else 'quiet'}")
                with loops(busy), resonate(image, "--publish", "127.0.0.1::9090") as server:
                    waves = [Wave(server, FEW) for _ in range(WAVES)]
                    with working(server, workers) as team:
                        few = [wave.run(team) for wave in waves]
                        # Filled while the team does not listen.
                        whole = Wave(server, JOBS)
                        all_at_once = whole.run(team)
                row.add(HUNDREDS, FEW * WAVES / sum(few))
                row.add(ALL, JOBS / all_at_once)
                row.add(RATIO, row.median(ALL) / row.median(HUNDREDS))
                row.add(TWICE, whole.twice + sum(wave.twice for wave in waves))
                row.add(REFUSED, whole.refused / JOBS)
                result.look()
    measured = [row for row in result.rows if not row.missing]
    worst = min(row.median(RATIO) for row in measured)
    result.aim(f"at least {ENOUGH} of a hundred at once: {worst:.2f}", worst >= ENOUGH)
    twice = sum(row.median(TWICE) for row in measured)
    result.aim(f"no step runs twice: {twice:.0f}", twice == 0)
    refused = max(row.median(REFUSED) for row in measured)
    result.aim(f"no storm of 409, at most one a hundred jobs: {refused:.4f} a job", refused <= 0.01)
    return result


class Wave:
    """Jobs that wait in a group of their own."""

    def __init__(self, server: Container, jobs: int) -> None:
        self._server = server
        self._jobs = jobs
        self._group = f"wave{next(_names)}"
        #: Steps that ran more often than once, and requests that were refused; known once it has run.
        self.twice = self.refused = 0
        script(server, "fill", str(jobs), self._group)

    def run(self, team: list["subprocess.Popen[str]"]) -> float:
        """Seconds from the first step to the last."""
        over, refused = counted(self._server, "task.fulfill", 200), counted(self._server, "", 409)
        for worker in team:
            tell(worker, self._group)
        wait_for(
            lambda: counted(self._server, "task.fulfill", 200) - over >= self._jobs,
            f"{self._jobs} jobs to be done",
            SECONDS,
            every=0.1 if self._jobs <= FEW else 1.0,
        )
        self.refused = counted(self._server, "", 409) - refused
        ran = []
        for worker in team:
            tell(worker, "over")
            assert worker.stdout is not None
            ran.append(json.loads(worker.stdout.readline()))
        self.twice = sum(each["steps"] for each in ran) - self._jobs * STEPS
        worked = [each for each in ran if each["steps"]]
        return max(each["last"] for each in worked) - min(each["first"] for each in worked)


def tell(worker: "subprocess.Popen[str]", line: str) -> None:
    assert worker.stdin is not None
    worker.stdin.write(f"{line}\n")
    worker.stdin.flush()


def counted(server: Container, kind: str, status: int) -> int:
    """How many requests of that kind (empty: any) the server has answered with that status."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port(9090)}/metrics", timeout=60) as answer:
        said = answer.read().decode()
    found = re.findall(r'^resonate_request_total\{kind="([^"]*)",status="(\d+)"\} (\d+)', said, re.MULTILINE)
    return sum(int(number) for name, code, number in found if kind in ("", name) and code == str(status))


def command(server: Container, *words: str) -> list[str]:
    return [
        "run", "--rm", "--interactive", "--init", "--network", f"container:{server.name}",
        "--volume", f"{Path(LOADS, 'backlog.py')}:/load.py:ro", "--entrypoint", "python", f"{PREFIX}/worker",
        "/load.py", "http://127.0.0.1:8001", *words,
    ]  # fmt: skip


def script(server: Container, *words: str) -> None:
    docker(*command(server, *words))


@contextmanager
def working(server: Container, workers: int) -> Iterator[list["subprocess.Popen[str]"]]:
    """So many workers, each a container; they wait to be told a group."""
    team = []
    with ExitStack() as life:
        for number in range(workers):
            name = f"{RUN}-worker-{next(_names)}-{number}"
            words = command(server, "work", str(PLACES))
            life.callback(Container(name).remove)
            team.append(
                subprocess.Popen(
                    ["docker", *words[:1], "--name", name, *words[1:]],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        yield team


@contextmanager
def loops(number: int) -> Iterator[None]:
    """So many processes that use a processor each, as far as they get one."""
    if not number:
        yield
        return
    burn = f"for n in $(seq {number}); do (while :; do :; done) & done; wait"
    with container(
        f"{PREFIX}/worker", "--init", "--network", "none", "--entrypoint", "bash", command=("-c", burn)
    ):
        yield
