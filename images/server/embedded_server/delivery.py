"""How messages leave: over the event streams of workers that poll, or pushed by HTTP.

A message leaves with the commit that made it, once: `execute` offers a task (and is sent again by the task's
retry), `unblock` tells a listener. A message whose receiver is not there is dropped, as v0.9.8 does
(`transport/`), unless it comes soon.
"""

import asyncio
import logging
import random
from functools import partial
from time import monotonic
from typing import Protocol

from . import address
from .address import Poll, Push
from .config import Transports
from .metrics import Metrics
from .protocol import text
from .push import Pusher
from .state import records
from .state.transaction import Outcome
from .store import Store

log = logging.getLogger(__name__)

#: Seconds until a listener's being told is recorded, if no other commit comes first.
RECORD_TOLD = 1.0
#: The most messages that wait for their worker; beyond, they are dropped, and sent by their tasks' retries.
MOST_HELD = 20_000


class Stream(Protocol):
    """A worker's open `GET /poll/{group}/{id}`."""

    id: str

    def event(self, data: str) -> bool:
        """Sends one message; False where the worker takes no more."""


class Polls:
    """The open event streams, by group.

    v0.9.8 sends every 100 ms and drops what then has no receiver. Messages leave here at once, so one that is
    quicker than the worker's own connection waits for it, as long as its task's retry would take.
    """

    def __init__(self, most: int, hold: float) -> None:
        self._most = most
        self._hold = hold  # seconds
        self._groups: dict[str, list[Stream]] = {}
        self._count = 0
        #: group -> messages without a receiver: until when (monotonic), where to
        self._held: dict[str, dict[str, tuple[float, Poll]]] = {}
        self._held_count = 0

    def add(self, group: str, stream: Stream) -> bool:
        """Takes the stream in; False where there are too many."""
        if self._count >= self._most:
            return False
        self._count += 1
        self._groups.setdefault(group, []).append(stream)
        return True

    def welcome(self, group: str) -> None:
        """Sends what waited for a stream of the group."""
        held = self._held.pop(group, None)
        if held:
            self._held_count -= len(held)
            now = monotonic()
            for message, (until, to) in held.items():
                if now < until:
                    self.send(to, message)

    def remove(self, group: str, stream: Stream) -> None:
        """The stream is gone."""
        streams = self._groups.get(group, [])
        if stream in streams:
            streams.remove(stream)
            self._count -= 1
            if not streams:
                del self._groups[group]

    def send(self, to: Poll, message: str) -> bool:
        """To the stream with the address's id; with `any`, and that one not there, to one at random."""
        streams = self._groups.get(to.group)
        if streams:
            for stream in streams:
                if stream.id == to.id:
                    return stream.event(message)
            if to.cast == "any":
                return random.choice(streams).event(message)  # noqa: S311
        self._keep(to, message)
        return False

    def _keep(self, to: Poll, message: str) -> None:
        held = self._held.setdefault(to.group, {})
        if message not in held:
            log.warning(
                "no worker %spolls group=%s: message waits for it", f"{to.id} " if to.id else "", to.group
            )
            if self._held_count >= MOST_HELD:
                for group in list(self._held):
                    self._held_count -= len(self._held.pop(group))
                held = self._held.setdefault(to.group, {})
            self._held_count += 1
        held[message] = monotonic() + self._hold, to


class Delivery:
    """Sends what committed transactions have to send."""

    def __init__(self, store: Store, metrics: Metrics, settings: Transports, server_url: str) -> None:
        self._store = store
        self._metrics = metrics
        self._poll_enabled = settings.http_poll.enabled
        self._push_enabled = settings.http_push.enabled
        self._head = f'"head":{{"serverUrl":{text(server_url)}}},"kind":"execute"}}'
        self.polls = Polls(settings.http_poll.max_connections, store.tx.retry / 1000)
        self.pusher = Pusher(settings.http_push, metrics)
        #: Offers not sent yet: task id -> (version, address). Only a paused server keeps any for long.
        self.executes: dict[str, tuple[int, str]] = {}
        self.unblocks: list[tuple[str, str]] = []
        self.paused = False
        self._recording: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Sends what an earlier run of the server had committed and perhaps not sent."""
        self._store.read(self._recall, None)
        self.deliver()

    def _recall(self) -> None:
        self.unblocks = self._store.db.execute("SELECT promise, address FROM unblocks").fetchall()
        offered = self._store.db.execute(
            "SELECT id, task_version, target FROM promises"
            " WHERE task_at IS NOT NULL AND task_state = 'pending'"
        )
        self.executes = {id: (version, target) for id, version, target in offered}

    def publish(self, tx: Outcome) -> None:
        """Sends what a commit has made."""
        if tx.reset:
            self.executes.clear()
            self.unblocks.clear()
        if tx.executes:
            self.executes |= tx.executes
        if tx.unblocks:
            self.unblocks += tx.unblocks
        if (self.executes or self.unblocks) and not self.paused:
            self.deliver()

    def resume(self) -> None:
        """Goes on after a pause."""
        self.paused = False
        self.deliver()

    def deliver(self) -> None:
        """Sends everything there is."""
        executes, self.executes = self.executes, {}
        unblocks, self.unblocks = self.unblocks, []
        if executes:
            self._metrics.messages["execute"] += len(executes)
            for id, (version, to) in executes.items():
                self.send(to, f'{{"data":{{"task":{{"id":{text(id)},"version":{version}}}}},{self._head}')
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
            self.polls.send(where, message)
        elif isinstance(where, Push) and self._push_enabled:
            self.pusher.send(where.url, message)
        else:
            log.warning("address=%s: no such transport here, message dropped", to)

    def _record(self) -> None:
        self._recording = None
        self._store.flush()
