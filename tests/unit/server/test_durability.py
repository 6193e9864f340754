"""Everything that was answered is kept completely, through `kill -9` at random moments and through a full disk.

`KILLS=200 python -m pytest test_durability.py` is the long form.
"""

import json
import os
import random
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import VERSION, Running
from embedded_server import store as store_module

type Launch = Callable[..., Running]
FAR = 4_000_000_000_000
KILLS = int(os.environ.get("KILLS", "5"))
STEPS = 3


class Client(threading.Thread):
    """Runs small workflows and remembers the answers: everything that was answered must be there afterwards."""

    def __init__(self, server: Running, name: str) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._name = name
        self._stop = threading.Event()
        #: promise id -> the state last answered
        self.answered: dict[str, str] = {}
        #: task id -> the version last answered
        self.versions: dict[str, int] = {}
        #: ids that were sent and not answered: each is there completely or not at all
        self.open: set[str] = set()

    def run(self) -> None:
        n = 0
        try:
            while not self._stop.is_set():
                self._workflow(f"{self._name}.{n}")
                n += 1
        except (OSError, ValueError):
            pass  # the server is gone in the middle of a request

    def halt(self) -> None:
        self._stop.set()
        self.join()

    def _workflow(self, id: str) -> None:
        tags = {"resonate:target": "poll://any@nobody", "resonate:branch": id}
        self.open.add(id)
        task = self._send(
            "task.create",
            {
                "pid": "w",
                "ttl": 600_000,
                "action": {
                    "kind": "promise.create",
                    "head": {},
                    "data": {"id": id, "timeoutAt": FAR, "tags": tags},
                },
            },
        )["task"]
        self.answered[id], self.versions[id] = "pending", task["version"]
        for step in range(STEPS):
            child = f"{id}:{step}"
            self.open.add(child)
            data = {"id": child, "timeoutAt": FAR, "tags": {"resonate:branch": id}}
            self._fence(id, task["version"], "promise.create", data)
            self.answered[child] = "pending"
            self._fence(
                id,
                task["version"],
                "promise.settle",
                {"id": child, "state": "resolved", "value": {"data": "x" * 200}},
            )
            self.answered[child] = "resolved"
        action = {"kind": "promise.settle", "head": {}, "data": {"id": id, "state": "resolved"}}
        self._send("task.fulfill", {"id": id, "version": task["version"], "action": action})
        self.answered[id] = "resolved"

    def _fence(self, id: str, version: int, kind: str, data: dict[str, Any]) -> None:
        action = {"kind": kind, "head": {}, "data": data}
        self._send("task.fence", {"id": id, "version": version, "action": action})

    def _send(self, kind: str, data: dict[str, Any]) -> Any:
        status, answer = self._server.send(kind, data)
        assert status == 200, (kind, data, answer)
        return answer


def check(server: Running, clients: list[Client]) -> int:
    """Every answer is still true; how many there were."""
    status, snap = server.send("debug.snap", {})
    assert status == 200
    promises = {record["id"]: record for record in snap["promises"]}
    tasks = {record["id"]: record for record in snap["tasks"]}
    count = 0
    for client in clients:
        for id, state in client.answered.items():
            assert id in promises, f"{id} was answered and is lost"
            # A request that was under way may have been done after the last answer.
            assert promises[id]["state"] in (state, "resolved"), (id, state, promises[id])
            count += 1
        for id, version in client.versions.items():
            assert tasks[id]["version"] == version
    for id, record in promises.items():
        settled = record["state"] != "pending"
        assert ("settledAt" in record) == settled
        if ":" not in id:
            # No half of a request: a settled promise's task is fulfilled, and no other.
            assert (tasks[id]["state"] == "fulfilled") == settled, (record, tasks[id])
            if settled:
                assert all(promises[f"{id}:{n}"]["state"] == "resolved" for n in range(STEPS))
    assert {one["id"] for one in snap["promiseTimeouts"]} == {
        id for id, record in promises.items() if record["state"] == "pending"
    }
    return count


