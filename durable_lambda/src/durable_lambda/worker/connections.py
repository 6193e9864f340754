"""The SDK's client and its two connections to the server, made robust enough for a long-running process.

They override private methods of the one SDK version that importing `durable_lambda` accepts.
`docs/decisions/0033-the-sdks-connections.md` says what to look at on an upgrade.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
from resonate.connections import HttpConnection, SSEConnection
from resonate.error import ConnectorError
from resonate.resonate import Resonate
from resonate.retry import ExponentialBackoff
from resonate.transport import ExecuteMsg, Message

from durable_lambda.worker.alone import Alone
from durable_lambda.worker.leases import Leases
from durable_lambda.worker.offers import Offer, Offers
from durable_lambda.worker.takings import Ended, SetAside, Takings

#: Short, to connect again soon after a restart of the server; the SDK's own delays grow to a minute.
_BACKOFF = ExponentialBackoff(initial=0.1, factor=2.0, max_delay=2.0)
#: Seconds that one request may take. Every request is short, and whoever sent it repeats it.
_REQUEST_SECONDS = 15


class Client(Resonate):
    """The SDK's client, which takes up offered tasks by the rules of offers.py, and sets suspects aside (alone.py).

    `task_tries` is the setting. `how` says how a suspect's last process ended; it is given only in a suspect's own
    process, which sets no task aside.
    """

    def __init__(
        self,
        *,
        max_concurrent_tasks: int,
        leases: Leases,
        offer_seconds: float,
        task_tries: int,
        how: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(max_concurrent_tasks=max_concurrent_tasks, heartbeat=leases, **options)
        self._leases = leases
        self.takings = Takings(self.promises.sender, self.promises.codec, task_tries, how or "")
        self.alone = Alone(self.takings.still_offered)
        self.takings.set_aside = self.alone.add if how is None else None
        self._core.sender = self.takings
        self._offers = Offers(
            max_concurrent_tasks,
            lambda offer: self._spawn(self._take_up(offer)),
            seconds=offer_seconds,
            wait=lambda: leases.behind,
        )

    def _on_message(self, msg: Message) -> None:
        if not isinstance(msg, ExecuteMsg):
            super()._on_message(msg)
        elif not self._runtime.stopping:
            self._offers.add(Offer(msg.task_id, msg.version))

    def take_no_more(self) -> None:
        """Begin no more tasks: neither those offered from now on nor those that wait for a place."""
        self._offers.close()

    def taking_up(self) -> set[str]:
        """The tasks that are begun, including those that the server has not granted yet."""
        return self._offers.begun

    async def run_one(self, offer: Offer) -> None:
        """Take up one task, and run it until it waits or is over."""
        await self._take_up(offer)

    async def _take_up(self, offer: Offer) -> None:
        self._core.ttl = round(self._leases.seconds * 1000)
        try:
            with contextlib.suppress(SetAside, Ended):
                await self._bounded_execute(self._core.on_message(offer.task_id, offer.version))
        finally:
            self._offers.end(offer)


class Requests(HttpConnection):
    """Requests to the server, each with a time limit.

    `took` is called with the seconds from sending a request until it is answered or given up. Requests that did not
    reach the server do not count.
    """

    def __init__(
        self, url: str, auth: str | None = None, took: Callable[[float], None] | None = None
    ) -> None:
        super().__init__(url, backoff=_BACKOFF, auth=auth)
        self._took = took

    def _ensure_session(self) -> aiohttp.ClientSession:
        if self._session is None and not self._stopped:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=256),
                timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS),
                trace_configs=[_timed(self._took)] if self._took else None,
            )
        return super()._ensure_session()

    async def send(self, req: str, headers: dict[str, str] | None = None) -> str:
        try:
            return await super().send(req, headers)
        except TimeoutError as error:  # the SDK does not catch it, and would keep the task
            raise ConnectorError(error) from error


class Inbox(SSEConnection):
    """Work from the server, as it pushes it.

    The SDK's own session ends every stream after five minutes with an error that its loop does not catch: the worker
    would get no work from then on. This one has no such limit; TCP keep-alive notices a server that has vanished.
    """

    def __init__(self, url: str, pid: str, group: str, auth: str | None = None) -> None:
        super().__init__(url, pid=pid, group=group, backoff=_BACKOFF, auth=auth)
        #: Whether the server can reach this worker.
        self.connected = False

    def _ensure_session(self) -> aiohttp.ClientSession:
        if self._session is None and not self._stopped:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(socket_factory=_watched_socket),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            )
        return super()._ensure_session()

    async def _read_stream(self, resp: aiohttp.ClientResponse) -> None:
        self.connected = True
        try:
            await super()._read_stream(resp)
        finally:
            self.connected = False


def _timed(took: Callable[[float], None]) -> aiohttp.TraceConfig:
    """Calls `took` once a request that reached the server is answered, or given up."""

    async def sent(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
        context.sent_at = time.monotonic()

    async def over(_: aiohttp.ClientSession, context: SimpleNamespace, end: Any) -> None:
        given_up = isinstance(getattr(end, "exception", None), (asyncio.CancelledError, TimeoutError))
        if hasattr(context, "sent_at") and (given_up or not hasattr(end, "exception")):
            took(time.monotonic() - context.sent_at)

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(sent)
    config.on_request_end.append(over)
    config.on_request_exception.append(over)
    return config


def _watched_socket(info: Any) -> socket.socket:
    family, kind, proto, _, _ = info
    made = socket.socket(family=family, type=kind, proto=proto)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    return made
