"""A stack with AUTH=on: nobody comes in without a token, and the jobs run as before."""

import base64
import json
import subprocess
import time
from typing import Any

import httpx
import pytest

from harness.jobs import job, wait_until
from harness.stack import ROOT, Stack, docker, inspect, secret
from harness.waiting import wait_for
from integration.conftest import MakeStack


@pytest.fixture(scope="module")
def guarded(make_module_stack: MakeStack) -> Stack:
    stack = make_module_stack(
        env={"AUTH": "on", "LAMBDA_BURST_SECONDS": "20", "ALLOWED_ORIGINS": "https://example.com"}
    )
    stack.api.headers["authorization"] = f"Bearer {token()}"
    return stack


def token(**asked: str) -> str:
    """As a user gets one: `make token`."""
    variables = [f"{name}={value}" for name, value in asked.items()]
    done = subprocess.run(
        ["make", "-s", "token", *variables], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def bare(stack: Stack, authorization: str | None) -> httpx.Response:
    headers = {} if authorization is None else {"authorization": authorization}
    return httpx.get(f"{stack.api_url}/jobs", headers=headers, timeout=35)


def forged(part: int, **claims: Any) -> str:
    """A good token of which one part was written anew, its signature as it was."""
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
    """A browser sends none with it: API Gateway answers it before any authorizer.

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
    # A token of the HTTP API is none of the server's.
    assert resonate(guarded, token(), "promise.get", id="doc/x") == 401
    worker = secret("resonate_token_worker")
    assert resonate(guarded, worker, "promise.get", id="doc/unknown") == 404
    assert resonate(guarded, worker, "promise.get", id="other/unknown") == 403
    assert resonate(guarded, worker, "promise.search", tags={}) == 403
    operator = secret("resonate_token_operator")
    assert resonate(guarded, operator, "promise.get", id="other/unknown") == 404
    poll = httpx.get(f"{guarded.resonate_url}/poll/worker/somebody")
    assert poll.status_code == 401


def test_no_secret_is_in_an_image_a_log_or_docker_inspect(guarded: Stack) -> None:
    hidden = {
        name: secret(name)
        for name in (
            "webhook_secret",
            "resonate_token_worker",
            "resonate_token_function",
            "resonate_private_key",
        )
    }
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
    stack.api.headers["authorization"] = f"Bearer {token()}"
    started = time.monotonic()
    answer = stack.api.post("/process-document", json=job())
    assert answer.status_code == 503, answer.text
    assert time.monotonic() - started < 20
    wait_for(lambda: "Unauthorized" in stack.logs("lambda"), "the function's log to say why")
