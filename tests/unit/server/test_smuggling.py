"""Requests that two HTTP parsers might read differently are refused by each of our servers that parses HTTP itself.

They are the embedded server, the door in front of the official one, and the server of `shared.wire`, which the execution
environment's front and its Runtime API are.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from embedded_server.http import Connection
from official_door.proxy import listen
from shared import wire
from shared.doors import Doors
from shared.http1 import HEAD_BYTES

HOST = b"Host: localhost\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
POST = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SECOND = b"GET /second HTTP/1.1\r\n" + HOST + b"\r\n"

REFUSED = {
    # Two lengths, or none that is one.
    "the same length twice": POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 5\r\n\r\naGET /",
    "a list of lengths": POST + b"Content-Length: 1, 1\r\n\r\na",
    "a length with a sign": POST + b"Content-Length: +1\r\n\r\na",
    "a negative length": POST + b"Content-Length: -1\r\n\r\na",
    "a hexadecimal length": POST + b"Content-Length: 0x1\r\n\r\na",
    "a length with an underscore": POST + b"Content-Length: 1_0\r\n\r\na",
    "a length of two words": POST + b"Content-Length: 1 1\r\n\r\na",
    "an empty length": POST + b"Content-Length: \r\n\r\na",
    "a length of too many digits": POST + b"Content-Length: 99999999999999999999999\r\n\r\na",
    # Length and encoding.
    "an encoding and a length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
    "a length and an encoding": POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an encoding twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two encodings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "an encoding after chunked": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "an unknown encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "an encoding with a parameter": POST + b"Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n",
    "an empty encoding": POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    "an encoding behind a tabulator": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "an encoding in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    # Chunks.
    "a chunk's size with 0x": CHUNKED + b"0x5\r\nabcde\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"-1\r\nabcde\r\n0\r\n\r\n",
    "a chunk's size with a sign": CHUNKED + b"+5\r\nabcde\r\n0\r\n\r\n",
    "a chunk's size behind a space": CHUNKED + b" 5\r\nabcde\r\n0\r\n\r\n",
    "a chunk's size and a space": CHUNKED + b"5 \r\nabcde\r\n0\r\n\r\n",
    "a chunk without a size": CHUNKED + b"\r\nabcde\r\n0\r\n\r\n",
    "a chunk of too many digits": CHUNKED + b"fffffffffffffffff\r\nabcde\r\n0\r\n\r\n",
    "a chunk that is longer than it says": CHUNKED + b"2\r\nabc\r\n0\r\n\r\n",
    "a chunk's size and a bare LF": CHUNKED + b"2\nab\r\n0\r\n\r\n",
    "a chunk and a bare LF": CHUNKED + b"2\r\nab\n0\r\n\r\n",
    "a bare LF in a chunk's extension": CHUNKED + b"2;a\nb\r\nab\r\n0\r\n\r\n",
    "a bare LF in a quoted extension": CHUNKED + b'2;a="\n"\r\nab\r\n0\r\n\r\n',
    "a length as a trailer": CHUNKED + b"2\r\nab\r\n0\r\nContent-Length: 5\r\n\r\n",
    # Lines.
    "a folded header": GET + b"X: a\r\n b\r\n\r\n",
    "a folded encoding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a space before the first header": b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "a bare LF after a header": b"GET / HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
    "a bare LF after the request line": b"GET / HTTP/1.1\n" + HOST + b"\r\n",
    "a bare LF at the end": GET + b"\n",
    "a bare CR in a header": GET + b"X: a\rY: b\r\n\r\n",
    "NUL in a header": GET + b"X: a\0b\r\n\r\n",
    "a control character in a header": GET + b"X: a\x01b\r\n\r\n",
    "NUL in a header's name": GET + b"X\0: a\r\n\r\n",
    "NUL in the target": b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a header without a colon": GET + b"X\r\n\r\n",
    "a header without a name": GET + b": x\r\n\r\n",
    "a space in a header's name": GET + b"X Y: x\r\n\r\n",
    "a tabulator in the request line": b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n",
    # Other protocols.
    "no HTTP": b"hello\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\n" + HOST + b"\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a method in small letters": b"get / HTTP/1.1\r\n" + HOST + b"\r\n",
    "CONNECT": b"CONNECT localhost:1 HTTP/1.1\r\n" + HOST + b"\r\n",
}
#: Too large: wire's server takes heads of 1 MiB.
LARGE = {
    "a header": GET + b"X: " + b"x" * (2**21) + b"\r\n\r\n",
    "headers": GET + b"X: x\r\n" * 2**18 + b"\r\n",
    "a target": b"GET /" + b"x" * 2**21 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "empty lines": b"\r\n" * 2**20,
    "a chunk's extension": CHUNKED + b"2;" + b"x" * 2**21 + b"\r\nab\r\n0\r\n\r\n",
    "a trailer": CHUNKED + b"2\r\nab\r\n0\r\nX: " + b"x" * 2**21 + b"\r\n\r\n",
    "trailers": CHUNKED + b"2\r\nab\r\n0\r\n" + b"X: x\r\n" * 2**18 + b"\r\n",
}
#: Read as one request each: the method, the target, the body, and of its headers those of interest.
READ = {
    "a body": (POST + b"Content-Length: 5\r\n\r\nGET /", ("POST", "/", b"GET /")),
    "chunks": (
        CHUNKED + b"5;x=y\r\nPOST \r\nA\r\n0123456789\r\n0\r\n\r\n",
        ("POST", "/", b"POST 0123456789"),
    ),
    "CHUNKED": (POST + b"Transfer-Encoding: CHUNKED \r\n\r\n1\r\na\r\n0\r\n\r\n", ("POST", "/", b"a")),
    "trailers": (CHUNKED + b"1\r\na\r\n0\r\nHost: evil.example\r\nOrigin: null\r\n\r\n", ("POST", "/", b"a")),
    "an empty line before": (b"\r\n" + GET + b"\r\n", ("GET", "/", b"")),
    "a wish for another protocol": (GET + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", ("GET", "/", b"")),
    "such a wish and a body": (
        POST + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nab",
        ("POST", "/", b"ab"),
    ),
    "such a wish and chunks": (
        POST
        + b"Connection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        ("POST", "/", b"ab"),
    ),
}

type Seen = list[tuple[str, str, bytes]]


class App:
    """Stands behind the embedded server's connections and records the requests."""

    def __init__(self, seen: Seen) -> None:
        self.connections: set[Connection] = set()
        self._seen = seen

    def handle(
        self, connection: Connection, method: str, url: bytes, headers: dict[str, str], body: bytes
    ) -> None:
        assert headers.get("host") == "localhost" or not connection.needs_host
        assert "origin" not in headers
        self._seen.append((method, url.decode(), body))
        connection.reply(200, b"ok")

    def lost(self, connection: Connection) -> None:
        pass


