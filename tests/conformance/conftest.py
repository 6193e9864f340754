"""The server under test, and what reads its streams and sets its time."""

import os
from collections.abc import Callable, Iterator

import httpx
import pytest

from conformance.client import Server, Worker


@pytest.fixture(scope="session")
def url() -> str:
    found = os.environ.get("RESONATE_URL")
    if not found:
        pytest.fail("RESONATE_URL is not set: the server to test, as in RESONATE_URL=http://localhost:8001")
    return found.rstrip("/")


@pytest.fixture(scope="session")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30) as found:
        yield found


@pytest.fixture
def server(client: httpx.Client) -> Server:
    found = Server(client)
    found("debug.stop", {})  # an earlier run may have left a server in debug mode paused
    return found


@pytest.fixture
def worker(url: str) -> Iterator[Callable[[str, str], Worker]]:
    """Opens event streams; they are closed at the end."""
    opened: list[Worker] = []

    def open_(group: str, id: str) -> Worker:
        opened.append(Worker(url, group, id))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


@pytest.fixture
def debug(server: Server) -> Iterator[Server]:
    """A server in debug mode, whose time the test sets; everything on it is deleted. Skips if the server is not in
    debug mode.
    """
    status, _ = server("debug.start", {})
    if status == 403:
        pytest.skip("the server is not in debug mode (RESONATE_DEBUG=true)")
    server.ok("debug.reset", {})
    yield server
    server.ok("debug.reset", {})
    server.ok("debug.stop", {})
