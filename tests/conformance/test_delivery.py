"""Messages to workers that poll, and messages that the server pushes."""

import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any

import httpx
import pytest

from conformance.client import HOUR, Server, Worker, now

Open = Callable[[str, str], Worker]


def test_the_stream(server: Server, worker: Open) -> None:
    answer = worker(server.unique, "w").answer
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache"


def test_an_offer(server: Server, worker: Open) -> None:
    stream = worker(server.unique, "w")
    server.create("t", f"poll://any@{server.unique}")
    message = stream.next()
    assert list(message["head"]) == ["serverUrl"]
    assert (message["kind"], message["data"]) == ("execute", {"task": {"id": server.id("t"), "version": 0}})


def test_uni_is_for_one_worker(server: Server, worker: Open) -> None:
    one, two = worker(server.unique, "one"), worker(server.unique, "two")
    server.create("t", f"poll://uni@{server.unique}/two")
    assert two.next()["data"]["task"]["id"] == server.id("t")
    assert one.next(0.3) is None


def test_any_prefers_its_worker_and_takes_another(server: Server, worker: Open) -> None:
    one, two = worker(server.unique, "one"), worker(server.unique, "two")
    server.create("t", f"poll://any@{server.unique}/two")
    assert two.next()["data"]["task"]["id"] == server.id("t")
    server.ok("task.acquire", {"id": server.id("t"), "version": 0, "pid": "two", "ttl": 60_000})
    server.create("u", f"poll://any@{server.unique}/gone")
    found = [message for message in (one.next(2), two.next(0.3)) if message]
    # Perhaps to both in turn, because neither acquires it.
    assert {message["data"]["task"]["id"] for message in found} == {server.id("u")}


def test_a_released_task_is_offered_again(server: Server, worker: Open) -> None:
    stream = worker(server.unique, "w")
    server.held("t", **{"resonate:target": f"poll://any@{server.unique}"})
    assert stream.next(0.3) is None  # who creates a task has it already
    server.ok("task.release", {"id": server.id("t"), "version": 1})
    assert stream.next()["data"]["task"] == {"id": server.id("t"), "version": 1}


def test_a_resumed_task_is_offered(server: Server, worker: Open) -> None:
    stream = worker(server.unique, "w")
    server.held("t", **{"resonate:target": f"poll://any@{server.unique}"})
    server.create("p")
    server.suspend("t", "p")
    server.settle("p")
    assert stream.next()["data"]["task"] == {"id": server.id("t"), "version": 1}


def test_a_lease_that_ends_is_offered(server: Server, worker: Open) -> None:
    stream = worker(server.unique, "w")
    server.held("t", ttl=500, **{"resonate:target": f"poll://any@{server.unique}"})
    assert stream.next(0.3) is None
    assert stream.next(5)["data"]["task"] == {"id": server.id("t"), "version": 1}


def test_listeners_are_told(server: Server, worker: Open) -> None:
    one, two = worker(server.unique, "one"), worker(server.unique, "two")
    server.create("p")
    for id in ("one", "two", "one"):
        data = {"awaited": server.id("p"), "address": f"poll://uni@{server.unique}/{id}"}
        assert server.ok("promise.register_listener", data)["promise"]["state"] == "pending"
    settled = server.settle("p", data="dg==")
    for stream in (one, two):
        assert stream.next() == {"kind": "unblock", "head": {}, "data": {"promise": settled}}
        assert stream.next(0.3) is None


def test_listeners_are_told_of_a_timeout(server: Server, worker: Open) -> None:
    stream = worker(server.unique, "w")
    server.create("p", timeout=500)
    server.ok(
        "promise.register_listener",
        {"awaited": server.id("p"), "address": f"poll://uni@{server.unique}/w"},
    )
    promise = stream.next(5)["data"]["promise"]
    assert (promise["state"], promise["settledAt"]) == ("rejected_timedout", promise["timeoutAt"])


def test_a_listener_that_comes_late_is_told_in_the_answer(server: Server, worker: Open) -> None:
    stream = worker(server.unique, "w")
    server.create("p")
    settled = server.settle("p")
    data = {"awaited": server.id("p"), "address": f"poll://uni@{server.unique}/w"}
    assert server.ok("promise.register_listener", data) == {"promise": settled}
    assert stream.next(0.3) is None


def test_group_and_id_are_decoded(server: Server, worker: Open) -> None:
    stream = worker(server.unique, "a%20b")
    # An address is a URL too: its path stays encoded, and this one names another worker.
    server.create("t", f"poll://uni@{server.unique}/a%20b")
    assert stream.next(0.3) is None


@pytest.fixture
def hook() -> Iterator[tuple[str, SimpleQueue[Any]]]:
    """A URL that messages can be pushed to; the server must reach this machine under the name RESONATE_HOOK_HOST."""
    got: SimpleQueue[Any] = SimpleQueue()

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.put((self.headers["content-type"], json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    listening = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Hook)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    host = os.environ.get("RESONATE_HOOK_HOST", "127.0.0.1")
    yield f"http://{host}:{listening.server_port}/hook", got
    listening.shutdown()


@pytest.mark.skipif(
    not os.environ.get("RESONATE_HOOK_HOST"),
    reason="RESONATE_HOOK_HOST is not set: the name under which the server reaches this machine",
)
def test_push(server: Server, hook: tuple[str, SimpleQueue[Any]]) -> None:
    url, got = hook
    server.create("t", url)
    kind, message = got.get(timeout=5)
    assert kind == "application/json"
    assert (message["kind"], message["data"]) == ("execute", {"task": {"id": server.id("t"), "version": 0}})
    server.ok("promise.register_listener", {"awaited": server.id("t"), "address": url})
    settled = server.settle("t")
    assert got.get(timeout=5)[1] == {"kind": "unblock", "head": {}, "data": {"promise": settled}}
    with pytest.raises(Empty):
        got.get(timeout=0.3)


def test_nobody_polls_a_path_without_an_id(client: httpx.Client) -> None:
    for path in ("/poll", "/poll/", "/poll/g", "/poll/g/", "/poll/g/i/x"):
        assert client.get(path).status_code == 404
    assert client.post("/poll/g/i").status_code == 405


def test_a_promise_of_an_hour_tells_nobody_early(server: Server, worker: Open) -> None:
    stream = worker(server.unique, "w")
    data = {"id": server.id("p"), "timeoutAt": now() + HOUR}
    server.ok("promise.create", data)
    server.ok(
        "promise.register_listener",
        {"awaited": server.id("p"), "address": f"poll://uni@{server.unique}/w"},
    )
    assert stream.next(0.3) is None
