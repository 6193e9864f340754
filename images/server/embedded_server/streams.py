"""The open event streams of workers (`GET /poll/{group}/{id}`), by group.

Tasks are offered over them (`offers`), and listeners get their messages over them (`listeners`).
"""

from typing import Protocol


class Stream(Protocol):
    """A worker's open event stream."""

    id: str

    def event(self, data: str) -> bool:
        """Sends one message; False where the worker takes no more."""


class Line:
    """A stream, with the tasks that were offered over it and are not taken yet. `offers` keeps all but `stream`."""

    __slots__ = ("named", "open", "proven", "rest", "rests_until", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        #: Offered tasks that any worker may take, and those that are for this worker alone.
        self.open: dict[str, None] = {}
        self.named: dict[str, None] = {}
        #: Whether this worker has taken a task. Until it has, it is offered one at a time where another one has.
        self.proven = False
        #: How long it was last passed over, in seconds, and until when it is (monotonic).
        self.rest = 0.0
        self.rests_until = 0.0

    def passed_over(self, now: float, longest: float) -> None:
        """Each time in a row it is offered nothing for twice as long."""
        self.proven = False
        self.rest = min(max(1.0, self.rest * 2), longest)
        self.rests_until = now + self.rest


class Streams:
    """At most `most` streams."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self.groups: dict[str, list[Line]] = {}

    @property
    def full(self) -> bool:
        return self._count >= self._most

    def add(self, group: str, stream: Stream) -> None:
        self._count += 1
        self.groups.setdefault(group, []).append(Line(stream))

    def remove(self, group: str, stream: Stream) -> Line | None:
        """The stream's line, which is no longer among the others; None if it was not."""
        lines = self.groups.get(group, [])
        for line in lines:
            if line.stream is stream:
                self._count -= 1
                lines.remove(line)
                if not lines:
                    del self.groups[group]
                return line
        return None
