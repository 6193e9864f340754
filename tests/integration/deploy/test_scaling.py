"""The metric that the number of workers follows (deploy/worker.yaml, decision 0062) tells how many jobs wait."""

import re
import time

import httpx

from harness.documents import accepted, wait_until
from harness.fixtures import MakeStack
from harness.stack import Stack
from harness.waiting import wait_for

#: RESONATE_TASKS__RETRY_TIMEOUT of the stack, as of the template.
RETRY_SECONDS = 5.0


def counters(stack: Stack) -> tuple[float, float, float]:
    """The time, the offers and the acquisitions, as the CloudWatch agent scrapes them."""
    text = httpx.get(f"{stack.metrics_url}/metrics", timeout=10).text
    offers = re.search(r'^resonate_messages_total\{kind="execute"\} (\S+)$', text, re.MULTILINE)
    taken = re.search(
        r'^resonate_request_total\{kind="task.acquire",status="200"\} (\S+)$', text, re.MULTILINE
    )
    return time.monotonic(), float(offers[1]) if offers else 0, float(taken[1]) if taken else 0


def waiting(stack: Stack, seconds: float = 20) -> float:
    """The template's expression, evaluated over some seconds."""
    began, offers, taken = counters(stack)
    ended, more_offers, more_taken = wait_for(
        lambda: (seen := counters(stack))[0] - began > seconds and seen,
        "a period of the metric",
        seconds + 20,
    ) or (began, offers, taken)
    return ((more_offers - offers) - (more_taken - taken)) / (ended - began) * RETRY_SECONDS


def test_jobs_that_wait_are_counted_and_none_when_none_waits(make_stack: MakeStack) -> None:
    stack = make_stack(env={"WORKER_CONCURRENCY": "1"})
    # GIVEN a worker with one place, which a stopped job occupies, and six more jobs
    stack.pause("localstack")
    try:
        jobs = [accepted(stack) for _ in range(7)]
        assert 3 <= waiting(stack) <= 9
    finally:
        stack.unpause("localstack")
    # WHEN they are done
    for job_id in jobs:
        wait_until(stack, job_id, "done", seconds=90)
    # THEN nothing waits
    assert abs(waiting(stack)) < 0.5
