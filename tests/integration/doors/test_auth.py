"""A stack with AUTH=on: nobody is let in without a token or a signature, a job belongs to its requester, and jobs run
as before.
"""

import base64
import hashlib
import io
import json
import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import boto3
import httpx
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from harness.documents import job, wait_until
from harness.engine import docker, inspect
from harness.fixtures import MakeStack
from harness.machine import ROOT, access_key, secret
from harness.stack import Stack, client
from harness.waiting import wait_for

#: Runs in an environment's container: prints the environment variables of the function's process.
FUNCTION_ENVIRONMENT = """
import json, pathlib
for process in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        said = (process / "environ").read_bytes().decode().split(chr(0))
    except OSError:
        continue
    found = dict(one.split("=", 1) for one in said if "=" in one)
    if "AWS_LAMBDA_LOG_STREAM_NAME" in found and "AWS_LAMBDA_RUNTIME_API" in found:
        print(json.dumps(found))
        break
"""


@pytest.fixture(scope="module")
def guarded(make_module_stack: MakeStack) -> Stack:
    stack = make_module_stack(
        env={"AUTH": "on", "LAMBDA_BURST_SECONDS": "20", "ALLOWED_ORIGINS": "https://example.com"}
    )
    stack.api.headers["authorization"] = f"Bearer {token(WHO='requester-1')}"
    return stack


