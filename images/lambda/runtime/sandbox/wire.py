"""HTTP/1.1 between processes on loopback, no more of it than RIE and runtimes speak.

Six messages pass through the supervisor for each invocation; a general HTTP library costs more than the
rest of it together (see docs/decisions/0021).
"""

import asyncio
from dataclasses import dataclass, field

#: Headers are short here; a body comes in whole, as large as a response may be.
HEAD_BYTES = 2**20


class WireError(Exception):
    """The other side closed the connection, or does not speak HTTP/1.1."""


@dataclass
class Message:
    """A request (`start` is its method and target) or a response (version, status); names in lower case."""

    start: list[str]
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", "0"))


async def read_head(reader: asyncio.StreamReader) -> Message:
    """The start line and the headers. Raises WireError."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
        raise WireError(f"no whole message: {error!r}") from error
    first, *lines = head.decode("latin-1")[:-4].split("\r\n")
    message = Message(first.split(" ", 2))
    for line in lines:
        name, _, value = line.partition(":")
        message.headers[name.lower()] = value.strip()
    return message


async def read_body(reader: asyncio.StreamReader, message: Message) -> bytes:
    """The body that `message` announces. Raises WireError."""
    try:
        if message.headers.get("transfer-encoding", "").lower() != "chunked":
            return await reader.readexactly(message.length) if message.length else b""
        body = bytearray()
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readline()
        while (await reader.readline()).strip():
            pass
        return bytes(body)
    except (asyncio.IncompleteReadError, OSError, ValueError) as error:
        raise WireError(f"no whole body: {error!r}") from error


def compose(start: str, headers: dict[str, str], body: bytes) -> bytes:
    """A message, ready to send."""
    lines = [start, *(f"{name}: {value}" for name, value in headers.items()), f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


class Client:
    """One kept connection to one address; one request at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        """Raises OSError."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=HEAD_BYTES)

    async def request(self, method: str, path: str, body: bytes = b"") -> Message:
        """Raises WireError: nothing is tried twice."""
        try:
            await self.open()
            if self._streams is None:
                raise WireError("not connected")
            reader, writer = self._streams
            writer.write(compose(f"{method} {path} HTTP/1.1", {"Host": self._host}, body))
            await writer.drain()
        except OSError as error:
            self.close()
            raise WireError(f"cannot be reached: {error}") from error
        try:
            reply = await read_head(reader)
            reply.body = await read_body(reader, reply)
        except BaseException:
            self.close()
            raise
        if reply.headers.get("connection", "").lower() == "close":
            self.close()
        return reply

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
