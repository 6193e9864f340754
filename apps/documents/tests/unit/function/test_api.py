"""What the function answers, for events of both payload versions."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lambda_function
from conftest import Call, FakePromises, function_of
from durable_lambda.faults import Fault, failure_text
from durable_lambda.function.events import synthetic
from durable_lambda.function.promises import Promises, args_of

JOB: dict[str, Any] = {
    "jobId": "job-1",
    "documentUrl": "s3://documents/contract.pdf",
    "requesterId": "someone@example.com",
    "type": "contract",
}
APPROVED = {"approved": True, "approver": "a.person", "comment": "fine"}
OPENAPI = Path(__file__).parents[3] / "openapi.yaml"


def failed(step: str, code: str) -> dict[str, str]:
    return {"message": failure_text(Fault(step=step, code=code, message="Because."))}


# ---------------------------------------------------------------- submitting


def test_accepted_only_with_its_promise(call: Call, promises: FakePromises) -> None:
    status, body, headers = call("POST", "/process-document", JOB)
    assert (status, body) == (202, {"status": "accepted", "jobId": "job-1"})
    assert "Retry-After" in headers
    record = promises.records["doc/job-1"]
    assert function_of(record) == "process_document"
    assert record.tags["document:kind"] == "job"
    # Far enough to be no deadline: years, not the SDK's day.
    assert record.timeout_at / 1000 / 86400 / 365 > 60


def test_same_job_again_is_the_same_answer_and_another_is_a_conflict(
    call: Call, promises: FakePromises
) -> None:
    first = call("POST", "/process-document", JOB)
    again = call("POST", "/process-document", {**JOB, "requiresApproval": False})
    assert first[:2] == again[:2]
    assert len(promises.records) == 1
    status, body, _ = call("POST", "/process-document", {**JOB, "type": "invoice"})
    assert (status, body["error"]["code"]) == (409, "job_conflict")
    assert "type" in body["error"]["message"]


@pytest.mark.parametrize(
    "url",
    ["s3://work/job-2/text.txt", "s3://results/job-2/result.json", "s3://documents\\work/x", "s3://WORK/x"],
)
def test_a_document_in_the_stack_s_own_buckets_is_refused(
    call: Call, promises: FakePromises, url: str
) -> None:
    status, body, _ = call("POST", "/process-document", {**JOB, "documentUrl": url})
    assert status == 400
    assert [field["field"] for field in body["error"]["fields"]] == ["documentUrl"]
    assert body["error"]["fields"][0]["message"].startswith("must ")
    assert promises.records == {}


def test_base64_body(call: Call, promises: FakePromises) -> None:
    assert call("POST", "/process-document", JOB, encoded=True)[0] == 202


def test_body_without_a_declared_type_is_read_as_json(call: Call, promises: FakePromises) -> None:
    assert call("POST", "/process-document", JOB, content_type=None)[0] == 202
    assert call("POST", "/process-document", JOB, content_type="application/json; charset=utf-8")[0] == 202


@pytest.mark.parametrize("declared", ["text/plain", "application/x-www-form-urlencoded", "text/xml"])
def test_other_content_types_are_415(call: Call, promises: FakePromises, declared: str) -> None:
    status, body, _ = call("POST", "/process-document", JOB, content_type=declared)
    assert (status, body["error"]["code"]) == (415, "unsupported_media_type")
    assert not promises.records


def test_every_bad_field_is_named_at_once(call: Call, promises: FakePromises) -> None:
    bad = {
        "jobId": "../x",
        "documentUrl": "ftp://x",
        "type": "poem",
        "requiresApproval": "yes",
        "surprise": 1,
    }
    status, body, _ = call("POST", "/process-document", bad)
    assert (status, body["error"]["code"]) == (400, "invalid_request")
    named = [field["field"] for field in body["error"]["fields"]]
    assert named == ["jobId", "documentUrl", "requesterId", "type", "requiresApproval", "surprise"]
    assert all(field["message"] for field in body["error"]["fields"])
    assert not promises.records


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', '{"jobId": NaN}', "[" * 100_000])
def test_what_is_no_json_object_is_400(call: Call, promises: FakePromises, text: str) -> None:
    status, body, _ = call("POST", "/process-document", text)
    assert (status, body["error"]["code"]) == (400, "invalid_request")


def test_broken_base64_is_400(promises: FakePromises, call: Call) -> None:
    event = {
        "version": "2.0",
        "rawPath": "/process-document",
        "requestContext": {"http": {"method": "POST", "path": "/process-document"}, "stage": "$default"},
        "headers": {},
        "body": "/////w==",
        "isBase64Encoded": True,
    }
    assert lambda_function.lambda_handler(event)["statusCode"] == 400


# ---------------------------------------------------------------- looking


def test_unknown_jobs_routes_and_ids(call: Call, promises: FakePromises) -> None:
    assert call("GET", "/status/never")[1]["error"]["code"] == "job_not_found"
    assert call("GET", "/status/never")[0] == 404
    assert call("GET", "/nowhere")[0] == 404
    status, body, _ = call("GET", "/status/a b")
    assert (status, body["error"]["fields"][0]["field"]) == (400, "jobId")


def test_status_tells_each_step_its_tries_and_the_last_transient_error(
    call: Call, promises: FakePromises
) -> None:
    call("POST", "/process-document", JOB)
    assert call("GET", "/status/job-1")[1]["status"] == "accepted"
    promises.step(JOB, "download_document", "resolved", {"checkpoint": {}, "attempts": 1})
    promises.step(JOB, "extract_text", "pending")
    error = {"code": "storage_unavailable", "message": "S3 cannot serve now.", "at": "…", "nextTryAt": "…"}
    promises.settle("doc/job-1:2.1", "resolved", {"transient": error, "retryIn": 2})
    status, body, headers = call("GET", "/status/job-1")
    assert (status, body["status"]) == (200, "processing")
    first, second, third = body["steps"][:3]
    assert (first["state"], first["attempts"]) == ("done", 1)
    assert (second["state"], second["attempts"], second["lastError"]) == ("waiting", 1, error)
    assert third == {"name": "analyze_document", "state": "pending"}
    assert "Retry-After" in headers


def test_done_and_failed(call: Call, promises: FakePromises) -> None:
    call("POST", "/process-document", JOB)
    promises.settle("doc/job-1", "resolved", {"resultUri": "s3://results/x"})
    _, body, headers = call("GET", "/status/job-1")
    assert (body["status"], body["result"]) == ("done", {"resultUri": "s3://results/x"})
    assert "Retry-After" not in headers
    call("POST", "/process-document", {**JOB, "jobId": "job-2"})
    promises.settle("doc/job-2", "rejected", failed("extract_text", "document_encrypted"))
    body = call("GET", "/status/job-2")[1]
    assert body["error"] == {"step": "extract_text", "code": "document_encrypted", "message": "Because."}


def test_listing_pages_filters_and_lets_the_newest_attempt_speak(call: Call, promises: FakePromises) -> None:
    for name in "abcd":
        call("POST", "/process-document", {**JOB, "jobId": name})
    promises.settle("doc/b", "resolved", {})
    promises.settle("doc/c", "rejected", failed("download_document", "document_not_found"))
    status, first, _ = call("GET", "/jobs", query={"limit": "3"})
    assert (status, first["cursor"]) == (200, "c")
    following = call("GET", "/jobs", query={"limit": "3", "cursor": first["cursor"]})[1]
    jobs = first["jobs"] + following["jobs"]
    assert [(j["jobId"], j["status"]) for j in jobs] == [
        ("a", "accepted"),
        ("b", "done"),
        ("c", "failed"),
        ("d", "accepted"),
    ]
    assert following["cursor"] is None
    assert [j["jobId"] for j in call("GET", "/jobs", query={"state": "failed"})[1]["jobs"]] == ["c"]
    # Retried, c is no longer a failed job, and is listed once.
    assert call("POST", "/jobs/c/retry")[0] == 202
    assert call("GET", "/jobs", query={"state": "failed"})[1]["jobs"] == []
    listed = call("GET", "/jobs", query={})[1]["jobs"]
    assert sorted(j["jobId"] for j in listed) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "query",
    [
        {"state": "bad", "limit": "0", "cursor": "../"},
        {"state": "", "limit": "", "cursor": ""},
        {"state": "DONE", "limit": "101", "cursor": "a~"},
        {"state": "done,failed", "limit": "1e1", "cursor": "a b"},
        {"state": "timed_out", "limit": "\u0661", "cursor": "~2"},
    ],
)
def test_listing_names_each_parameter_that_is_wrong(
    call: Call, promises: FakePromises, query: dict[str, str]
) -> None:
    status, body, _ = call("GET", "/jobs", query=query)
    assert status == 400
    assert [field["field"] for field in body["error"]["fields"]] == ["state", "limit", "cursor"]


def test_filtered_pages_are_full_and_together_hold_each_job_once(call: Call, promises: FakePromises) -> None:
    wanted = []
    for number in range(100):
        job = {**JOB, "jobId": f"j{number:03}", "requiresApproval": True}
        call("POST", "/process-document", job)
        if number % 7 == 3:
            promises.step(job, "await_approval", "pending")
            promises.settle(f"doc/{job['jobId']}:4.1", "pending", None)
            wanted.append(job["jobId"])
    pages, cursor = [], None
    while True:
        query = {"state": "awaiting_approval", "limit": "4", **({"cursor": cursor} if cursor else {})}
        page = call("GET", "/jobs", query=query)[1]
        pages.append([job["jobId"] for job in page["jobs"]])
        cursor = page["cursor"]
        if cursor is None:
            break
    assert [name for page in pages for name in page] == wanted
    assert [len(page) for page in pages if page] == [4, 4, 4, 2]


# ---------------------------------------------------------------- approving, cancelling, retrying


def waiting(call: Call, promises: FakePromises) -> dict[str, Any]:
    job = {**JOB, "requiresApproval": True}
    call("POST", "/process-document", job)
    promises.step(job, "await_approval", "pending")
    promises.settle("doc/job-1:4.1", "pending", None)
    return job


def test_same_verdict_twice_is_one_answer_and_another_is_refused(call: Call, promises: FakePromises) -> None:
    waiting(call, promises)
    assert call("GET", "/status/job-1")[1]["status"] == "awaiting_approval"
    first = call("POST", "/approve/job-1", APPROVED)
    assert first[0] == 200
    assert call("POST", "/approve/job-1", APPROVED)[:2] == first[:2]
    for other in (
        {**APPROVED, "approved": False},
        {**APPROVED, "approver": "b"},
        {"approved": True, "approver": "a.person"},
    ):
        status, body, _ = call("POST", "/approve/job-1", other)
        assert (status, body["error"]["code"]) == (409, "already_decided")


def test_awaiting_approval_is_told_exactly_while_a_verdict_is_taken(
    call: Call, promises: FakePromises
) -> None:
    job = {**JOB, "requiresApproval": True}
    call("POST", "/process-document", job)
    # The step has begun, its question does not exist yet.
    promises.step(job, "await_approval", "pending")
    assert call("GET", "/status/job-1")[1]["status"] == "processing"
    status, body, _ = call("POST", "/approve/job-1", APPROVED)
    assert (status, body["error"]["code"], body["error"]["status"]) == (
        409,
        "nothing_to_approve",
        "processing",
    )
    promises.settle("doc/job-1:4.1", "pending", None)
    assert call("GET", "/status/job-1")[1]["status"] == "awaiting_approval"
    # The verdict is recorded, and no worker has seen it yet.
    assert call("POST", "/approve/job-1", APPROVED)[0] == 200
    seen = call("GET", "/status/job-1")[1]
    assert (seen["status"], seen["steps"][3]["state"]) == ("processing", "running")


def test_nothing_to_approve(call: Call, promises: FakePromises) -> None:
    assert call("POST", "/approve/job-1", APPROVED)[0] == 404
    call("POST", "/process-document", JOB)
    status, body, _ = call("POST", "/approve/job-1", APPROVED)
    assert (status, body["error"]["code"]) == (409, "nothing_to_approve")
    assert call("POST", "/approve/job-1", {"approved": "yes"})[0] == 400


def test_cancelling_records_the_clean_up_first_and_again_it_is_over(
    call: Call, promises: FakePromises
) -> None:
    waiting(call, promises)
    assert call("DELETE", "/jobs/job-1")[:2] == (200, {"jobId": "job-1", "status": "cancelled"})
    assert function_of(promises.records["doc/job-1~cancelled"]) == "clean_up_cancelled"
    status, body, _ = call("DELETE", "/jobs/job-1")
    assert (status, body["error"]["code"], body["error"]["status"]) == (409, "job_over", "cancelled")
    assert call("GET", "/status/job-1")[1]["status"] == "cancelled"
    assert call("POST", "/approve/job-1", APPROVED)[0] == 409


def test_what_is_over_cannot_be_cancelled(call: Call, promises: FakePromises) -> None:
    assert call("DELETE", "/jobs/job-1")[0] == 404
    call("POST", "/process-document", JOB)
    promises.settle("doc/job-1", "resolved", {})
    status, body, _ = call("DELETE", "/jobs/job-1")
    assert (status, body["error"]["code"], body["error"]["status"]) == (409, "job_over", "done")
    assert "doc/job-1~cancelled" not in promises.records


def test_each_attempt_has_a_clean_up_of_its_own(call: Call, promises: FakePromises) -> None:
    """The first attempt fails while it is being cancelled; the second one's cancellation cleans up all the same."""
    call("POST", "/process-document", JOB)
    promises.ends_before_cancelled = failed("extract_text", "document_corrupt")
    status, body, _ = call("DELETE", "/jobs/job-1")
    assert (status, body["error"]["status"]) == (409, "failed")
    assert call("POST", "/jobs/job-1/retry")[0] == 202
    assert call("DELETE", "/jobs/job-1")[0] == 200
    assert args_of(promises.records["doc/job-1~2~cancelled"])[1] == 2


