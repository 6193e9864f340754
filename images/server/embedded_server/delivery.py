"""How messages leave: over the event streams of workers that poll, or pushed by HTTP.

A message leaves with the commit that made it. `execute` offers a task to a worker (`offers`), `unblock` tells a listener
that its promise has ended (`listeners`).
"""

import asyncio
import logging
from functools import partial

from . import address
from .address import Poll, Push
from .config import Transports
from .listeners import Listeners
from .metrics import Metrics
from .offers import Offers
from .protocol import text
from .push import Pusher
from .state import records
from .state.transaction import Outcome
from .store import Store
from .streams import Stream, Streams

log = logging.getLogger(__name__)

#: Seconds until it is stored that a listener was told, if no other commit comes before.
RECORD_TOLD = 1.0


class Delivery:
    """Sends the messages of committed transactions."""

    def __init__(self, store: Store, metrics: Metrics, settings: Transports, server_url: str) -> None:
        self._store = store
        self._metrics = metrics
        self._poll_enabled = settings.http_poll.enabled
        self._push_enabled = settings.http_push.enabled
        self._head = f'"head":{{"serverUrl":{text(server_url)}}},"kind":"execute"}}'
        self._streams = Streams(settings.http_poll.max_connections)
        self._listeners = Listeners(self._streams, store.tx.retry / 1000)
        # A worker forgets an offer once the task may be offered to another one: it is reminded before that.
        self._offers = Offers(self._streams, store.pending, self._offer_message, 0.8 * store.tx.retry / 1000)
        self.pusher = Pusher(settings.http_push, metrics)
        #: Offers that are not sent yet: task id -> (version, address). Only a paused server has any for long.
        self.executes: dict[str, tuple[int, str]] = {}
        self.unblocks: list[tuple[str, str]] = []
        self.paused = False
        self._recording: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Sends what an earlier run of the server committed and may not have sent."""
        self._store.read(self._recall, None)
        self.deliver()

    def _recall(self) -> None:
        self.unblocks = self._store.db.execute("SELECT promise, address FROM unblocks").fetchall()
        offered = self._store.db.execute(
            "SELECT id, task_version, target FROM promises"
            " WHERE task_at IS NOT NULL AND task_state = 'pending'"
        )
        self.executes = {id: (version, target) for id, version, target in offered}
        self._offers.held(
            self._store.db.execute(
                "SELECT id, task_pid FROM promises WHERE task_at IS NOT NULL AND task_state = 'acquired'"
            )
        )

    def stop(self) -> None:
        """Stops offering."""
        self._offers.stop()

    @property
    def full(self) -> bool:
        """Whether no more workers may poll."""
        return self._streams.full

    def opened(self, group: str, stream: Stream) -> None:
        """A worker polls: its stream takes messages from now on."""
        self._streams.add(group, stream)
        self._listeners.opened(group)
        self._offers.opened(group, stream)

    def closed(self, group: str, stream: Stream) -> None:
        """The worker's stream is closed."""
        line = self._streams.remove(group, stream)
        if line is not None:
            self._offers.closed(line)

    def publish(self, tx: Outcome) -> None:
        """Sends the messages of a commit."""
        if tx.reset:
            self.executes.clear()
            self.unblocks.clear()
            self._offers.clear()
        for id, pid in tx.moves:
            if pid is None:
                self._offers.left(id)
            else:
                self._offers.taken(id, pid)
        if tx.executes:
            self.executes |= tx.executes
            if tx.moves and not self.paused:
                for id, pid in dict(tx.moves).items():
                    if pid is not None:
                        self.executes.pop(id, None)
        if tx.unblocks:
            self.unblocks += tx.unblocks
        if (self.executes or self.unblocks) and not self.paused:
            self.deliver()

    def resume(self) -> None:
        """Continues after a pause."""
        self.paused = False
        self.deliver()

    def deliver(self) -> None:
        """Sends all messages that wait."""
        executes, self.executes = self.executes, {}
        unblocks, self.unblocks = self.unblocks, []
        if executes:
            for id, (version, to) in executes.items():
                where = address.parse(to)
                if isinstance(where, Poll) and self._poll_enabled:
                    self._offers.offer(id, version, where)
                else:
                    self.send(to, self._offer_message(id, version))
        if unblocks:
            self._metrics.messages["unblock"] += len(unblocks)
            for id, to in unblocks:
                record = self._store.read(partial(self._record_of, id), None)
                if record is not None:
                    self.send(to, f'{{"data":{{"promise":{record}}},"head":{{}},"kind":"unblock"}}')
            self._store.told += unblocks
            if self._recording is None:
                self._recording = asyncio.get_running_loop().call_later(RECORD_TOLD, self._record)

    def _record_of(self, id: str) -> str | None:
        row = self._store.tx.find(id)
        return None if row is None else records.promise(row)

    def send(self, to: str, message: str) -> None:
        """One message to one address."""
        where = address.parse(to)
        if isinstance(where, Poll) and self._poll_enabled:
            self._listeners.send(where, message)
        elif isinstance(where, Push) and self._push_enabled:
            self.pusher.send(where.url, message)
        else:
            log.warning("address=%s: no such transport here, message dropped", to)

    def _offer_message(self, id: str, version: int) -> str:
        self._metrics.messages["execute"] += 1
        return f'{{"data":{{"task":{{"id":{text(id)},"version":{version}}}}},{self._head}'

    def _record(self) -> None:
        self._recording = None
        self._store.flush()
