"""The Lambda Invoke API, as boto3 sees it.

AWS: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from botocore.exceptions import ClientError

from harness.stack import Stack
from integration.gateway.invoking import call, invoke, wait_until_busy

MEGABYTE = 2**20


def refused(stack: Stack, **options: object) -> ClientError:
    """The exception that boto3 raises."""
    options.setdefault("FunctionName", "function")
    with pytest.raises(ClientError) as raised:
        stack.lambda_.invoke(**options)
    return raised.value


def code_and_status(error: ClientError) -> tuple[str, int]:
    return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]


def test_request_response_returns_what_the_function_returned(probe: Stack) -> None:
    answer = probe.lambda_.invoke(FunctionName="function", Payload=b'{"a": [1, "\xc3\xa9"]}')
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    assert "LogResult" not in answer
    assert json.load(answer["Payload"]) == {"a": [1, "é"]}


@pytest.mark.parametrize(
    "name",
    [
        "function",
        "document-processor",
        "document-processor:$LATEST",
        "000000000000:function:document-processor",
        "arn:aws:lambda:us-east-1:000000000000:function:document-processor",
    ],
)
def test_the_function_goes_by_name_partial_arn_and_arn(probe: Stack, name: str) -> None:
    assert invoke(probe, {"x": 1}, name=name) == {"x": 1}


def test_no_payload_is_an_empty_event(probe: Stack) -> None:
    assert json.load(probe.lambda_.invoke(FunctionName="function")["Payload"]) == {}


def test_dry_run_is_204_and_runs_nothing(probe: Stack) -> None:
    before = invoke(probe, {"do": "state"})["calls"]
    answer = probe.lambda_.invoke(FunctionName="function", InvocationType="DryRun", Payload=b"{}")
    assert answer["StatusCode"] == 204
    assert invoke(probe, {"do": "state"})["calls"] == before + 1


def test_log_tail_is_the_last_4_kb(probe: Stack) -> None:
    """ "LogType: Set to Tail to include the execution log in the response"; LogResult: "the last 4 KB"."""
    short = call(probe, {"do": "print", "text": "hello from inside"})
    assert "hello from inside" in short.log
    assert f"START RequestId: {short.request_id} Version: $LATEST" in short.log
    assert f"END RequestId: {short.request_id}" in short.log
    long = call(probe, {"do": "print", "text": "x" * 10_000})
    assert len(long.log.encode()) == 4096
    assert "REPORT RequestId" in long.log


def test_client_context_and_trace_reach_the_function(probe: Stack) -> None:
    context = base64.b64encode(json.dumps({"custom": {"colour": "blue"}}).encode()).decode()
    assert invoke(probe, {"do": "context"}, ClientContext=context)["client"] == {"colour": "blue"}
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    answer = httpx.post(
        f"{probe.lambda_url}/2015-03-31/functions/function/invocations",
        json={"do": "context"},
        headers={"X-Amzn-Trace-Id": trace},
    )
    assert answer.json()["trace"] == trace


def test_unknown_function_is_resource_not_found(probe: Stack) -> None:
    error = refused(probe, FunctionName="nobody")
    assert code_and_status(error) == ("ResourceNotFoundException", 404)
    assert isinstance(error, probe.lambda_.exceptions.ResourceNotFoundException)
    assert "function:nobody" in error.response["Error"]["Message"]
    assert code_and_status(refused(probe, Qualifier="7")) == ("ResourceNotFoundException", 404)


@pytest.mark.parametrize("payload", [b"{", b"not json", b'{"a": NaN}', b"\xff\xfe"])
def test_payload_that_is_not_json_is_refused(probe: Stack, payload: bytes) -> None:
    error = refused(probe, Payload=payload)
    assert code_and_status(error) == ("InvalidRequestContentException", 400)
    assert isinstance(error, probe.lambda_.exceptions.InvalidRequestContentException)


def test_payload_over_6_mb_is_too_large(probe: Stack) -> None:
    """Quota "Invocation payload (request and response): 6 MB each, synchronous; 1 MB asynchronous".

    https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html. The API reference names
    RequestTooLargeException, but AWS answers RequestEntityTooLargeException, one of its common errors
    (https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html), for which boto3 has no class: measured in
    https://zaccharles.medium.com/deep-dive-lambdas-request-payload-size-limit-2-2-6350c1ae5577.
    """
    fits = b'"' + b"x" * (6 * MEGABYTE - 2) + b'"'
    assert probe.lambda_.invoke(FunctionName="function", Payload=fits)["StatusCode"] == 200
    error = refused(probe, Payload=fits + b" ")
    assert code_and_status(error) == ("RequestEntityTooLargeException", 413)
    assert error.response["Error"]["Message"] == (
        "Request must be smaller than 6291456 bytes for the InvokeFunction operation"
    )
    event = b'"' + b"x" * MEGABYTE + b'"'
    assert code_and_status(refused(probe, InvocationType="Event", Payload=event)) == (
        "RequestEntityTooLargeException",
        413,
    )


def test_unknown_invocation_type_is_refused(probe: Stack) -> None:
    error = refused(probe, InvocationType="Whenever")
    assert code_and_status(error) == ("InvalidParameterValueException", 400)


def test_busy_environments_throttle_after_the_burst(probe: Stack) -> None:
    """All environments busy: wait LAMBDA_BURST_SECONDS (1 here), then 429 with Retry-After and Reason."""
    with ThreadPoolExecutor() as pool:
        long = pool.submit(invoke, probe, {"do": "sleep", "seconds": 1.8})
        wait_until_busy(probe)
        start = time.monotonic()
        error = refused(probe)
        waited = time.monotonic() - start
        assert code_and_status(error) == ("TooManyRequestsException", 429)
        assert isinstance(error, probe.lambda_.exceptions.TooManyRequestsException)
        assert error.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert error.response["Type"] == "User"
        assert int(error.response["retryAfterSeconds"]) >= 1
        assert 0.9 < waited < 1.7
        assert long.result() is None


def test_a_short_burst_waits_its_turn(probe: Stack) -> None:
    """Ten clients at once on one environment: none crashes it, none is refused."""
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda n: invoke(probe, {"n": n}), range(10)))
    assert answers == [{"n": n} for n in range(10)]


# ---------------------------------------------------------------- function errors
# https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html and
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-retries.html: 200 with X-Amz-Function-Error.


def test_an_exception_is_an_unhandled_function_error(probe: Stack) -> None:
    failed = call(probe, {"do": "raise", "message": "no such thing"})
    assert (failed.status, failed.error) == (200, "Unhandled")
    assert failed.payload["errorType"] == "ValueError"
    assert failed.payload["errorMessage"] == "no such thing"
    assert failed.payload["requestId"] == failed.request_id
    assert any("probe.py" in line for line in failed.payload["stackTrace"])
    assert "[ERROR] ValueError: no such thing" in failed.log


def test_a_time_out_ends_the_function_and_says_so(probe: Stack) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html: "Task timed out after …". Type and
    whole message: https://github.com/localstack/lambda-runtime-init, whose tests are compared with AWS."""
    start = time.monotonic()
    failed = call(probe, {"do": "sleep", "seconds": 30})
    assert 1.9 < time.monotonic() - start < 4
    assert failed.error == "Unhandled"
    assert failed.payload == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {failed.request_id} Error: Task timed out after 2.00 seconds",
    }
    assert f"{failed.request_id} Task timed out after 2.00 seconds" in failed.log
    assert failed.report["Duration"] == "2000.00 ms"
    assert failed.report["Status"] == "timeout"
    assert invoke(probe, {"after": 1}) == {"after": 1}


