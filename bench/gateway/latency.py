"""What the gateway and the freeze add to a direct invocation of RIE: p50 and p99, in one run.

Usage: python bench/gateway/latency.py [REQUESTS]     (default 2000 a way; needs the built images)

All ways are asked in turn, one request each, by one client on kept-alive connections: whatever else the machine does
meanwhile, it does to all of them. The figures that count are the ratios and differences within the run.
"""

import http.client
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = os.environ.setdefault("BENCH_PROJECT", f"durable-lambda-bench-gateway-{os.getpid()}")
PATH = "/2015-03-31/functions/function/invocations"
EVENT = b'{"jobId": "job-001", "documentUrl": "s3://documents/contract.pdf"}'
WARM_UP = 100
#: What is measured: a name, and the service and port that are asked.
WAYS = {
    "RIE, direct": ("rie", 8080),
    "environment, direct": ("lambda", 8080),
    "gateway, no freeze": ("gateway-thawed", 9000),
    "gateway": ("gateway", 9000),
}


def compose(*arguments: str) -> str:
    command = ["docker", "compose", "-f", str(HERE / "compose.yaml"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def connection(service: str, port: int) -> http.client.HTTPConnection:
    host, _, mapped = compose("port", service, str(port)).strip().rpartition(":")
    return http.client.HTTPConnection(host, int(mapped), timeout=30)


def ask(door: http.client.HTTPConnection) -> float:
    """Milliseconds for one invocation."""
    start = time.perf_counter()
    door.request("POST", PATH, EVENT, {"Content-Type": "application/json"})
    body = door.getresponse().read()
    took = (time.perf_counter() - start) * 1000
    if b"job-001" not in body:
        raise RuntimeError(f"{door.host}:{door.port} answered {body[:200]!r}")
    return took


def measure(requests: int) -> dict[str, list[float]]:
    doors = {way: connection(*address) for way, address in WAYS.items()}
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(WARM_UP + requests):
        for way, door in doors.items():
            took = ask(door)
            if number >= WARM_UP:
                times[way].append(took)
    return times


def report(times: dict[str, list[float]]) -> None:
    base = statistics.median(times["RIE, direct"])
    print(f"{'':22}{'p50 ms':>9}{'p99 ms':>9}{'adds p50':>10}{'ratio':>8}")
    for way, taken in times.items():
        cuts = statistics.quantiles(taken, n=100)
        print(f"{way:22}{cuts[49]:9.2f}{cuts[98]:9.2f}{cuts[49] - base:+10.2f}{cuts[49] / base:8.2f}")


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    try:
        compose("up", "--detach", "--wait")
        report(measure(requests))
    finally:
        compose("down", "--volumes", "--timeout", "1")


if __name__ == "__main__":
    main()
