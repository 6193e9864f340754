"""The official server's metrics, in Prometheus' text format. Written out here: six counters need no client
library."""

from bisect import bisect_left
from collections import defaultdict

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class Metrics:
    """Counts since the start; a series appears once it was counted, as in the official server."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, int], int] = defaultdict(int)
        #: kind -> how many ended up in each bucket (the last: above all of them)
        self.durations: dict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self.seconds: dict[str, float] = defaultdict(float)
        self.messages = {"execute": 0, "unblock": 0}
        self.deliveries: dict[str, int] = defaultdict(int)
        self.fired = 0

    def request(self, kind: str, status: int, seconds: float) -> None:
        """A request of the API was answered."""
        self.requests[kind, status] += 1
        self.durations[kind][bisect_left(BUCKETS, seconds)] += 1
        self.seconds[kind] += seconds

    def text(self) -> str:
        """The exposition, families by name."""
        out: list[str] = []
        self._counter(
            out,
            "resonate_deliveries_total",
            "Total number of message deliveries by status",
            {f'status="{status}"': n for status, n in sorted(self.deliveries.items())},
        )
        self._counter(
            out,
            "resonate_messages_total",
            "Total number of messages delivered by kind",
            {f'kind="{kind}"': n for kind, n in sorted(self.messages.items())},
        )
        if self.durations:
            name = "resonate_request_duration_seconds"
            out += [f"# HELP {name} Request duration in seconds by kind", f"# TYPE {name} histogram"]
            for kind, counts in sorted(self.durations.items()):
                total = 0
                for bound, count in zip((*map(_number, BUCKETS), "+Inf"), counts, strict=True):
                    total += count
                    out.append(f'{name}_bucket{{kind="{_escape(kind)}",le="{bound}"}} {total}')
                out.append(f'{name}_sum{{kind="{_escape(kind)}"}} {self.seconds[kind]}')
                out.append(f'{name}_count{{kind="{_escape(kind)}"}} {total}')
        self._counter(
            out,
            "resonate_request_total",
            "Total number of requests by kind and status",
            {
                f'kind="{_escape(kind)}",status="{status}"': n
                for (kind, status), n in sorted(self.requests.items())
            },
        )
        if self.fired:
            name = "resonate_schedule_promises_total"
            out += [
                f"# HELP {name} Total number of promises created by schedules",
                f"# TYPE {name} counter",
                f"{name} {self.fired}",
            ]
        return "\n".join(out) + "\n" if out else ""

    @staticmethod
    def _counter(out: list[str], name: str, help: str, series: dict[str, int]) -> None:
        if series:
            out += [f"# HELP {name} {help}", f"# TYPE {name} counter"]
            out += [f"{name}{{{labels}}} {n}" for labels, n in series.items()]


def _number(value: float) -> str:
    return f"{value:g}"


def _escape(label: str) -> str:
    return label.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
