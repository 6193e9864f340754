"""HTTP push goes where PUSH_TO says, and nowhere else."""

import asyncio
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from embedded_server.config import ANYWHERE, HttpPush, SettingsError, load
from embedded_server.metrics import Metrics
from embedded_server.push import Pusher

NONE = Path("/none")


@contextmanager
def hook(status: int = 200, **headers: str) -> Iterator[tuple[int, list[str]]]:
    """A receiver: its port, and the paths it was asked for."""
    asked: list[str] = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, asked
    server.shutdown()
    server.server_close()


def push(to: str, *urls: str) -> Metrics:
    """Sends one message to each, and waits until all are done with."""
    settings = load({"PUSH_TO": to}, NONE).transports.http_push
    metrics = Metrics()

    async def send() -> None:
        pusher = Pusher(settings, metrics)
        for url in urls:
            pusher.send(url, "{}")
        await pusher.close(10)

    asyncio.run(send())
    return metrics


def test_nowhere_unless_somebody_says_so() -> None:
    assert load({}, NONE).transports.http_push.to == frozenset()
    assert HttpPush().to == frozenset()
    with hook() as (port, asked):
        metrics = push("", f"http://127.0.0.1:{port}/x")
    assert asked == []
    assert dict(metrics.deliveries) == {"error": 1}


def test_to_what_is_named_alone() -> None:
    with hook() as (port, asked), hook() as (other, strange):
        push(
            f"http://127.0.0.1:{port}",
            f"http://127.0.0.1:{port}/a?b",
            f"http://127.0.0.1:{other}/c",
            f"http://localhost:{port}/d",
            f"https://127.0.0.1:{port}/e",
            f"http://127.0.0.1:{port}@127.0.0.1:{other}/f",
            f"http://127.0.0.1:{other}\\@127.0.0.1:{port}/g",
            f"http://127.0.0.1:{other}#@127.0.0.1:{port}/h",
        )
    assert asked == ["/a?b"]
    assert strange == []


def test_anywhere_if_somebody_says_so() -> None:
    assert load({"PUSH_TO": " * "}, NONE).transports.http_push.to == ANYWHERE
    with hook() as (port, asked):
        assert dict(push("*", f"http://127.0.0.1:{port}/x").deliveries) == {"success": 1}
    assert asked == ["/x"]


def test_a_redirect_is_not_followed() -> None:
    with hook() as (inner, reached):
        for status in (301, 302, 303, 307, 308):
            with hook(status, location=f"http://127.0.0.1:{inner}/secret") as (port, asked):
                metrics = push("*", f"http://127.0.0.1:{port}/x")
            assert asked == ["/x"]
            assert dict(metrics.deliveries) == {"error": 1}
    assert reached == []


def test_addresses_are_read_with_their_ports() -> None:
    to = load({"PUSH_TO": "http://Hook, https://hook/ http://[::1]:81"}, NONE).transports.http_push.to
    assert to == {("http", "hook", 80), ("https", "hook", 443), ("http", "::1", 81)}


@pytest.mark.parametrize(
    "wrong",
    ["hook:80", "hook", "ftp://hook", "http://", "http://a/path", "http://u@a", "http://a:x", "http://a,*"],
)
def test_what_is_no_address_stops_the_server(wrong: str) -> None:
    with pytest.raises(SettingsError, match="PUSH_TO: "):
        load({"PUSH_TO": wrong}, NONE)
