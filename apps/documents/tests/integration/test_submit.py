"""A document is processed completely: through both APIs, with both event versions, and with every kind of wrong
request.
"""

import hashlib
import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pypdf import PdfReader

from harness.documents import STEPS, accepted, job, runs_of, status, step, submit, wait_until
from harness.events import event_v1, event_v2
from harness.stack import Stack


def invoke(stack: Stack, event: dict[str, Any], function: str = "function") -> dict[str, Any]:
    """Invoke through the Lambda API with boto3; the function's answer."""
    answer = stack.lambda_.invoke(FunctionName=function, Payload=json.dumps(event))
    assert answer["StatusCode"] == 200
    assert "FunctionError" not in answer, answer["Payload"].read()
    payload: dict[str, Any] = json.load(answer["Payload"])
    return payload


# ---------------------------------------------------------------- the seed case


def test_pdf_goes_all_the_way_through_the_http_api(stack: Stack) -> None:
    # GIVEN the sample contract, which lies in S3 since the stack started
    source = stack.read("s3://documents/contract.pdf")
    # WHEN it is submitted
    job_id = accepted(stack, documentUrl="s3://documents/contract.pdf", type="contract")
    done = wait_until(stack, job_id, "done")
    # THEN every step is done, in order
    assert [s["name"] for s in done["steps"]] == STEPS
    assert {s["state"] for s in done["steps"]} == {"done"}
    assert all(s["startedAt"] <= s["finishedAt"] for s in done["steps"])
    # AND what lies in S3 is made from this very document
    objects = {
        obj["Key"]: obj["Size"]
        for bucket in ("work", "results")
        for obj in stack.s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        if job_id in obj["Key"]
    }
    assert all(size > 0 for size in objects.values())
    result = done["result"]
    report = json.loads(stack.read(result["resultUri"]))
    assert report["jobId"] == job_id
    assert report["document"]["sha256"] == hashlib.sha256(source).hexdigest()
    assert report["document"]["bytes"] == len(source)
    text = stack.read(report["text"]["uri"]).decode()
    wanted = PdfReader(io.BytesIO(source)).pages[0].extract_text().split()[:5]
    assert all(word in text for word in wanted)
    assert report["analysis"]["type"] == "contract"
    assert report["analysis"]["parties"], "the sample contract names its parties"
    readable = stack.read(result["reportUri"]).decode()
    assert job_id in readable


def test_requester_without_callback_finds_a_message_in_the_inbox(stack: Stack) -> None:
    job_id = accepted(stack, requesterId="someone@example.com")
    done = wait_until(stack, job_id, "done")
    message = json.loads(stack.read(done["result"]["notification"]["where"]))
    assert message["data"]["jobId"] == job_id
    assert message["data"]["status"] == "done"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("s3://documents/invoice.pdf", "invoice"),
        ("s3://documents/report.docx", "report"),
        ("s3://documents/letter.txt", "report"),
    ],
)
def test_every_sample_document_is_processed(stack: Stack, url: str, kind: str) -> None:
    job_id = accepted(stack, documentUrl=url, type=kind)
    done = wait_until(stack, job_id, "done")
    report = json.loads(stack.read(done["result"]["resultUri"]))
    assert report["analysis"]["type"] == kind
    assert report["text"]["characters"] > 200


@pytest.mark.parametrize("event", [event_v2, event_v1], ids=["payload-2.0", "payload-1.0"])
@pytest.mark.parametrize("function", ["function", "document-processor"])
def test_seed_case_through_the_lambda_api(
    stack: Stack, event: Callable[..., dict[str, Any]], function: str
) -> None:
    body = job()
    answer = invoke(stack, event("POST", "/process-document", body), function)
    assert answer["statusCode"] == 202
    assert json.loads(answer["body"]) == {"status": "accepted", "jobId": body["jobId"]}
    wait_until(stack, body["jobId"], "done")
    seen = invoke(stack, event("GET", f"/status/{body['jobId']}"), function)
    assert seen["statusCode"] == 200
    assert json.loads(seen["body"])["status"] == "done"


