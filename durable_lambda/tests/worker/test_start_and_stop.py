"""The worker's process from start to end: what it waits for, what it does not wait for, and what it logs."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from resonate.resonate import Resonate

from durable_lambda.worker import Settings, Tools, health
from durable_lambda.worker.process import work


def register(resonate: Resonate) -> None:
    async def flow(ctx: Any) -> None: ...

    resonate.register(flow)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """No server answers at the configured address."""
    return Settings(
        resonate_url="http://127.0.0.1:9", health_file=str(tmp_path / "healthy"), stop_seconds=0.5
    )


async def test_a_worker_told_to_stop_does_not_wait_for_its_tools_to_open(settings: Settings) -> None:
    opening = asyncio.Event()
    closed = asyncio.Event()

    class Slow(Tools):
        async def open(self) -> None:
            opening.set()
            await asyncio.Event().wait()

        async def close(self) -> None:
            closed.set()

    running = asyncio.create_task(work(register, settings, Slow(settings)))
    await opening.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 10)
    assert closed.is_set()


async def test_a_worker_whose_tools_cannot_be_opened_ends_and_says_so(settings: Settings) -> None:
    class Wrong(Tools):
        async def open(self) -> None:
            raise ValueError("Invalid endpoint: nonsense")

    with pytest.raises(ValueError, match="Invalid endpoint"):
        await asyncio.wait_for(work(register, settings, Wrong(settings)), 10)


# ---------------------------------------------------------------- as `python worker.py`


WORKER = """
from durable_lambda.worker import run

def register(resonate):
    async def flow(ctx): ...
    resonate.register(flow)

if __name__ == "__main__":
    run(register)
"""


class Server(ThreadingHTTPServer):
    """A Resonate server without work: it keeps a worker's stream of offers open until a test tells it to close it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.streams: list[Event] = []
        self.tokens: set[str | None] = set()
        self.requests: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        cut = Event()
        self.server.tokens.add(self.headers["Authorization"])
        # Before the answer: once the worker has that, a test may end the stream.
        self.server.streams.append(cut)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.flush()
        cut.wait()

    def do_POST(self) -> None:
        """Answers that every task belongs to another worker."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request["kind"])
        head = {"corrId": request["head"]["corrId"], "status": 409, "version": "2026-04-01"}
        body = json.dumps({"kind": request["kind"], "head": head, "data": "taken"}).encode()
        self.send_response(409)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        Thread(target=running.serve_forever, args=[0.02], daemon=True).start()
        yield running
        for stream in running.streams:
            stream.set()
        running.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An application."""
    (tmp_path / "worker.py").write_text(WORKER)
    table = '[tool.durable-lambda]\nname = "own"\npromise-prefix = "own/"\n'
    (tmp_path / "pyproject.toml").write_text(table)
    return tmp_path


def started(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Starts `python worker.py` from another folder, as if from the application's own."""
    inherited = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment = {**inherited, "HEALTH_FILE": str(folder / "healthy"), **variables}
    return subprocess.Popen(
        [sys.executable, str(folder / "worker.py"), *arguments],
        cwd="/",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said_at_its_end(worker: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = worker.communicate(timeout=20)
    return worker.returncode, out, err


def until(true: Any, what: str) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_a_new_health_file_and_one_that_was_left_are_dated_1970(tmp_path: Path) -> None:
    for file in (tmp_path / "new", tmp_path / "left"):
        if file.name == "left":
            file.touch()
        health.make(file)
        assert file.stat().st_mtime == 0


def test_the_health_file_is_there_from_the_start_and_fresh_only_while_the_server_is_reached(
    folder: Path, server: Server
) -> None:
    file = folder / "healthy"
    worker = started(folder, RESONATE_URL="http://127.0.0.1:9")
    try:
        until(lambda: file.exists() and file.stat().st_mtime == 0, "the file")
    finally:
        worker.terminate()
    assert said_at_its_end(worker)[0] == 0
    # WHEN a healthy worker has left its file behind
    file.touch()
    worker = started(folder, RESONATE_URL="http://127.0.0.1:9")
    try:
        until(lambda: file.stat().st_mtime == 0, "its time to be reset")
    finally:
        worker.terminate()
    assert said_at_its_end(worker)[0] == 0
    # WHEN the server is reached, and then goes away
    (folder / "token").write_text("a token\n")
    host, port = server.url.removeprefix("http://").split(":")
    worker = started(
        folder,
        RESONATE_HOST=host,
        RESONATE_STORE_PORT=port,
        RESONATE_TOKEN_FILE=str(folder / "token"),
    )
    try:
        until(lambda: time.time() - file.stat().st_mtime < 5, "it to be fresh")
        server.shutdown()
        server.socket.close()
        server.streams[0].set()
        until(lambda: file.stat().st_mtime == 0, "it to be old")
    finally:
        worker.terminate()
    code, out, _ = said_at_its_end(worker)
    assert code == 0
    assert server.tokens == {"Bearer a token"}
    assert [json.loads(line)["message"] for line in out.splitlines() if "worker st" in line] == [
        "worker started",
        "worker stopped",
    ]


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {"WORKER_CONCURRENCY": "many", "TASK_TRIES": "1"},
            "WORKER_CONCURRENCY='many' cannot be used: give a whole number. "
            "TASK_TRIES='1' cannot be used: give 2 or more.",
        ),
        (
            {"HEALTH_FILE": "/proc/none/healthy"},
            "HEALTH_FILE='/proc/none/healthy' cannot be written (No such file or directory): "
            "name a file in a folder that the worker may write to.",
        ),
    ],
)
def test_what_a_worker_cannot_start_with_is_one_line(
    folder: Path, variables: dict[str, str], told: str
) -> None:
    code, out, err = said_at_its_end(started(folder, **variables))
    assert (code, out, err) == (1, "", f"worker: {told}\n")


def test_a_worker_without_its_application_s_table_says_what_is_missing(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[project]\nname = 'own'\n")
    code, _, err = said_at_its_end(started(folder))
    assert code == 1
    assert err.startswith("worker: No pyproject.toml with a table [tool.durable-lambda] in ")


def test_other_arguments_are_refused(folder: Path) -> None:
    assert said_at_its_end(started(folder, "--help"))[::2] == (1, "Usage: python worker.py\n")


def test_a_suspect_s_process_runs_that_task_alone_and_leaves_the_health_file(
    folder: Path, server: Server
) -> None:
    code, _, _ = said_at_its_end(started(folder, "own/a", "0", "", RESONATE_URL=server.url))
    assert (code, server.requests, server.streams) == (0, ["task.acquire"], [])
    assert not (folder / "healthy").exists()
