"""Messages between processes: whole, or a WireError."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http1 import Malformed
from shared.wire import Client, Request, RequestReader, Response, ResponseReader, Server, WireError, compose

LIMIT = 1000


def requests(data: bytes, step: int = 2**20) -> list[Request]:
    """What is read when the data comes in pieces of `step` bytes."""
    found: list[Request] = []
    reader = RequestReader(LIMIT, found.append)
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
    return found


def responses(data: bytes, step: int = 2**20) -> list[Response]:
    found: list[Response] = []
    reader = ResponseReader(LIMIT, found.append)
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
    return found


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=3), st.integers(1, 300))
def test_what_is_composed_is_read_in_whatever_pieces_it_comes(bodies: list[bytes], step: int) -> None:
    data = b"".join(compose("POST /x HTTP/1.1", {"A": "b: c"}, body) for body in bodies)
    expected = [{"a": "b: c", "content-length": str(len(body))} for body in bodies]
    assert requests(data, step) == [
        Request("POST", "/x", "1.1", headers, body) for headers, body in zip(expected, bodies, strict=True)
    ]
    data = b"".join(compose("HTTP/1.1 202 Accepted", {"A": "b: c"}, body) for body in bodies)
    assert responses(data, step) == [
        Response(202, headers, body) for headers, body in zip(expected, bodies, strict=True)
    ]


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), st.integers(1, 100))
def test_chunked_bodies_are_read_whole(chunks: list[bytes], step: int) -> None:
    coded = (
        b"".join(b"%x;ext=1\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nTrailer: x\r\n\r\n"
    )
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    (response,) = responses(head + coded, step)
    assert response.body == b"".join(chunks)
    assert response.headers == {"transfer-encoding": "chunked"}


@given(st.binary(max_size=100))
def test_anything_else_is_malformed_or_a_message(data: bytes) -> None:
    for read in (requests, responses):
        with contextlib.suppress(Malformed):
            read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (2**20 + 1),
    ],
)
def test_what_is_no_response_is_said_so(data: bytes) -> None:
    with pytest.raises(Malformed):
        responses(data)


def test_an_announcement_is_no_response() -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\n" + compose("HTTP/1.1 200 OK", {}, b"a")
    assert [response.status for response in responses(data)] == [200]
    assert [response.status for response in responses(b"HTTP/1.1 204 No Content\r\n\r\n")] == [204]


@pytest.mark.parametrize("step", [7, 2**20])
def test_a_body_over_the_limit_is_read_past(step: int) -> None:
    chunk = b"%x\r\n%s\r\n" % (600, b"x" * 600)
    data = (
        compose("POST /large HTTP/1.1", {}, b"x" * (LIMIT + 1))
        + b"POST /chunked HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 2 + b"0\r\n\r\n"
        + compose("POST /next HTTP/1.1", {}, b"y" * LIMIT)
    )  # fmt: skip
    large, chunked, following = requests(data, step)
    assert (large.body, large.refused) == (b"", LIMIT + 1)
    assert (chunked.body, chunked.refused) == (b"", 1200)
    assert (following.body, following.refused) == (b"y" * LIMIT, 0)


async def test_a_connection_that_breaks_is_not_tried_again() -> None:
    served = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(once, "127.0.0.1", 0) as server:
        client = Client("127.0.0.1", server.sockets[0].getsockname()[1])
        with pytest.raises(WireError):
            await client.request("GET", "/")
        client.close()
    assert served == 1


async def echo(request: Request) -> bytes:
    if request.target == "/slow":
        await asyncio.sleep(0.05)
    if request.target == "/bad":
        raise RuntimeError("for the log")
    return compose("HTTP/1.1 200 OK", {"Path": request.target}, request.body)


@pytest.mark.parametrize("eager", [False, True])
async def test_requests_on_one_connection_are_answered_in_order(eager: bool) -> None:
    if eager:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    server = Server(echo, LIMIT)
    await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for path in ("/slow", "/fast"):
        writer.write(compose(f"POST {path} HTTP/1.1", {}, path.encode()))
    writer.write(b"POST /last HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx")
    # Closed after the answer to HTTP/1.0.
    answers = await reader.read()
    assert answers.index(b"/slow") < answers.index(b"/fast") < answers.index(b"/last")
    assert b"HTTP/1.1 100 Continue\r\n\r\n" in answers
    writer.close()
    client = Client("127.0.0.1", server.port)
    assert (await client.request("GET", "/bad")).status == 500
    assert (await client.request("GET", "/x", b"again")).body == b"again"
    client.close()
    assert await server.close(1)


async def test_nonsense_is_a_400_and_the_end_of_the_connection() -> None:
    server = Server(echo, LIMIT)
    await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"hello\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()
    await server.close(1)


async def test_closing_lets_what_runs_end_and_takes_nobody_new() -> None:
    server = Server(echo, LIMIT)
    await server.start("127.0.0.1", 0)
    client, port = Client("127.0.0.1", server.port), server.port
    running = asyncio.create_task(client.request("GET", "/slow", b"inside"))
    await asyncio.sleep(0.01)
    assert await server.close(5)
    assert (await running).body == b"inside"
    with pytest.raises(WireError, match="cannot be reached"):
        await Client("127.0.0.1", port).request("GET", "/")


async def test_closing_waits_no_longer_than_it_is_told() -> None:
    server = Server(echo, LIMIT)
    await server.start("127.0.0.1", 0)
    client = Client("127.0.0.1", server.port)
    running = asyncio.create_task(client.request("GET", "/slow"))
    await asyncio.sleep(0.01)
    assert not await server.close(0)
    with pytest.raises(WireError):
        await running
