"""An environment is lost while it runs a request, as can happen to a host in AWS.

AWS: "ServiceException: The AWS Lambda service encountered an internal error", 500,
https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors; behind an HTTP API it is
{"message":"Internal Server Error"}, https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-troubleshooting-lambda.html.
"""

import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from harness.engine import docker, inspect
from harness.stack import Stack
from harness.waiting import wait_for
from integration.gateway.invoking import invoke, wait_until_busy

LONG = {"do": "sleep", "seconds": 6}


@pytest.fixture(scope="module")
def pair(make_probe: Callable[..., Stack]) -> Stack:
    """Two environments."""
    return make_probe(LAMBDA_CONCURRENCY="2", LAMBDA_TIMEOUT="20", LAMBDA_BURST_SECONDS="20")


def running(stack: Stack) -> list[str]:
    """The containers whose function is running; in all others it is frozen or not started."""

    def runs(container: str) -> bool:
        rows = docker("top", container, "-eo", "pid,stat,args").splitlines()
        return any("bootstrap.py" in row and not row.split()[1].startswith("T") for row in rows)

    return [container for container in stack.containers("lambda") if runs(container)]


def environments(stack: Stack) -> int:
    return int(httpx.get(f"{stack.lambda_url}/_local/health").json()["environments"])


@pytest.mark.parametrize("door", ["lambda", "http"])
def test_killed_container_costs_the_request_inside_and_no_other(pair: Stack, door: str) -> None:
    wait_for(lambda: environments(pair) == 2, "two environments")
    # The answer is sent a moment before the function is frozen.
    wait_for(lambda: not running(pair), "both functions to be frozen")

    def ask(event: dict[str, Any]) -> httpx.Response:
        return pair.api.post("/answer", json=event)

    try:
        with ThreadPoolExecutor() as pool:
            inside: Future[Any] = (
                pool.submit(ask, LONG)
                if door == "http"
                else pool.submit(
                    pair.lambda_.invoke, FunctionName="function", Payload=b'{"do":"sleep","seconds":6}'
                )
            )
            wait_until_busy(pair)
            (victim,) = wait_for(lambda: running(pair), "the function to run")
            others = [pool.submit(invoke, pair, {"n": n}) for n in range(5)]
            docker("kill", "--signal", "KILL", victim)
            if door == "http":
                lost = inside.result()
                assert (lost.status_code, lost.json()) == (500, {"message": "Internal Server Error"})
            else:
                with pytest.raises(ClientError) as raised:
                    inside.result()
                assert raised.value.response["Error"]["Code"] == "ServiceException"
                assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
                assert isinstance(raised.value, pair.lambda_.exceptions.ServiceException)
            # THEN the others get their answers,
            assert [other.result() for other in others] == [{"n": n} for n in range(5)]
            # AND the remaining environment continues to serve.
            wait_for(lambda: environments(pair) == 1, "the loss to be noticed")
            assert invoke(pair, {"after": 1}) == {"after": 1}
    finally:
        # After docker kill a container stays down until it is started; then it is found and serves.
        pair.start("lambda")
    wait_for(lambda: environments(pair) == 2, "the environment to come back")
    both = ThreadPoolExecutor(2).map(lambda _: invoke(pair, {"do": "sleep", "seconds": 1}), range(2))
    assert list(both) == [None, None]


def test_environment_that_dies_by_itself_comes_back_by_itself(pair: Stack) -> None:
    """The container's restart policy, as AWS replaces an environment."""
    wait_for(lambda: environments(pair) == 2, "two environments")
    container = pair.containers("lambda")[0]
    state = inspect(container)["State"]
    os.kill(state["Pid"], signal.SIGKILL)
    wait_for(lambda: inspect(container)["State"]["StartedAt"] > state["StartedAt"], "its restart")
    wait_for(lambda: environments(pair) == 2, "the environment to come back")
    assert invoke(pair, {"after": 1}) == {"after": 1}
