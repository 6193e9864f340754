"""Passes requests on: each client's connection has its own connection to the server, and both end together."""

import asyncio
import json
from collections.abc import Callable

from shared.doors import Ask, Doors
from shared.http1 import Malformed, Requests, compose_head

#: How long a refused client may still send: if the connection were closed at once, it might not read the reason.
_LINGER_SECONDS = 1.0
_REASONS = {
    400: "Bad Request",
    403: "Forbidden",
    415: "Unsupported Media Type",
    431: "Request Header Fields Too Large",
}


class _Refused(Exception):
    """A foreign page's request."""

    def __init__(self, status: int, message: str, in_protocol: bool) -> None:
        super().__init__(message)
        self.status = status
        #: Whether it was a request of the Resonate protocol, which is answered in the protocol's form.
        self.in_protocol = in_protocol


def _answer(status: int, message: str, in_protocol: bool = False) -> bytes:
    kind, body = "text/plain; charset=utf-8", message
    if in_protocol:
        kind = "application/json"
        head = {"corrId": "0", "status": status, "version": "2026-04-01"}
        body = json.dumps({"kind": "unknown", "head": head, "data": message})
    data = body.encode("utf-8", "replace")
    reason = _REASONS.get(status, "Bad Gateway")
    return (
        f"HTTP/1.1 {status} {reason}\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n"
        "connection: close\r\n\r\n"
    ).encode() + data


class _Server(asyncio.Protocol):
    """The connection to the server."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._client.connected(transport)

    def data_received(self, data: bytes) -> None:
        self._client.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._client.transport.close()

    def pause_writing(self) -> None:
        self._client.transport.pause_reading()

    def resume_writing(self) -> None:
        self._client.resume()


class Passing(Requests):
    """Requests that are passed on as they were understood: the server reads nothing that was not looked at.

    `look` is asked about each one and may raise; then `take` gets its head, and its body in the pieces that it comes in.
    """

    def __init__(self, look: Callable[[Ask], None], take: Callable[[bytes], None]) -> None:
        super().__init__()
        self._look = look
        self._take = take

    def begun(self) -> None:
        target = self.target.decode("latin-1")
        self._look(Ask(self.method, target, self.headers.get, self.version != "1.0"))
        self._take(compose_head(f"{self.method} {target} HTTP/{self.version}", self.headers))

    def piece(self, data: bytes) -> None:
        self._take(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)

    def complete(self) -> None:
        if self._is_chunked:
            self._take(b"0\r\n\r\n")

    @property
    def _is_chunked(self) -> bool:
        return "transfer-encoding" in self.headers


class Client(asyncio.Protocol):
    """A client's connection."""

    transport: asyncio.Transport

    def __init__(self, doors: Doors, port: int) -> None:
        """The server is at 127.0.0.1:`port`."""
        self._doors = doors
        self._port = port
        self._server: asyncio.Transport | None = None
        self._requests = Passing(self._look, self._pass)
        self._connecting: asyncio.Task[None] | None = None
        self._over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.pause_reading()
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _Server(self), "127.0.0.1", self._port)
        except OSError:
            self._refuse(_answer(502, "The Resonate server does not answer yet: try again."))
            self.resume()

    def connected(self, server: asyncio.Transport) -> None:
        """The connection to the server is open."""
        self._server = server
        if self.transport.is_closing():
            server.close()
        else:
            self.resume()

    def resume(self) -> None:
        """Reads from the client again."""
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        try:
            self._requests.feed(data)
        except _Refused as refused:
            self._refuse(_answer(refused.status, str(refused), refused.in_protocol))
        except Malformed as error:
            self._refuse(_answer(error.status, str(error)))

    def eof_received(self) -> bool:
        """The client sends nothing more; answers may still go out."""
        if self._server is not None and not self._server.is_closing():
            self._server.write_eof()
        return not self._over

    def connection_lost(self, error: Exception | None) -> None:
        self._over = True
        if self._server is not None:
            self._server.close()

    def pause_writing(self) -> None:
        if self._server is not None:
            self._server.pause_reading()

    def resume_writing(self) -> None:
        if self._server is not None and not self._server.is_closing():
            self._server.resume_reading()

    def _look(self, ask: Ask) -> None:
        refusal = self._doors.refusal(ask)
        if refusal is not None:
            raise _Refused(*refusal, ask.method == "POST" and ask.target == "/")

    def _pass(self, data: bytes) -> None:
        if self._server is not None:
            self._server.write(data)

    def _refuse(self, answer: bytes) -> None:
        self._over = True
        self.transport.write(answer)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_SECONDS, self.transport.close)


async def listen(doors: Doors, port: int, server_port: int, host: str = "0.0.0.0") -> asyncio.Server:
    """A door at `port` for the server at 127.0.0.1:`server_port`. Raises OSError."""
    client: Callable[[], Client] = lambda: Client(doors, server_port)  # noqa: E731
    return await asyncio.get_running_loop().create_server(client, host, port, backlog=1024)
