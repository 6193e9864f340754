"""Messages to listeners that poll, and those among them that wait for their listener's event stream.

v0.9.8 sends every 100 ms and drops the messages that have no receiver then. Here messages leave at once, so one may be
faster than the worker's own connection: it waits for that.
"""

import logging
import random
from time import monotonic

from .address import Poll
from .streams import Streams

log = logging.getLogger(__name__)

#: The most messages that wait for their worker; beyond that, all of them are dropped.
MOST_HELD = 20_000


class Listeners:
    """Sends messages over `streams`; one without a receiver waits for `hold` seconds."""

    def __init__(self, streams: Streams, hold: float) -> None:
        self._streams = streams
        self._hold = hold
        #: group -> messages without a receiver: until when (monotonic), where to
        self._held: dict[str, dict[str, tuple[float, Poll]]] = {}
        self._held_count = 0

    def opened(self, group: str) -> None:
        """Sends what waited for a stream of the group."""
        held = self._held.pop(group, None)
        if held:
            self._held_count -= len(held)
            now = monotonic()
            for message, (until, to) in held.items():
                if now < until:
                    self.send(to, message)

    def send(self, to: Poll, message: str) -> bool:
        """To the stream with the address's id. Where that is not open and `any` may take it: to a random one."""
        lines = self._streams.groups.get(to.group)
        if lines:
            for line in lines:
                if line.stream.id == to.id:
                    return line.stream.event(message)
            if to.cast == "any":
                return random.choice(lines).stream.event(message)  # noqa: S311
        self._keep(to, message)
        return False

    def _keep(self, to: Poll, message: str) -> None:
        held = self._held.setdefault(to.group, {})
        if message not in held:
            log.warning(
                "no worker %spolls group=%s: a message waits for it", f"{to.id} " if to.id else "", to.group
            )
            if self._held_count >= MOST_HELD:
                for group in list(self._held):
                    self._held_count -= len(self._held.pop(group))
                held = self._held.setdefault(to.group, {})
            self._held_count += 1
        held[message] = monotonic() + self._hold, to
