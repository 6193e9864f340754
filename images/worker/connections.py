"""The SDK's two connections to the server, made to survive what a long-running process meets.

They override private methods of the SDK, so they know one version of it: :func:`check_sdk` is called before work
begins, and `docs/decisions/0033-the-sdks-connections.md` says what to look at on an upgrade.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import aiohttp
from resonate.connections import HttpConnection, SSEConnection
from resonate.error import ConnectorError
from resonate.retry import ExponentialBackoff

#: Quick to be back after a restart of the server; the SDK's own ladder goes up to a minute.
_BACKOFF = ExponentialBackoff(initial=0.1, factor=2.0, max_delay=2.0)
#: Seconds one request may take; every one is short, and each is repeated by whoever sent it.
_REQUEST_SECONDS = 15
#: Seconds after which the same offer is taken again: the first may have come to nothing.
REPEAT_SECONDS = 5.0
#: The version of resonate-sdk that this module overrides.
SDK_VERSION = "0.8.1"


class OtherSdkError(RuntimeError):
    """The SDK that is installed is not the one that is overridden here."""


def check_sdk(found: str | None = None) -> None:
    """Raises :class:`OtherSdkError` where the SDK is another version than :data:`SDK_VERSION`."""
    found = found or version("resonate-sdk")
    if found != SDK_VERSION:
        raise OtherSdkError(
            f"resonate-sdk {found} is installed, but connections.py overrides private methods of {SDK_VERSION}. "
            "Install that version, or look through docs/decisions/0033-the-sdks-connections.md and then set SDK_VERSION."
        )
    for owner, name in (
        (HttpConnection, "_ensure_session"),
        (SSEConnection, "_ensure_session"),
        (SSEConnection, "_read_stream"),
    ):
        if not callable(getattr(owner, name, None)):
            raise OtherSdkError(f"resonate-sdk {found} has no {owner.__name__}.{name}; see decision 0033.")


class Requests(HttpConnection):
    """Requests to the server, with a limit on the time that one may take."""

    def __init__(self, url: str, auth: str | None = None) -> None:
        super().__init__(url, backoff=_BACKOFF, auth=auth)

    def _ensure_session(self) -> aiohttp.ClientSession:
        if self._session is None and not self._stopped:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=256),
                timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS),
            )
        return super()._ensure_session()

    async def send(self, req: str, headers: dict[str, str] | None = None) -> str:
        try:
            return await super().send(req, headers)
        except TimeoutError as error:  # which the SDK lets pass, and then forgets to give the task back
            raise ConnectorError(error) from error


class Inbox(SSEConnection):
    """Work from the server, as it pushes it.

    The SDK's own session ends every stream after five minutes with an error that its loop does not catch: the
    worker would be deaf from then on. This one has no such limit, and notices a server that vanished without
    a word by TCP keep-alive.
    """

    def __init__(
        self, url: str, pid: str, group: str, full: Callable[[], bool], auth: str | None = None
    ) -> None:
        super().__init__(url, pid=pid, group=group, backoff=_BACKOFF, auth=auth)
        self._full = full
        #: Offers taken, and when: a second one of the same task and version is the same offer.
        self._taken: dict[str, float] = {}
        #: Whether the server can reach this worker.
        self.connected = False

    def recv(self, callback: Callable[[str], None]) -> None:
        """Take messages; but what is offered while all places are taken is left to be offered again.

        The server does that each second, to whoever has room. The SDK would queue each offer of the same job, and
        ask for each in vain but the first: on a busy machine that is most of what it does.
        """

        def offered(message: str) -> None:
            if '"execute"' not in message or not (self._full() or self._taken_before(message)):
                callback(message)

        super().recv(offered)

    def _taken_before(self, offer: str) -> bool:
        """Whether this very offer (task and version) was taken within REPEAT_SECONDS; else it is now."""
        now = time.monotonic()
        if now - self._taken.get(offer, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return True
        if len(self._taken) >= 1000:
            self._taken = {known: at for known, at in self._taken.items() if now - at < REPEAT_SECONDS}
        self._taken[offer] = now
        return False

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


def _watched_socket(info: Any) -> socket.socket:
    family, kind, proto, _, _ = info
    made = socket.socket(family=family, type=kind, proto=proto)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    return made
