"""HTTP behaviour other than the operations themselves."""

import json
import os
from typing import Any

import httpx
import pytest

from conformance.client import VERSION, Server


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
    body = {"kind": "promise.search", "head": {"corrId": "1", "version": VERSION}, "data": {"limit": 1001}}
    assert client.post("/", json=body).text == (
        '{"kind":"promise.search","head":{"corrId":"1","status":400,"version":"2026-04-01"},'
        '"data":"Invalid \'limit\' — must be between 1 and 1000"}'
    )


ENVELOPE = b'{"kind":"k","head":{"corrId":"c","version":"2026-04-01"},"data":%s}'
DEEP = b'{"a":' * 130 + b"1" + b"}" * 130


@pytest.mark.parametrize(
    ("body", "kind", "corr"),
    [
        (b"", "unknown", "0"),
        (b"{", "unknown", "0"),
        (b"{}", "unknown", "0"),
        (b"nul", "unknown", "0"),
        (b"[1]", "unknown", "0"),
        (b"\xff", "unknown", "0"),
        (b'{"kind":"k","head":{"corrId":"c"},"data":{}}', "k", "c"),
        (b'{"kind":"k","head":{"corrId":5,"version":""},"data":{}}', "k", "0"),
        (b'{"kind":5,"head":{"corrId":"c","version":""},"data":{}}', "unknown", "c"),
        (b'{"kind":"k","head":{"corrId":"c","version":"2026-04-01"}}', "k", "c"),
        (b'{"kind":"k","head":{"corrId":"c","version":"2026-04-01"},"data":{}', "unknown", "0"),
        (ENVELOPE % b"{,}", "unknown", "0"),
        (ENVELOPE % b'{"a":01}', "unknown", "0"),
        (ENVELOPE % b'{"a":1e999}', "unknown", "0"),
        (ENVELOPE % b'{"a":100e003493754}', "unknown", "0"),
        (ENVELOPE % b'{"a":1e9991000014467746}', "unknown", "0"),
        (ENVELOPE % b'{"a":"\\ud800"}', "unknown", "0"),
        (ENVELOPE % b'{"a":"\n"}', "unknown", "0"),
        (ENVELOPE % b"{} x", "unknown", "0"),
        (ENVELOPE % DEEP, "unknown", "0"),
    ],
)
def test_malformed_requests(server: Server, body: bytes, kind: str, corr: str) -> None:
    """Each server words its message differently."""
    status, answer = server.raw(body)
    words = answer.pop("data")
    assert (status, answer) == (
        400,
        {"kind": kind, "head": {"corrId": corr, "status": 400, "version": VERSION}},
    )
    assert words.startswith("Invalid request envelope: ")


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (
            ENVELOPE.replace(b'"k"', b'""') % b"{}",
            "",
            "Missing or invalid 'kind' field — must be a non-empty string",
        ),
        (ENVELOPE % b"[]", "k", "Invalid 'data' field — must be an object"),
        (
            ENVELOPE.replace(b"2026-04-01", b"1") % b"{}",
            "k",
            "Unsupported protocol version '1', supported versions: [\"2026-04-01\"]",
        ),
        (ENVELOPE % b"{}", "k", "Unknown operation: k"),
    ],
)
def test_requests_for_nothing_there_is(server: Server, body: bytes, kind: str, message: str) -> None:
    assert server.raw(body) == (
        400,
        {"kind": kind, "head": {"corrId": "c", "status": 400, "version": VERSION}, "data": message},
    )


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("promise.get", {}),
        ("promise.get", {"id": None}),
        ("promise.get", {"id": ""}),
        ("promise.get", {"id": 2**64}),
        ("promise.create", {"id": "x", "timeoutAt": "1"}),
        ("promise.create", {"id": "x", "timeoutAt": 1.0}),
        ("promise.create", {"id": "x", "timeoutAt": -1}),
        ("promise.create", {"id": "x", "timeoutAt": 2**63}),
        ("promise.create", {"id": "\0", "timeoutAt": 1}),
        ("promise.create", {"id": "x", "timeoutAt": 1, "param": None}),
        ("promise.create", {"id": "x", "timeoutAt": 1, "tags": {"a": 1}}),
        ("promise.settle", {"id": "x", "state": "pending"}),
        ("promise.settle", {"id": "x", "state": {"resolved": 1}}),
        ("promise.register_callback", {"awaited": "x", "awaiter": "x"}),
        ("promise.search", {"limit": 0}),
        ("task.acquire", {"id": "x", "version": 0, "pid": "p", "ttl": 0}),
        ("task.suspend", {"id": "x", "version": 1, "actions": []}),
        ("task.heartbeat", {"pid": "", "tasks": []}),
        ("task.heartbeat", {"pid": "p"}),
        ("task.search", {"state": True}),
        ("schedule.create", {"id": "x", "cron": "", "promiseId": "p", "promiseTimeout": 1}),
    ],
)
def test_requests_of_the_wrong_shape(server: Server, kind: str, data: Any) -> None:
    status, message = server(kind, data)
    assert status == 400
    assert isinstance(message, str)
    assert message


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