@pytest.mark.parametrize(
    ("status", "reason"),
    [(3, "Runtime exited with error: exit status 3"), (0, "Runtime exited without providing a reason")],
)
def test_an_exit_is_a_runtime_exit_error(probe: Stack, status: int, reason: str) -> None:
    failed = call(probe, {"do": "leave", "status": status})
    assert failed.error == "Unhandled"
    assert failed.payload == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {failed.request_id} Error: {reason}",
    }
    assert failed.report["Error Type"] == "Runtime.ExitError"
    assert invoke(probe, {"after": 1}) == {"after": 1}


def test_a_response_over_6_mb_is_a_function_error(probe: Stack) -> None:
    assert len(invoke(probe, {"do": "large", "bytes": 6 * MEGABYTE - 2})) == 6 * MEGABYTE - 2
    failed = call(probe, {"do": "large", "bytes": 7 * MEGABYTE})
    assert failed.error == "Unhandled"
    assert failed.payload == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }
    assert invoke(probe, {"after": 1}) == {"after": 1}


def test_out_of_memory_is_reported_as_such(probe: Stack) -> None:
    """Noticed by the supervisor. test_memory.py tests the case where the kernel notices, and names the source of the
    message.
    """
    failed = call(probe, {"do": "grow", "megabytes": 300})
    assert failed.error == "Unhandled"
    assert failed.payload == {
        "errorType": "Runtime.OutOfMemory",
        "errorMessage": f"RequestId: {failed.request_id} Error: Runtime exited with error: signal: killed",
    }
    assert failed.report["Memory Size"] == failed.report["Max Memory Used"] == "128 MB"
    assert failed.report["Error Type"] == "Runtime.OutOfMemory"
    assert invoke(probe, {"after": 1}) == {"after": 1}
