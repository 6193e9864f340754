"""A job that kills its worker each time is found, named and ended; the jobs beside it are done."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.documents import STEPS, accepted, step, wait_until
from harness.stack import Stack
from harness.waiting import wait_for
from harness.world import World

TRIES = 5
#: Two workers die with all of their jobs, the others with the poison alone. Each death costs a lease and the engine's
#: pause before it restarts the container. On a busy machine.
SECONDS = 180
HOWS = {"exit": "exit 3", "segv": "SIGSEGV", "oom": "SIGKILL"}


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {
        "WORKER_CONCURRENCY": "8",
        # So little that a job can take all of it in a moment.
        "WORKER_MEMORY_MB": "1024",
        "TASK_TRIES": str(TRIES),
        # Enough time to kill a worker while a job waits.
        "WEBHOOK_RETRY_SECONDS": "6,6,6",
    }


def events(stack: Stack, job_id: str) -> list[dict[str, Any]]:
    """What the worker's log says of a job."""
    lines = [line for line in stack.logs("worker").splitlines() if f'"{job_id}"' in line]
    return [json.loads(line) for line in lines if line.startswith("{")]


def begun(stack: Stack, job_id: str, name: str) -> int:
    return sum(e.get("event") == "step begun" and e["step"] == name for e in events(stack, job_id))


def test_poison_is_ended_and_named_while_all_others_are_done(
    stack: Stack, world: World, crashes: Path
) -> None:
    # GIVEN jobs that each kill their worker in a different way whenever they run, and healthy jobs, on one worker
    mark = uuid.uuid4().hex[:6]
    poison = {
        f"poison-{name}-{moment}-{how}-{mark}": (name, how)
        for name, moment, how in (
            ("extract_text", "before", "exit"),
            ("analyze_document", "after", "segv"),
            ("store_results", "before", "oom"),
        )
    }
    healthy = [f"healthy-{mark}-{number}" for number in range(10)]
    jobs = [*healthy[:5], *poison, *healthy[5:]]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda job_id: accepted(stack, jobId=job_id, callbackUrl=world.hook(job_id)), jobs))
    # THEN each of the others is done, its effects as always
    for job_id in healthy:
        done = wait_until(stack, job_id, "done", seconds=SECONDS)
        assert [(s["name"], s["state"]) for s in done["steps"]] == [(name, "done") for name in STEPS]
        assert json.loads(stack.read(done["result"]["resultUri"]))["jobId"] == job_id
        assert len({call["headers"]["webhook-id"] for call in world.seen(job_id)}) == 1
    # AND the poison has failed, with the step that did it, and its requester is told
    for job_id, (name, how) in poison.items():
        failed = wait_until(stack, job_id, "failed", seconds=SECONDS)
        assert failed["error"]["code"] == "worker_lost", failed
        assert failed["error"]["step"] == name
        assert f"{TRIES} workers in a row" in failed["error"]["message"]
        assert HOWS[how] in failed["error"]["message"]
        assert step(failed, name)["state"] == "failed"
        before = STEPS[: STEPS.index(name)]
        assert {step(failed, other)["state"] for other in before} == {"done"}
        wait_for(lambda job_id=job_id: world.seen(job_id), f"{job_id}'s requester to be told")  # type: ignore[misc]
        assert json.loads(world.seen(job_id)[-1]["body"])["type"] == "job.failed"
        # The log line before each death names job and step.
        assert begun(stack, job_id, name) == TRIES

    # AND a retry starts another round from that step, with as many tries
    again = next(iter(poison))
    name, _ = poison[again]
    answer = stack.api.post(f"/jobs/{again}/retry")
    assert (answer.status_code, answer.json()["resumesAt"]) == (202, name), answer.text
    failed = wait_until(stack, again, "failed", seconds=SECONDS)
    assert (failed["attempt"], failed["error"]["code"], failed["error"]["step"]) == (2, "worker_lost", name)
    assert begun(stack, again, name) == 2 * TRIES
    # AND once it is mended, it goes through
    (crashes / f"{again}.cured").touch()
    stack.api.post(f"/jobs/{again}/retry").raise_for_status()
    assert wait_until(stack, again, "done")["attempt"] == 3


def test_a_job_whose_worker_is_stopped_again_and_again_is_no_poison(stack: Stack, crashes: Path) -> None:
    """A deployment gives jobs back; however many there are in one step, none of them counts."""
    job_id = f"hold-extract_text-before-{uuid.uuid4().hex[:6]}"
    accepted(stack, jobId=job_id)
    for number in range(1, TRIES + 2):
        wait_for(
            lambda number=number: begun(stack, job_id, "extract_text") == number,  # type: ignore[misc]
            f"extract_text to be run for the {number}. time",
        )
        stack.stop("worker")
        stack.start("worker")
    (crashes / f"{job_id}.go").touch()
    wait_until(stack, job_id, "done")
    assert not [e for e in events(stack, job_id) if e.get("event") == "worker lost"]


def test_a_job_that_waits_again_and_again_is_no_poison(stack: Stack, world: World) -> None:
    """Each pause between two tries ends an acquisition of the job, and no worker remembers it, because the workers are
    restarted each time.
    """
    job_id = f"waits-{uuid.uuid4().hex[:6]}"
    accepted(stack, jobId=job_id, callbackUrl=world.hook(job_id, *["503"] * 3))
    for number in range(1, 4):
        wait_for(lambda number=number: len(world.seen(job_id)) >= number, f"call {number}")  # type: ignore[misc]
        wait_for(
            lambda: stack.resonate("task.get", id=f"doc/{job_id}")["data"]["task"]["state"] == "suspended",
            "the job to wait",
        )
        stack.restart("worker")
    wait_until(stack, job_id, "done", seconds=60)
    assert not [e for e in events(stack, job_id) if e.get("event") == "worker lost"]
