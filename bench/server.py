#!/usr/bin/env python3
"""Compares the speed of two Resonate servers: the first as a ratio to the second.

Usage: server.py NAME=URL[@CONTAINER|@PID] NAME=URL[@CONTAINER|@PID] [--runner COMMAND] [--jobs N] [--rounds N]

Both must already run, with the same settings. The load (`load/resonate.py`: workflows of five steps that do nothing)
goes to each in turn, so that both run under the same conditions; the figures are medians over the rounds, and only
their ratios are meaningful. With a container's name or a process id, the server's CPU time per job is reported too.

RUNNER is a command that starts a Python with the SDK and reads the program from standard input (default: the worker
image of apps/documents).
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

LOAD = Path(__file__).with_name("load") / "resonate.py"
RUNNER = "docker run --rm -i --network host --entrypoint python durable-lambda/documents-worker"
TICK = os.sysconf("SC_CLK_TCK")


class Server:
    def __init__(self, text: str) -> None:
        self.name, _, rest = text.partition("=")
        self.url, _, process = rest.partition("@")
        self.pid = int(process) if process.isdigit() else _pid(process) if process else None
        self.results: dict[str, list[dict[str, float]]] = {}

    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        if self.pid is None:
            return 0.0
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self) -> float:
        """Its resident memory, in MB."""
        if self.pid is None:
            return 0.0
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1000


def _pid(container: str) -> int:
    found = subprocess.run(
        ["docker", "inspect", "-f", "{{.State.Pid}}", container], capture_output=True, text=True, check=True
    ).stdout
    parent = int(found)
    # With `init: true` the server is the child of the container's first process.
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return int(children[0]) if children else parent


def measure(server: Server, runner: list[str], jobs: int, concurrency: int) -> dict[str, float]:
    """Run the load once."""
    with subprocess.Popen(
        [*runner, "-", server.url, str(jobs), str(concurrency)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both are pipes")
        process.stdin.write(LOAD.read_text())
        process.stdin.close()
        if not json.loads(process.stdout.readline() or "{}").get("begin"):
            sys.exit(
                f"the load did not start: does RUNNER run a Python with resonate-sdk? {shlex.join(runner)}"
            )
        used = server.cpu()
        line = process.stdout.readline()
        used = server.cpu() - used
    if not line:
        sys.exit(f"{server.name}: the load failed")
    result: dict[str, float] = json.loads(line)
    return result | {"server_cpu_ms": used * 1000 / jobs, "server_rss_mb": server.memory()}


def report(servers: list[Server], case: str) -> dict[str, Any]:
    """Print the medians and their ratios."""
    a, b = servers
    print(f"\n{case}")
    print(f"  {'':18} {a.name:>12} {b.name:>12} {'ratio':>8}")
    ratios = {}
    for key in a.results[case][0]:
        one, two = (statistics.median(run[key] for run in server.results[case]) for server in servers)
        ratios[key] = one / two if two else float("nan")
        print(f"  {key:18} {one:12.2f} {two:12.2f} {ratios[key]:8.2f}")
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("servers", nargs=2, metavar="NAME=URL")
    parser.add_argument("--runner", default=RUNNER)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--alone", type=int, default=100, help="how many jobs run one at a time")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    servers = [Server(text) for text in options.servers]
    runner = shlex.split(options.runner)
    cases = {
        f"{options.jobs} jobs at once, {options.concurrency} in progress": (
            options.jobs,
            options.concurrency,
        ),
        f"{options.alone} jobs, one at a time": (options.alone, 1),
    }
    for _ in range(options.rounds):
        for case, (jobs, concurrency) in cases.items():
            for server in servers:
                server.results.setdefault(case, []).append(measure(server, runner, jobs, concurrency))
    ratios = {case: report(servers, case) for case in cases}
    print("\n" + json.dumps({"ratios": ratios}))


if __name__ == "__main__":
    main()
