"""The open event streams of workers, by group, and messages that wait for one.

Offers of tasks do not come through here, but for their streams: see `offers`.
"""

import logging
import random
from time import monotonic
from typing import Protocol

from .address import Poll

log = logging.getLogger(__name__)

#: The most messages that wait for their worker; beyond, they are dropped.
MOST_HELD = 20_000


class Stream(Protocol):
    """A worker's open `GET /poll/{group}/{id}`."""

    id: str

    def event(self, data: str) -> bool:
        """Sends one message; False where the worker takes no more."""


class Polls:
    """The open event streams, by group.

    v0.9.8 sends every 100 ms and drops what then has no receiver. Messages leave here at once, so one that is
    quicker than the worker's own connection waits for it, for `hold` seconds.
    """

    def __init__(self, most: int, hold: float) -> None:
        self._most = most
        self._hold = hold
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