def test_function_file_runs_by_itself_as_a_smoke_test(stack: Stack) -> None:
    name = job()["jobId"]
    said = stack.compose("exec", "-T", "lambda", "python", "lambda_function.py", name)
    assert '"statusCode": 202' in said
    wait_until(stack, name, "done", "failed")


# ---------------------------------------------------------------- status


def test_status_while_the_job_runs_tells_where_it_is(stack: Stack) -> None:
    # S3 is paused, so the job stays in its first step during the checks.
    stack.pause("localstack")
    try:
        job_id = accepted(stack)
        seen = wait_until(stack, job_id, "processing")
        assert step(seen, "store_results")["state"] == "pending"
        assert "result" not in seen
        assert "error" not in seen
    finally:
        stack.unpause("localstack")
    wait_until(stack, job_id, "done")


def test_unknown_job_is_404(stack: Stack) -> None:
    answer = stack.api.get("/status/never-submitted")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "job_not_found"
    assert "never-submitted" in answer.json()["error"]["message"]


# ---------------------------------------------------------------- once


def test_same_job_twice_is_the_same_answer_and_one_execution(stack: Stack) -> None:
    body = job()
    first, second = submit(stack, body), submit(stack, body)
    assert first.status_code == second.status_code == 202
    assert first.json() == second.json()
    done = wait_until(stack, body["jobId"], "done")
    # Also when it is over.
    assert submit(stack, body).status_code == 202
    assert status(stack, body["jobId"]) == done


def test_same_job_from_20_clients_at_once_runs_once(stack: Stack) -> None:
    body = job()
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda _: submit(stack, body), range(20)))
    assert [a.status_code for a in answers] == [202] * 20, [a.text for a in answers]
    assert len({a.text for a in answers}) == 1
    wait_until(stack, body["jobId"], "done")
    assert runs_of(stack, body["jobId"]) == dict.fromkeys(STEPS, 1)


def test_same_id_for_another_job_is_409(stack: Stack) -> None:
    body = job()
    assert submit(stack, body).status_code == 202
    answer = submit(stack, body | {"type": "invoice"})
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "job_conflict"
    assert wait_until(stack, body["jobId"], "done")


# ---------------------------------------------------------------- asking wrongly


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("jobId", None),
        ("jobId", ""),
        ("jobId", "../../etc/passwd"),
        ("jobId", "a" * 200),
        ("jobId", "a:1"),
        ("jobId", 7),
        ("documentUrl", None),
        ("documentUrl", "ftp://example.com/a.pdf"),
        ("documentUrl", "s3://"),
        ("documentUrl", "not a url"),
        ("requesterId", None),
        ("requesterId", ""),
        ("type", None),
        ("type", "poem"),
        ("requiresApproval", "yes"),
        ("callbackUrl", "file:///etc/passwd"),
        ("surprise", "field"),
    ],
)
def test_bad_field_is_400_and_named(stack: Stack, field: str, value: object) -> None:
    body = job()
    if value is None:
        del body[field]
    else:
        body[field] = value
    answer = submit(stack, body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "invalid_request"
    assert [f["field"] for f in error["fields"]] == [field]
    assert error["fields"][0]["message"]


def test_all_bad_fields_are_named_at_once(stack: Stack) -> None:
    answer = stack.api.post("/process-document", json={})
    assert answer.status_code == 400
    named = {f["field"] for f in answer.json()["error"]["fields"]}
    assert named == {"jobId", "documentUrl", "requesterId", "type"}


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"text"', "\x00\xff", '{"jobId": NaN}'])
def test_body_that_is_no_json_object_is_400(stack: Stack, body: str) -> None:
    answer = stack.api.post(
        "/process-document", content=body.encode("latin-1"), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_request"


# ---------------------------------------------------------------- a document that is not there


@pytest.mark.parametrize("url", ["s3://documents/no-such.pdf", "s3://no-such-bucket/contract.pdf"])
def test_missing_document_ends_the_job_at_once(stack: Stack, url: str) -> None:
    job_id = accepted(stack, documentUrl=url)
    failed = wait_until(stack, job_id, "failed")
    assert failed["error"]["step"] == "download_document"
    assert failed["error"]["code"] == "document_not_found"
    assert url in failed["error"]["message"]
    assert step(failed, "extract_text")["state"] != "done"
