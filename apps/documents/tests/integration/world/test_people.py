"""Jobs that wait for people, are cancelled, fail, and are retried."""

import base64
import json
import uuid
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from harness.documents import accepted, runs_of, status, step, wait_until
from harness.stack import Stack
from harness.waiting import wait_for
from harness.world import World

SECRET = "whsec_bm90IGEgc2VjcmV0LCBidXQgYSB0ZXN0"
YES = {"approved": True, "approver": "a.person", "comment": "looks good"}


def waiting(stack: Stack, **fields: Any) -> str:
    job_id = accepted(stack, requiresApproval=True, **fields)
    wait_until(stack, job_id, "awaiting_approval")
    return job_id


def messages(world: World, name: str) -> list[dict[str, Any]]:
    return [json.loads(call["body"]) for call in world.seen(name)]


# ---------------------------------------------------------------- approval


def test_no_worker_holds_a_job_that_waits_and_it_outlives_every_restart(stack: Stack, world: World) -> None:
    # GIVEN a job that waits for approval
    name = f"ask-{uuid.uuid4().hex[:6]}"
    job_id = waiting(stack, callbackUrl=world.hook(name))
    # THEN nobody has a lease on it
    task = stack.resonate("task.get", id=f"doc/{job_id}")["data"]["task"]
    assert task["state"] == "suspended"
    # AND the approver is told, with the summary to decide by
    wait_for(lambda: messages(world, name), "the approver to be told")
    asked = messages(world, name)[0]
    assert asked["type"] == "job.approval_requested"
    assert asked["data"]["summary"]
    # WHEN server, workers and environments are killed and started again
    for service in ("worker", "server", "lambda"):
        stack.kill(service)
    stack.start("server", "worker", "lambda")
    # THEN it still waits, and a yes lets it go on from there
    assert status(stack, job_id)["status"] == "awaiting_approval"
    answer = stack.api.post(f"/approve/{job_id}", json=YES)
    assert answer.status_code == 200, answer.text
    done = wait_until(stack, job_id, "done")
    report = json.loads(stack.read(done["result"]["resultUri"]))
    assert {name: report["approval"][name] for name in YES} == YES
    assert set(runs_of(stack, job_id).values()) == {1}


def test_same_verdict_twice_is_one_answer_and_another_is_409(stack: Stack) -> None:
    job_id = waiting(stack)
    first = stack.api.post(f"/approve/{job_id}", json=YES)
    again = stack.api.post(f"/approve/{job_id}", json=YES)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    other = stack.api.post(f"/approve/{job_id}", json={**YES, "approved": False})
    assert other.status_code == 409
    assert other.json()["error"]["code"] == "already_decided"
    wait_until(stack, job_id, "done")


def test_a_no_ends_the_job_and_a_retry_asks_again(stack: Stack) -> None:
    job_id = waiting(stack)
    stack.api.post(
        f"/approve/{job_id}", json={**YES, "approved": False, "comment": "wrong client"}
    ).raise_for_status()
    failed = wait_until(stack, job_id, "failed")
    assert failed["error"]["step"] == "await_approval"
    assert failed["error"]["code"] == "rejected"
    assert "wrong client" in failed["error"]["message"]
    before = runs_of(stack, job_id)
    answer = stack.api.post(f"/jobs/{job_id}/retry")
    assert answer.status_code == 202, answer.text
    assert answer.json()["resumesAt"] == "await_approval"
    wait_until(stack, job_id, "awaiting_approval")
    stack.api.post(f"/approve/{job_id}", json=YES).raise_for_status()
    done = wait_until(stack, job_id, "done")
    assert done["attempt"] == 2
    # The steps before it were not run again.
    assert all(
        runs_of(stack, job_id)[name] == before[name] for name in ("download_document", "analyze_document")
    )


# ---------------------------------------------------------------- cancel, retry


