"""HTTP/1.1 between processes of ours: gateway, environment, RIE and the runtime; no more of it than they speak.

A dozen messages pass for each invocation; a general HTTP library costs more than the rest of it together (see
docs/decisions/0021). What a user's client speaks to is not this.
"""

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field

log = logging.getLogger(__name__)
#: Headers are short here, but for a client context or the tail of a log.
HEAD_BYTES = 2**20
#: A peer whose machine is gone sends nothing at all; the kernel asks after so many idle seconds, and then thrice.
_PROBE_AFTER_SECONDS, _PROBE_EVERY_SECONDS, _PROBES = 5, 2, 3


class WireError(Exception):
    """The other side closed the connection, or does not speak HTTP/1.1."""


@dataclass
class Message:
    """A request (`start` is method, target, version) or a response (version, status, reason); names in lower case."""

    start: list[str]
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    #: The body was longer than the reader takes, and was left out; this is how long it was.
    refused: int = 0


def _head(raw: bytes) -> Message:
    first, *lines = raw.decode("latin-1").split("\r\n")
    message = Message(first.split(" ", 2))
    if len(message.start) < 2:
        raise WireError(f"no HTTP: {first[:80]!r}")
    for line in lines:
        name, _, value = line.partition(":")
        message.headers[name.lower()] = value.strip()
    return message


def _size(text: bytes | str, base: int) -> int:
    try:
        size = int(text, base)
    except ValueError:
        size = -1
    if size < 0:
        raise WireError(f"a length is expected, not {text[:40]!r}")
    return size


class Parser:
    """Cuts what comes in into messages; bodies over `limit` bytes are read past."""

    def __init__(self, limit: int, expecting: Callable[[], None] = lambda: None) -> None:
        """`expecting` is called for who waits for `100 Continue` before it sends its body."""
        self._buffer = bytearray()
        self._limit = limit
        self._expecting = expecting
        self._messages = self._cut()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now. Raises WireError; nothing can be read after that."""
        self._buffer += data
        complete = []
        while (message := next(self._messages)) is not None:
            complete.append(message)
        return complete

    def _cut(self) -> Generator[Message | None]:
        """Yields None for want of more."""
        buffer = self._buffer
        while True:
            while (end := buffer.find(b"\r\n\r\n")) < 0:
                if len(buffer) > HEAD_BYTES:
                    raise WireError(f"a head of over {HEAD_BYTES} bytes")
                yield None
            message = _head(bytes(buffer[:end]))
            del buffer[: end + 4]
            if message.headers.get("expect", "").lower() == "100-continue":
                self._expecting()
            if message.headers.get("transfer-encoding", "").lower() == "chunked":
                yield from self._chunks(message)
            elif (size := _size(message.headers.get("content-length", "0"), 10)) <= self._limit:
                while len(buffer) < size:
                    yield None
                message.body = bytes(buffer[:size])
                del buffer[:size]
            else:
                message.refused = size
                yield from self._skip(size)
            yield message

    def _chunks(self, message: Message) -> Generator[None]:
        buffer, body, total = self._buffer, bytearray(), 0
        while size := _size((yield from self._line()).split(b";")[0], 16):
            total += size
            if total > self._limit:
                message.refused = total
                yield from self._skip(size + 2)
                continue
            while len(buffer) < size + 2:
                yield None
            body += buffer[:size]
            del buffer[: size + 2]
        while (yield from self._line()).strip():
            pass
        message.body = b"" if message.refused else bytes(body)

    def _line(self) -> Generator[None, None, bytes]:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > HEAD_BYTES:
                raise WireError("a line without an end")
            yield None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _skip(self, size: int) -> Generator[None]:
        while len(self._buffer) < size:
            size -= len(self._buffer)
            self._buffer.clear()
            yield None
        del self._buffer[:size]


def compose(start: str, headers: dict[str, str], body: bytes) -> bytes:
    """A message, ready to send."""
    lines = [start, *(f"{name}: {value}" for name, value in headers.items()), f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


class _Call(asyncio.Protocol):
    """The client's end of a connection: one reply at a time."""

    def __init__(self, limit: int) -> None:
        self._parser = Parser(limit)
        self._transport: asyncio.Transport | None = None
        self.reply: asyncio.Future[Message] | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._parser.feed(data)
        except WireError as error:
            self._fail(error)
            return
        for message in messages:
            if self.reply is None or self.reply.done():
                self.close()
            else:
                self.reply.set_result(message)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(WireError(f"no whole message: {error or 'the connection was closed'}"))

    def _fail(self, error: WireError) -> None:
        self.lost = True
        if self.reply is not None and not self.reply.done():
            self.reply.set_exception(error)
        self.close()

    def send(self, data: bytes) -> "asyncio.Future[Message]":
        if self._transport is None or self.lost:
            raise WireError("the connection was closed")
        self.reply = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return self.reply

    def close(self) -> None:
        self.lost = True
        if self._transport is not None:
            self._transport.close()


