"""Requests that no client should send are answered, or the connection is closed. There is never a 5xx, and the next
request is served.

AWS documents nothing of this; the rules are HTTP's own (RFC 9112).
"""

import re
import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from harness.stack import Stack
from harness.waiting import wait_for
from integration.gateway.invoking import invoke

HOST = b"Host: localhost\r\n"
CLOSE = b"Connection: close\r\n\r\n"
GET = b"GET /things/7 HTTP/1.1\r\n" + HOST
PUT = b"PUT /files/x HTTP/1.1\r\n" + HOST
INVOKE = b"POST /2015-03-31/functions/function/invocations HTTP/1.1\r\n" + HOST

#: What is sent, and the statuses of the answers; the last one's connection is closed.
HTTP_API = {
    "no HTTP": (b"hello\r\n\r\n", [400]),
    "TLS": (bytes.fromhex("16030100c8010000c40303") + b"x" * 100, [400]),
    "HTTP/1.0": (b"GET /things/7 HTTP/1.0\r\n\r\n", [200]),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "no Host": (b"GET /things/7 HTTP/1.1\r\n\r\n", [400]),
    "pipelining": (GET + b"\r\n" + GET + b"\r\n" + GET + CLOSE, [200, 200, 200]),
    "Expect": (PUT + b"Expect: 100-continue\r\nContent-Length: 2\r\n" + CLOSE + b"ok", [100, 200]),
    "another Expect": (PUT + b"Expect: tea\r\nContent-Length: 2\r\n" + CLOSE + b"ok", [417]),
    "a header of 200 KB": (GET + b"X: " + b"x" * 200_000 + b"\r\n\r\n", [400]),
    "5000 headers": (GET + b"".join(b"X%d: 1\r\n" % n for n in range(5000)) + b"\r\n", [400]),
    "a chunk without a size": (PUT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", [400]),
    "two framings": (PUT + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", [400]),
    "two lengths": (PUT + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", [400]),
    "a length below nothing": (PUT + b"Content-Length: -3\r\n\r\n", [400]),
    "no such method": (b"BREW /things/7 HTTP/1.1\r\n" + HOST + CLOSE, [400]),
    "an absolute target": (b"GET http://localhost/things/7 HTTP/1.1\r\n" + HOST + CLOSE, [200]),
    "a strange absolute target": (b"GET http://x/things/7 HTTP/1.1\r\n" + HOST + CLOSE, [403]),
    "a strange host": (b"GET /things/7 HTTP/1.1\r\nHost: x\r\n" + CLOSE, [403]),
    "two hosts": (GET + HOST + CLOSE, [400]),
    "CONNECT": (b"CONNECT x:443 HTTP/1.1\r\n" + HOST + CLOSE, [404]),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\n" + HOST + CLOSE, [404]),
    "dots in the path": (b"GET /things/../things/7 HTTP/1.1\r\n" + HOST + CLOSE, [404]),
    "bad percent": (b"GET /things/%zz%ff HTTP/1.1\r\n" + HOST + CLOSE, [200]),
    "NUL": (b"GET /things/a\x00b HTTP/1.1\r\n" + HOST + CLOSE, [400]),
    "bytes in a header": (GET + b"X: \xe9\xff\r\n" + CLOSE, [200]),
    "a folded header": (GET + b"X: a\r\n b\r\n" + CLOSE, [400]),
}
LAMBDA_API = {
    "no HTTP": (b"hello\r\n\r\n", [400]),
    "HTTP/1.0": (INVOKE.replace(b"1.1", b"1.0") + b"Content-Length: 2\r\n\r\n{}", [200]),
    "GET": (b"GET / HTTP/1.1\r\n" + HOST + CLOSE, [404]),
    "no name": (INVOKE.replace(b"/function/", b"//") + CLOSE, [404]),
    "deep JSON": (INVOKE + b"Content-Length: 100000\r\n" + CLOSE + b"[" * 100_000, [400]),
    "gzip that is none": (
        INVOKE + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n" + CLOSE + b"xx",
        [400],
    ),
}


def statuses(url: str, data: bytes) -> list[int]:
    """The statuses of the answers, until the other side closes the connection."""
    address = urlsplit(url)
    received = b""
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=20) as peer:
        try:
            peer.sendall(data)
            while chunk := peer.recv(65536):
                received += chunk
        except ConnectionError:
            # The server closed before it had read everything, which is allowed once it has answered.
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) [A-Z]", received)]


@pytest.mark.parametrize("what", HTTP_API)
def test_nonsense_at_the_http_api(probe: Stack, what: str) -> None:
    data, expected = HTTP_API[what]
    assert statuses(probe.api_url, data) == expected
    assert probe.api.get("/things/7").status_code == 200


@pytest.mark.parametrize("what", LAMBDA_API)
def test_nonsense_at_the_lambda_api(probe: Stack, what: str) -> None:
    data, expected = LAMBDA_API[what]
    assert statuses(probe.lambda_url, data) == expected
    assert invoke(probe, {"n": 1}) == {"n": 1}


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize(("door", "request_line"), [("api_url", PUT), ("lambda_url", INVOKE)])
def test_a_client_that_leaves_in_its_body_is_one_line_in_the_log(
    probe: Stack, door: str, request_line: bytes, framing: bytes
) -> None:
    address = urlsplit(getattr(probe, door))
    before = len(probe.logs("gateway"))
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=20) as peer:
        peer.sendall(request_line + framing + b"\r\n\r\n5\r\n{")
    wait_for(
        lambda: "disconnected while it sent its body" in probe.logs("gateway")[before:],
        "the log to say so",
        20,
    )
    assert "Traceback" not in probe.logs("gateway")[before:]
    assert probe.api.get("/things/7").status_code == 200


def test_two_hundred_clients_that_never_finish_their_heads_keep_nobody_waiting(probe: Stack) -> None:
    address = urlsplit(probe.api_url)
    with ExitStack() as open_ones:
        for _ in range(200):
            peer = socket.create_connection((address.hostname or "", address.port or 0), timeout=20)
            open_ones.enter_context(peer)
            peer.sendall(GET + b"X-Slow: ")
        start = time.monotonic()
        for _ in range(20):
            assert probe.api.get("/things/7").status_code == 200
        assert time.monotonic() - start < 20
