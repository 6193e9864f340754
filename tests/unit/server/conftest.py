"""What the server's unit tests share: a state without a server, and a server without a network name."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from embedded_server import api
from embedded_server.decoding import decode
from embedded_server.protocol import REQUESTS, Refusal
from embedded_server.schema import migrate
from embedded_server.state import debug
from embedded_server.state.transaction import Transaction

# The machine may be busy: how long an example takes says nothing. The tests are mounted read-only: nothing is stored.
hypothesis.settings.register_profile("patient", deadline=None, database=None)
hypothesis.settings.load_profile("patient")

VERSION = "2026-04-01"
RETRY = 30_000  # ms

OPERATIONS = api.OPERATIONS | {"debug.tick": debug.tick}


class State:
    """The rules on a database in memory; each request is a transaction."""

    def __init__(self) -> None:
        import sqlite3

        db = sqlite3.connect(":memory:", isolation_level=None)
        migrate(db, ":memory:")
        self.tx = Transaction(db, RETRY)
        self.now = 1_000_000
        #: everything sent so far: offers as (task, version), told listeners as (promise, address)
        self.offers: list[tuple[str, int]] = []
        self.told: list[tuple[str, str]] = []

    def __call__(self, kind: str, **data: Any) -> tuple[int, Any]:
        self.tx.begin()
        self.tx.now = self.now
        self.tx.corr = '"c"'
        self.tx.execute("BEGIN")
        try:
            status, answer = OPERATIONS[kind](self.tx, decode(REQUESTS[kind], json.dumps(data).encode()))
        except Refusal as refusal:
            status, answer = refusal.status, json.dumps(refusal.message)
        self.tx.execute("COMMIT")
        self.offers += [(id, version) for id, (version, _) in self.tx.executes.items()]
        self.told += self.tx.unblocks
        return status, json.loads(answer)

    def create(self, id: str, *, target: str | None = "poll://any@g", timeout: int = 10**6) -> Any:
        tags = {} if target is None else {"resonate:target": target}
        return self("promise.create", id=id, timeoutAt=self.now + timeout, tags=tags)

    def promise(self, id: str) -> Any:
        return self("promise.get", id=id)[1]["promise"]

    def task(self, id: str) -> Any:
        return self("task.get", id=id)[1]["task"]


@pytest.fixture
def state() -> State:
    return State()


class Running:
    """A server in a process of its own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, wait: bool = True) -> "Running":
        env = {name: value for name, value in os.environ.items() if not name.startswith("RESONATE_")}
        env |= {
            "RESONATE_SERVER__PORT": str(self.port),
            "RESONATE_OBSERVABILITY__METRICS_PORT": "0",
            "RESONATE_STORAGE__SQLITE__PATH": str(self.folder / "resonate.db"),
            "RESONATE_LEVEL": "error",
            **self._settings,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "embedded_server"],
            env=env,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        until = time.monotonic() + 20
        while wait and not self.listening():
            if self._process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"the server did not start: {self.output()}")
            time.sleep(0.02)
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(20)

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(20)

    def output(self) -> str:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.kill()
        return self._process.communicate()[0].decode()

    def send(self, kind: str, data: dict[str, Any], **head: Any) -> tuple[int, Any]:
        """Status and data of the answer."""
        status, _, body = self.http(
            "POST",
            "/",
            json.dumps(
                {"kind": kind, "head": {"corrId": "c", "version": VERSION, **head}, "data": data}
            ).encode(),
        )
        return status, json.loads(body)["data"]

    def http(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(self.url + path, body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts a server with the given settings; it is killed at the end."""
    running: list[Running] = []

    def start(wait: bool = True, **settings: str) -> Running:
        running.append(Running(tmp_path, **settings))
        return running[-1].start(wait)

    yield start
    for server in running:
        server.kill()