class Client:
    """One kept connection to one address; one request at a time."""

    def __init__(self, host: str, port: int, limit: int = 2**24) -> None:
        self._host = host
        self._port = port
        self._limit = limit
        self._connection: _Call | None = None

    async def open(self) -> None:
        """Raises OSError."""
        if self._connection is None or self._connection.lost:
            transport, self._connection = await asyncio.get_running_loop().create_connection(
                lambda: _Call(self._limit), self._host, self._port
            )
            peer = transport.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_AFTER_SECONDS)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_EVERY_SECONDS)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Message:
        """Raises WireError: nothing is tried twice."""
        try:
            await self.open()
        except OSError as error:
            raise WireError(f"cannot be reached: {error}") from error
        if self._connection is None:
            raise WireError("not connected")
        message = compose(f"{method} {path} HTTP/1.1", {"Host": self._host, **(headers or {})}, body)
        try:
            reply = await self._connection.send(message)
        except BaseException:
            self.close()
            raise
        if reply.headers.get("connection", "").lower() == "close":
            self.close()
        return reply

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


#: Answers one request with a whole message (see `compose`).
Handler = Callable[[Message], Awaitable[bytes]]


class _Door(asyncio.Protocol):
    """The server's end of a connection: requests are answered in order."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._parser = Parser(server.limit, self._continue)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Message] = deque()
        self._answering = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._server.doors.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.doors.discard(self)

    def _continue(self) -> None:
        self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        try:
            self._waiting.extend(self._parser.feed(data))
        except WireError as error:
            self._write(compose("HTTP/1.1 400 Bad Request", {"Connection": "close"}, f"{error}\n".encode()))
            self.close()
            return
        if self._waiting and not self._answering:
            self._answering = True
            self._server.keep(asyncio.create_task(self._answer()))

    async def _answer(self) -> None:
        """Not ended with the connection: an invocation goes on when its caller hangs up, as in AWS."""
        try:
            while self._waiting:
                request = self._waiting.popleft()
                try:
                    answer = await self._server.handler(request)
                except Exception:
                    log.exception("%s failed", " ".join(request.start[:2]))
                    answer = compose("HTTP/1.1 500 Internal Server Error", {}, b"")
                self._write(answer)
                last = request.headers.get("connection", "").lower() == "close"
                if last or request.start[-1] == "HTTP/1.0":
                    self.close()
        finally:
            self._answering = False

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Server:
    """Answers the requests to one port with `handler`; bodies over `limit` bytes come as `refused`."""

    def __init__(self, handler: Handler, limit: int) -> None:
        self.handler = handler
        self.limit = limit
        self.doors: set[_Door] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Raises OSError."""
        self._listening = await asyncio.get_running_loop().create_server(lambda: _Door(self), host, port)

    @property
    def port(self) -> int:
        return int(self._listening.sockets[0].getsockname()[1]) if self._listening else 0

    def keep(self, answering: "asyncio.Task[None]") -> None:
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)

    async def close(self, seconds: float) -> bool:
        """Takes no new connection, lets what runs end within `seconds`; False if it did not."""
        if self._listening is not None:
            self._listening.close()
        pending = set(self._answering)
        if pending:
            _, pending = await asyncio.wait(pending, timeout=seconds)
        for task in pending:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for door in list(self.doors):
            door.close()
        return not pending
