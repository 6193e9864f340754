"""The workflow's code changes while jobs run: old jobs finish on old code, new ones run on new code (docs/deploy.md)."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.documents import accepted, wait_until
from harness.fixtures import MakeStack
from harness.machine import ROOT
from harness.stack import Stack

#: Lists the unfinished jobs, by group.
OPEN_JOBS = ("python", "-m", "durable_lambda.worker.open_jobs")


def add_next_version(stack: Stack, folder: Path) -> None:
    """Start workers of the workflow's next version, in a group of their own, beside the old ones."""
    image = f"{stack.project}/worker-next"
    worker = stack.configuration()["services"]["worker"]
    worker["build"] = {
        "context": str(ROOT / "tests/integration/deploy/next"),
        "args": {"WORKER": worker["image"]},
    }
    worker["image"] = image
    worker["environment"]["WORKER_GROUP"] = "worker-2"
    file = folder / "next.json"
    file.write_text(json.dumps({"services": {"worker-next": worker}}))
    stack.add_file(str(file))
    stack.compose("build", "worker-next")
    stack.compose("up", "--detach", "--wait", "--no-deps", "worker-next")


@pytest.fixture
def stack(make_stack: MakeStack) -> Iterator[Stack]:
    """Version 1."""
    running = make_stack(services=["gateway", "worker"])
    yield running
    running.remove()
    subprocess.run(
        ["docker", "image", "rm", f"{running.project}/worker-next"], capture_output=True, check=False
    )


def test_old_jobs_finish_on_old_code_and_new_jobs_run_on_new_code(stack: Stack, tmp_path: Path) -> None:
    # GIVEN version 1, and a job of it that waits for a person
    old = accepted(stack, requiresApproval=True)
    wait_until(stack, old, "awaiting_approval")
    # WHEN version 2 is deployed as docs/deploy.md says: its workers first, in a group of their own, ...
    add_next_version(stack, tmp_path)
    # ... then the function, which sends new jobs there
    group(stack, "worker-2")
    new = accepted(stack, requiresApproval=True)
    wait_until(stack, new, "awaiting_approval")
    # THEN open_jobs lists both as unfinished, each in its group
    assert open_jobs(stack) == {"worker": [old], "worker-2": [new]}
    # AND each ends on the code it began on, whichever group the function now uses
    for job_id in (old, new):
        stack.api.post(f"/approve/{job_id}", json={"approved": True, "approver": "ada"}).raise_for_status()
    assert "workflow" not in wait_until(stack, old, "done")["result"]
    assert wait_until(stack, new, "done")["result"]["workflow"] == 2
    assert old not in stack.logs("worker-next")
    assert new not in stack.logs("worker")
    # AND no job is left for version 1: its workers can be removed
    assert "worker" not in open_jobs(stack)
    stack.stop("worker")
    assert wait_until(stack, accepted(stack), "done")["result"]["workflow"] == 2


def test_going_back_leaves_new_jobs_with_the_new_code(stack: Stack, tmp_path: Path) -> None:
    # GIVEN version 2 has jobs, and is to be rolled back
    add_next_version(stack, tmp_path)
    group(stack, "worker-2")
    new = accepted(stack, requiresApproval=True)
    wait_until(stack, new, "awaiting_approval")
    # WHEN the function goes back to version 1
    group(stack, "worker")
    # THEN new jobs belong to version 1, and those that began on version 2 still end there
    assert "workflow" not in wait_until(stack, accepted(stack), "done")["result"]
    stack.api.post(f"/approve/{new}", json={"approved": True, "approver": "ada"}).raise_for_status()
    assert wait_until(stack, new, "done")["result"]["workflow"] == 2


def group(stack: Stack, name: str) -> None:
    """Deploy the function with another WORKER_GROUP."""
    stack.set(WORKER_GROUP=name)
    stack.compose("up", "--detach", "--wait", "--no-deps", "lambda")


def open_jobs(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.compose("exec", "-T", "worker-next", *OPEN_JOBS))
    return found