def test_cancelled_job_starts_no_step_more_and_leaves_nothing_behind(stack: Stack, world: World) -> None:
    name = f"cancel-{uuid.uuid4().hex[:6]}"
    job_id = waiting(stack, callbackUrl=world.hook(name))
    assert stack.s3.list_objects_v2(Bucket="work", Prefix=f"{job_id}/")["KeyCount"] == 2
    answer = stack.api.delete(f"/jobs/{job_id}")
    assert (answer.status_code, answer.json()) == (200, {"jobId": job_id, "status": "cancelled"})
    assert status(stack, job_id)["status"] == "cancelled"
    wait_for(
        lambda: stack.s3.list_objects_v2(Bucket="work", Prefix=f"{job_id}/")["KeyCount"] == 0, "the clean-up"
    )
    wait_for(lambda: any(m["type"] == "job.cancelled" for m in messages(world, name)), "the message")
    again = stack.api.delete(f"/jobs/{job_id}")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "job_over")
    assert again.json()["error"]["status"] == "cancelled"
    assert stack.api.post(f"/approve/{job_id}", json=YES).json()["error"]["status"] == "cancelled"
    assert "store_results" not in runs_of(stack, job_id)


def clean_up(stack: Stack, job_id: str) -> str:
    """Record a clean-up as the function does first of all when it cancels a job; its promise."""
    root = stack.resonate("promise.get", id=f"doc/{job_id}")["data"]["promise"]
    sent = json.loads(base64.b64decode(root["param"]["data"]))
    call = json.dumps({**sent, "func": "clean_up_cancelled", "args": [sent["args"][0], 1]})
    promise = f"doc/{job_id}~cancelled"
    tags = dict.fromkeys(("resonate:origin", "resonate:branch", "resonate:parent"), promise)
    stack.resonate(
        "promise.create",
        id=promise,
        timeoutAt=root["timeoutAt"],
        param={"headers": {}, "data": base64.b64encode(call.encode()).decode()},
        tags={**tags, "resonate:scope": "global", "resonate:target": root["tags"]["resonate:target"]},
    )
    return promise


def test_function_that_dies_while_it_cancels_leaves_no_job_half_cancelled(stack: Stack) -> None:
    job_id = waiting(stack)
    clean_up(stack, job_id)  # and no more: the function is dead
    wait_until(stack, job_id, "cancelled")
    wait_for(
        lambda: stack.s3.list_objects_v2(Bucket="work", Prefix=f"{job_id}/")["KeyCount"] == 0, "the clean-up"
    )


def test_job_that_ends_before_it_can_be_cancelled_keeps_its_results(stack: Stack) -> None:
    job_id = accepted(stack)
    done = wait_until(stack, job_id, "done")
    promise = clean_up(stack, job_id)  # what the function recorded just before the job ended
    wait_for(
        lambda: stack.resonate("promise.get", id=promise)["data"]["promise"]["state"] == "resolved",
        "the clean-up to end",
    )
    assert status(stack, job_id) == done
    assert json.loads(stack.read(done["result"]["resultUri"]))["jobId"] == job_id
    events = stack.s3.list_objects_v2(Bucket="results", Prefix=f"inbox/requester-1/{job_id}.")["Contents"]
    assert [event["Key"].rpartition("/")[2] for event in events] == [f"{job_id}.job.done.json"]


def test_what_is_done_cannot_be_cancelled_or_retried(stack: Stack) -> None:
    job_id = accepted(stack)
    wait_until(stack, job_id, "done")
    over = stack.api.delete(f"/jobs/{job_id}").json()["error"]
    assert (over["code"], over["status"]) == ("job_over", "done")
    assert stack.api.post(f"/jobs/{job_id}/retry").json()["error"]["code"] == "not_failed"
    assert stack.api.delete("/jobs/never-submitted").status_code == 404


def test_failed_job_runs_again_from_the_step_that_failed(stack: Stack) -> None:
    key = f"late-{uuid.uuid4().hex[:6]}.txt"
    job_id = accepted(stack, documentUrl=f"s3://documents/{key}", type="report")
    failed = wait_until(stack, job_id, "failed")
    assert failed["error"]["code"] == "document_not_found"
    stack.s3.put_object(
        Bucket="documents", Key=key, Body=b"It was only late. Sales rose by 3 percent in June."
    )
    assert stack.api.post(f"/jobs/{job_id}/retry").status_code == 202
    done = wait_until(stack, job_id, "done")
    assert done["attempt"] == 2
    listed = stack.api.get("/jobs", params={"limit": 100}).json()["jobs"]
    assert [(j["status"], j["attempt"]) for j in listed if j["jobId"] == job_id] == [("done", 2)]


