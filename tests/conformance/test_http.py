"""What is there besides the operations."""

import json
import os
from typing import Any

import httpx
import pytest
from conftest import VERSION, Server


def test_health(client: httpx.Client) -> None:
    for path in ("/health", "/ready"):
        answer = client.get(path)
        assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    "path", ["/promises", "/promises/a", "/promises/a/b", "/tasks", "/tasks/claim", "/schedules/x"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_legacy_paths_are_gone(client: httpx.Client, path: str, method: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 410
    assert answer.json() == {
        "error": "This endpoint is no longer supported. Please update to the latest SDK."
    }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 405),
        ("PUT", "/", 405),
        ("POST", "/health", 405),
        ("GET", "/health/", 404),
        ("GET", "/nothing", 404),
        ("HEAD", "/health", 200),
        ("POST", "/x", 404),
    ],
)
def test_other_paths(client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.content) == (status, b"")


def test_answers_are_json_whatever_was_sent(client: httpx.Client) -> None:
    body = {"kind": "promise.get", "head": {"corrId": "ü", "version": VERSION}, "data": {"id": "none"}}
    answer = client.post("/", content=json.dumps(body), headers={"content-type": "text/plain"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["head"]["corrId"] == "ü"


def test_the_order_of_keys(client: httpx.Client) -> None:
    body = {"kind": "promise.search", "head": {"corrId": "1", "version": VERSION}, "data": {"limit": 0}}
    assert client.post("/", json=body).text == (
        '{"kind":"promise.search","head":{"corrId":"1","status":400,"version":"2026-04-01"},'
        '"data":"Limit must be a positive integer"}'
    )


@pytest.mark.parametrize(
    ("body", "kind", "corr", "message"),
    [
        (b"", "unknown", "0", "Invalid request envelope: EOF while parsing a value at line 1 column 0"),
        (b"{", "unknown", "0", "Invalid request envelope: EOF while parsing an object at line 1 column 1"),
        (b"{}", "unknown", "0", "Invalid request envelope: missing field `kind` at line 1 column 2"),
        (
            b'{"kind":"k","head":{"corrId":"c"},"data":{}}',
            "k",
            "c",
            "Invalid request envelope: missing field `version` at line 1 column 33",
        ),
        (
            b'{"kind":"k","head":{"corrId":5,"version":""},"data":{}}',
            "k",
            "0",
            "Invalid request envelope: invalid type: integer `5`, expected a string at line 1 column 30",
        ),
        (
            b'{"kind":"k","head":{"corrId":"c","version":"2026-04-01"}}',
            "k",
            "c",
            "Invalid request envelope: missing field `data` at line 1 column 57",
        ),
        (
            b'{"kind":"","head":{"corrId":"c","version":"2026-04-01"},"data":{}}',
            "",
            "c",
            "Missing or invalid 'kind' field — must be a non-empty string",
        ),
        (
            b'{"kind":"k","head":{"corrId":"c","version":"2026-04-01"},"data":[]}',
            "k",
            "c",
            "Invalid 'data' field — must be an object",
        ),
        (
            b'{"kind":"k","head":{"corrId":"c","version":"1"},"data":{}}',
            "k",
            "c",
            "Unsupported protocol version '1', supported versions: [\"2026-04-01\"]",
        ),
        (
            b'{"kind":"k","head":{"corrId":"c","version":"2026-04-01"},"data":{}}',
            "k",
            "c",
            "Unknown operation: k",
        ),
    ],
)
def test_envelopes(server: Server, body: bytes, kind: str, corr: str, message: str) -> None:
    assert server.raw(body) == (
        400,
        {"kind": kind, "head": {"corrId": corr, "status": 400, "version": VERSION}, "data": message},
    )


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("promise.get", {}, "Invalid request: missing field `id`"),
        ("promise.get", {"id": None}, "Invalid request: invalid type: null, expected a string"),
        (
            "promise.create",
            {"id": "x", "timeoutAt": "1"},
            'Invalid request: invalid type: string "1", expected i64',
        ),
        ("promise.create", {"id": "x", "timeoutAt": -1}, "TimeoutAt must be a non-negative integer"),
        ("promise.create", {"id": "\0", "timeoutAt": 1}, "Promise ID must not contain null bytes"),
        (
            "promise.settle",
            {"id": "x", "state": "pending"},
            "Invalid request: unknown variant `pending`, expected one of `resolved`, `rejected`, `rejected_canceled`",
        ),
        ("task.acquire", {"id": "x", "version": 0, "pid": "p", "ttl": 0}, "TTL must be a positive integer"),
        ("task.heartbeat", {"pid": "", "tasks": []}, "Process ID is required"),
        ("task.heartbeat", {"pid": "p"}, "Invalid request: missing field `tasks`"),
        (
            "schedule.create",
            {"id": "x", "cron": "", "promiseId": "p", "promiseTimeout": 1},
            "Cron expression is required",
        ),
    ],
)
def test_validation(server: Server, kind: str, data: Any, message: str) -> None:
    assert server(kind, data) == (400, message)


def test_debug_operations(server: Server) -> None:
    status, data = server("debug.tick", {})
    assert (status, data) in (
        (403, "Debug operations are disabled"),
        (400, "Missing or invalid 'time' field"),
    )


@pytest.mark.skipif(not os.environ.get("RESONATE_METRICS_URL"), reason="RESONATE_METRICS_URL: …/metrics")
def test_metrics(server: Server) -> None:
    server("promise.get", {"id": "none"})
    answer = httpx.get(os.environ["RESONATE_METRICS_URL"])
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'resonate_request_total{kind="promise.get",status="404"}' in answer.text
    assert 'resonate_request_duration_seconds_bucket{kind="promise.get",le="+Inf"}' in answer.text
    assert 'resonate_messages_total{kind="execute"}' in answer.text
