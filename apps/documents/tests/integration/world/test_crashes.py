"""The property of a durable workflow: wherever the worker is killed, each effect is there once and no finished step
runs again.
"""

import json
import time
import uuid
from datetime import datetime, timedelta

import pytest

from harness.documents import STEPS, accepted, runs_of, status, step, wait_until
from harness.stack import Stack
from harness.waiting import wait_for
from harness.world import World

MOMENTS = ("before", "middle", "after")
POINTS = [f"{name}-{moment}" for name in STEPS for moment in MOMENTS]


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    # The engine waits longer and longer before it restarts a container that crashes often, so three workers share the
    # crashes.
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
    assert json.loads(stack.read(done["result"]["resultUri"]))["jobId"] == job_id
    # A webhook that was sent twice is one message: it has one id.
    assert len({call["headers"]["webhook-id"] for call in world.seen(job_id)}) == 1


def events_of(world: World, name: str) -> dict[str, set[str]]:
    """The kinds of messages that a receiver has had, each with the ids that it came under."""
    found: dict[str, set[str]] = {}
    for call in world.seen(name):
        found.setdefault(json.loads(call["body"])["type"], set()).add(call["headers"]["webhook-id"])
    return found


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("approved", [True, False])
def test_worker_killed_at_any_point_of_the_approval(
    stack: Stack, world: World, moment: str, approved: bool
) -> None:
    """The points: before it asks; between the promise of its question and the notice; after the verdict, before the
    checkpoint.
    """
    job_id = f"crash-await_approval-{moment}-{uuid.uuid4().hex[:6]}"
    accepted(stack, jobId=job_id, callbackUrl=world.hook(job_id), requiresApproval=True)

    def crashed() -> bool:
        return any(
            "crashing on purpose" in line and job_id in line for line in stack.logs("worker").splitlines()
        )

    if moment != "after":
        wait_for(crashed, "the worker to die")
    # It asks once, under one id, and waits, whatever died before it.
    wait_for(lambda: "job.approval_requested" in events_of(world, job_id), "the approver to be told", 60)
    wait_until(stack, job_id, "awaiting_approval", seconds=60)
    answer = stack.api.post(f"/approve/{job_id}", json={"approved": approved, "approver": "a.person"})
    assert answer.status_code == 200, answer.text
    seen = wait_until(stack, job_id, "done" if approved else "failed", seconds=60)
    assert crashed()
    told = "job.done" if approved else "job.failed"
    wait_for(lambda: told in events_of(world, job_id), f"{told} to arrive")
    assert {kind: len(ids) for kind, ids in events_of(world, job_id).items()} == {
        "job.approval_requested": 1,
        told: 1,
    }
    # What was done before the crash was not done again, and the verdict counts once.
    runs = runs_of(stack, job_id)
    expected = STEPS if approved else STEPS[:3]
    assert {name: runs.get(name) for name in [*expected, "await_approval"]} == dict.fromkeys(
        [*expected, "await_approval"], 1
    )
    assert step(seen, "await_approval")["state"] == ("done" if approved else "failed")
    if approved:
        result = json.loads(stack.read(seen["result"]["resultUri"]))
        assert result["approval"]["approver"] == "a.person"
    else:
        assert seen["error"]["code"] == "rejected"


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
    """SIGTERM: the lease is not waited for."""
    # GIVEN a job whose worker holds it
    stack.pause("localstack")
    held = accepted(stack)
    wait_for(lambda: step(status(stack, held), "download_document")["state"] == "running", "the step to run")
    task = stack.resonate("task.get", id=f"doc/{held}")["data"]["task"]
    assert task["state"] == "acquired"
    # WHEN all workers are stopped
    since = time.time()
    stack.stop("worker")
    # THEN the task is free, and not because its lease had ended
    task = stack.resonate("task.get", id=f"doc/{held}")["data"]["task"]
    assert task["state"] == "pending"
    lines = stack.logs("worker", since=since - 1).splitlines()
    stopped = [json.loads(line) for line in lines if '"worker stopped"' in line]
    # More than one worker may give it back, if another one took it up just before it was stopped too; none does so twice.
    assert max(line["given_back"] for line in stopped) == 1, stopped
    stack.unpause("localstack")
    stack.start("worker")
    wait_until(stack, held, "done", seconds=30)