def token(**asked: str) -> str:
    """A token as a user gets it, with `make token`."""
    variables = [f"{name}={value}" for name, value in asked.items()]
    done = subprocess.run(
        ["make", "-s", "token", *variables], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def bare(stack: Stack, authorization: str | None) -> httpx.Response:
    headers = {} if authorization is None else {"authorization": authorization}
    return httpx.get(f"{stack.api_url}/jobs", headers=headers, timeout=35)


def forged(part: int, **claims: Any) -> str:
    """A good token with one part replaced and the signature unchanged."""
    parts = token().split(".")
    content = json.loads(base64.urlsafe_b64decode(parts[part] + "=="))
    text = json.dumps(content | claims).encode()
    parts[part] = base64.urlsafe_b64encode(text).rstrip(b"=").decode()
    return ".".join(parts)


def test_a_job_runs_to_its_end_with_a_token(guarded: Stack) -> None:
    body = job()
    answer = guarded.api.post("/process-document", json=body)
    assert answer.status_code == 202, answer.text
    wait_until(guarded, body["jobId"], "done", seconds=60)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (lambda: None, None),
        (lambda: "Bearer nonsense", "the token is malformed"),
        (lambda: f"Bearer {token(HOURS='-1')}", "the token has expired"),
        (lambda: f"Bearer {forged(1, sub='admin')}", "signature error"),
        (lambda: f"Bearer {forged(1, aud='another')}", "signature error"),
        (lambda: f"Bearer {forged(0, alg='none')}", "the token's algorithm is not supported"),
        (lambda: f"Bearer {forged(0, kid='unknown')}", "the token's kid is unknown"),
    ],
)
def test_without_a_good_token_the_http_api_answers_401(guarded: Stack, given: Any, why: str | None) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-troubleshooting-jwt.html"""
    answer = bare(guarded, given())
    assert answer.status_code == 401
    assert answer.json() == {"message": "Unauthorized"}
    expected = f'Bearer scope="" error="invalid_token" error_description="{why}"' if why else "Bearer"
    assert answer.headers["www-authenticate"] == expected


def test_a_preflight_needs_no_token(guarded: Stack) -> None:
    """A browser sends no token with it: API Gateway answers it before any authorizer.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
    """
    answer = httpx.options(
        f"{guarded.api_url}/jobs",
        headers={"origin": "https://example.com", "access-control-request-method": "GET"},
    )
    assert answer.status_code == 204


def resonate(stack: Stack, auth: str | None, kind: str, **data: Any) -> int:
    head = {"corrId": "1", "version": "2026-04-01"} | ({"auth": auth} if auth else {})
    answer = httpx.post(stack.resonate_url, json={"kind": kind, "head": head, "data": data})
    return int(answer.json()["head"]["status"])


def test_the_server_lets_nobody_in_without_a_token_and_each_only_as_far_as_it_must(guarded: Stack) -> None:
    assert resonate(guarded, None, "promise.get", id="doc/x") == 401
    assert resonate(guarded, "nonsense", "promise.get", id="doc/x") == 401
    # The server does not accept a token of the HTTP API.
    assert resonate(guarded, token(), "promise.get", id="doc/x") == 401
    worker = secret("resonate_tokens_worker/doc")
    assert resonate(guarded, worker, "promise.get", id="doc/unknown") == 404
    assert resonate(guarded, worker, "promise.get", id="other/unknown") == 403
    assert resonate(guarded, worker, "promise.search", tags={}) == 403
    operator = secret("resonate_token_operator")
    assert resonate(guarded, operator, "promise.get", id="other/unknown") == 404
    poll = httpx.get(f"{guarded.resonate_url}/poll/worker/somebody")
    assert poll.status_code == 401


# ---------------------------------------------------------------- who owns a job


def ask(
    stack: Stack, method: str, path: str, body: object = None, *, who: str, scope: str = ""
) -> httpx.Response:
    headers = {"authorization": f"Bearer {token(WHO=who, SCOPE=scope)}"}
    return httpx.request(method, f"{stack.api_url}{path}", json=body, headers=headers, timeout=35)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", {}).get("code", "")


def test_a_job_is_its_requester_s_alone(guarded: Stack) -> None:
    """Another person with the scope to approve may also read it and decide."""
    body = job(requesterId="ada", requiresApproval=True)
    job_id = body["jobId"]
    assert code(ask(guarded, "POST", "/process-document", body, who="bob")) == (403, "requester_mismatch")
    assert ask(guarded, "POST", "/process-document", body, who="ada").status_code == 202
    verdict = {"approved": True, "approver": "bob"}
    for method, path, sent in (
        ("GET", f"/status/{job_id}", None),
        ("POST", f"/approve/{job_id}", verdict),
        ("POST", f"/jobs/{job_id}/retry", None),
        ("DELETE", f"/jobs/{job_id}", None),
    ):
        assert code(ask(guarded, method, path, sent, who="bob")) == (404, "job_not_found"), path
    assert ask(guarded, "GET", "/jobs", who="bob").json()["jobs"] == []
    assert [found["jobId"] for found in ask(guarded, "GET", "/jobs", who="ada").json()["jobs"]] == [job_id]

    def waits() -> bool:
        seen = ask(guarded, "GET", f"/status/{job_id}", who="ada").json()
        return bool(seen["status"] == "awaiting_approval")

    wait_for(waits, "the job to wait for approval", seconds=60)
    own = verdict | {"approver": "ada"}
    assert code(ask(guarded, "POST", f"/approve/{job_id}", own, who="ada")) == (403, "scope_missing")
    scope = "jobs:approve"
    assert code(ask(guarded, "POST", f"/approve/{job_id}", own, who="ada", scope=scope)) == (403, "own_job")
    refused = ask(guarded, "POST", f"/approve/{job_id}", own, who="boss", scope=scope)
    assert code(refused) == (403, "approver_mismatch")
    verdict = {"approved": True, "approver": "boss"}
    assert ask(guarded, "POST", f"/approve/{job_id}", verdict, who="boss", scope=scope).status_code == 200
    wait_for(
        lambda: ask(guarded, "GET", f"/status/{job_id}", who="ada").json()["status"] == "done",
        "the job to be done", seconds=60,
    )  # fmt: skip


def test_a_service_acts_for_any_requester(guarded: Stack) -> None:
    body = job(requesterId="somebody")
    answer = ask(guarded, "POST", "/process-document", body, who="service", scope="jobs:any")
    assert answer.status_code == 202, answer.text
    assert ask(guarded, "GET", f"/status/{body['jobId']}", who="somebody").status_code == 200


# ---------------------------------------------------------------- signatures

EVENT = {
    "version": "2.0",
    "rawPath": "/status/unknown",
    "requestContext": {"http": {"method": "GET", "path": "/status/unknown"}, "stage": "$default"},
}
INVOKE = "/2015-03-31/functions/function/invocations"


def aws_error(call: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])


def s3_code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.text.partition("<Code>")[2].partition("</Code>")[0]


def test_what_is_signed_with_the_operator_s_key_is_let_in(guarded: Stack) -> None:
    """As a user gets it: `make credentials`."""
    answer = guarded.lambda_.invoke(FunctionName="function", Payload=json.dumps(EVENT))
    assert json.load(answer["Payload"])["statusCode"] == 404
    guarded.s3.put_object(Bucket="documents", Key="a b/ü+.txt", Body=b"text", Metadata={"a": "b  c"})
    assert guarded.s3.get_object(Bucket="documents", Key="a b/ü+.txt")["Body"].read() == b"text"
    names = [found["Key"] for found in guarded.s3.list_objects_v2(Bucket="documents")["Contents"]]
    assert "a b/ü+.txt" in names
    assert "contract.pdf" in names
    url = guarded.s3.generate_presigned_url("get_object", {"Bucket": "documents", "Key": "a b/ü+.txt"}, 60)
    assert httpx.get(url).content == b"text"
    large = b"x" * (9 * 2**20)
    guarded.s3.upload_fileobj(io.BytesIO(large), "documents", "large")  # in parts
    assert guarded.s3.get_object(Bucket="documents", Key="large")["Body"].read() == large
    guarded.s3.delete_objects(
        Bucket="documents", Delete={"Objects": [{"Key": "large"}, {"Key": "a b/ü+.txt"}]}
    )


def test_make_credentials_is_all_that_a_shell_needs(guarded: Stack) -> None:
    shell = ["bash", "-c", 'eval "$(make -s credentials)" && env | grep ^AWS_']
    environment = os.environ | guarded.settings
    done = subprocess.run(shell, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == access_key("operator")
    assert found["AWS_ENDPOINT_URL_S3"] == guarded.s3_url
    assert found["AWS_ENDPOINT_URL_LAMBDA"] == guarded.lambda_url


def test_without_a_signature_s3_and_the_lambda_api_let_nobody_in(guarded: Stack) -> None:
    answer = httpx.post(guarded.lambda_url + INVOKE, json=EVENT)
    assert (answer.status_code, answer.json()["message"]) == (403, "Missing Authentication Token")
    assert answer.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
    assert httpx.get(f"{guarded.lambda_url}/_local/dead-letters").status_code == 403
    for method, path in (
        ("GET", "/"), ("GET", "/documents"), ("GET", "/documents/contract.pdf"), ("PUT", "/documents/x"),
        ("POST", "/documents?delete"), ("DELETE", "/documents/contract.pdf"), ("PUT", "/another"),
        ("GET", "/_localstack/diagnose"), ("POST", "/_localstack/health"), ("GET", "/_localstack/plugins"),
        ("POST", "/_localstack/state/reset"), ("GET", "/_aws/s3"), ("POST", "/_aws/lambda/runtimes"),
    ):  # fmt: skip
        answer = httpx.request(method, guarded.s3_url + path, content=b"x" if method == "PUT" else None)
        assert s3_code(answer) == (403, "AccessDenied"), path
    form = {"file": ("x", b"x")}
    assert s3_code(httpx.post(f"{guarded.s3_url}/documents", data={"key": "x"}, files=form)) == (
        403,
        "AccessDenied",
    )
    assert httpx.head(f"{guarded.s3_url}/documents/contract.pdf").status_code == 403
    assert httpx.get(f"{guarded.s3_url}/_localstack/health").status_code == 200


@pytest.mark.parametrize(
    ("key", "s3", "lambda_"),
    [
        (("test", "test"), "InvalidAccessKeyId", "UnrecognizedClientException"),
        (("000000000000", "test"), "InvalidAccessKeyId", "UnrecognizedClientException"),
        (("__internal_call__", "__internal_call__"), "InvalidAccessKeyId", "UnrecognizedClientException"),
        (None, "SignatureDoesNotMatch", "InvalidSignatureException"),
    ],
)
def test_another_key_or_secret_is_refused(
    guarded: Stack, key: tuple[str, str] | None, s3: str, lambda_: str
) -> None:
    key = key or (access_key("operator")[0], "x" * 40)
    found = client("s3", guarded.s3_url, *key)
    assert aws_error(found.list_buckets) == s3
    url = found.generate_presigned_url("get_object", {"Bucket": "documents", "Key": "contract.pdf"}, 60)
    assert s3_code(httpx.get(url)) == (403, s3)
    found = client("lambda", guarded.lambda_url, *key)
    assert aws_error(lambda: found.invoke(FunctionName="function")) == lambda_


def test_a_worker_s_key_opens_s3_and_not_the_function(guarded: Stack) -> None:
    key = access_key("worker")
    assert client("s3", guarded.s3_url, *key).list_buckets()["Buckets"]
    invoke = client("lambda", guarded.lambda_url, *key).invoke
    assert aws_error(lambda: invoke(FunctionName="function")) == "UnrecognizedClientException"


def test_a_scope_of_another_region_or_service_is_refused(guarded: Stack) -> None:
    key = access_key("operator")
    elsewhere = client("s3", guarded.s3_url, *key, region="eu-west-1")
    assert aws_error(elsewhere.list_buckets) == "AuthorizationHeaderMalformed"
    invoke = client("lambda", guarded.lambda_url, *key, region="eu-west-1").invoke
    assert aws_error(lambda: invoke(FunctionName="function")) == "InvalidSignatureException"
    request = signed(guarded, "POST", "/", b"Action=GetCallerIdentity&Version=2011-06-15", service="sts")
    assert s3_code(send(request)) == (400, "AuthorizationHeaderMalformed")


def signed(
    stack: Stack, method: str, path: str, body: bytes = b"", age: float = 0, service: str = "s3"
) -> httpx.Request:
    """A request to S3, or to the Lambda API where the path is Invoke's, signed `age` seconds ago."""
    if path == INVOKE:
        service = "lambda"
    url = (stack.lambda_url if service == "lambda" else stack.s3_url) + path
    request = AWSRequest(method, url, {}, body)
    kind = SigV4Auth if service == "lambda" else S3SigV4Auth
    then = datetime.now(UTC) - timedelta(seconds=age)
    with patch("botocore.auth.get_current_datetime", return_value=then.replace(tzinfo=None)):
        kind(Credentials(*access_key("operator")), service, "us-east-1").add_auth(request)
    return httpx.Request(method, url, headers=dict(request.headers.items()), content=body)


