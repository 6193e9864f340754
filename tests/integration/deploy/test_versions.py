"""Workflow code changes while jobs run: old jobs finish on old code, new ones run on new code (docs/deploy.md)."""

import json
from typing import Any

from harness.jobs import accepted, wait_until
from harness.stack import Stack
from integration.conftest import MakeStack

FILES = ["tests/integration/deploy/versions.yaml"]


def test_old_jobs_finish_on_old_code_and_new_jobs_run_on_new_code(make_stack: MakeStack) -> None:
    # GIVEN version 1, and a job of it that waits for a person
    stack = make_stack(files=FILES, services=["gateway", "worker"])
    old = accepted(stack, requiresApproval=True)
    wait_until(stack, old, "awaiting_approval")
    # WHEN version 2 is deployed as docs/deploy.md says: its workers first, in a group of their own, ...
    stack.compose("build", "worker-next")
    stack.compose("up", "--detach", "--wait", "--no-deps", "worker-next")
    # ... then the function, which sends new jobs there
    group(stack, "worker-2")
    new = accepted(stack, requiresApproval=True)
    wait_until(stack, new, "awaiting_approval")
    # THEN both are open, each with its group, as durable_lambda.worker.open_jobs tells
    assert open_jobs(stack) == {"worker": [old], "worker-2": [new]}
    # AND each ends on the code it began on, whatever the function now says
    for job_id in (old, new):
        stack.api.post(f"/approve/{job_id}", json={"approved": True, "approver": "ada"}).raise_for_status()
    assert "workflow" not in wait_until(stack, old, "done")["result"]
    assert wait_until(stack, new, "done")["result"]["workflow"] == 2
    assert old not in stack.logs("worker-next")
    assert new not in stack.logs("worker")
    # AND nothing is left for version 1: its workers may go
    assert "worker" not in open_jobs(stack)
    stack.stop("worker")
    assert wait_until(stack, accepted(stack), "done")["result"]["workflow"] == 2


def test_going_back_leaves_new_jobs_with_the_new_code(make_stack: MakeStack) -> None:
    # GIVEN version 2 has jobs, and is to be taken back
    stack = make_stack(files=FILES, services=["gateway", "worker"])
    stack.compose("build", "worker-next")
    stack.compose("up", "--detach", "--wait", "--no-deps", "worker-next")
    group(stack, "worker-2")
    new = accepted(stack, requiresApproval=True)
    wait_until(stack, new, "awaiting_approval")
    # WHEN the function goes back to version 1
    group(stack, "worker")
    # THEN what comes from now on is version 1's, and what began on version 2 still ends there
    assert "workflow" not in wait_until(stack, accepted(stack), "done")["result"]
    stack.api.post(f"/approve/{new}", json={"approved": True, "approver": "ada"}).raise_for_status()
    assert wait_until(stack, new, "done")["result"]["workflow"] == 2


def group(stack: Stack, name: str) -> None:
    """Deploy the function with another WORKER_GROUP."""
    stack.set(WORKER_GROUP=name)
    stack.compose("up", "--detach", "--wait", "--no-deps", "lambda")


def open_jobs(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        stack.compose("exec", "-T", "worker-next", "python", "-m", "durable_lambda.worker.open_jobs")
    )
    return found
