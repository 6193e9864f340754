"""No value is run as code: promises are settled directly on the server with a pickle in their value."""

import base64
import json
import os
import pickle
import uuid
from typing import Any

import pytest

from harness.documents import accepted, status, step, wait_until
from harness.engine import docker
from harness.stack import Stack


class Hostile:
    """When it is unpickled, it creates a folder in that container."""

    def __init__(self, trace: str) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (self.trace,)


def hostile(trace: str) -> str:
    """What the SDK writes for an exception, with hostile code as the pickle."""
    pickled = base64.b64encode(pickle.dumps(Hostile(trace))).decode()
    value = {"__type": "error", "message": "from outside", "__py_pickle": pickled}
    return base64.b64encode(json.dumps(value).encode()).decode()


def ran(stack: Stack, trace: str) -> list[str]:
    """The containers in which the trace is found."""
    containers = [*stack.containers("worker"), *stack.containers("lambda")]
    look = ["sh", "-c", f"test -e {trace} && echo there || true"]
    return [container for container in containers if docker("exec", container, *look).strip()]


# The approval's question is a promise that anybody may settle; the step and the root belong to the workflow.
@pytest.mark.parametrize(("below", "named"), [(":4.1", "await_approval"), (":4", "await_approval"), ("", "")])
def test_a_rejected_promises_value_is_not_run(stack: Stack, below: str, named: str) -> None:
    trace = f"/tmp/ran-{uuid.uuid4().hex}"  # noqa: S108 - in a container
    # GIVEN a job that waits for approval
    job_id = accepted(stack, requiresApproval=True)
    wait_until(stack, job_id, "awaiting_approval")
    # WHEN somebody rejects one of its promises with a value that would run code
    value = {"headers": {}, "data": hostile(trace)}
    answer = stack.resonate("promise.settle", id=f"doc/{job_id}{below}", state="rejected", value=value)
    assert answer["head"]["status"] == 200, answer
    if below == ":4":
        # Only the workflow waits for the step, and it looks at it once the question is answered.
        stack.api.post(f"/approve/{job_id}", json={"approved": True, "approver": "a"}).raise_for_status()
    # THEN the job ends as failed, with a message in words
    failed = wait_until(stack, job_id, "failed")
    assert failed["error"]["code"] == "internal_error"
    assert failed["error"]["step"] == named
    assert "from outside" in failed["error"]["message"]
    if named:
        assert step(failed, named)["state"] == "failed"
    # AND reading it, through every environment, runs nothing
    for _ in range(4):
        status(stack, job_id)
    stack.api.get("/jobs").raise_for_status()
    assert ran(stack, trace) == []


def test_nothing_of_ours_is_pickled(stack: Stack) -> None:
    job_id = accepted(stack, documentUrl="s3://documents/nowhere.pdf")
    wait_until(stack, job_id, "failed")
    record = stack.resonate("promise.get", id=f"doc/{job_id}")["data"]["promise"]
    value = json.loads(base64.b64decode(record["value"]["data"]))
    assert sorted(value) == ["__type", "message"]
