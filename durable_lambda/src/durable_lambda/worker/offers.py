"""Which offers of work to take up: never more than there are places, each once, and none that is out of date."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

#: Offers kept for later. The embedded server sends no more than a few at once, the official one all it has.
MOST_WAITING = 20_000


class Offer(NamedTuple):
    """A task that the server offers, and its version, which grows by one each time the task is handed out."""

    task_id: str
    version: int


class Offers:
    """Hands offers to `begin`, as many at once as there are places; `end` says that one is over.

    If nobody takes a task up, the server offers it again after `seconds` (RESONATE_TASKS__RETRY_TIMEOUT), to whichever
    worker's turn it is; the older offer is dropped here just before that. While `wait()` is true no task is begun.

    The SDK itself queues every offer and asks the server for each, however old it is: with many jobs and several
    workers, most of their requests would be for tasks that another worker has.
    """

    def __init__(
        self,
        places: int,
        begin: Callable[[Offer], None],
        *,
        seconds: float,
        wait: Callable[[], bool] = lambda: False,
    ) -> None:
        self._places = places
        self._begin = begin
        #: A little less than the server waits: a task that it is about to offer to another worker is dropped.
        self._seconds = seconds * 0.9
        self._wait = wait
        self._under_way: set[Offer] = set()
        #: By task, in the order of the first offer; the newest version, and when it was offered last.
        self._waiting: OrderedDict[str, tuple[Offer, float]] = OrderedDict()

    def add(self, offer: Offer) -> None:
        if offer in self._under_way:
            return
        if len(self._waiting) >= MOST_WAITING and offer.task_id not in self._waiting:
            oldest = time.monotonic() - self._seconds
            self._waiting = OrderedDict(
                (task, known) for task, known in self._waiting.items() if known[1] >= oldest
            )
            if len(self._waiting) >= MOST_WAITING:
                return
        self._waiting[offer.task_id] = (offer, time.monotonic())
        self._fill()

    def end(self, offer: Offer) -> None:
        self._under_way.discard(offer)
        self._fill()

    @property
    def begun(self) -> set[str]:
        """The tasks that this worker holds or has asked for."""
        return {offer.task_id for offer in self._under_way}

    def close(self) -> None:
        """Begin no more tasks."""
        self._places = 0
        self._waiting.clear()

    def _fill(self) -> None:
        oldest = time.monotonic() - self._seconds
        while self._waiting and len(self._under_way) < self._places and not self._wait():
            _, (offer, offered_at) = self._waiting.popitem(last=False)
            if offered_at >= oldest:
                self._under_way.add(offer)
                self._begin(offer)
