"""The classic bug of a Lambda function in front of a workflow engine: it loses the job."""

from collections.abc import Callable

import pytest

from harness.stack import Stack
from harness.waiting import wait_for
from integration.gateway.invoking import PROBE, invoke, wait_until_frozen

SETTINGS = {"LAMBDA_CONCURRENCY": "1", "LAMBDA_HANDLER": "answers_early.handler"}


@pytest.mark.parametrize(("freeze", "survives"), [("on", False), ("off", True)])
def test_answering_before_the_promise_exists_loses_the_job(
    make_stack: Callable[..., Stack], freeze: str, survives: bool
) -> None:
    """A function that answers 202 while a thread still records the job: frozen, it records nothing; then its
    environment is lost, as AWS does at any time, and the job with it. Other emulators (LAMBDA_FREEZE=off) hide that.

    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html: "Background processes or callbacks
    that were initiated by your Lambda function and did not complete when the function ended resume if Lambda reuses
    the execution environment"; if.
    """
    stack = make_stack(
        env=SETTINGS | {"LAMBDA_FREEZE": freeze}, files=[PROBE], services=["gateway", "server"]
    )
    event = {"server": "http://server:8001", "id": f"early-{freeze}"}
    # WHEN the function has said 202
    assert invoke(stack, event) == {"statusCode": 202}

    def recorded() -> bool:
        head = stack.resonate("promise.get", id=event["id"])["head"]
        return bool(head["status"] == 200)

    if survives:
        wait_for(recorded, "the promise")
        return
    # AND its environment is lost before another request thaws it
    wait_until_frozen(stack)
    stack.restart("lambda")
    # THEN the job that was reported as accepted exists nowhere, and the thread that would have recorded it is gone
    assert not recorded()
