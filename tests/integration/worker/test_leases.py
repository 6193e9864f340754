"""Leases: a busy worker keeps them, and a waiting job needs none."""

import io
import json
import os
import uuid

import pytest
from pypdf import PdfReader, PdfWriter

from harness.clock import held
from harness.documents import accepted, runs_of, status, step, wait_until
from harness.machine import ROOT
from harness.stack import Stack
from harness.waiting import wait_for

#: Seconds; the default (RESONATE_TASK_TTL_SECONDS).
TTL = 2
#: Jobs at once: each reader wants a processor, and there are twice as many as there are processors.
PLACES = 2 * (os.cpu_count() or 1)
WAITING = 200
#: MB that the worker's memory may differ by while WAITING jobs wait: less than 0.1 MB each, so not held per job.
MARGIN = 20


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    return {"WORKER_CONCURRENCY": str(PLACES), "LAMBDA_BURST_SECONDS": "20"}


@pytest.fixture(scope="module")
def debug() -> bool:
    return True  # for a look at every task at once


def large_pdf(pages: int) -> bytes:
    """The sample contract, many times over: seconds of work for the reader, within its limits."""
    writer, page = PdfWriter(), PdfReader(ROOT / "apps/documents/samples/documents/contract.pdf").pages[0]
    for _ in range(pages):
        writer.add_page(page)
    found = io.BytesIO()
    writer.write(found)
    return found.getvalue()


def test_a_worker_with_saturated_processors_loses_no_lease(stack: Stack) -> None:
    # GIVEN as many large documents as the worker has places, twice as many as there are processors
    key = f"{uuid.uuid4().hex[:8]}.pdf"
    stack.s3.put_object(Bucket="documents", Key=key, Body=large_pdf(6000))
    jobs = [accepted(stack, documentUrl=f"s3://documents/{key}") for _ in range(PLACES)]
    # WHEN all of them are read at once
    (worker,) = stack.containers("worker")

    def readers() -> int:
        return stack.compose("top", "worker").count("-m confinement")

    wait_for(lambda: readers() >= PLACES, f"{PLACES} documents to be read at once", 60)
    done = [wait_until(stack, job_id, "done", seconds=240) for job_id in jobs]
    # THEN each read took longer than a lease lasts
    said = [json.loads(line) for line in stack.logs("worker").splitlines() if '"step finished"' in line]
    reads = [e["duration_ms"] / 1000 for e in said if e["step"] == "extract_text" and e["job"] in jobs]
    assert min(reads) > TTL, reads
    # AND no lease was lost: the server has handed each job out once, every step was tried and run once
    for job_id, seen in zip(jobs, done, strict=True):
        task = stack.resonate("task.get", id=f"doc/{job_id}")["data"]["task"]
        assert task["version"] == 1, task
        assert {s["attempts"] for s in seen["steps"]} == {1}
        assert set(runs_of(stack, job_id).values()) == {1}
    complaints = [
        line for line in stack.logs("worker").splitlines() if "lease" in line or "no longer ours" in line
    ]
    assert complaints == []
    assert stack.containers("worker") == [worker]


def memory(stack: Stack) -> float:
    """MB of the worker's own process."""
    read = "for f in /proc/[0-9]*; do grep -q worker.py $f/cmdline && grep -E 'PPid|VmRSS' $f/status; done"
    said = stack.compose("exec", "-T", "worker", "sh", "-c", read).split()
    # The container's init process has the same words on its command line, and is small.
    return max(int(said[n + 1]) for n, word in enumerate(said) if word == "VmRSS:") / 1024


def test_jobs_that_wait_for_people_cost_the_worker_nothing(stack: Stack) -> None:
    def waiting(count: int) -> list[str]:
        jobs = [accepted(stack, requiresApproval=True) for _ in range(count)]
        for job_id in jobs:
            wait_until(stack, job_id, "awaiting_approval", seconds=240)
        return jobs

    # GIVEN a worker that has done some of everything, so that what it loads once is loaded
    for job_id in waiting(20):
        stack.api.post(f"/approve/{job_id}", json={"approved": True, "approver": "a"}).raise_for_status()
        wait_until(stack, job_id, "done")
    wait_for(lambda: not held(stack), "everything to be over")
    before = memory(stack)
    # WHEN many jobs wait
    jobs = waiting(WAITING)
    # THEN no worker has a lease on any of them
    wait_for(lambda: not held(stack), "every lease to be given back")
    states = {stack.resonate("task.get", id=f"doc/{job_id}")["data"]["task"]["state"] for job_id in jobs}
    assert states == {"suspended"}
    # AND the worker is as large as before
    after = memory(stack)
    print(f"worker: {before:.1f} MB before, {after:.1f} MB with {WAITING} jobs waiting")  # noqa: T201
    assert after - before < MARGIN
    # AND all its places are free: as many new jobs as there are places end, while the others still wait
    for job_id in [accepted(stack) for _ in range(2 * PLACES)]:
        done = wait_until(stack, job_id, "done", seconds=60)
        assert {s["attempts"] for s in done["steps"]} == {1}
    assert status(stack, jobs[0])["status"] == "awaiting_approval"
    # AND each still goes on when it is told to
    for job_id in jobs[:: WAITING // 5]:
        stack.api.post(f"/approve/{job_id}", json={"approved": True, "approver": "a"}).raise_for_status()
        assert step(wait_until(stack, job_id, "done"), "store_results")["state"] == "done"
