"""The leases this worker holds: renewed while it works, given back when it stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from resonate.error import ResonateError
from resonate.send import Sender, TaskRef

logger = logging.getLogger("worker.leases")


class Leases:
    """The SDK's heartbeat, with what it lacks: a worker that stops gives its tasks back at once.

    `bind()` hands it the client's sender, which exists only once the client does.
    """

    def __init__(self, pid: str, ttl_seconds: float) -> None:
        self._pid = pid
        # Three beats a lease: one may be lost without losing the job.
        self._interval = ttl_seconds / 3
        self._sender: Sender | None = None
        self._held: dict[str, int] = {}
        self._loop: asyncio.Task[None] | None = None

    def bind(self, sender: Sender) -> None:
        self._sender = sender

    def start(self, task_id: str, task_version: int) -> None:
        self._held[task_id] = task_version
        if self._loop is None:
            self._loop = asyncio.create_task(self._beat())

    def stop(self, task_id: str) -> None:
        self._held.pop(task_id, None)

    def shutdown(self) -> None:
        self._held.clear()
        if self._loop is not None:
            self._loop.cancel()
            self._loop = None

    async def give_back(self) -> int:
        """Release every task held, so that another worker takes it over now. Returns how many."""
        held, self._held = self._held, {}
        sender = self._sender
        if sender is None:
            return 0

        async def release(task_id: str, version: int) -> bool:
            with contextlib.suppress(ResonateError):
                await sender.task_release(task_id, version)
                return True
            return False

        return sum(await asyncio.gather(*(release(*task) for task in held.items())))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            if not self._held or self._sender is None:
                continue
            tasks = [TaskRef(id=task_id, version=version) for task_id, version in self._held.items()]
            try:
                await self._sender.task_heartbeat(self._pid, tasks)
            except Exception as error:  # the next beat may get through
                logger.warning(
                    "the leases could not be renewed", extra={"leases": len(tasks), "reason": str(error)}
                )
