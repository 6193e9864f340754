"""What the server answers to browsers: foreign pages get nothing, on either port."""

import http.client
import json
import socket
from collections.abc import Callable

import pytest

from conftest import VERSION, Running

type Launch = Callable[..., Running]
PAGE = "https://app.example.org"


def ask(
    server: Running, headers: dict[str, str], kind: str = "promise.get"
) -> tuple[int, dict[str, str], bytes]:
    body = {"kind": kind, "head": {"corrId": "c", "version": VERSION}, "data": {"id": "p"}}
    return server.http("POST", "/", json.dumps(body).encode(), headers)


def raw(port: int, request: bytes) -> bytes:
    """The first line of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        peer.sendall(request)
        return peer.makefile("rb").readline().strip()


def test_a_command_line_is_served_as_before(launch: Launch) -> None:
    server = launch()
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        assert ask(server, {"content-type": kind})[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example:8001"},
        {"origin": "https://evil.example", "content-type": "text/plain"},
        {"origin": "null", "content-type": "application/json"},
        {"origin": "http://127.0.0.1:8001", "content-type": "application/json"},
    ],
)
def test_a_foreign_page_is_refused_in_the_protocols_own_form(launch: Launch, headers: dict[str, str]) -> None:
    server = launch()
    status, answered, body = ask(server, headers, "promise.search")
    assert status == 403
    assert "access-control-allow-origin" not in answered
    said = json.loads(body)
    assert said["head"] == {"corrId": "0", "status": 403, "version": VERSION}
    assert "ALLOWED_" in said["data"]


def test_an_image_opens_no_stream(launch: Launch) -> None:
    """A browser sends no Origin with it; the stream would take offers that are a worker's."""
    server = launch()
    for site in ("cross-site", "same-site"):
        headers = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
        assert server.http("GET", "/poll/worker/x", headers=headers)[0] == 403
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert server.http("GET", "/poll/worker/x", headers=link)[0] == 403


def test_a_preflight_is_refused(launch: Launch) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    status, answered, _ = launch().http("OPTIONS", "/", headers=headers)
    assert status == 403
    assert "access-control-allow-origin" not in answered


def test_hosts_as_the_protocol_has_them(launch: Launch) -> None:
    server = launch()
    get = b"GET /health HTTP/1.1\r\nConnection: close\r\n"
    assert raw(server.port, get + b"Host: localhost\r\n\r\n") == b"HTTP/1.1 200 OK"
    assert raw(server.port, get + b"\r\n") == b"HTTP/1.1 400 Bad Request"
    assert (
        raw(server.port, get + b"Host: localhost\r\nHost: evil.example\r\n\r\n")
        == b"HTTP/1.1 400 Bad Request"
    )
    assert (
        raw(server.port, get + b"Host: localhost\r\nHost: localhost\r\n\r\n") == b"HTTP/1.1 400 Bad Request"
    )
    assert raw(server.port, b"GET /health HTTP/1.0\r\n\r\n").endswith(b"200 OK")
    strange = b"GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert raw(server.port, strange) == b"HTTP/1.1 403 Forbidden"


def test_pipelined_behind_others_a_refusal_comes_in_its_turn(launch: Launch) -> None:
    server = launch()
    body = json.dumps(
        {"kind": "promise.get", "head": {"corrId": "c", "version": VERSION}, "data": {"id": "p"}}
    )
    head = f"POST / HTTP/1.1\r\nContent-Length: {len(body)}\r\n"
    good = f"{head}Host: localhost\r\n\r\n{body}"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as peer:
        last = f"{head}Host: localhost\r\nConnection: close\r\n\r\n{body}"
        peer.sendall(f"{good}{head}Host: evil.example\r\n\r\n{body}{last}".encode())
        lines = [line for line in peer.makefile("rb").read().split(b"\r\n") if b"HTTP/1.1 " in line]
    assert [line[-13:].split(b" ")[-1] for line in lines] == [b"Found", b"Forbidden", b"Found"]


def test_the_metrics_are_no_pages_either(launch: Launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    launch(RESONATE_OBSERVABILITY__METRICS_PORT=str(port))
    for headers, status in (
        ({}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/metrics", headers=headers)
        assert connection.getresponse().status == status, headers
        connection.close()


def test_pages_and_names_that_are_allowed(launch: Launch) -> None:
    server = launch(ALLOWED_HOSTS="stack.example.org", ALLOWED_ORIGINS=PAGE)
    assert ask(server, {"host": "stack.example.org:443"})[0] == 404
    status, answered, _ = ask(server, {"origin": PAGE, "content-type": "application/json"})
    assert status == 404
    assert answered["access-control-allow-origin"] == PAGE
    assert ask(server, {"origin": PAGE, "content-type": "text/plain"})[0] == 415
    assert ask(server, {"origin": "https://evil.example", "content-type": "application/json"})[0] == 403
    headers = {"origin": PAGE, "access-control-request-method": "POST"}
    assert server.http("OPTIONS", "/", headers=headers)[0] == 200


def test_origins_that_v0_9_8_allows_stay_allowed(launch: Launch) -> None:
    server = launch(RESONATE_SERVER__CORS__ALLOW_ORIGINS='["*"]')
    status, answered, _ = ask(server, {"origin": PAGE, "content-type": "application/json"})
    assert status == 404
    assert answered["access-control-allow-origin"] == "*"


def test_a_wrong_setting_stops_the_server(launch: Launch) -> None:
    server = launch(wait=False, ALLOWED_ORIGINS="localhost:3000")
    assert server.wait() == 1
    assert "ALLOWED_ORIGINS: 'localhost:3000' is no origin" in server.output()
