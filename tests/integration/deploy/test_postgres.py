"""RESONATE_STORE=postgres: a start in the wrong order (tests/chaos/test_postgres.py has the other tests)."""

import os
import subprocess

import pytest

from harness.documents import accepted, wait_until
from harness.engine import docker, inspect
from harness.fixtures import MakeStack, needs_official_server
from harness.machine import ROOT, found_on_this_machine
from harness.waiting import wait_for

pytestmark = needs_official_server
#: Seconds until something has happened, on a machine that is busy with other things.
PATIENCE_SECONDS = 120


@pytest.mark.timeout(400)
def test_the_server_waits_for_its_database(make_stack: MakeStack) -> None:
    """A server that ends and is restarted is unhealthy in between, and `up --wait` would give up then."""
    store = {"RESONATE_STORE": "postgres"}
    for verb in ("bin/setup", "bin/build"):
        done = subprocess.run(
            [verb], cwd=ROOT, env=os.environ | store, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    store |= {"COMPOSE_PROFILES": "postgres", "POSTGRES_TARGET": found_on_this_machine()["POSTGRES_TARGET"]}
    # GIVEN a job that waits for a person, and then server and PostgreSQL killed
    stack = make_stack(env=store)
    waiting = accepted(stack, requiresApproval=True)
    wait_until(stack, waiting, "awaiting_approval", seconds=PATIENCE_SECONDS)
    stack.kill("server")
    stack.kill("postgres")
    (server,) = stack.containers("server")
    # WHEN the server is started alone, as it may be when both are started at once
    docker("start", server)
    # THEN it runs and is not ready, at more than one check ...
    wait_for(
        lambda: inspect(server)["State"]["Health"]["FailingStreak"] >= 3, "three probes", PATIENCE_SECONDS
    )
    state = inspect(server)
    assert state["State"]["Status"] == "running"
    assert state["State"]["Health"]["Status"] == "starting"
    assert "waiting for PostgreSQL at postgres:5432" in stack.logs("server")
    # ... and once PostgreSQL is back it becomes ready by itself, without a restart
    stack.start("postgres", "server")
    assert inspect(server)["RestartCount"] == 0
    stack.api.post(f"/approve/{waiting}", json={"approved": True, "approver": "ada"}).raise_for_status()
    wait_until(stack, waiting, "done", seconds=PATIENCE_SECONDS)