def send(request: httpx.Request, **changes: Any) -> httpx.Response:
    """Send it with headers that were changed after it was signed, or with another body, method or path."""
    headers = dict(request.headers) | changes.pop("headers", {})
    headers.pop("content-length", None)
    parts = {"method": request.method, "url": str(request.url), "content": request.content} | changes
    with httpx.Client(timeout=35) as http:
        return http.send(httpx.Request(**parts, headers=headers))


def test_an_altered_request_is_refused(guarded: Stack) -> None:
    request = signed(guarded, "PUT", "/documents/altered", b"signed")
    other = f"{guarded.s3_url}/results/altered"
    for changes in ({"url": other}, {"method": "POST"}, {"headers": {"x-amz-date": "20260101T000000Z"}}):
        assert send(request, **changes).status_code in (400, 403), changes
    assert s3_code(send(request, url=other)) == (403, "SignatureDoesNotMatch")
    unsigned = {"x-amz-acl": "public-read"}
    assert s3_code(send(request, headers=unsigned)) == (403, "AccessDenied")
    assert s3_code(send(request, content=b"another body")) == (400, "XAmzContentSHA256Mismatch")
    assert s3_code(send(request, content=b"")) == (400, "XAmzContentSHA256Mismatch")
    assert aws_error(lambda: guarded.s3.head_object(Bucket="documents", Key="altered")) == "404"
    assert send(request).status_code == 200

    invoke = signed(guarded, "POST", INVOKE, json.dumps(EVENT).encode())
    assert send(invoke).status_code == 200
    refused = send(invoke, content=b"{}")
    assert refused.headers["x-amzn-ErrorType"] == "InvalidSignatureException"


