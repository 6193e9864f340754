"""Messages between processes: whole, or a WireError."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox.wire import Client, WireError, compose, read_body, read_head


async def parsed(data: bytes) -> tuple[list[str], dict[str, str], bytes]:
    reader = asyncio.StreamReader(limit=2**20)
    reader.feed_data(data)
    reader.feed_eof()
    message = await read_head(reader)
    return message.start, message.headers, await read_body(reader, message)


@given(st.binary(max_size=200))
def test_what_is_composed_is_read(body: bytes) -> None:
    start, headers, read = asyncio.run(parsed(compose("POST /x HTTP/1.1", {"A": "b: c"}, body)))
    assert start == ["POST", "/x", "HTTP/1.1"]
    assert headers == {"a": "b: c", "content-length": str(len(body))}
    assert read == body


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5))
def test_chunked_bodies_are_read_whole(chunks: list[bytes]) -> None:
    coded = (
        b"".join(b"%x;ext=1\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nTrailer: x\r\n\r\n"
    )
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert asyncio.run(parsed(head + coded))[2] == b"".join(chunks)


@given(st.binary(max_size=100))
def test_anything_else_is_a_wire_error_or_a_message(data: bytes) -> None:
    with contextlib.suppress(WireError, ValueError):
        asyncio.run(parsed(data))


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200",
    ],
)
async def test_a_broken_message_is_said_so(data: bytes) -> None:
    with pytest.raises(WireError):
        await parsed(data)


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
