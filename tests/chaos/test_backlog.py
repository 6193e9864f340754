"""Many more jobs than places, on a busy machine: each step runs once, and nothing gets stuck.

    make chaos T=tests/chaos/test_backlog.py           ten thousand jobs; in make itest three hundred

`make bench B=backlog` measures the speed.
"""

import os

import pytest

from harness.backlog import Server, Wave, loops, working
from harness.engine import docker
from harness.fixtures import MakeStack
from harness.report import SHORT
from harness.waiting import wait_for

JOBS = int(os.environ.get("BACKLOG_JOBS", "300" if SHORT else "10000"))
WORKERS = 2
BUSY = 12
SECONDS = 300 if SHORT else 3000


@pytest.mark.timeout(2 * SECONDS)
def test_a_backlog_on_a_busy_machine_runs_each_step_once_and_outlives_a_worker(make_stack: MakeStack) -> None:
    stack = make_stack(services=("server",))
    (container,) = stack.containers("server")
    server = Server(container, stack.metrics_url)
    name = f"{stack.project}-worker"
    whole, rest = Wave(server, JOBS), Wave(server, JOBS // 3)
    with working(server, WORKERS, name) as team, loops(BUSY, f"{stack.project}-busy"):
        whole.begin(team)
        whole.end(team, SECONDS)
        # THEN no lease was lost, and workers got every task that they asked for
        assert whole.twice == 0
        assert whole.refused <= max(2, JOBS // 100)
        # WHEN one of the workers is killed in the middle of the next wave
        rest.begin(team)
        wait_for(lambda: rest.done() >= JOBS // 30, "some of the jobs to be done", SECONDS)
        docker("kill", f"{name}-0")
        # THEN the other does all that is left, including what the dead one held and was offered
        rest.end(team[1:], SECONDS)
