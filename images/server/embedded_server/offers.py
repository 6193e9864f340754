"""Decides which worker is offered which task, and when.

Each event stream has a window: the most offers that its worker may have without having taken them. Further tasks wait
here, in order, and one is offered whenever a task is taken: ten thousand tasks at once take ten thousand messages. A
worker that takes no tasks and holds none gets no offers for a while; those it had go to others. v0.9.8 sends every pending
task to a random stream, again and again: docs/decisions/0085-offers-follow-places.md.

All of this is in memory only: after a restart every pending task is offered again.
"""

import asyncio
import logging
import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

from .address import Poll
from .streams import Line, Stream, Streams

log = logging.getLogger(__name__)

#: The most offers of a stream that are not taken yet. The next one leaves when one is taken, so this need only cover the
#: time of a round trip, not the number of tasks that the worker can run.
WINDOW = 16
#: The same for tasks addressed to one worker, which limits them itself.
NAMED_WINDOW = 1000
#: Seconds until an offer that was not taken may go to another stream: from a worker that never took one, or from a busy
#: one to one that has fewer.
SOON = 0.3
#: The same for a worker that has taken tasks before, and now holds none and takes none.
PATIENCE = 2.0
#: A stream that is passed over gets an offer again after a second, then after two, up to so many seconds.
LONGEST_REST = 60.0


class Offer:
    """A pending task that is to be offered, or is."""

    __slots__ = ("line", "sent_at", "to", "version", "waited")

    def __init__(self, version: int, to: Poll) -> None:
        self.version = version
        self.to = to
        #: The stream that it was sent over, and when (monotonic); None while it waits.
        self.line: Line | None = None
        self.sent_at = 0.0
        #: Whether it has waited: then the task may have changed meanwhile.
        self.waited = False


