"""HTTP/1.1 on the event loop without a framework: a request costs a parse and a write, no task and no future.

See docs/decisions/0011-http.md for the reason. What a path answers is in `app`.
"""

import asyncio
import logging
import socket
from email.utils import formatdate
from time import time
from typing import Protocol, cast

from shared.http1 import Malformed, Requests

log = logging.getLogger(__name__)

REASONS = {
    200: "OK", 300: "Multiple Choices", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 410: "Gone", 413: "Payload Too Large",
    415: "Unsupported Media Type", 422: "Unprocessable Entity", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable",
}  # fmt: skip
STATUS_LINES = {code: f"HTTP/1.1 {code} {reason}\r\n" for code, reason in REASONS.items()}

MAX_BODY = 2 * 1024 * 1024  # bytes, as in v0.9.8
HIGH_WATER = 1024 * 1024  # bytes a client may leave unread before nothing more is read from it

type Headers = dict[str, str]


class _Date:
    """The `date` header, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def __str__(self) -> str:
        now = int(time())
        if now != self._second:
            self._second = now
            self._text = formatdate(now, usegmt=True)
        return self._text


DATE = _Date()


class App(Protocol):
    """What answers the requests."""

    connections: "set[Connection]"

    def handle(
        self, connection: "Connection", method: str, url: bytes, headers: Headers, body: bytes
    ) -> None:
        """Answers a request through `connection.reply`, or `stream`, at once or later, in order."""

    def lost(self, connection: "Connection") -> None:
        """The client has disconnected."""


class Connection(Requests, asyncio.Protocol):
    """A client's connection."""

    def __init__(self, app: App) -> None:
        super().__init__()
        self._app = app
        self._transport: asyncio.Transport
        self._body: list[bytes] = []
        self._size = 0
        #: Status and message of the refusal that ends the connection; sent after the answers still to come.
        self._last_words: tuple[int, str] | None = None
        #: How many requests are not answered yet.
        self.owed = 0
        self.closing = False
        #: Extra header lines of each answer to the request being handled (CORS).
        self.extra = ""

    # From the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        found = transport.get_extra_info("socket")
        if found is not None and found.family in (socket.AF_INET, socket.AF_INET6):
            # A worker whose machine has crashed or lost its network is noticed within half a minute.
            found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000)
        self._app.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self.closing or self._last_words is not None:
            return
        try:
            self.feed(data)
        except Malformed as error:
            self.finish(error.status, str(error))

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closing = True
        self._app.connections.discard(self)
        self._app.lost(self)

    # From the parser.

    def begun(self) -> None:
        self._body = []
        self._size = 0
        if self.headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def piece(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_BODY:
            raise Malformed(413, "Failed to buffer the request body: length limit exceeded")
        self._body.append(data)

    def complete(self) -> None:
        if self.closing:
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self.owed += 1
        try:
            self._app.handle(self, self.method, self.target, self.headers, body)
        except Exception:
            log.exception("a request could not be handled")
            self.owed -= 1
            self.finish(500)

    # From the app.

    @property
    def needs_host(self) -> bool:
        """Whether the request must name a host: in HTTP/1.1."""
        return self.version != "1.0"

    @property
    def backlog(self) -> int:
        """Bytes written that the client has not taken yet."""
        return self._transport.get_write_buffer_size()

    def reply(self, status: int, body: bytes, kind: str = "application/json", extra: str = "") -> None:
        """Answers the oldest request."""
        self.owed -= 1
        if self._transport.is_closing():
            return
        last = "connection: close\r\n" if self.is_last and not self.owed and self._last_words is None else ""
        type_ = f"content-type: {kind}\r\n" if kind else ""
        self._transport.write(
            f"{STATUS_LINES[status]}{type_}{self.extra}{extra}content-length: {len(body)}\r\n"
            f"{last}date: {DATE}\r\n\r\n".encode("latin-1")
            + body
        )
        if not self.owed:
            self._answered()

    def reply_head(self, size: int, status: int, kind: str, extra: str) -> None:
        """Answers a HEAD request."""
        self.owed -= 1
        type_ = f"content-type: {kind}\r\n" if kind else ""
        head = (
            f"{STATUS_LINES[status]}{type_}{self.extra}{extra}content-length: {size}\r\ndate: {DATE}\r\n\r\n"
        )
        self._transport.write(head.encode("latin-1"))
        if not self.owed:
            self._answered()

    def stream(self) -> None:
        """Answers with an event stream that stays open."""
        self._transport.write(
            f"{STATUS_LINES[200]}content-type: text/event-stream\r\ncache-control: no-cache\r\n{self.extra}"
            f"transfer-encoding: chunked\r\ndate: {DATE}\r\n\r\n".encode("latin-1")
        )

    def chunk(self, data: bytes) -> None:
        """Sends a piece of the stream."""
        if not self._transport.is_closing():
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def finish_stream(self) -> None:
        """Ends the stream."""
        if not self._transport.is_closing():
            self._transport.write(b"0\r\n\r\n")
            self.close()

    def finish(self, status: int, message: str = "") -> None:
        """Stops reading. Answers this once all earlier requests are answered, and closes."""
        self._last_words = status, message
        if not self.owed:
            self._say_last(status, message)

    def _answered(self) -> None:
        """All requests are answered."""
        if self._last_words is not None:
            self._say_last(*self._last_words)
        elif self.is_last:
            self.close()

    def _say_last(self, status: int, message: str) -> None:
        self._last_words = None
        self.is_last = True
        self.owed = 1
        self.reply(status, message.encode(), "text/plain; charset=utf-8" if message else "")

    def close(self) -> None:
        """Closes once everything written is sent."""
        self.closing = True
        self._transport.close()
