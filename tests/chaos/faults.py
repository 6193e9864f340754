"""Faults of a service that the container engine can cause. Each begins with `strike` and ends with `mend`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.engine import cut_off, docker, join

#: How often a service in a restart loop dies before it is left running.
LOOPS = 5


@dataclass(frozen=True)
class Fault:
    """`strike` takes containers and returns what `mend` needs in addition to them."""

    name: str
    #: How many seconds it lasts in the matrix, counted from when it takes effect.
    seconds: float
    strike: Callable[[list[str]], Any]
    mend: Callable[[list[str], Any], None]


def _start(containers: list[str], _: Any) -> None:
    docker("start", *containers)


def _unpause(containers: list[str], _: Any) -> None:
    docker("unpause", *containers)


def _stop(containers: list[str]) -> None:
    # As in a deployment: SIGTERM, then the grace period of compose.yaml.
    docker("stop", "--time", "10", *containers)


def _loop(containers: list[str]) -> None:
    for _ in range(LOOPS):
        docker("restart", "--time", "0", *containers)


def _cut(containers: list[str]) -> dict[str, Any]:
    return {container: cut_off(container) for container in containers}


def _join(containers: list[str], networks: dict[str, Any]) -> None:
    for container in containers:
        join(container, networks[container])


KILL = Fault("kill -9", 3, lambda c: docker("kill", "--signal", "KILL", *c), _start)
STOP = Fault("stop", 3, _stop, _start)
PAUSE = Fault("pause", 30, lambda c: docker("pause", *c), _unpause)
CUT = Fault("network cut", 10, _cut, _join)
LOOP = Fault("restart loop", 0, _loop, lambda *_: None)
FAULTS = {fault.name: fault for fault in (KILL, STOP, PAUSE, CUT, LOOP)}
