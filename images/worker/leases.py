"""The leases this worker holds: renewed while it works, given back when it stops.

They are renewed by a thread with an event loop and a connection of its own, so that a step that holds up the worker's
loop (a computation, a library that blocks) does not cost every job in it its lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable

from resonate.connections import HttpConnection
from resonate.error import ResonateError
from resonate.send import Sender, TaskLifecycle, TaskRef
from resonate.transport import Transport

logger = logging.getLogger("worker.leases")

#: Seconds the worker's loop may stand still and keep its leases. A worker that hangs for longer hangs for ever, and
#: another one shall have its jobs.
HUNG_SECONDS = 30.0
#: Seconds a worker that stops waits for the answer to what it has just asked for.
ASKING_SECONDS = 1.0


class Leases:
    """The SDK's heartbeat, with what it lacks: a thread of its own, and tasks given back by a worker that stops.

    `connect` makes a connection to the server; it is called in the thread. `bind()` hands over the client's sender,
    which exists only once the client does, for giving back.
    """

    def __init__(
        self, pid: str, ttl_seconds: float, connect: Callable[[], HttpConnection], auth: str | None = None
    ) -> None:
        self._pid = pid
        self._ttl = ttl_seconds
        self._connect = connect
        self._auth = auth
        self._sender: TaskLifecycle | None = None
        self._held: dict[str, int] = {}
        self._pulse: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        #: When the worker's loop last turned.
        self._turned_at = time.monotonic()

    def bind(self, sender: TaskLifecycle) -> None:
        self._sender = sender

    def start(self, task_id: str, task_version: int) -> None:
        self._held[task_id] = task_version
        if self._pulse is None:
            self._turned_at = time.monotonic()
            self._pulse = asyncio.create_task(self._turn())
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._renew()), name="leases", daemon=True
            )
            self._thread.start()

    def stop(self, task_id: str) -> None:
        self._held.pop(task_id, None)

    def shutdown(self) -> None:
        self._held = {}
        self._over.set()
        if self._pulse is not None:
            self._pulse.cancel()

    async def give_back(self, taking_up: Callable[[], set[str]] = set) -> int:
        """Release every task held, so that another worker takes it over now. Returns how many.

        `taking_up` says which tasks are begun: one that is asked for and granted a moment later is released as well.
        """
        until = time.monotonic() + ASKING_SECONDS
        while taking_up() - self._held.keys() and time.monotonic() < until:  # noqa: ASYNC110 - the SDK tells nobody
            await asyncio.sleep(0.01)
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

    async def _turn(self) -> None:
        while True:
            self._turned_at = time.monotonic()
            await asyncio.sleep(1)

    async def _renew(self) -> None:
        """The thread's work: three beats a lease, so that one may be lost without losing the job."""
        network = self._connect()
        await network.start()
        sender = Sender(Transport(network, []), self._auth)
        hung = False
        while not self._over.is_set():
            await asyncio.sleep(self._ttl / 3)
            tasks = [TaskRef(id=task_id, version=version) for task_id, version in list(self._held.items())]
            was_hung, hung = hung, time.monotonic() - self._turned_at > HUNG_SECONDS
            if hung and not was_hung:
                logger.error("the worker hangs; its leases are not renewed", extra={"leases": len(tasks)})
            if hung or not tasks:
                continue
            try:
                # An answer after the lease has ended is none.
                async with asyncio.timeout(self._ttl):
                    await sender.task_heartbeat(self._pid, tasks)
            except Exception as error:  # the next beat may get through
                reason = str(error) or type(error).__name__
                logger.warning(
                    "the leases could not be renewed", extra={"leases": len(tasks), "reason": reason}
                )
        await network.stop()
