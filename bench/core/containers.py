"""Containers of one run, named after it; all of them are removed at its end, whatever happens."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.core.machine import TICK
from harness.machine import image_prefix

RUN = f"bench-{secrets.token_hex(3)}"
PREFIX = image_prefix()
PAGE = os.sysconf("SC_PAGE_SIZE")


def docker(*words: str, stdin: str | None = None) -> str:
    """Run docker and return its output. Raises RuntimeError with the text of its standard error."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, input=stdin)
    if done.returncode != 0:
        raise RuntimeError(f"docker {' '.join(words)}: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()


def present(image: str) -> bool:
    return (
        subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode
        == 0
    )


class Container:
    """A running container; `port()` returns the port of this machine that one of its ports is published on."""

    def __init__(self, name: str) -> None:
        self.name = name

    def port(self, inside: int) -> int:
        return int(docker("port", self.name, str(inside)).splitlines()[0].rpartition(":")[2])

    def cpu(self) -> float:
        """Seconds of CPU that its processes have used, including those that have ended; health checks are not counted.

        0 if this machine cannot see its processes (Docker in a virtual machine).
        """
        return sum(sum(map(int, fields[11:15])) for fields in self._stat()) / TICK

    def memory(self) -> float:
        """Bytes of memory that its processes use now (shared memory is counted once per process); 0 if `cpu` is 0."""
        return sum(int(fields[21]) for fields in self._stat()) * PAGE

    def _stat(self) -> Iterator[list[str]]:
        """The kernel's statistics of each of its processes: the fields after the name (proc(5))."""
        for pid in docker("top", self.name, "-eo", "pid").split()[1:]:
            try:
                yield Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue

    def logs(self) -> str:
        done = subprocess.run(
            ["docker", "logs", self.name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout

    def remove(self) -> None:
        subprocess.run(["docker", "rm", "--force", "--volumes", self.name], capture_output=True, check=False)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(docker("inspect", "--format", "{{json .State}}", self.name))
        return found


@contextmanager
def container(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[Container]:
    """A container that runs until the end of the block; its volumes are removed with it."""
    name = f"{RUN}-{secrets.token_hex(3)}"
    made = Container(name)
    try:
        docker("run", "--detach", "--name", name, *options, image, *command)
        yield made
    finally:
        made.remove()
