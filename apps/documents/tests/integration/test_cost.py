"""What a document costs, counted in requests to the server: speed and AWS's bill depend on their number."""

import re

import httpx

from harness.documents import accepted, status, wait_until
from harness.fixtures import MakeStack
from harness.stack import Stack
from harness.waiting import wait_for

JOBS = 5
COUNTED = re.compile(r'^resonate_request_total\{kind="([a-z._]+)",status="200"\} (\d+)', re.MULTILINE)
#: One submission; one lease; five steps, each with a promise for the step and one for its first try, each created and
#: settled; and the end. [promise.create 1, task.acquire 1, task.fence 20, task.fulfill 1]
MOST = {"promise.create": 1, "promise.get": 0, "task.acquire": 1.4, "task.fence": 24, "task.fulfill": 1}


def requests(stack: Stack) -> dict[str, int]:
    """How many of each kind the server has answered; heartbeats, which depend on time, are left out."""
    found = COUNTED.findall(httpx.get(f"{stack.metrics_url}/metrics", timeout=10).text)
    return {kind: int(count) for kind, count in found if kind != "task.heartbeat"}


def test_a_document_takes_few_requests(make_stack: MakeStack) -> None:
    stack = make_stack(env={"LAMBDA_BURST_SECONDS": "20"})
    wait_until(stack, accepted(stack), "done", seconds=90)
    before = requests(stack)
    ended = before["task.fulfill"] + JOBS
    # WHEN documents are processed, and nobody asks for their status meanwhile
    jobs = [accepted(stack) for _ in range(JOBS)]
    wait_for(lambda: requests(stack)["task.fulfill"] >= ended, f"{JOBS} documents to be done", 120)
    # THEN no kind of request is sent more often than the workflow needs it
    after = requests(stack)
    each = {kind: (after[kind] - before.get(kind, 0)) / JOBS for kind in after}
    assert [status(stack, job_id)["status"] for job_id in jobs] == ["done"] * JOBS
    over = {kind: count for kind, count in each.items() if count > MOST.get(kind, 0)}
    assert not over, f"requests a document: {each}; at most {MOST}"
