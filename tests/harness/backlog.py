"""Many jobs that wait at once on a Resonate server, and workers that take them: the library's own client, offers and
leases, with steps that do nothing (`bench/load/backlog.py`).

The server is a container, and the workers share its network.
"""

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count

from harness.application import image_of
from harness.engine import docker
from harness.machine import ROOT, prepared_machine
from harness.waiting import wait_for

SCRIPT = ROOT / "bench" / "load" / "backlog.py"
STEPS = 5
PLACES = 8
_numbers = count()
Worker = subprocess.Popen[str]


@dataclass(frozen=True)
class Server:
    """The server's container, and the address of its metrics on this machine."""

    container: str
    metrics_url: str

    def counted(self, kind: str, status: int) -> int:
        """How many requests of that kind (empty: of any kind) were answered with that status."""
        with urllib.request.urlopen(f"{self.metrics_url}/metrics", timeout=60) as answer:
            said = answer.read().decode()
        pattern = r'^resonate_request_total\{kind="([^"]*)",status="(\d+)"\} (\d+)'
        found = re.findall(pattern, said, re.MULTILINE)
        return sum(int(number) for name, code, number in found if kind in ("", name) and code == str(status))


class Wave:
    """Jobs that wait in a group of their own until `begin`."""

    def __init__(self, server: Server, jobs: int) -> None:
        self._server = server
        self._jobs = jobs
        self._group = f"wave{next(_numbers)}"
        self._done_before = self._refused_before = 0
        #: How many steps ran more than once, and how many requests were refused (409). Known after `end`.
        self.twice = self.refused = 0
        docker(*_command(server, "fill", str(jobs), self._group))

    def begin(self, team: list[Worker]) -> None:
        """Let the workers start on the jobs."""
        self._done_before = self._server.counted("task.fulfill", 200)
        self._refused_before = self._server.counted("", 409)
        for worker in team:
            _tell(worker, self._group)

    def done(self) -> int:
        """How many of the jobs have ended."""
        return self._server.counted("task.fulfill", 200) - self._done_before

    def end(self, team: list[Worker], seconds: float) -> float:
        """Waits until all jobs have ended; returns the seconds from the first step to the last."""
        every = 0.1 if self._jobs <= 100 else 1.0
        wait_for(lambda: self.done() >= self._jobs, f"{self._jobs} jobs to be done", seconds, every)
        self.refused = self._server.counted("", 409) - self._refused_before
        ran = []
        for worker in team:
            _tell(worker, "over")
            assert worker.stdout is not None
            ran.append(json.loads(worker.stdout.readline()))
        self.twice = sum(each["steps"] for each in ran) - self._jobs * STEPS
        worked = [each for each in ran if each["steps"]]
        return float(max(each["last"] for each in worked) - min(each["first"] for each in worked))


@contextmanager
def working(server: Server, workers: int, name: str) -> Iterator[list[Worker]]:
    """Starts `count` workers, in containers called `name` and a number. They wait until a wave begins."""
    team = []
    with ExitStack() as life:
        for number in range(workers):
            life.callback(_remove, f"{name}-{number}")
            run, *words = _command(server, "work", str(PLACES))
            team.append(
                subprocess.Popen(
                    ["docker", run, "--name", f"{name}-{number}", *words],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        yield team


@contextmanager
def loops(number: int, name: str) -> Iterator[None]:
    """Starts `count` processes, each of which keeps a processor busy."""
    if not number:
        yield
        return
    burn = f"for n in $(seq {number}); do (while :; do :; done) & done; wait"
    try:
        docker(
            "run", "--detach", "--init", "--name", name, "--network", "none", "--entrypoint", "bash",
            prepared_machine()["PYTHON_IMAGE"], "-c", burn,
        )  # fmt: skip
        yield
    finally:
        _remove(name)


@contextmanager
def paused(number: int, name: str) -> Iterator[None]:
    """Pauses the `loops` with that count and name."""
    if number:
        docker("pause", name)
    yield
    if number:
        docker("unpause", name)


def _command(server: Server, *words: str) -> list[str]:
    return [
        "run", "--rm", "--interactive", "--init", "--network", f"container:{server.container}",
        "--volume", f"{SCRIPT}:/load.py:ro", "--env", "PYTHONPATH=/app", "--entrypoint", "python", image_of("worker"),
        "/load.py", "http://127.0.0.1:8001", *words,
    ]  # fmt: skip


def _remove(name: str) -> None:
    subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False)


def _tell(worker: Worker, line: str) -> None:
    assert worker.stdin is not None
    worker.stdin.write(f"{line}\n")
    worker.stdin.flush()
