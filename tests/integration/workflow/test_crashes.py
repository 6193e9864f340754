"""The property of a durable workflow: kill the worker anywhere; each effect is there once, nothing done is redone."""

import json
import uuid
from datetime import datetime, timedelta

import pytest

from harness.jobs import accepted, status, step, wait_until
from harness.stack import Stack
from harness.waiting import wait_for
from harness.world import World
from integration.test_submit import read, runs_of

STEPS = ["download_document", "extract_text", "analyze_document", "store_results", "notify_requester"]
POINTS = [f"{name}-{moment}" for name in STEPS for moment in ("before", "middle", "after")]


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    # The engine restarts a container that crashes often after ever longer pauses: three of them share it.
    return {"WORKER_REPLICAS": "3"}


@pytest.mark.parametrize("point", POINTS)
def test_worker_killed_at_any_point_of_any_step(stack: Stack, world: World, point: str) -> None:
    # GIVEN a job at which its worker dies (kill -9), at this very point
    job_id = f"crash-{point}-{uuid.uuid4().hex[:6]}"
    accepted(stack, jobId=job_id, callbackUrl=world.hook(job_id))
    # THEN another worker ends it
    done = wait_until(stack, job_id, "done", seconds=60)
    assert "crashing on purpose" in stack.logs("worker")
    # AND each step ended once: what was done before the crash was not done again
    assert runs_of(stack, job_id) == dict.fromkeys(STEPS, 1)
    # AND each effect is there once
    keys = [
        entry["Key"]
        for bucket in ("work", "results")
        for entry in stack.s3.list_objects_v2(Bucket=bucket, Prefix=f"{job_id}/").get("Contents", [])
    ]
    assert sorted(keys) == sorted(
        f"{job_id}/{n}" for n in ("document", "text.txt", "result.json", "report.md")
    )
    assert json.loads(read(stack, done["result"]["resultUri"]))["jobId"] == job_id
    # A webhook that was sent twice is one message: it has one id.
    assert len({call["headers"]["webhook-id"] for call in world.seen(job_id)}) == 1


def test_killed_workers_job_goes_on_within_10_seconds(stack: Stack) -> None:
    job_id = f"crash-extract_text-middle-{uuid.uuid4().hex[:6]}"
    accepted(stack, jobId=job_id)
    wait_until(stack, job_id, "done", seconds=60)
    said = [json.loads(line) for line in stack.logs("worker").splitlines() if f'"{job_id}"' in line]
    crashed = next(datetime.fromisoformat(e["time"]) for e in said if "crashing" in e["message"])
    again = next(e for e in said if e.get("event") == "step finished" and e["step"] == "extract_text")
    went_on = datetime.fromisoformat(again["time"]) - timedelta(milliseconds=again["duration_ms"])
    assert timedelta(0) < went_on - crashed < timedelta(seconds=10)


def test_stopped_worker_gives_its_job_back_at_once(stack: Stack) -> None:
    """SIGTERM: the lease's 5 s are not waited for."""
    # GIVEN a job whose worker holds it
    stack.pause("localstack")
    held = accepted(stack)
    wait_for(lambda: step(status(stack, held), "download_document")["state"] == "running", "the step to run")
    task = stack.resonate("task.get", id=f"doc/{held}")["data"]["task"]
    assert task["state"] == "acquired"
    # WHEN all workers are stopped
    stack.stop("worker")
    # THEN the task is free at once
    task = stack.resonate("task.get", id=f"doc/{held}")["data"]["task"]
    assert task["state"] == "pending"
    stack.unpause("localstack")
    stack.start("worker")
    wait_until(stack, held, "done", seconds=30)
