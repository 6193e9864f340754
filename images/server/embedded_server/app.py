"""What the paths answer. Source: v0.9.8 `server.rs`, `api_routes` and `poll_routes`."""

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import unquote

import httptools

from shared.doors import Ask, Doors, Refusal

from .api import Api
from .auth import Auth
from .cors import Cors
from .delivery import Delivery
from .http import Connection, Headers
from .metrics import Metrics
from .protocol import envelope, text
from .store import Call, Store

log = logging.getLogger(__name__)

GONE = b'{"error":"This endpoint is no longer supported. Please update to the latest SDK."}'
TEXT = "text/plain; charset=utf-8"
#: Seconds between comments on a quiet event stream: proxies keep it open, and a dead peer is noticed.
KEEP_ALIVE = 15.0


def ask(connection: Connection, method: str, url: bytes, headers: Headers) -> Ask:
    """The request, for the rule in shared.doors."""
    return Ask(method, url.decode("latin-1"), headers.get, connection.needs_host)


def refuse(connection: Connection, method: str, url: bytes, refusal: Refusal) -> None:
    """Refuses a request of a foreign page; a protocol request gets its answer in the protocol's form."""
    connection.extra = ""
    if url == b"/" and method == "POST":
        connection.reply(refusal.status, envelope('"unknown"', '"0"', refusal.status, text(refusal.message)))
    else:
        connection.reply(refusal.status, refusal.message.encode(), TEXT)


class Stream:
    """A worker's event stream."""

    def __init__(self, connection: Connection, group: str, id: str, buffer: int) -> None:
        self.group = group
        self.id = id
        self._connection = connection
        self._buffer = buffer
        self._waiting = 0

    def event(self, data: str) -> bool:
        """Sends one message. While the worker does not read, up to `buffer` messages are kept for it."""
        connection = self._connection
        if connection.closing:
            return False
        self._waiting = self._waiting + 1 if connection.backlog else 0
        if self._waiting > self._buffer:
            log.warning("worker %s@%s does not read: message dropped", self.id, self.group)
            return False
        connection.chunk(f"data: {data}\n\n".encode())
        return True


class App:
    """The main port."""

    def __init__(
        self,
        api: Api,
        store: Store,
        delivery: Delivery,
        auth: Auth | None,
        cors: Cors,
        doors: Doors,
        buffer: int,
    ) -> None:
        self.connections: set[Connection] = set()
        self._api = api
        self._store = store
        self._delivery = delivery
        self._auth = auth
        self._cors = cors
        self._doors = doors
        self._buffer = buffer
        self._streams: dict[Connection, Stream] = {}
        self._keep_alive: asyncio.TimerHandle | None = None

    def handle(self, connection: Connection, method: str, url: bytes, headers: Headers, body: bytes) -> None:
        refusal = self._doors.refusal(ask(connection, method, url, headers), self._cors.allows)
        if refusal is not None:
            self._in_turn(connection, lambda: refuse(connection, method, url, refusal))
            return
        if self._cors:
            connection.extra = self._cors.headers(headers)
        if url == b"/" and method == "POST":
            self._api.handle(body, connection.reply)
        else:
            self._in_turn(connection, lambda: self._other(connection, method, url, headers))

    def _in_turn(self, connection: Connection, answer: Callable[[], None]) -> None:
        """Answers at once; or, if earlier requests of this connection wait for their commit, after them."""
        if connection.owed > 1:
            self._store.submit(Call(None, None, 0, "", lambda _: answer()))
        else:
            answer()

    def lost(self, connection: Connection) -> None:
        stream = self._streams.pop(connection, None)
        if stream is not None:
            self._delivery.closed(stream.group, stream)
            log.info("worker %s@%s is gone", stream.id, stream.group)

    def start(self) -> None:
        """Begins to send comments on quiet streams."""
        self._keep_alive = asyncio.get_running_loop().call_later(KEEP_ALIVE, self._comment)

    def stop(self) -> None:
        """Closes the event streams, and every connection that waits for no answer."""
        if self._keep_alive is not None:
            self._keep_alive.cancel()
        for connection in list(self._streams):
            connection.finish_stream()
        for connection in list(self.connections):
            if not connection.owed:
                connection.close()

    def _comment(self) -> None:
        for connection in self._streams:
            if not connection.backlog:
                connection.chunk(b": keep-alive\n\n")
        self.start()

    def _other(self, connection: Connection, method: str, url: bytes, headers: Headers) -> None:
        try:
            path = (httptools.parse_url(url).path or b"/").decode("latin-1")
        except httptools.HttpParserInvalidURLError:
            path = ""
        first, _, rest = path.removeprefix("/").partition("/")
        legacy = first in ("promises", "schedules", "tasks") and bool(rest or not path.endswith("/"))
        polled = first == "poll" and rest.count("/") == 1 and all(rest.split("/"))
        allow = "POST" if path == "/" else "GET,HEAD" if polled or path in ("/health", "/ready") else ""
        if self._cors and method == "OPTIONS":
            connection.extra = ""
            allowed = f"allow: {allow}\r\n" if allow else ""
            connection.reply(200, b"", "", self._cors.preflight(headers) + allowed)
        elif legacy:
            log.warning("legacy path %s: update to the latest SDK", path)
            self._answer(connection, method, 410, GONE, "application/json")
        elif not allow:
            self._answer(connection, method, 404, b"", "")
        elif path == "/" or method not in ("GET", "HEAD"):
            connection.reply(405, b"", "", f"allow: {allow}\r\n")
        elif polled:
            group, id = rest.split("/")
            self._poll(connection, unquote(group), unquote(id), headers)
        else:
            ready = path == "/health" or self._store.ready()
            self._answer(connection, method, 200 if ready else 503, b"", "")

    def _poll(self, connection: Connection, group: str, id: str, headers: Headers) -> None:
        """Opens a worker's event stream."""
        if self._auth is not None:
            given = headers.get("authorization", "")
            if not given.startswith("Bearer ") or self._auth.token(given.removeprefix("Bearer ")) is None:
                connection.reply(401, b"Unauthorized", TEXT)
                return
        stream = Stream(connection, group, id, self._buffer)
        if self._delivery.full:
            log.warning("poll of %s@%s refused: at capacity", id, group)
            connection.reply(503, b"Poll registration at capacity", TEXT)
            return
        self._streams[connection] = stream
        connection.stream()
        self._delivery.opened(group, stream)
        log.info("worker %s@%s polls", id, group)

    @staticmethod
    def _answer(connection: Connection, method: str, status: int, body: bytes, kind: str) -> None:
        if method == "HEAD":
            connection.reply_head(len(body), status, kind, "")
        else:
            connection.reply(status, body, kind)


class MetricsApp:
    """The metrics' port."""

    def __init__(self, metrics: Metrics, doors: Doors) -> None:
        self.connections: set[Connection] = set()
        self._metrics = metrics
        self._doors = doors

    def handle(self, connection: Connection, method: str, url: bytes, headers: Headers, body: bytes) -> None:
        refusal = self._doors.refusal(ask(connection, method, url, headers))
        if refusal is not None:
            refuse(connection, method, url, refusal)
        elif url.partition(b"?")[0] != b"/metrics":
            connection.reply(404, b"", "")
        elif method == "GET":
            connection.reply(200, self._metrics.text().encode(), "text/plain; version=0.0.4")
        else:
            connection.reply(405, b"", "", "allow: GET,HEAD\r\n")

    def lost(self, connection: Connection) -> None:
        pass
