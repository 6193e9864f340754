"""HTTP/1.1 between processes of ours: gateway, environment, RIE and the runtime; a client and a server for just that.

Each invocation takes a dozen messages; a general HTTP library would cost more CPU than everything else together (see
docs/decisions/0021). Users' clients do not talk to this server.
"""

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from .http1 import Malformed, Requests, Responses, compose_head

log = logging.getLogger(__name__)
#: Headers are short here, but for a client context or the tail of a log.
HEAD_BYTES = 2**20
#: A peer whose machine has crashed sends nothing. After so many idle seconds the kernel probes it, three times.
_PROBE_AFTER_SECONDS, _PROBE_EVERY_SECONDS, _PROBES = 5, 2, 3


class WireError(Exception):
    """The other side closed the connection, or does not speak HTTP/1.1."""


@dataclass
class Request:
    """A request; names of headers in lower case."""

    method: str
    target: str
    #: "1.1" or "1.0".
    version: str = "1.1"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    #: The length of a body that was longer than the reader's limit and is left out; else 0.
    refused: int = 0


@dataclass
class Response:
    """A response; names of headers in lower case."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    #: As for a request.
    refused: int = 0


class _Body:
    """A body that is kept up to `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._limit:
            self._pieces.append(data)

    def take(self) -> tuple[bytes, int]:
        """The body, and 0; or, if it was too long, nothing and its length. Then the next body begins."""
        pieces, size = self._pieces, self._size
        self._pieces, self._size = [], 0
        if size > self._limit:
            return b"", size
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), 0


class RequestReader(Requests):
    """Hands each whole request to `take`; a body over `limit` bytes is left out."""

    head_bytes = HEAD_BYTES

    def __init__(
        self, limit: int, take: Callable[[Request], None], expecting: Callable[[], None] = lambda: None
    ) -> None:
        """`expecting` is called where a client waits for `100 Continue` before it sends its body."""
        super().__init__()
        self._body = _Body(limit)
        self._take = take
        self._expecting = expecting

    def begun(self) -> None:
        if self.headers.get("expect", "").lower() == "100-continue":
            self._expecting()

    def piece(self, data: bytes) -> None:
        self._body.add(data)

    def complete(self) -> None:
        target = self.target.decode("latin-1")
        self._take(Request(self.method, target, self.version, self.headers, *self._body.take()))


class ResponseReader(Responses):
    """Hands each whole response to `take`; a body over `limit` bytes is left out."""

    head_bytes = HEAD_BYTES

    def __init__(self, limit: int, take: Callable[[Response], None]) -> None:
        super().__init__()
        self._body = _Body(limit)
        self._take = take

    def piece(self, data: bytes) -> None:
        self._body.add(data)

    def complete(self) -> None:
        self._take(Response(self.status, self.headers, *self._body.take()))


def compose(start: str, headers: dict[str, str], body: bytes) -> bytes:
    """A message, ready to send."""
    return compose_head(start, {**headers, "Content-Length": str(len(body))}) + body


class _Call(asyncio.Protocol):
    """The client's end of a connection: one reply at a time."""

    def __init__(self, limit: int) -> None:
        self._reader = ResponseReader(limit, self._take)
        self._transport: asyncio.Transport | None = None
        self.reply: asyncio.Future[Response] | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
        except Malformed as error:
            self._fail(WireError(str(error)))

    def _take(self, response: Response) -> None:
        if self.reply is None or self.reply.done():
            self.close()  # a response to no request
            return
        self.reply.set_result(response)
        if self._reader.is_last:
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(WireError(f"no whole response: {error or 'the connection was closed'}"))

    def _fail(self, error: WireError) -> None:
        self.lost = True
        if self.reply is not None and not self.reply.done():
            self.reply.set_exception(error)
        self.close()

    def send(self, data: bytes) -> "asyncio.Future[Response]":
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
    ) -> Response:
        """Raises WireError: nothing is tried twice."""
        try:
            await self.open()
        except OSError as error:
            raise WireError(f"cannot be reached: {error}") from error
        if self._connection is None:
            raise WireError("not connected")
        message = compose(f"{method} {path} HTTP/1.1", {"Host": self._host, **(headers or {})}, body)
        try:
            return await self._connection.send(message)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_MALFORMED = {400: "Bad Request", 431: "Request Header Fields Too Large"}
#: Answers one request with a whole message (see `compose`).
Handler = Callable[[Request], Awaitable[bytes]]


class _Door(asyncio.Protocol):
    """The server's end of a connection: requests are answered in order."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._reader = RequestReader(server.limit, self._take, self._continue)
        self._transport: asyncio.Transport | None = None
        #: Requests to be answered, and at the end what a malformed one is answered.
        self._waiting: deque[Request | bytes] = deque()
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

    def _take(self, request: Request) -> None:
        self._waiting.append(request)

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        try:
            self._reader.feed(data)
        except Malformed as error:
            self._reader.is_last = True
            start = f"HTTP/1.1 {error.status} {_MALFORMED[error.status]}"
            self._waiting.append(compose(start, {"Connection": "close"}, f"{error}\n".encode()))
        if self._waiting and not self._answering:
            self._answering = True
            self._server.keep(asyncio.create_task(self._answer()))

    async def _answer(self) -> None:
        """Not cancelled when the connection closes: an invocation runs to its end if its caller disconnects, as in AWS."""
        try:
            while self._waiting:
                request = self._waiting.popleft()
                self._write(request if isinstance(request, bytes) else await self._answer_to(request))
            if self._reader.is_last:
                self.close()
        finally:
            self._answering = False

    async def _answer_to(self, request: Request) -> bytes:
        try:
            return await self._server.handler(request)
        except Exception:
            log.exception("%s %s failed", request.method, request.target)
            return compose("HTTP/1.1 500 Internal Server Error", {}, b"")

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
