"""Invoking the probe with boto3, as a user's program would."""

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from harness.engine import docker
from harness.stack import Stack
from harness.waiting import wait_for

#: Merged over the stack: the probe functions of these tests instead of an application's.
PROBE = "tests/integration/gateway/probe.yaml"
#: Short times, so that the tests do not take minutes.
PROBE_SETTINGS = {
    "LAMBDA_TIMEOUT": "2",
    "LAMBDA_MEMORY_MB": "128",
    "LAMBDA_BURST_SECONDS": "1",
    "LAMBDA_CONCURRENCY": "1",
}


@dataclass
class Invoked:
    """The outcome of an invocation."""

    status: int
    payload: Any
    error: str | None
    log: str
    request_id: str

    @property
    def report(self) -> dict[str, str]:
        """The fields of the REPORT line."""
        line = next(line for line in self.log.splitlines() if line.startswith("REPORT "))
        pairs = re.findall(r"([A-Z][A-Za-z ]+): (.+?)(?:\t|$)", line.removeprefix("REPORT "))
        return dict(pairs)


def call(stack: Stack, event: object, **options: Any) -> Invoked:
    """Invokes synchronously, with the log's tail; function errors are returned, API errors raised."""
    answer = stack.lambda_.invoke(
        FunctionName=options.pop("name", "function"), Payload=json.dumps(event), LogType="Tail", **options
    )
    return Invoked(
        answer["StatusCode"],
        json.loads(answer["Payload"].read()),
        answer.get("FunctionError"),
        base64.b64decode(answer.get("LogResult", "")).decode(),
        answer["ResponseMetadata"]["RequestId"],
    )


def wait_until_busy(stack: Stack, count: int = 1) -> None:
    """Waits until `count` environments are running a request."""
    health = f"{stack.lambda_url}/_local/health"
    wait_for(lambda: httpx.get(health).json()["busy"] >= count, f"{count} busy environments", every=0.02)


@dataclass
class Process:
    """A process of a function, as the machine sees it."""

    pid: int
    state: str

    def ran(self) -> int:
        """Processor time of all its threads in nanoseconds; see proc(5)."""
        tasks = Path(f"/proc/{self.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir())


def processes(stack: Stack, word: str = "bootstrap.py") -> list[Process]:
    """The processes of the environments that have `word` in their command line."""
    found = []
    for container in stack.containers("lambda"):
        for row in docker("top", container, "-eo", "pid,stat,args").splitlines():
            if word in row:
                pid, state, _ = row.split(maxsplit=2)
                found.append(Process(int(pid), state))
    return found


def wait_until_frozen(stack: Stack, word: str = "bootstrap.py") -> list[Process]:
    """Waits until all of these processes are stopped (state T)."""

    def frozen() -> list[Process]:
        found = processes(stack, word)
        return found if all(process.state.startswith("T") for process in found) else []

    return wait_for(frozen, f"{word} to be frozen")


def invoke(stack: Stack, event: object, **options: Any) -> Any:
    """What the function returned; it must not have failed."""
    invoked = call(stack, event, **options)
    assert invoked.error is None, invoked
    return invoked.payload