# ---------------------------------------------------------------- documents that end a job at once

BROKEN: dict[str, tuple[str, bytes, str, str]] = {
    "empty": ("a.pdf", b"", "download_document", "document_empty"),
    "truncated": ("a.pdf", b"%PDF-1.7\n1 0 obj\n<<", "extract_text", "document_truncated"),
    "lying": ("a.pdf", b"<!doctype html><p>Please log in", "download_document", "media_type_mismatch"),
    "picture": ("a.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 64, "download_document", "media_type_unsupported"),
    "wordless": ("a.txt", b" \n \n ... \n", "extract_text", "document_without_text"),
    "large": ("a.txt", b"word " * 10_400_000, "download_document", "document_too_large"),
}


def test_each_broken_document_has_its_code_and_costs_no_second_try(stack: Stack) -> None:
    jobs = {}
    for kind, (name, body, _, _) in BROKEN.items():
        key = f"{uuid.uuid4().hex[:8]}/{name}"
        stack.s3.put_object(Bucket="documents", Key=key, Body=body)
        jobs[kind] = accepted(stack, documentUrl=f"s3://documents/{key}", type="report")
    for kind, job_id in jobs.items():
        failed = wait_until(stack, job_id, "failed")
        _, _, where, code = BROKEN[kind]
        assert (kind, failed["error"]["step"], failed["error"]["code"]) == (kind, where, code)
        assert step(failed, where)["attempts"] == 1


# ---------------------------------------------------------------- webhooks


def test_webhook_is_signed_has_one_id_and_is_repeated_until_it_arrives(stack: Stack, world: World) -> None:
    name = f"hook-{uuid.uuid4().hex[:6]}"
    job_id = accepted(stack, callbackUrl=world.hook(name, "500", "hang up"))
    done = wait_until(stack, job_id, "done")
    calls = world.seen(name)
    assert [call["met"] for call in calls] == ["500", "hang up", "ok"]
    assert len({call["headers"]["webhook-id"] for call in calls}) == 1
    assert len({call["body"] for call in calls}) == 1
    for call in calls:
        headers = call["headers"]
        # As a receiver does it, with the library of Standard Webhooks.
        assert Webhook(SECRET).verify(call["body"], headers)["data"]["jobId"] == job_id
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(call["body"].replace(job_id, "another"), headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(base64.b64encode(b"another secret")).verify(call["body"], headers)
        assert abs(float(headers["webhook-timestamp"]) - call["at"]) < 5
    assert done["result"]["notification"]["delivered"] is True
    assert step(done, "notify_requester")["attempts"] == 3
    assert step(done, "notify_requester")["lastError"]["code"] == "receiver_unavailable"


def test_webhook_that_never_arrives_is_told_and_left_in_the_inbox(stack: Stack, world: World) -> None:
    name = f"deaf-{uuid.uuid4().hex[:6]}"
    job_id = accepted(stack, callbackUrl=world.hook(name, *["503"] * 20))
    done = wait_until(stack, job_id, "done")
    told = done["result"]["notification"]
    assert (told["delivered"], told["channel"]) == (False, "inbox")
    assert "answers 503" in told["reason"]
    message = json.loads(stack.read(told["where"]))
    assert message["data"]["jobId"] == job_id
    assert len(world.seen(name)) == 4
    # The step says it as well: the job is done, its last step is not.
    assert step(done, "notify_requester")["state"] == "failed"
    assert step(done, "notify_requester")["error"]["code"] == "receiver_unavailable"
    assert step(done, "notify_requester")["error"]["step"] == "notify_requester"


# ---------------------------------------------------------------- time


def test_nothing_of_a_job_has_a_deadline_of_less_than_years(stack: Stack) -> None:
    """The SDK's own defaults, 24 hours for the job and for each child, would end a job that waits for a person."""
    job_id = waiting(stack)
    for promise in (f"doc/{job_id}", f"doc/{job_id}:1", f"doc/{job_id}:4", f"doc/{job_id}:4.1"):
        record = stack.resonate("promise.get", id=promise)["data"]["promise"]
        years = (record["timeoutAt"] - record["createdAt"]) / 1000 / 86400 / 365
        assert years > 9, promise
    stack.api.delete(f"/jobs/{job_id}").raise_for_status()
