"""Starts what is due (timeouts, leases, retries, schedules). One timer waits for what is due first: nothing is polled."""

import asyncio
from time import monotonic

from .metrics import Metrics
from .state import timeouts
from .state.promises import Answer
from .state.transaction import NEVER, Transaction
from .store import Call, Store

#: The least seconds between two runs: what falls due in between is done together, late by no more than this.
SPACING = 0.02
#: Seconds until a run that failed (disk full) is tried again.
AGAIN = 1.0
#: The most of each kind that one run does, so that requests are served in between.
MOST = 500
#: If the event loop is late by so many seconds, requests wait to be read, maybe a lease's renewal: they go first.
LATE = 0.1
#: The longest sleep, in seconds: the machine's clock may be set meanwhile.
LONGEST = 600.0


class Timers:
    """Runs `timeouts` when something is due."""

    def __init__(self, store: Store, metrics: Metrics, catch_up: int) -> None:
        self._store = store
        self._metrics = metrics
        self._catch_up = catch_up  # ms
        self._due = NEVER
        self._awaited = 0.0
        self._handle: asyncio.TimerHandle | None = None
        self.paused = False

    def start(self) -> None:
        """Begins with what fell due while the server was not running."""
        self.wake(self._next_due())

    def wake(self, due: int) -> None:
        """Something falls due at `due` (ms since 1970)."""
        if due < self._due:
            self._due = due
            self._arm()

    def resume(self) -> None:
        """Continues after a pause."""
        self.paused = False
        self._due = self._next_due()
        self._arm()

    def _next_due(self) -> int:
        return self._store.read(lambda: timeouts.next_due(self._store.tx), NEVER)

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._due < NEVER and not self.paused:
            delay = min(max((self._due - self._store.now()) / 1000, SPACING), LONGEST)
            self._awaited = monotonic() + delay
            self._handle = asyncio.get_running_loop().call_later(delay, self._run)

    def _run(self) -> None:
        self._handle = None
        now = self._store.now()
        if self.paused:
            return
        late = monotonic() - self._awaited
        if now < self._due:
            self._arm()
        elif late > LATE:
            self._awaited = NEVER
            self._handle = asyncio.get_running_loop().call_later(min(late, 1.0), self._run)
        else:
            self._store.submit(Call(self._process, None, now, '""', self._done))

    def _process(self, tx: Transaction, _: None) -> Answer:
        fired = timeouts.process(tx, MOST)
        due = timeouts.next_due(tx)
        if fired:
            # A schedule that is far behind does not flood the store: its next run waits, as in v0.9.8.
            due = max(due, tx.now + self._catch_up) if due <= tx.now else due
        tx.due = NEVER
        self._due = due
        self._fired = fired
        return 200, ""

    def _done(self, call: Call) -> None:
        if call.answer[0] != 200:
            self._due = self._store.now() + int(AGAIN * 1000)
        else:
            self._metrics.fired += self._fired
        self._arm()

    def stop(self) -> None:
        """Stops the timer."""
        self.paused = True
        if self._handle is not None:
            self._handle.cancel()
