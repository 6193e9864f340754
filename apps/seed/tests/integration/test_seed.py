"""The pattern in a minute: a job is accepted, runs, survives its worker's death, and its status can be asked for."""

import json
import re
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.stack import Stack
from harness.waiting import wait_for

APPLICATION = Path(__file__).parents[2]
#: Longer than the lease in worker.py: a worker that was killed keeps its job for so long.
SECONDS = 60


def job() -> dict[str, str]:
    return {
        "jobId": f"job-{uuid.uuid4().hex[:8]}",
        "documentUrl": "s3://documents/letter.txt",
        "requesterId": "user-alice",
        "type": "contract",
    }


def invoke(stack: Stack, event: object) -> dict[str, Any]:
    """`curl localhost:9000/2015-03-31/functions/function/invocations -d EVENT`; what the function answered."""
    url = f"{stack.lambda_url}/2015-03-31/functions/function/invocations"
    answer = httpx.post(url, content=json.dumps(event).encode(), timeout=35)
    assert answer.status_code == 200, answer.text
    assert "x-amz-function-error" not in answer.headers, answer.text
    found: dict[str, Any] = answer.json()
    return found | {"body": json.loads(found["body"])}


def status_event(job_id: str) -> dict[str, Any]:
    return {"httpMethod": "GET", "path": f"/status/{job_id}", "pathParameters": {"jobId": job_id}}


def over(stack: Stack, job_id: str) -> dict[str, Any]:
    """The status once it is done."""

    def probe() -> dict[str, Any] | None:
        seen: dict[str, Any] = stack.api.get(f"/status/{job_id}").json()
        return seen if seen["status"] == "done" else None

    found = wait_for(probe, f"{job_id} to be done", SECONDS)
    assert found is not None
    return found


def test_a_job_goes_through_over_http(stack: Stack) -> None:
    body = job()
    answer = stack.api.post("/process-document", json=body)
    assert answer.status_code == 202, answer.text
    assert (answer.json()["status"], answer.json()["jobId"]) == ("accepted", body["jobId"])
    done = over(stack, body["jobId"])
    assert done["jobId"] == body["jobId"]
    letter = (APPLICATION / "samples/documents/letter.txt").read_text(encoding="utf-8")
    assert json.loads(stack.read(done["result"]["result"]))["words"] == len(re.findall(r"\w+", letter))
    assert json.loads(stack.read(done["result"]["notification"]))["jobId"] == body["jobId"]


def test_a_job_goes_through_by_invocations_as_the_seed_writes_them(stack: Stack) -> None:
    body = job()
    # `{"body": "{…}"}`, and nothing else of an API's event
    accepted = invoke(stack, {"body": json.dumps(body)})
    assert (accepted["statusCode"], accepted["body"]["status"]) == (202, "accepted")
    over(stack, body["jobId"])
    seen = invoke(stack, status_event(body["jobId"]))
    assert (seen["statusCode"], seen["body"]["status"], seen["body"]["jobId"]) == (200, "done", body["jobId"])


def test_the_same_job_twice_is_one(stack: Stack) -> None:
    body = job()
    for _ in range(2):
        assert stack.api.post("/process-document", json=body).status_code == 202
    over(stack, body["jobId"])


def test_a_job_that_nobody_sent_is_not_found(stack: Stack) -> None:
    assert stack.api.get("/status/never-sent").status_code == 404
    assert invoke(stack, status_event("never-sent"))["statusCode"] == 404


@pytest.mark.parametrize("body", ["", "{", "[]", json.dumps({"jobId": "job-1"})])
def test_a_request_that_is_no_job_is_refused(stack: Stack, body: str) -> None:
    assert stack.api.post("/process-document", content=body).status_code == 400


def test_a_job_outlives_kill_9_of_its_worker(stack: Stack) -> None:
    # GIVEN a job whose first step is done, and whose workflow still runs
    body = job()
    assert stack.api.post("/process-document", json=body).status_code == 202
    root = f"seed/{body['jobId']}"

    def in_the_middle() -> bool:
        first = stack.resonate("promise.get", id=f"{root}:1")
        return bool(first["head"]["status"] == 200 and first["data"]["promise"]["state"] == "resolved")

    wait_for(in_the_middle, "the first step to be done", 30, every=0.02)
    # WHEN its worker is killed
    stack.kill("worker")
    assert stack.api.get(f"/status/{body['jobId']}").json()["status"] == "processing"
    task = stack.resonate("task.get", id=root)["data"]["task"]
    assert task["state"] == "acquired"
    stack.start("worker")
    # THEN it goes on once the lease is over, and the step that was done is not run again
    before = stack.resonate("promise.get", id=f"{root}:1")["data"]["promise"]
    over(stack, body["jobId"])
    assert stack.resonate("promise.get", id=f"{root}:1")["data"]["promise"] == before
