"""Leases are renewed whatever the worker's event loop does, unless it hangs."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from durable_lambda.worker import leases
from durable_lambda.worker.connections import Requests
from durable_lambda.worker.leases import Leases

TTL = 0.3


class Server(ThreadingHTTPServer):
    """A Resonate server in a thread of its own that answers every request with success and records it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[dict[str, Any]] = []
        #: If set, it accepts requests and answers none.
        self.silent = threading.Event()
        #: How many seconds it takes for each answer.
        self.slow = 0.0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def beats(self) -> list[list[dict[str, Any]]]:
        return [r["data"]["tasks"] for r in self.requests if r["kind"] == "task.heartbeat"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        if self.server.silent.is_set():
            return
        time.sleep(self.server.slow)
        head = {"corrId": request["head"]["corrId"], "status": 200, "version": "2026-04-01"}
        body = json.dumps({"kind": request["kind"], "head": head, "data": {}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=[0.02], daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def held(server: Server) -> Iterator[Leases]:
    made = Leases("pid", TTL, lambda took: Requests(server.url, took=took))
    yield made
    made.shutdown()


def block_until(true: Callable[[], object], what: str) -> None:
    """Wait while blocking the event loop."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


async def test_a_loop_that_stands_still_loses_no_lease(server: Server, held: Leases) -> None:
    held.start("doc/a", 1)
    held.start("doc/b", 4)
    block_until(lambda: len(server.beats()) >= 4, "four beats")
    assert server.beats()[-1] == [{"id": "doc/a", "version": 1}, {"id": "doc/b", "version": 4}]
    held.stop("doc/a")
    seen = len(server.beats())
    block_until(lambda: len(server.beats()) >= seen + 2, "two more")
    assert server.beats()[-1] == [{"id": "doc/b", "version": 4}]


async def test_a_loop_that_hangs_loses_its_leases_and_the_log_says_so(
    server: Server, held: Leases, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(leases, "HUNG_SECONDS", 3 * TTL)
    ended: list[bool] = []
    monkeypatch.setattr(held, "_hung", lambda: ended.append(True))
    with caplog.at_level(logging.ERROR):
        held.start("doc/a", 1)
        block_until(lambda: "hangs" in caplog.text, "the hang to be logged")
        block_until(lambda: ended, "the worker to be ended")
    # Three heartbeats per lease, and none since the hang.
    assert len(server.beats()) <= 9


async def test_a_server_that_does_not_answer_is_asked_again_within_a_lease(
    server: Server, held: Leases, caplog: pytest.LogCaptureFixture
) -> None:
    server.silent.set()
    held.start("doc/a", 1)
    block_until(lambda: "could not be renewed" in caplog.text, "the failure to be logged")
    server.silent.clear()
    seen = len(server.beats())
    block_until(lambda: len(server.beats()) >= seen + 2, "heartbeats after it")


async def test_what_is_given_back_is_not_renewed(server: Server, held: Leases) -> None:
    held.start("doc/a", 1)
    block_until(lambda: server.beats(), "a beat")
    assert await held.give_back() == 0  # no client is bound, so nobody is told
    seen = len(server.beats())
    held.start("doc/b", 1)
    block_until(lambda: len(server.beats()) >= seen + 2, "heartbeats of the other")
    assert server.beats()[-1] == [{"id": "doc/b", "version": 1}]


class Releases:
    """A sender that records what is released."""

    def __init__(self) -> None:
        self.released: list[tuple[str, int]] = []

    async def task_release(self, task_id: str, version: int) -> None:
        self.released.append((task_id, version))


async def test_a_task_granted_a_moment_after_the_stop_is_given_back_as_well() -> None:
    held = Leases("pid", TTL, lambda took: Requests("http://127.0.0.1:9"))
    sender = Releases()
    held.bind(sender)  # type: ignore[arg-type]
    held.start("held", 3)
    granted = asyncio.get_running_loop().call_later(0.1, held.start, "asked-for", 1)
    assert await held.give_back(lambda: {"held", "asked-for"}) == 2
    assert sender.released == [("held", 3), ("asked-for", 1)]
    granted.cancel()
    held.shutdown()


async def test_what_is_never_granted_does_not_keep_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "ASKING_SECONDS", 0.05)
    held = Leases("pid", TTL, lambda took: Requests("http://127.0.0.1:9"))
    sender = Releases()
    held.bind(sender)  # type: ignore[arg-type]
    held.start("held", 3)
    assert await held.give_back(lambda: {"held", "asked-for"}) == 1
    assert sender.released == [("held", 3)]
    held.shutdown()


async def test_leases_grow_while_renewals_come_late(server: Server, held: Leases) -> None:
    server.slow = TTL
    held.start("doc/a", 1)
    assert held.seconds == TTL
    block_until(lambda: held.seconds > 3 * TTL, "longer leases")
    assert held.seconds < 60 + TTL


async def test_leases_are_short_again_once_renewals_are_quick(
    server: Server, held: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "REMEMBERED_SECONDS", 4 * TTL)
    server.slow = TTL
    held.start("doc/a", 1)
    block_until(lambda: held.seconds > TTL, "longer leases")
    server.slow = 0
    block_until(lambda: held.seconds == TTL, "the leases to be short again")


async def test_a_server_that_is_away_is_no_reason_for_long_leases(caplog: pytest.LogCaptureFixture) -> None:
    held = Leases("pid", TTL, lambda took: Requests("http://127.0.0.1:9", took=took))
    held.start("doc/a", 1)
    block_until(lambda: caplog.text.count("could not be renewed") >= 3, "three renewals that fail")
    assert held.seconds == TTL
    held.shutdown()


async def test_while_renewals_fail_nothing_more_is_taken_up(server: Server, held: Leases) -> None:
    assert not held.behind
    server.silent.set()
    held.start("doc/a", 1)
    assert not held.behind
    block_until(lambda: held.behind, "the leases to be late")
    server.silent.clear()
    block_until(lambda: not held.behind, "a renewal")
    server.silent.set()
    block_until(lambda: held.behind, "the leases to be late again")
    held.stop("doc/a")
    assert not held.behind