def test_a_request_of_long_ago_or_of_tomorrow_is_refused(guarded: Stack) -> None:
    for age in (1000, -1000):
        assert s3_code(send(signed(guarded, "GET", "/", age=age))) == (403, "RequestTimeTooSkewed")
    for age in (400, -400):
        answer = send(signed(guarded, "POST", INVOKE, b"{}", age=age))
        assert answer.headers["x-amzn-ErrorType"] == "InvalidSignatureException"
        assert answer.status_code == 403


def test_a_presigned_url_ends(guarded: Stack) -> None:
    document = {"Bucket": "documents", "Key": "contract.pdf"}
    then = datetime.now(UTC) - timedelta(minutes=10)
    with patch("botocore.auth.get_current_datetime", return_value=then.replace(tzinfo=None)):
        over = guarded.s3.generate_presigned_url("get_object", document, 300)
        good = guarded.s3.generate_presigned_url("get_object", document, 3600)
    assert httpx.get(good).content.startswith(b"%PDF")
    assert s3_code(httpx.get(over)) == (403, "AccessDenied")
    assert "Request has expired" in httpx.get(over).text
    assert s3_code(httpx.delete(good)) == (403, "SignatureDoesNotMatch")
    assert s3_code(httpx.get(good.replace("X-Amz-Expires=3600", "X-Amz-Expires=36000"))) == (
        403, "SignatureDoesNotMatch",
    )  # fmt: skip
    # boto3 still makes version 2 signatures unless told otherwise; new buckets in AWS refuse them too.
    old = boto3.client(
        "s3", endpoint_url=guarded.s3_url, region_name="us-east-1",
        aws_access_key_id=access_key("operator")[0], aws_secret_access_key=access_key("operator")[1],
        config=Config(signature_version="s3"),
    )  # fmt: skip
    url = old.generate_presigned_url("get_object", document)
    assert s3_code(httpx.get(url)) == (400, "InvalidRequest")


