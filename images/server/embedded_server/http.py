"""HTTP/1.1, by hand on the event loop: a request costs a parse and a write, no task and no future.

See docs/decisions/0011-http.md for why no framework. What a path answers is in `app`.
"""

import asyncio
import logging
import socket
from email.utils import formatdate
from time import time
from typing import Protocol, cast

import httptools

log = logging.getLogger(__name__)

REASONS = {
    200: "OK", 300: "Multiple Choices", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 410: "Gone", 413: "Payload Too Large",
    415: "Unsupported Media Type", 422: "Unprocessable Entity", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable",
}  # fmt: skip
STATUS_LINES = {code: f"HTTP/1.1 {code} {reason}\r\n" for code, reason in REASONS.items()}

MAX_BODY = 2 * 1024 * 1024  # bytes, as in v0.9.8
MAX_HEAD = 400 * 1024  # bytes
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
        """The client is gone."""


class Connection(asyncio.Protocol):
    """A client's connection."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._url = b""
        self._headers: Headers = {}
        self._body: list[bytes] = []
        self._size = 0
        self._head = 0
        self._keep = True
        self._chunked = False
        self._old = False
        #: Answers owed: only then may something overtake.
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
            # A worker whose machine is gone, or unplugged, is noticed within half a minute.
            found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000)
        self._app.connections.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserCallbackError:
            log.exception("a request could not be handled")
            if not self.closing:
                self.finish(500)
        except httptools.HttpParserError:
            if not self.closing:
                self.finish(400)
        self._head += len(data)
        if self._head > MAX_HEAD and not self._size and not self.closing:
            self.finish(431)

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

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = {}
        self._body = []
        self._size = self._head = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key in self._headers and key in ("host", "origin"):
            text = f"{self._headers[key]}, {text}"  # two of them are no host, and no origin
        self._headers[key] = text

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size <= MAX_BODY:
            self._body.append(chunk)
        elif not self.closing:
            self.finish(413, "Failed to buffer the request body: length limit exceeded")

    def on_message_complete(self) -> None:
        if self.closing:
            return
        self._head = 0
        self._keep = self._parser.should_keep_alive()
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self.owed += 1
        self._app.handle(self, self._parser.get_method().decode(), self._url, self._headers, body)

    # From the app.

    @property
    def needs_host(self) -> bool:
        """Whether the request must name a host: in HTTP/1.1."""
        version: str = self._parser.get_http_version()
        return version != "1.0"

    @property
    def backlog(self) -> int:
        """Bytes written that the client has not taken yet."""
        return self._transport.get_write_buffer_size()

    def reply(self, status: int, body: bytes, kind: str = "application/json", extra: str = "") -> None:
        """Answers the oldest request."""
        self.owed -= 1
        if self._transport.is_closing():
            return
        last = "" if self._keep or self.owed else "connection: close\r\n"
        type_ = f"content-type: {kind}\r\n" if kind else ""
        self._transport.write(
            f"{STATUS_LINES[status]}{type_}{self.extra}{extra}content-length: {len(body)}\r\n"
            f"{last}date: {DATE}\r\n\r\n".encode("latin-1")
            + body
        )
        if last:
            self.close()

    def reply_head(self, size: int, status: int, kind: str, extra: str) -> None:
        """Answers a HEAD request."""
        self.owed -= 1
        type_ = f"content-type: {kind}\r\n" if kind else ""
        head = (
            f"{STATUS_LINES[status]}{type_}{self.extra}{extra}content-length: {size}\r\ndate: {DATE}\r\n\r\n"
        )
        self._transport.write(head.encode("latin-1"))
        if not self._keep:
            self.close()

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
        """Answers what cannot be read on, and closes."""
        self._keep = False
        self.owed = 1
        self.reply(status, message.encode(), "text/plain; charset=utf-8" if message else "")
        self.close()

    def close(self) -> None:
        """Closes once everything written is sent."""
        self.closing = True
        self._transport.close()
