"""A process dies or a service is unreachable, and the job continues where it stopped."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.documents import STEPS, accepted, job, runs_of, status, step, submit, wait_until
from harness.fixtures import MakeStack
from harness.stack import Stack
from harness.waiting import wait_for


@pytest.fixture(autouse=True)
def mended(stack: Stack) -> Iterator[None]:
    """Repairs whatever a test of this module broke."""
    yield
    stack.unpause_all()
    stack.start("server", "localstack", "worker", "lambda", "gateway")


def test_worker_killed_in_a_step_runs_only_that_step_again(stack: Stack) -> None:
    # GIVEN a job that waits for approval, its first three steps done
    job_id = accepted(stack, requiresApproval=True)
    before = wait_until(stack, job_id, "awaiting_approval")
    # AND the job is then in the middle of store_results, because S3 is paused
    stack.pause("localstack")
    answer = stack.api.post(f"/approve/{job_id}", json={"approved": True, "approver": "a.person"})
    assert answer.status_code == 200, answer.text
    wait_for(
        lambda: step(status(stack, job_id), "store_results")["state"] == "running",
        "store_results to run",
    )
    # WHEN the worker is killed there
    stack.kill("worker")
    stack.unpause("localstack")
    stack.start("worker")
    # THEN the job ends as it would have
    done = wait_until(stack, job_id, "done")
    # AND the steps that were done before were not run again
    # (the notice that the job waits is a step of its own)
    assert runs_of(stack, job_id) == dict.fromkeys([*STEPS, "await_approval", "deliver_notice"], 1)
    for name in STEPS[:3]:
        assert step(done, name) == step(before, name)


def test_server_killed_in_a_step_loses_nothing(stack: Stack) -> None:
    stack.pause("localstack")
    job_id = accepted(stack)
    wait_for(
        lambda: step(status(stack, job_id), "download_document")["state"] == "running",
        "download_document to run",
    )
    stack.kill("server")
    stack.unpause("localstack")
    stack.start("server")
    done = wait_until(stack, job_id, "done", seconds=60)
    assert [s["name"] for s in done["steps"]] == STEPS


def test_stopped_worker_gives_its_job_back_at_once(stack: Stack) -> None:
    """After SIGTERM, as in a deployment, another worker continues without waiting for the lease to expire."""
    stack.pause("localstack")
    job_id = accepted(stack)
    wait_for(
        lambda: step(status(stack, job_id), "download_document")["state"] == "running",
        "download_document to run",
    )
    stack.stop("worker")
    stack.unpause("localstack")
    stack.start("worker")
    wait_until(stack, job_id, "done", seconds=30)


def test_server_away_is_503_within_5_seconds_and_nothing_is_half_recorded(stack: Stack) -> None:
    body = job()
    stack.kill("server")
    started = time.monotonic()
    answer = submit(stack, body)
    took = time.monotonic() - started
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["error"]["code"] == "server_unavailable"
    assert took < 5
    # A status call gets the same answer: the record is unreachable, which does not mean that the job is unknown.
    assert stack.api.get(f"/status/{body['jobId']}").status_code == 503
    stack.start("server")
    # Nothing half-recorded: the job is unknown, and the same job is accepted and runs.
    wait_for(
        lambda: stack.api.get(f"/status/{body['jobId']}").status_code == 404, "404 once the server is back"
    )
    assert submit(stack, body).status_code == 202
    wait_until(stack, body["jobId"], "done")


def test_two_clients_at_once_never_crash_an_environment(stack: Stack) -> None:
    """The emulator alone crashes on a second request while one runs; here the second request waits for a free
    environment.
    """
    with ThreadPoolExecutor(16) as clients:
        ids = list(clients.map(lambda _: accepted(stack), range(48)))
    for job_id in ids:
        wait_until(stack, job_id, "done", seconds=90)


def test_down_and_up_keeps_jobs_done_running_and_waiting(make_stack: MakeStack) -> None:
    stack = make_stack()
    done = accepted(stack)
    finished = wait_until(stack, done, "done")
    waiting = accepted(stack, requiresApproval=True)
    wait_until(stack, waiting, "awaiting_approval")
    stack.compose("down")
    stack.compose("up", "--detach", "--wait")
    assert status(stack, done) == finished
    assert status(stack, waiting)["status"] == "awaiting_approval"
    # A job whose documents S3 kept goes on to its end.
    answer = stack.api.post(f"/approve/{waiting}", json={"approved": True, "approver": "a.person"})
    assert answer.status_code == 200, answer.text
    wait_until(stack, waiting, "done")