@asynccontextmanager
async def embedded(seen: Seen) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(App(seen)), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@asynccontextmanager
async def wired(seen: Seen) -> AsyncIterator[int]:
    async def handle(request: wire.Request) -> bytes:
        assert request.headers.get("host") == "localhost" or request.version == "1.0"
        seen.append((request.method, request.target, request.body))
        return wire.compose("HTTP/1.1 200 OK", {}, b"ok")

    server = wire.Server(handle, 2**20)
    await server.start("127.0.0.1", 0)
    yield server.port
    await server.close(1)


@asynccontextmanager
async def official(seen: Seen) -> AsyncIterator[int]:
    """What reaches the server behind it is read by wire's server, where all of it must be in order."""
    async with wired(seen) as port:
        door = await listen(Doors.read({}), 0, port, "127.0.0.1")
        yield door.sockets[0].getsockname()[1]
        door.close()


SERVERS = {"embedded": embedded, "wire": wired, "official door": official}


class Client(asyncio.Protocol):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.got = b""
        self.lost = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.got += data

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()


async def ask(port: int, data: bytes, size: int) -> bytes:
    """Sends the data in pieces of `size`; returns all answers until the server closes the connection."""
    transport, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port)
    for at in range(0, len(data), size):
        if transport.is_closing() or b"connection: close" in client.got.lower():
            break
        transport.write(data[at : at + size])
        await asyncio.sleep(0)
    await asyncio.wait_for(client.lost.wait(), 10)
    return client.got


def run(server: str, test: Callable[[int], Awaitable[None]], seen: Seen) -> None:
    async def whole() -> None:
        async with SERVERS[server](seen) as port:
            await test(port)

    asyncio.run(whole())


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("server", SERVERS)
def test_it_is_refused_and_the_connection_closed(server: str, case: str) -> None:
    seen: Seen = []

    async def test(port: int) -> None:
        for size in (2**20, 1):
            # With another request behind: nothing of that is served, nor taken for one.
            answer = await ask(port, REFUSED[case] + SECOND, size)
            assert answer.startswith(b"HTTP/1.1 400 "), answer
            assert len(re.findall(rb"HTTP/1\.1 \d", answer)) == 1
            assert b"connection: close" in answer.lower()

    run(server, test, seen)
    # The door passes a body on as it comes: the server behind it may have seen the beginning, never a whole request.
    assert seen == []


@pytest.mark.parametrize("case", LARGE)
@pytest.mark.parametrize("server", SERVERS)
def test_too_much_of_it_is_refused(server: str, case: str) -> None:
    seen: Seen = []

    async def test(port: int) -> None:
        answer = await ask(port, LARGE[case], 2**16)
        # Refused before all was sent: a client may lose the answer to the reset of its connection.
        assert not answer or re.match(rb"HTTP/1\.1 (400|431) ", answer), answer[:200]

    run(server, test, seen)
    assert seen == []
    assert len(LARGE[case]) > max(HEAD_BYTES, wire.HEAD_BYTES)


@pytest.mark.parametrize("case", READ)
@pytest.mark.parametrize("server", SERVERS)
def test_it_is_read_as_one_request(server: str, case: str) -> None:
    seen: Seen = []
    data, expected = READ[case]
    last = b"GET /last HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"

    async def test(port: int) -> None:
        for size in (2**20, 1, 7):
            seen.clear()
            # What comes behind a last request is not read.
            answer = await ask(port, data + SECOND + last + (b"GET /behind" if size > 7 else b""), size)
            assert seen == [expected, ("GET", "/second", b""), ("GET", "/last", b"")]
            assert answer.count(b"HTTP/1.1 200 ") == 3

    run(server, test, seen)


@pytest.mark.parametrize("server", ["embedded", "wire"])
def test_requests_before_it_are_answered_first(server: str) -> None:
    async def test(port: int) -> None:
        answer = await ask(port, SECOND + SECOND + REFUSED["two lengths"], 2**20)
        assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"200", b"400"]

    run(server, test, [])
