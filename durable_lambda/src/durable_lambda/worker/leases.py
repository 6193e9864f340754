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

#: Seconds that the worker's event loop may be blocked while its leases are still renewed. A loop that is blocked for longer
#: counts as hung: the worker is ended, and its jobs go to another one.
HUNG_SECONDS = 30.0
#: Seconds that a worker told to stop waits for the answers to its last requests for tasks.
ASKING_SECONDS = 1.0
#: A lease lasts at least this many times as long as a renewal takes, counted from when it was due.
ROOM = 5.0
#: The longest lease in seconds. If a worker dies on a machine that is so busy, its jobs wait at most this long.
LONGEST_SECONDS = 60.0
#: Seconds for which a late renewal is remembered.
REMEMBERED_SECONDS = 15.0


class Leases:
    """The SDK's heartbeat, plus what that lacks: a thread of its own, and giving tasks back when the worker stops.

    `connect` makes a connection to the server that calls the function it is given with the seconds that each request
    took; it is called in the thread. `bind()` hands over the client's sender, for giving back: it exists only once the
    client does. `hung` is called in the thread when the worker's event loop hangs.
    """

    def __init__(
        self,
        pid: str,
        ttl_seconds: float,
        connect: Callable[[Callable[[float], None]], HttpConnection],
        auth: str | None = None,
        hung: Callable[[], None] = lambda: None,
    ) -> None:
        self._pid = pid
        self._hung = hung
        self._ttl = ttl_seconds
        self._connect = connect
        self._auth = auth
        self._sender: TaskLifecycle | None = None
        self._held: dict[str, int] = {}
        self._pulse: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        #: How late the last renewals were: (seconds, when), the longest delay first.
        self._lately: list[tuple[float, float]] = []
        #: Seconds that the renewal under way has waited for its turn.
        self._waited = 0.0
        self._renewed_at = time.monotonic()
        #: When the worker's loop last ran.
        self._turned_at = time.monotonic()

    def bind(self, sender: TaskLifecycle) -> None:
        self._sender = sender

    def _late(self, seconds: float) -> None:
        """Record how late a renewal was: the next one may be as late."""
        now = time.monotonic()
        # Keep only those that are longer and not yet forgotten: a shorter one can never be the longest again.
        kept = [known for known in self._lately if known[0] > seconds and now - known[1] < REMEMBERED_SECONDS]
        self._lately = [*kept, (seconds, now)]

    @property
    def seconds(self) -> float:
        """How long a lease that is asked for now should last: longer if renewals come late."""
        now = time.monotonic()
        latest = next((late for late, at in self._lately if now - at < REMEMBERED_SECONDS), 0.0)
        return max(self._ttl, min(latest * ROOM, LONGEST_SECONDS))

    @property
    def behind(self) -> bool:
        """Whether the leases held might end before they are renewed. Then the worker should take no more tasks."""
        return bool(self._held) and time.monotonic() - self._renewed_at > self._ttl * 2 / 3

    def start(self, task_id: str, task_version: int) -> None:
        if not self._held:
            self._renewed_at = time.monotonic()
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
        network = self._connect(lambda seconds: self._late(self._waited + seconds))
        await network.start()
        sender = Sender(Transport(network, []), self._auth)
        hung = False
        while not self._over.is_set():
            due = time.monotonic() + self._ttl / 3
            await asyncio.sleep(self._ttl / 3)
            self._waited = time.monotonic() - due
            tasks = [TaskRef(id=task_id, version=version) for task_id, version in list(self._held.items())]
            was_hung, hung = hung, time.monotonic() - self._turned_at > HUNG_SECONDS
            if hung and not was_hung:
                logger.error("the worker hangs; its leases are not renewed", extra={"leases": len(tasks)})
            elif hung:  # seen twice: after a pause of the whole machine both threads wake at once
                self._hung()
            if hung or not tasks:
                continue
            try:
                # A reply that arrives after the lease expired is useless.
                async with asyncio.timeout(self.seconds):
                    await sender.task_heartbeat(self._pid, tasks)
                self._renewed_at = time.monotonic()
            except Exception as error:  # the next beat may get through
                reason = str(error) or type(error).__name__
                logger.warning(
                    "the leases could not be renewed", extra={"leases": len(tasks), "reason": reason}
                )
        await network.stop()
