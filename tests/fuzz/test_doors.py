"""Damaged requests to the HTTP API, the Lambda API and the Resonate server."""

import json
import os
from collections.abc import Callable

import pytest

from fuzz.table import record
from fuzz.wire import Report, Request, fuzz, request, send
from harness.documents import accepted, wait_until
from harness.engine import inspect
from harness.stack import SERVICES, Stack

COUNT = int(os.environ.get("FUZZ_INPUTS", "400"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))

JOB = json.dumps(
    {
        "jobId": "fuzz-1",
        "documentUrl": "s3://documents/contract.pdf",
        "requesterId": "fuzz",
        "type": "contract",
        "requiresApproval": True,
        "callbackUrl": "https://example.com/hook?a=b",
    }
).encode()
EVENT = json.dumps(
    {
        "version": "2.0",
        "routeKey": "GET /status/{jobId}",
        "rawPath": "/status/fuzz-1",
        "rawQueryString": "a=1&b=%20",
        "cookies": ["a=b"],
        "headers": {"content-type": "application/json", "accept": "*/*"},
        "queryStringParameters": {"a": "1"},
        "pathParameters": {"jobId": "fuzz-1"},
        "requestContext": {"http": {"method": "GET", "path": "/status/fuzz-1"}, "stage": "$default"},
        "body": "",
        "isBase64Encoded": False,
    }
).encode()


def wire(kind: str, **data: object) -> Request:
    head = {"corrId": "1", "version": "2026-04-01"}
    return request("POST", "/", {"kind": kind, "head": head, "data": data})


INVOKE = "/2015-03-31/functions/function/invocations"
HTTP_API = [
    request("POST", "/process-document", JOB),
    request("GET", "/status/fuzz-1"),
    request("GET", "/jobs?state=done&limit=10&cursor=abc"),
    request("POST", "/approve/fuzz-1", b'{"approved": true, "approver": "a", "comment": "b"}'),
    request("DELETE", "/jobs/fuzz-1"),
    request("POST", "/jobs/fuzz-1/retry"),
    request("OPTIONS", "/jobs", Origin="https://a.example", Access_Control_Request_Method="GET"),
]
LAMBDA_API = [
    request("POST", INVOKE, EVENT),
    request("POST", INVOKE, EVENT, X_Amz_Log_Type="Tail", X_Amz_Client_Context="eyJhIjoxfQ=="),
    request("POST", INVOKE, EVENT, X_Amz_Invocation_Type="DryRun"),
    request("POST", INVOKE, b"{}"),
    request("POST", INVOKE + "?Qualifier=$LATEST", b'"text"'),
    request(
        "POST",
        "/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:function/invocations",
        b"[]",
    ),
]
CREATE = {
    "id": "fuzz/1",
    "timeoutAt": 9999999999999,
    "param": {"headers": {}, "data": "e30="},
    "tags": {"a": "b"},
}
RESONATE = [
    wire("promise.create", **CREATE),
    wire("promise.get", id="fuzz/1"),
    wire("promise.settle", id="fuzz/1", state="resolved", value={"headers": {}, "data": "e30="}),
    wire("promise.search", tags={"a": "b"}, limit=10),
    wire("promise.register_callback", awaited="fuzz/1", awaiter="fuzz/2"),
    wire("task.acquire", id="fuzz/1", version=1, pid="p", ttl=1000),
    wire("task.create", pid="p", ttl=1000, action={"kind": "promise.create", "head": {}, "data": CREATE}),
    wire("task.heartbeat", pid="p", tasks=[{"id": "fuzz/1", "version": 1}]),
    wire("task.fence", id="fuzz/1", version=1, action={"kind": "promise.create", "head": {}, "data": CREATE}),
    wire("schedule.create", id="s", cron="* * * * *", promiseId="s.{{.timestamp}}", promiseTimeout=1000),
    request("GET", "/health"),
    request("GET", "/metrics"),
]


@pytest.fixture
def unharmed(stack: Stack) -> Callable[[Report, str], None]:
    """Report the outcome of the inputs, and check that no service died."""
    lives = {service: _lives(stack, service) for service in SERVICES}

    def check(report: Report, name: str) -> None:
        print(f"\n{name}: {report}, seed {SEED}")
        now = {service: _lives(stack, service) for service in SERVICES}
        hangs = report.statuses["hang"]
        crashes = len(report.failed) - hangs + sum(now[service] != lives[service] for service in SERVICES)
        record(name, report.statuses, crashes, hangs, SEED)
        assert not report.failed, report.keep(name)
        assert now == lives
        wait_until(stack, accepted(stack), "done", seconds=120)

    return check


def _lives(stack: Stack, service: str) -> list[tuple[str, int]]:
    found = [inspect(container) for container in sorted(stack.containers(service))]
    return [(container["State"]["StartedAt"], container["RestartCount"]) for container in found]


Unharmed = Callable[[Report, str], None]


@pytest.mark.timeout(7200)
def test_http_api(stack: Stack, unharmed: Unharmed) -> None:
    """503 is API Gateway's own answer when an environment takes over 30 s; no other status above 499 is allowed."""
    unharmed(fuzz(int(stack.settings["API_PORT"]), HTTP_API, COUNT, SEED), "HTTP API")


@pytest.mark.timeout(7200)
def test_lambda_api(stack: Stack, unharmed: Unharmed) -> None:
    unharmed(fuzz(int(stack.settings["LAMBDA_PORT"]), LAMBDA_API, COUNT, SEED), "Lambda API")


@pytest.mark.timeout(7200)
def test_resonate_server(stack: Stack, unharmed: Unharmed) -> None:
    """v0.9.8 answers 501 to a kind of request that it knows but does not serve."""
    port = int(stack.settings["RESONATE_PORT"])
    unharmed(fuzz(port, RESONATE, COUNT, SEED, allowed=frozenset({501})), "Resonate server")


@pytest.mark.parametrize(
    "path",
    [
        "/status/../../etc/passwd", "/status/..%2f..%2fetc%2fpasswd", "/status/%2e%2e", "/status/a%00b", "/status/%ff%fe",
        "/status/a%0d%0aSet-Cookie:%20a=b",
        "/jobs/" + "a" * 129, "/jobs/a:1", "/jobs/a~2", "/jobs/.hidden", "/jobs/%E2%80%AE",
    ],
)  # fmt: skip
def test_path_tricks_in_a_job_id_are_refused(stack: Stack, path: str) -> None:
    """A jobId becomes part of a promise's id and of an S3 key, so only the allowed characters may get through."""
    method = "GET" if path.startswith("/status") else "DELETE"
    answer = send(int(stack.settings["API_PORT"]), bytes(request(method, path)))
    status = int(answer.split(b" ")[1])
    assert status in (400, 404), answer
    assert b"set-cookie" not in answer.lower()


@pytest.mark.parametrize(
    "job_id", ["../up", "a/b", "a:1", "a~2", "a b", "", ".", "a\0", "ä", "x" * 129, "a\n", None, 7, ["a"]]
)
def test_job_ids_of_a_submission_are_checked(stack: Stack, job_id: object) -> None:
    body = json.loads(JOB) | {"jobId": job_id}
    answer = stack.api.post("/process-document", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["fields"][0]["field"] == "jobId"