class Offers:
    """Offers pending tasks to the streams of their group.

    `still(id, version)` says whether the task is pending at that version; `message(id, version)` is what a worker is
    sent; after `again` seconds a worker is reminded of an offer that it has not taken up.
    """

    def __init__(
        self,
        streams: Streams,
        still: Callable[[str, int], bool],
        message: Callable[[str, int], str],
        again: float,
    ) -> None:
        self._lines = streams.groups
        self._still = still
        self._message = message
        self._again = again
        #: Every offer by its task, those that wait and those that were sent.
        self._offers: dict[str, Offer] = {}
        #: Tasks that wait, by group (for `uni` by group and id), in order; those taken back from a stream go first.
        self._waiting: dict[tuple[str, str], OrderedDict[str, None]] = {}
        self._returned: dict[tuple[str, str], OrderedDict[str, None]] = {}
        #: Tasks whose offer was sent, the oldest first.
        self._sent: OrderedDict[str, None] = OrderedDict()
        #: task -> the worker that holds it, and how many each holds.
        self._holders: dict[str, str] = {}
        self._holds: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    # What happens to tasks.

    def held(self, tasks: Iterable[tuple[str, str]]) -> None:
        """These tasks are held by these workers already."""
        for id, pid in tasks:
            self._hold(id, pid)

    def offer(self, id: str, version: int, to: Poll) -> None:
        """The task is pending."""
        known = self._offers.get(id)
        if known is not None:
            if known.version == version and known.to == to:
                return
            self._forget(id)
        offer = self._offers[id] = Offer(version, to)
        key = _key(to)
        if key[0] not in self._lines and not self._waiting.get(key):
            log.warning("no worker polls group=%s: its tasks wait for one", to.group)
        self._waiting.setdefault(key, OrderedDict())[id] = None
        self._pump(key)
        offer.waited = True

    def taken(self, id: str, pid: str) -> None:
        """The worker has taken the task."""
        offer = self._forget(id)
        self._hold(id, pid)
        if offer is None:
            return
        for line in self._lines.get(offer.to.group, ()):
            if line.stream.id == pid:
                line.proven = True
                line.rest = line.rests_until = 0.0
        self._pump(_key(offer.to))

    def left(self, id: str) -> None:
        """The task is neither pending nor held."""
        pid = self._holders.pop(id, None)
        if pid is not None:
            self._holds[pid] -= 1
            if not self._holds[pid]:
                del self._holds[pid]
        self._forget(id)

    def clear(self) -> None:
        """There are no tasks any more."""
        for id in list(self._offers):
            self._forget(id)
        self._holders.clear()
        self._holds.clear()

    # What happens to streams.

    def opened(self, group: str, stream: Stream) -> None:
        """The stream is among the others now."""
        for key in {(group, ""), (group, stream.id)}:
            self._pump(key)

    def closed(self, line: Line) -> None:
        """The stream is no longer among the others: what it was offered goes to them."""
        self._take_all_back(line)

    # How they come together.

    def _hold(self, id: str, pid: str) -> None:
        if id not in self._holders:
            self._holders[id] = pid
            self._holds[pid] += 1

    def _forget(self, id: str) -> Offer | None:
        offer = self._offers.pop(id, None)
        if offer is not None:
            if offer.line is not None:
                self._untie(id, offer, offer.line)
            else:
                key = _key(offer.to)
                for queues in (self._waiting, self._returned):
                    if key in queues and queues[key].pop(id, key) is None and not queues[key]:
                        del queues[key]
        return offer

    def _untie(self, id: str, offer: Offer, line: Line) -> None:
        """Removes the offer from the stream."""
        line.open.pop(id, None)
        line.named.pop(id, None)
        self._sent.pop(id, None)
        offer.line = None

    def _take_back(self, id: str, offer: Offer, line: Line) -> None:
        """The offer waits again, before those that have not been sent."""
        self._untie(id, offer, line)
        self._returned.setdefault(_key(offer.to), OrderedDict())[id] = None

    def _take_all_back(self, line: Line) -> None:
        ids = [*line.open, *line.named]
        for id in ids:
            self._take_back(id, self._offers[id], line)
        for key in {_key(self._offers[id].to) for id in ids}:
            self._pump(key)

    def _pump(self, key: tuple[str, str]) -> None:
        """Sends waiting offers as far as there is room."""
        if key[0] not in self._lines:
            return
        for queues in (self._returned, self._waiting):
            while queue := queues.get(key):
                id = next(iter(queue))
                offer = self._offers[id]
                if offer.waited and not self._still(id, offer.version):
                    self._forget(id)
                    continue
                line = self._choose(offer.to, monotonic())
                if line is None:
                    self._watch()
                    return
                if not self._send(id, offer, line):
                    continue
                del queue[id]
                if not queue:
                    del queues[key]

    def _send(self, id: str, offer: Offer, line: Line) -> bool:
        now = monotonic()
        if not line.stream.event(self._message(id, offer.version)):
            # It does not read: it gets nothing for a while.
            line.rests_until = now + 1.0
            return False
        offer.line = line
        offer.sent_at = now
        (line.open if offer.to.cast == "any" else line.named)[id] = None
        self._sent.pop(id, None)
        self._sent[id] = None
        self._watch()
        return True

    def _choose(self, to: Poll, now: float) -> Line | None:
        """The stream that the address names; else, of those with room, the one with the least to do."""
        lines = self._lines.get(to.group, ())
        if to.cast != "any":
            return next((line for line in lines if line.stream.id == to.id and _takes_named(line, now)), None)
        usable = _with_room(lines, now)
        if len(usable) > 1:
            for line in usable:
                if line.stream.id == to.id:
                    return line
            # The least loaded; then one that has taken a task before; then a random one.
            return min(usable, key=lambda line: (self._load(line), not line.proven, random.random()))  # noqa: S311
        return usable[0] if usable else None

    def _load(self, line: Line) -> int:
        return len(line.open) + self._holds[line.stream.id]

    # Offers that are not taken.

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SOON, self._look)

    def stop(self) -> None:
        """Stops the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """Looks through the offers that were sent a while ago, and at the streams that have rested."""
        self._timer = None
        now = monotonic()
        for id in list(self._sent):
            offer = self._offers.get(id)
            if offer is None or offer.line is None:
                continue
            age = now - offer.sent_at
            if age < SOON:
                break
            self._late(id, offer, offer.line, age, now)
        for key in {*self._returned, *self._waiting}:
            self._pump(key)
        if self._sent or any(group in self._lines for group, _ in (*self._returned, *self._waiting)):
            self._watch()

    def _late(self, id: str, offer: Offer, line: Line, age: float, now: float) -> None:
        """Gives an offer that was not taken to another stream, or sends it again."""
        lines = self._lines.get(offer.to.group, ())
        others = [other for other in _with_room(lines, now) if other is not line]
        if others and offer.to.cast == "any":
            if not self._holds[line.stream.id]:
                if age >= (PATIENCE if line.proven else SOON):
                    log.info("worker %s takes no tasks: its offers go to other workers", line.stream.id)
                    line.passed_over(now, LONGEST_REST)
                    self._take_all_back(line)
                return
            fewest = min(others, key=lambda other: len(other.open))
            if 2 * len(fewest.open) < len(line.open):
                self._untie(id, offer, line)
                if not self._still(id, offer.version):
                    self._forget(id)
                elif not self._send(id, offer, fewest):
                    self._take_back(id, offer, line)
                return
        if age >= self._again:
            if self._still(id, offer.version):
                self._send(id, offer, line)
            else:
                self._forget(id)


def _with_room(lines: Sequence[Line], now: float) -> list[Line]:
    first = 1 if any(line.proven for line in lines) else WINDOW
    return [
        line
        for line in lines
        if len(line.open) < (WINDOW if line.proven else first) and now >= line.rests_until
    ]


def _takes_named(line: Line, now: float) -> bool:
    return len(line.named) < NAMED_WINDOW and now >= line.rests_until


def _key(to: Poll) -> tuple[str, str]:
    """The queue it waits in: its group's, or that of the one worker it is for."""
    return to.group, (to.id or "") if to.cast == "uni" else ""
