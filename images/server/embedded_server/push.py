"""HTTP push: a POST of the message to the address. Source: v0.9.8 `transport_http_push.rs`."""

import asyncio
import logging
from typing import TYPE_CHECKING

from .config import HttpPush
from .metrics import Metrics

if TYPE_CHECKING:
    from aiohttp import ClientSession

log = logging.getLogger(__name__)


class Pusher:
    """Sends with a bounded number of requests under way. The HTTP client is loaded with the first message."""

    def __init__(self, settings: HttpPush, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._session: ClientSession | None = None
        self._slots = asyncio.Semaphore(max(settings.concurrency, 1))
        self._tasks: set[asyncio.Task[None]] = set()
        self._headers = {"content-type": "application/json"}
        auth = settings.auth
        if auth is not None and auth.mode == "bearer":
            self._headers[auth.header] = f"Bearer {auth.token or ''}"

    def send(self, url: str, message: str) -> None:
        """Sends in the background; a failure is logged and counted, and the task's retry sends again."""
        task = asyncio.get_running_loop().create_task(self._send(url, message.encode()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, url: str, message: bytes) -> None:
        import aiohttp

        async with self._slots:
            if self._session is None:
                self._session = aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(
                        total=self._settings.request_timeout / 1000,
                        sock_connect=self._settings.connect_timeout / 1000,
                    )
                )
            try:
                async with self._session.post(url, data=message, headers=self._headers) as answer:
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

    async def close(self, seconds: float) -> None:
        """Waits for what is under way, at most so long."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        if self._session is not None:
            await self._session.close()
