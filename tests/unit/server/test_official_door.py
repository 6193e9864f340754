"""The proxy in front of the official server: which requests reach the server, and which do not."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from official_door.proxy import Passing, listen
from shared.doors import Doors

HOST = b"Host: localhost\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_requests_are_passed_on_as_they_were_understood(size: int) -> None:
    data = (
        b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
        + POST + b"X:  a \r\nx: b\r\nContent-Length: 5\r\n\r\nGET /"
        + POST + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nHost: evil\r\n\r\n"
        + b"DELETE /x HTTP/1.0\r\n\r\n"
    )  # fmt: skip
    asked: list[tuple[str, str, bool]] = []
    passed: list[bytes] = []
    requests = Passing(lambda ask: asked.append((ask.method, ask.target, ask.needs_host)), passed.append)
    for at in range(0, len(data), size):
        requests.feed(data[at : at + size])
    assert asked == [
        ("GET", "/health", True),
        ("POST", "/", True),
        ("POST", "/", True),
        ("DELETE", "/x", False),
    ]
    post = b"POST / HTTP/1.1\r\nhost: localhost\r\n"
    told = b"".join(passed)
    for whole in (
        b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n",
        post + b"x: a , b\r\ncontent-length: 5\r\n\r\nGET /",
        b"DELETE /x HTTP/1.0\r\n\r\n",
    ):
        assert whole in told, told
    _, _, chunked = told.partition(post + b"transfer-encoding: chunked\r\n\r\n")
    pieces = chunked.partition(b"DELETE")[0].split(b"\r\n")
    assert b"".join(pieces[1:-3:2]) == b"abc"
    assert pieces[-3:] == [b"0", b"", b""]
    assert b"evil" not in told


type Ask = Callable[[bytes], Awaitable[bytes]]


def behind_the_door(test: Callable[[Ask, list[bytes]], Awaitable[None]], **settings: str) -> None:
    """Runs the test with what asks through a door, and with what reached the server behind it."""
    reached: list[bytes] = []

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(b"")
        at = len(reached) - 1
        while data := await reader.read(65536):
            reached[at] += data
            if reached[at].endswith((b"\r\n\r\n", b"END")):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        writer.close()

    async def run() -> None:
        inner = await asyncio.start_server(server, "127.0.0.1", 0)
        doors = Doors.read(settings, json_only=True)
        outer = await listen(doors, 0, inner.sockets[0].getsockname()[1], "127.0.0.1")

        async def ask(data: bytes) -> bytes:
            reader, writer = await asyncio.open_connection(*outer.sockets[0].getsockname()[:2])
            writer.write(data)
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            writer.close()
            return answer.partition(b"\r\n")[0]

        await test(ask, reached)
        outer.close()
        inner.close()

    asyncio.run(run())


def test_a_client_reaches_the_server() -> None:
    async def test(ask: Ask, reached: list[bytes]) -> None:
        request = POST + b"Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nEND"
        assert await ask(request) == b"HTTP/1.1 200 OK"
        (head,) = reached
        assert head.lower() == request.lower()

    behind_the_door(test)


def test_a_foreign_page_does_not() -> None:
    async def test(ask: Ask, reached: list[bytes]) -> None:
        body = b"Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nend"
        evil = b"GET /poll/g/x HTTP/1.1\r\n"
        for request, status in (
            (POST + b"Origin: https://evil.example\r\n" + body, 403),
            (POST + b"Origin: null\r\n" + body, 403),
            (b"POST / HTTP/1.1\r\nHost: evil.example:8001\r\n" + body, 403),
            (evil + HOST + b"Sec-Fetch-Site: cross-site\r\n\r\n", 403),
            (evil + HOST + HOST + b"\r\n", 400),
            (evil + b"\r\n", 400),
            (POST + b"Origin: https://app.example\r\n" + body, 415),
        ):
            assert (await ask(request)).startswith(b"HTTP/1.1 %d " % status), request
        assert b"".join(reached) == b""

    behind_the_door(test, ALLOWED_ORIGINS="https://app.example")


def test_a_second_request_of_a_connection_is_looked_at_too() -> None:
    async def test(ask: Ask, reached: list[bytes]) -> None:
        good = POST + b"Content-Length: 3\r\n\r\nEND"
        await ask(good + b"POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 4\r\n\r\nevil")
        (passed,) = reached
        assert passed.lower() == good.lower()

    behind_the_door(test)


def test_events_pass_as_they_come_and_either_end_takes_the_other_along() -> None:
    async def run() -> None:
        gone = asyncio.Event()
        writers: list[asyncio.StreamWriter] = []

        async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            writers.append(writer)
            await reader.read()
            gone.set()

        inner = await asyncio.start_server(server, "127.0.0.1", 0)
        outer = await listen(Doors.read({}), 0, inner.sockets[0].getsockname()[1], "127.0.0.1")
        address: Any = outer.sockets[0].getsockname()[:2]
        poll = b"GET /poll/g/x HTTP/1.1\r\n" + HOST + b"\r\n"
        reader, writer = await asyncio.open_connection(*address)
        writer.write(poll)
        await reader.readuntil(b"\r\n\r\n")
        for event in (b"9\r\ndata: 1\n\n\r\n", b"9\r\ndata: 2\n\n\r\n"):
            writers[0].write(event)
            assert await asyncio.wait_for(reader.readexactly(len(event)), 5) == event
        # WHEN the client is gone, the server notices
        writer.close()
        await asyncio.wait_for(gone.wait(), 5)
        # AND the client, when the server is
        reader, writer = await asyncio.open_connection(*address)
        writer.write(poll)
        await reader.readuntil(b"\r\n\r\n")
        writers[1].transport.abort()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        outer.close()
        inner.close()

    asyncio.run(run())


def test_before_the_server_listens_the_door_says_so() -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        outer = await listen(Doors.read({}), 0, port, "127.0.0.1")
        reader, writer = await asyncio.open_connection(*outer.sockets[0].getsockname()[:2])
        writer.write(b"GET /ready HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 502 ")
        writer.close()
        outer.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("", "HTTP_PUSH__ENABLED=false"),
        ("*", "HTTP_PUSH__ENABLED=true"),
        ("http://hook", "anywhere or nowhere"),
    ],
)
def test_the_official_server_posts_anywhere_or_nowhere(to: str, said: str) -> None:
    """The official server has no list of addresses, so a list, which it would ignore, is refused at the start."""
    started = subprocess.run(
        ["bash", "/images/server/start", "env"],
        env={"PATH": os.environ["PATH"], "PUSH_TO": to},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said in started.stdout + started.stderr
    assert started.returncode == (1 if to == "http://hook" else 0)