def test_a_step_that_was_under_way_when_its_job_was_ended_does_not_run_on(
    call: Call, promises: FakePromises
) -> None:
    call("POST", "/process-document", JOB)
    promises.step(JOB, "download_document", "resolved", {"checkpoint": {}, "attempts": 1})
    promises.step(JOB, "extract_text", "pending")
    promises.settle("doc/job-1", "rejected", failed("", "worker_lost"))
    seen = call("GET", "/status/job-1")[1]
    assert (seen["status"], seen["error"]["code"]) == ("failed", "worker_lost")
    assert [step["state"] for step in seen["steps"][:3]] == ["done", "failed", "skipped"]
    assert call("POST", "/jobs/job-1/retry")[1]["resumesAt"] == "extract_text"


def test_retry_goes_on_at_the_failed_step_with_the_checkpoints_before_it(
    call: Call, promises: FakePromises
) -> None:
    call("POST", "/process-document", JOB)
    promises.step(JOB, "download_document", "resolved", {"checkpoint": {"uri": "s3://work/x"}, "attempts": 1})
    promises.step(JOB, "extract_text", "resolved", {"fault": {"code": "document_corrupt", "message": "x"}})
    assert call("POST", "/jobs/job-1/retry")[0] == 409
    promises.settle("doc/job-1", "rejected", failed("extract_text", "document_corrupt"))
    status, body, _ = call("POST", "/jobs/job-1/retry")
    assert (status, body["attempt"], body["resumesAt"]) == (202, 2, "extract_text")
    resume = args_of(promises.records["doc/job-1~2"])[1]
    assert resume["checkpoints"] == {"download_document": {"uri": "s3://work/x"}}
    seen = call("GET", "/status/job-1")[1]
    assert (seen["attempt"], seen["steps"][0]["state"], seen["steps"][1]["state"]) == (2, "done", "pending")
    # A second retry does not start a third attempt beside it.
    assert call("POST", "/jobs/job-1/retry")[0] == 409
    # The second attempt fails in its turn: what the first one left still counts.
    promises.settle("doc/job-1~2:1", "resolved", {"checkpoint": {"uri": "t"}, "attempts": 1})
    promises.settle("doc/job-1~2", "rejected", failed("analyze_document", "analyzer_refused"))
    assert call("POST", "/jobs/job-1/retry")[1]["resumesAt"] == "analyze_document"
    checkpoints = args_of(promises.records["doc/job-1~3"])[1]["checkpoints"]
    assert list(checkpoints) == ["download_document", "extract_text"]


