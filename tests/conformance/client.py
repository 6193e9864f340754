"""The client of the conformance tests: it uses only the HTTP protocol."""

import contextlib
import json
import threading
import time
import uuid
from queue import Empty, SimpleQueue
from typing import Any

import httpx

VERSION = "2026-04-01"
HOUR = 3_600_000  # ms


class Server:
    """A Resonate server at a URL. Each test uses ids of its own, so that it can run against a server in use."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.unique = uuid.uuid4().hex[:12]

    def id(self, name: str) -> str:
        """The id, unique to the test, for a name."""
        return f"conformance/{self.unique}/{name}"

    def envelope(self, kind: str, data: Any, **head: Any) -> tuple[int, dict[str, Any]]:
        """The HTTP status and the whole answer."""
        request = {"kind": kind, "head": {"corrId": "c", "version": VERSION, **head}, "data": data}
        return self.raw(json.dumps(request).encode())

    def raw(self, body: bytes) -> tuple[int, dict[str, Any]]:
        answer = self.client.post("/", content=body)
        return answer.status_code, answer.json()

    def __call__(self, kind: str, data: Any, **head: Any) -> tuple[int, Any]:
        """The status and data of the answer."""
        status, answer = self.envelope(kind, data, **head)
        assert answer["kind"] == kind
        assert answer["head"] == {"corrId": "c", "status": status, "version": VERSION}
        return status, answer["data"]

    def ok(self, kind: str, data: Any, **head: Any) -> Any:
        """The data of an answer that must be 200."""
        status, answer = self(kind, data, **head)
        assert status == 200, (kind, data, answer)
        return answer

    # The requests that the tests are made of.

    def create(self, name: str, target: str | None = None, timeout: int = HOUR, **tags: str) -> Any:
        if target is not None:
            tags["resonate:target"] = target
        data = {"id": self.id(name), "timeoutAt": now() + timeout, "param": {}, "tags": tags}
        return self.ok("promise.create", data)["promise"]

    def promise(self, name: str) -> Any:
        return self.ok("promise.get", {"id": self.id(name)})["promise"]

    def task(self, name: str) -> Any:
        return self.ok("task.get", {"id": self.id(name)})["task"]

    def settle(self, name: str, state: str = "resolved", **value: Any) -> Any:
        return self.ok("promise.settle", {"id": self.id(name), "state": state, "value": value})["promise"]

    def held(self, name: str, ttl: int = HOUR, **tags: str) -> Any:
        """A new task, acquired by the process `pid` as version 1."""
        tags.setdefault("resonate:target", f"poll://any@nobody-{self.unique}")
        data = {"id": self.id(name), "timeoutAt": now() + HOUR, "param": {}, "tags": tags}
        action = {"kind": "promise.create", "head": {}, "data": data}
        return self.ok("task.create", {"pid": "pid", "ttl": ttl, "action": action})["task"]

    def suspend(self, name: str, *awaited: str, version: int = 1) -> tuple[int, Any]:
        actions = [
            {
                "kind": "promise.register_callback",
                "head": {},
                "data": {"awaited": self.id(one), "awaiter": self.id(name)},
            }
            for one in awaited
        ]
        return self("task.suspend", {"id": self.id(name), "version": version, "actions": actions})

    def fence(self, name: str, kind: str, data: Any, version: int = 1) -> tuple[int, Any]:
        action = {"kind": kind, "head": {}, "data": data}
        return self("task.fence", {"id": self.id(name), "version": version, "action": action})


def now() -> int:
    """ms since 1970."""
    return int(time.time() * 1000)


class Worker:
    """A worker's event stream, read in the background."""

    def __init__(self, url: str, group: str, id: str) -> None:
        self._events: SimpleQueue[Any] = SimpleQueue()
        self._client = httpx.Client(base_url=url, timeout=httpx.Timeout(10, read=None))
        self._context = self._client.stream("GET", f"/poll/{group}/{id}")
        self.answer = self._context.__enter__()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for line in self.answer.iter_lines():
                if line.startswith("data: "):
                    self._events.put(json.loads(line.removeprefix("data: ")))
        except httpx.HTTPError:
            pass

    def next(self, seconds: float = 5) -> Any:
        """The next message; None if none arrives."""
        try:
            return self._events.get(timeout=seconds)
        except Empty:
            return None

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._client.close()