class InChunks(S3SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """Signs a body of which each chunk is signed."""

    def payload(self, request: AWSRequest) -> str:
        return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"


def test_a_body_in_signed_chunks_is_checked_chunk_by_chunk(guarded: Stack) -> None:
    """What AWS's SDKs for Java and Go send."""
    key_id, key = access_key("operator")
    data = [b"a" * 70_000, b"b" * 10]
    url = f"{guarded.s3_url}/documents/in-chunks"
    request = AWSRequest("PUT", url, {
        "X-Amz-Content-SHA256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "Content-Encoding": "aws-chunked",
        "X-Amz-Decoded-Content-Length": str(sum(map(len, data))),
    })  # fmt: skip
    signer = InChunks(Credentials(key_id, key), "s3", "us-east-1")
    signer.add_auth(request)
    headers = dict(request.headers.items())
    at = headers["X-Amz-Date"]
    scope = f"{at[:8]}/us-east-1/s3/aws4_request"
    previous = headers["Authorization"].rpartition("Signature=")[2]
    body = b""
    for chunk in (*data, b""):
        lines = [at, scope, previous, hashlib.sha256(b"").hexdigest(), hashlib.sha256(chunk).hexdigest()]
        previous = signer.signature("\n".join(["AWS4-HMAC-SHA256-PAYLOAD", *lines]), request)
        body += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + chunk + b"\r\n"
    answer = httpx.put(url, content=body.replace(b"bbb", b"bbc"), headers=headers)
    assert s3_code(answer) == (403, "SignatureDoesNotMatch")
    assert aws_error(lambda: guarded.s3.head_object(Bucket="documents", Key="in-chunks")) == "404"
    assert httpx.put(url, content=body, headers=headers).status_code == 200
    assert guarded.s3.get_object(Bucket="documents", Key="in-chunks")["Body"].read() == b"".join(data)


def test_the_function_finds_its_own_key(guarded: Stack) -> None:
    """It is where AWS puts the role's key; the file that it comes from is not readable."""
    guarded.lambda_.invoke(FunctionName="function", Payload=json.dumps(EVENT))
    # A container that has not been invoked yet runs no function.
    said = [
        docker("exec", container, "python", "-c", FUNCTION_ENVIRONMENT)
        for container in guarded.containers("lambda")
    ]
    found = json.loads(next(filter(None, said)))
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == access_key("function")
    assert "LAMBDA_CREDENTIALS_FILE" not in found


def test_no_secret_is_in_an_image_a_log_or_docker_inspect(guarded: Stack) -> None:
    hidden = {
        name: secret(name)
        for name in (
            "applications/documents/worker/webhook_secret",
            "resonate_tokens_worker/doc",
            "resonate_token_function",
            "resonate_private_key",
        )
    } | {f"key of {owner}": access_key(owner)[1] for owner in ("operator", "worker", "function")}
    for service in ("gateway", "lambda", "server", "worker", "localstack"):
        for container in guarded.containers(service):
            shown = inspect(container)
            image = docker("image", "inspect", shown["Image"]) + docker(
                "history", "--no-trunc", shown["Image"]
            )
            for name, value in hidden.items():
                assert value not in json.dumps(shown), (service, name)
                assert value not in image, (service, name)
        said = guarded.logs(service)
        for name, value in hidden.items():
            assert value not in said, (service, name)
    tracked = subprocess.run(
        ["git", "ls-files", "secrets"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "own" not in tracked


def test_a_function_without_a_token_says_503_and_its_log_why(make_stack: MakeStack) -> None:
    stack = make_stack(
        env={"AUTH": "on"},
        files=["tests/integration/doors/no-token.yaml"],
        services=["gateway", "lambda", "server"],
    )
    stack.api.headers["authorization"] = f"Bearer {token(WHO='requester-1')}"
    started = time.monotonic()
    answer = stack.api.post("/process-document", json=job())
    assert answer.status_code == 503, answer.text
    assert time.monotonic() - started < 20
    wait_for(lambda: "refuses the function's token" in stack.logs("lambda"), "the function's log to say why")
