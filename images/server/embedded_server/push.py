"""HTTP push: a POST of the message to the address. Source: v0.9.8 `transport_http_push.rs`.

Unlike there, only to addresses in PUSH_TO: whoever creates a promise chooses the address, and this server can reach
machines that they cannot. See docs/decisions/0071.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from .config import ANYWHERE, HttpPush
from .metrics import Metrics

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from yarl import URL

log = logging.getLogger(__name__)

#: At most so many refused addresses are logged, each once.
NAMED = 100


class Pusher:
    """Sends with a bounded number of requests under way. The HTTP client is loaded with the first message."""

    def __init__(self, settings: HttpPush, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._session: ClientSession | None = None
        self._slots = asyncio.Semaphore(max(settings.concurrency, 1))
        self._refused: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._headers = {"content-type": "application/json"}
        auth = settings.auth
        if auth is not None and auth.mode == "bearer":
            self._headers[auth.header] = f"Bearer {auth.token or ''}"

    def send(self, url: str, message: str) -> None:
        """Sends in the background; a failure is logged and counted, and the task's retry sends again."""
        if not self._settings.to:
            self._refuse(url)
            return
        task = asyncio.get_running_loop().create_task(self._send(url, message.encode()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, url: str, message: bytes) -> None:
        import aiohttp
        from yarl import URL

        try:
            # Checked as the client below reads it: another parser may see another host.
            address = URL(url)
            allowed = self._may(address)
        except ValueError:
            allowed = False
        if not allowed:
            self._refuse(url)
            return
        async with self._slots:
            if self._session is None:
                self._session = aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(
                        total=self._settings.request_timeout / 1000,
                        sock_connect=self._settings.connect_timeout / 1000,
                    )
                )
            try:
                async with self._session.post(
                    address, data=message, headers=self._headers, allow_redirects=False
                ) as answer:
                    status = answer.status
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                log.warning("push to %s failed: %s", url, error or type(error).__name__)
                self._metrics.deliveries["error"] += 1
                return
        if 200 <= status < 300:
            self._metrics.deliveries["success"] += 1
        else:
            log.warning("push to %s was answered %d", url, status)
            self._metrics.deliveries["error"] += 1

    def _may(self, address: "URL") -> bool:
        to = self._settings.to
        return to == ANYWHERE or (address.scheme, address.raw_host, address.port) in to

    def _refuse(self, url: str) -> None:
        self._metrics.deliveries["error"] += 1
        if url not in self._refused and len(self._refused) < NAMED:
            self._refused.add(url)
            log.warning("push to %s refused: PUSH_TO does not name it", url)

    async def close(self, seconds: float) -> None:
        """Waits for what is under way, at most so long."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        if self._session is not None:
            await self._session.close()