# ---------------------------------------------------------------- trouble


def test_server_away_is_503_in_time(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    away = Promises("http://127.0.0.1:9")
    monkeypatch.setattr(lambda_function.app, "promises", away)
    started = time.monotonic()
    status, body, headers = call("POST", "/process-document", JOB)
    assert time.monotonic() - started < 4.5
    assert (status, body["error"]["code"]) == (503, "server_unavailable")
    assert "Retry-After" in headers
    away.close()


def test_importing_the_function_is_quick_and_leaves_the_heavy_things_out() -> None:
    code = "import sys, lambda_function; print([m for m in ('boto3', 'resonate.ext') if m in sys.modules])"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.strip() == "[]"


def test_the_calls_of_the_seed_are_answered_as_they_are_written(promises: FakePromises) -> None:
    """No context, no requestContext: a job by its body alone, a status by the path."""
    answer = lambda_function.lambda_handler({"body": json.dumps({**JOB, "jobId": "job-001"})})
    assert (answer["statusCode"], json.loads(answer["body"])) == (
        202,
        {"status": "accepted", "jobId": "job-001"},
    )
    asked = {"httpMethod": "GET", "path": "/status/job-001", "pathParameters": {"jobId": "job-001"}}
    answer = lambda_function.lambda_handler(asked)
    assert (answer["statusCode"], json.loads(answer["body"])["status"]) == (200, "accepted")


def test_the_function_by_itself_sends_the_example_job(promises: FakePromises) -> None:
    answer = lambda_function.lambda_handler(*synthetic(["job-001"]))
    assert answer["statusCode"] == 202
    assert "doc/job-001" in promises.records


def test_the_routes_are_those_of_the_api_s_description() -> None:
    described = re.findall(r"^  (/\S+):|^    (get|post|delete|put|patch):", OPENAPI.read_text(), re.MULTILINE)
    routes, path = [], ""
    for found, method in described:
        path = found or path
        if method:
            routes.append(f"{method.upper()} {re.sub('{.*?}', '{}', path)}")
    assert sorted(routes) == sorted(re.sub("{.*?}", "{}", route) for route in lambda_function.app.routes)
