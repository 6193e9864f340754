"""A client of apps/documents, for the documents' own tests and for the stack's.

The stack's tests of faults, chaos, access and packages, and the benchmarks, need an application with several steps,
files in S3 and jobs that wait for people. They use it as its users do: through its routes, its buckets and its worker's
log.
"""

import json
import uuid
from typing import Any

import httpx

from harness.stack import Stack
from harness.waiting import wait_for

OVER = {"done", "failed", "cancelled"}
#: The steps of a job that nobody has to approve.
STEPS = ["download_document", "extract_text", "analyze_document", "store_results", "notify_requester"]


def job(**fields: Any) -> dict[str, Any]:
    """A job with an id of its own; `fields` override, and None leaves a field out."""
    body: dict[str, Any] = {
        "jobId": f"job-{uuid.uuid4().hex[:12]}",
        "documentUrl": "s3://documents/contract.pdf",
        "requesterId": "requester-1",
        "type": "contract",
    }
    body |= fields
    return {name: value for name, value in body.items() if value is not None}


def submit(stack: Stack, body: dict[str, Any]) -> httpx.Response:
    return stack.api.post("/process-document", json=body)


def accepted(stack: Stack, **fields: Any) -> str:
    """Submit a job that must be accepted; returns its id."""
    body = job(**fields)
    answer = submit(stack, body)
    assert answer.status_code == 202, answer.text
    assert answer.json() == {"status": "accepted", "jobId": body["jobId"]}
    return str(body["jobId"])


def status(stack: Stack, job_id: str) -> dict[str, Any]:
    answer = stack.api.get(f"/status/{job_id}")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def wait_until(stack: Stack, job_id: str, *wanted: str, seconds: float = 40) -> dict[str, Any]:
    """Wait until the job's status is one of `wanted`; if the job ends in any other way, the test fails at once."""

    def probe() -> dict[str, Any] | None:
        seen = status(stack, job_id)
        if seen["status"] in wanted:
            return seen
        if seen["status"] in OVER:
            raise JobOverError(f"{job_id} is {seen['status']}, not {' or '.join(wanted)}: {seen}")
        return None

    found = wait_for(probe, f"{job_id} to be {' or '.join(wanted)}", seconds)
    assert found is not None
    return found


def step(seen: dict[str, Any], name: str) -> dict[str, Any]:
    """The step `name` of a status answer."""
    found: dict[str, Any] = next(step for step in seen["steps"] if step["name"] == name)
    return found


def runs_of(stack: Stack, job_id: str) -> dict[str, int]:
    """How often a worker ran each step of the job, from its log: one line for each step that ended."""
    counts: dict[str, int] = {}
    for line in stack.logs("worker").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("job") == job_id and entry.get("event") == "step finished":
            counts[entry["step"]] = counts.get(entry["step"], 0) + 1
    return counts


class JobOverError(Exception):
    """A job ended with another status than the test waits for."""
