"""What the seed's function answers, with promises in memory."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lambda_function
from durable_lambda.function.promises import args_of
from durable_lambda.function.testing import PromisesInMemory, event_of

JOB = {"jobId": "job-001", "documentUrl": "s3://documents/letter.txt", "requesterId": "you"}
TABLE = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["tool"]["durable-lambda"]


@pytest.fixture(autouse=True)
def promises(monkeypatch: pytest.MonkeyPatch) -> Iterator[PromisesInMemory]:
    fake = PromisesInMemory()
    monkeypatch.setattr(lambda_function.resonate, "_promises", fake)
    yield fake
    fake.close()


def call(event: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = lambda_function.lambda_handler(event)
    return answer["statusCode"], json.loads(answer["body"])


@pytest.mark.parametrize(
    "event",
    [
        {"httpMethod": "POST", "path": "/process-document", "body": json.dumps(JOB), "pathParameters": None},
        {"body": json.dumps(JOB)},
        event_of("2.0", "POST", "/process-document", JOB),
        event_of("2.0", "POST", "/process-document", JOB, encoded=True),
        event_of("1.0", "POST", "/process-document", JOB),
    ],
)
def test_a_job_is_accepted_with_its_promise(promises: PromisesInMemory, event: dict[str, Any]) -> None:
    assert call(event) == (202, {"status": "accepted", "jobId": "job-001"})
    assert args_of(promises.records["seed/job-001"]) == [JOB]


@pytest.mark.parametrize(
    "event",
    [
        {"httpMethod": "GET", "path": "/status/job-001", "pathParameters": {"jobId": "job-001"}},
        event_of("2.0", "GET", "/status/job-001"),
    ],
)
def test_a_status_follows_the_promise(promises: PromisesInMemory, event: dict[str, Any]) -> None:
    assert call(event)[0] == 404
    call({"body": json.dumps(JOB)})
    assert call(event)[1] == {"status": "processing", "jobId": "job-001"}
    promises.settle("seed/job-001", "resolved", {"words": 3})
    assert call(event)[1] == {"status": "done", "jobId": "job-001", "result": {"words": 3}}
    call({"body": json.dumps({**JOB, "jobId": "job-002"})})
    promises.settle("seed/job-002", "rejected", {"__type": "error", "message": "HTTP Error 404: Not Found"})
    assert call({"httpMethod": "GET", "path": "/status/job-002"})[1] == {
        "status": "failed",
        "jobId": "job-002",
        "error": "HTTP Error 404: Not Found",
    }


@pytest.mark.parametrize(
    "body",
    [
        None, "", "{", "[]", "5", "null", "{}", {"jobId": "a"}, {**JOB, "jobId": 5}, {**JOB, "jobId": "a:1"},
        {**JOB, "jobId": "../a"}, {**JOB, "requesterId": ""}, {**JOB, "documentUrl": "file:///etc/passwd"},
        {**JOB, "documentUrl": "s3://results/x"}, {**JOB, "documentUrl": "s3://documents/../results/x"},
    ],
)  # fmt: skip
def test_what_is_no_job_is_400_and_starts_nothing(promises: PromisesInMemory, body: Any) -> None:
    status, said = call(event_of("1.0", "POST", "/process-document", body))
    assert (status, promises.records) == (400, {})
    assert "s3://documents/" in said["error"]


def test_another_route_is_404_and_a_server_that_is_away_503(
    promises: PromisesInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call({"httpMethod": "GET", "path": "/nowhere"})[0] == 404

    def away(*_: Any) -> None:
        raise ConnectionError("away")

    monkeypatch.setattr(promises, "call", away)
    answer = lambda_function.lambda_handler({"body": json.dumps(JOB)})
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, "2")


def test_the_example_of_pyproject_is_a_job(promises: PromisesInMemory) -> None:
    body = json.loads(json.dumps(TABLE["submit"]["body"]).replace("{id}", "job-003"))
    assert TABLE["submit"]["call"] == "POST /process-document"
    assert call({"body": json.dumps(body)})[0] == 202
