"""Asynchronous invocation: accepted at once, delivered at least once, retried, kept where it failed for good.

AWS: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html and
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html ("If the function returns an error,
by default Lambda attempts to run it two more times, with a one-minute wait between the first two attempts, and two
minutes between the second and third attempts": LAMBDA_RETRY_SECONDS, "1 1" here).
"""

# ruff: noqa: S108 - the environment's own /tmp

import json
import time
import uuid
from functools import partial
from typing import Any

import httpx

from harness.stack import Stack
from harness.waiting import wait_for
from integration.gateway.invoking import invoke


def send(stack: Stack, event: dict[str, Any]) -> str:
    """Sends an event; its request id."""
    answer = stack.lambda_.invoke(FunctionName="function", InvocationType="Event", Payload=json.dumps(event))
    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""
    return str(answer["ResponseMetadata"]["RequestId"])


def marks(stack: Stack, mark: str) -> int:
    """How often the function had the event with this mark."""
    text = invoke(stack, {"do": "read", "path": "/tmp/marks"}) or ""
    return int(text.split().count(mark))


def dead_letters(stack: Stack) -> list[dict[str, Any]]:
    letters: list[dict[str, Any]] = httpx.get(f"{stack.lambda_url}/_local/dead-letters").json()["deadLetters"]
    return letters


def test_event_is_accepted_at_once_and_runs(probe: Stack) -> None:
    mark = uuid.uuid4().hex
    start = time.monotonic()
    send(probe, {"do": "sleep", "seconds": 1.5})
    send(probe, {"do": "append", "mark": mark})
    assert time.monotonic() - start < 1
    wait_for(lambda: marks(probe, mark) == 1, "the event in the function", every=0.5)


def test_event_that_fails_is_tried_three_times_and_kept(probe: Stack) -> None:
    mark = uuid.uuid4().hex
    request_id = send(probe, {"do": "append", "mark": mark, "fail": True})

    def found() -> list[dict[str, Any]]:
        return [
            letter for letter in dead_letters(probe) if letter["requestContext"]["requestId"] == request_id
        ]

    (letter,) = wait_for(found, "the dead letter")
    # https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    assert letter["version"] == "1.0"
    assert letter["requestContext"] == {
        "requestId": request_id,
        "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:document-processor:$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 3,
    }
    assert letter["requestPayload"] == {"do": "append", "mark": mark, "fail": True}
    assert letter["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert letter["responsePayload"]["errorType"] == "ValueError"
    assert marks(probe, mark) == 3


def test_events_outlive_the_gateway(probe: Stack) -> None:
    """kill -9 of the gateway right after it said 202: every event is delivered after its restart."""
    mine = [uuid.uuid4().hex for _ in range(5)]
    # The one environment is busy, so that all of them are waiting.
    send(probe, {"do": "sleep", "seconds": 1.5})
    for mark in mine:
        send(probe, {"do": "append", "mark": mark})
    probe.restart("gateway")
    for mark in mine:
        wait_for(partial(marks, probe, mark), "the event in the function", every=0.5)


def test_throttled_events_wait_and_are_not_lost(probe: Stack) -> None:
    """ "For throttling errors … Lambda returns the event to the queue and attempts to run the function again"."""
    mark = uuid.uuid4().hex
    before = len(dead_letters(probe))
    for _ in range(3):
        send(probe, {"do": "sleep", "seconds": 1.5})
    send(probe, {"do": "append", "mark": mark})
    wait_for(lambda: marks(probe, mark) == 1, "the event in the function", every=1)
    assert len(dead_letters(probe)) == before