def test_kill_9_at_random_moments(launch: Launch, record_property: Callable[[str, Any], None]) -> None:
    rng = random.Random(4)
    server = launch(RESONATE_DEBUG="true")
    clients: list[Client] = []
    checked = 0
    for turn in range(KILLS):
        started = [Client(server, f"r{turn}c{n}") for n in range(4)]
        clients += started
        for client in started:
            client.start()
        time.sleep(rng.uniform(0.02, 0.4))
        server.kill()
        for client in started:
            client.halt()
        server.start()
        checked += check(server, clients)
        if turn % 10 == 9:
            server.send("debug.reset", {})
            clients.clear()
    assert checked > KILLS
    record_property("answers_checked", checked)


def test_a_full_disk_is_an_error_and_not_a_lie(launch: Launch) -> None:
    server = launch(RESONATE_DEBUG="true")
    kept: list[str] = []

    def create(id: str, size: int = 20_000) -> int:
        data = {"id": id, "timeoutAt": FAR, "param": {"data": "x" * size}}
        status, answer = server.send("promise.create", data)
        if status == 200:
            kept.append(id)
        else:
            assert "Storage error" in answer
        return status

    assert create("before") == 200
    assert server.http("GET", "/ready")[0] == 200
    # GIVEN the file may grow no further (the same to SQLite as a disk without room)
    _, most = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (400_000, most))
    statuses = [create(f"p{n}") for n in range(40)]
    assert 200 in statuses
    assert 500 in statuses
    assert server.http("GET", "/ready")[0] == 503
    # WHEN it is full, what was answered can be read, and what was refused is not there
    assert server.send("promise.get", {"id": "before"})[0] == 200
    refused = next(f"p{n}" for n, status in enumerate(statuses) if status == 500)
    assert server.send("promise.get", {"id": refused})[0] == 404
    # AND it goes on by itself once there is room
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (most, most))
    assert server.http("GET", "/ready")[0] == 200
    assert create("after") == 200
    server.kill()
    server.start()
    assert [record["id"] for record in server.send("debug.snap", {})[1]["promises"]] == sorted(kept)


def test_a_request_that_fails_takes_no_other_with_it(launch: Launch) -> None:
    """Requests of one batch share a transaction; one that cannot be done must not undo the rest."""
    import socket

    server = launch()
    bodies = []
    for n in range(20):
        size = 60_000 if n == 10 else 10
        data = {"id": f"p{n}", "timeoutAt": FAR, "param": {"data": "x" * size}}
        head = {"corrId": str(n), "version": VERSION}
        bodies.append(json.dumps({"kind": "promise.create", "head": head, "data": data}).encode())
    _, most = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    server.send("promise.create", {"id": "first", "timeoutAt": FAR})
    size = (server.folder / "resonate.db-wal").stat().st_size
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size + 150_000, most))
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw:
        raw.sendall(
            b"".join(
                b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body) + body
                for body in bodies
            )
        )
        got = b""
        while got.count(b"HTTP/1.1 ") < 20 or not got.endswith(b"}"):
            got += raw.recv(1 << 20)
    statuses = [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]]
    for n, status in enumerate(statuses):
        assert server.send("promise.get", {"id": f"p{n}"})[0] == (200 if status == 200 else 404)


def test_time_neither_goes_backwards_nor_stands_still_for_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 1_800_000_000.0
    monkeypatch.setattr(store_module, "time", lambda: clock)
    store = store_module.Store(str(tmp_path / "resonate.db"), 1000)
    begun = store.now()
    # The clock goes back a little, as with time synchronisation: the server's time waits for it.
    clock -= 0.5
    assert store.now() == begun
    # The clock is set back by an hour: the server's time continues from there; otherwise no lease would expire for an
    # hour.
    clock -= 3600
    assert store.now() == begun - 3_600_500
    clock += 5
    assert store.now() == begun - 3_595_500
    # And on, by an hour.
    clock += 7200
    assert store.now() == begun + 3_604_500
    store.close()
