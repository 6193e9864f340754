"""How much time the gateway and the freeze add to a direct invocation of RIE."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from bench.core.containers import PREFIX, RUN
from bench.core.machine import ROOT
from bench.core.result import Result
from bench.measures.submit import P50, Ask, in_turn, invoking, percentiles
from harness.application import image_of

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "700"))
WARM_UP = 100
BASE = "RIE, direct"
#: What is measured: a name, and the service and port of bench/gateway/compose.yaml that are called.
WAYS = {
    BASE: ("rie", 8080),
    "environment, direct": ("lambda", 8080),
    "gateway, no freeze": ("gateway-thawed", 9000),
    "gateway": ("gateway", 9000),
}
PICTURES = [P50]


def measure() -> Result:
    result = Result(
        "gateway",
        "An invocation of a function that does nothing",
        "time of a request to the Lambda API on a kept-alive connection, until the whole response has arrived; "
        "one client",
        "ms",
        base=BASE,
    )
    with services() as doors:
        in_turn(doors, WARM_UP)
        result.look()
        for _ in range(ROUNDS):
            for name, taken in in_turn(doors, REQUESTS).items():
                percentiles(result.row(name), taken)
            result.look()
    return result


@contextmanager
def services() -> Iterator[dict[str, Ask]]:
    try:
        compose("up", "--detach", "--wait")
        yield {way: invoking(mapped(*address), "function") for way, address in WAYS.items()}
    finally:
        compose("down", "--volumes", "--timeout", "1")


def mapped(service: str, port: int) -> int:
    return int(compose("port", service, str(port)).strip().rpartition(":")[2])


def compose(*arguments: str) -> str:
    file = ROOT / "bench" / "gateway" / "compose.yaml"
    done = subprocess.run(
        ["docker", "compose", "--project-name", f"{RUN}-gateway", "--file", str(file), *arguments],
        env=os.environ | {"LAMBDA_IMAGE": image_of("lambda"), "STACK_IMAGES": PREFIX},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"docker compose {' '.join(arguments)}: {done.stderr.strip()[-1000:]}")
    return done.stdout
