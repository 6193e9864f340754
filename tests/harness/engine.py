"""Docker's command line, and helpers that disconnect and reconnect a container's networks."""

import json
import subprocess
from typing import Any

#: A container's networks, as `docker inspect` shows them.
Networks = dict[str, dict[str, Any]]


def docker(*arguments: str) -> str:
    """Run `docker ARGUMENT…`; returns its standard output. Raises RuntimeError with its standard error."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def inspect(container: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(docker("inspect", container))
    return found[0]


def cut_off(container: str) -> Networks:
    """Disconnect a container from every network; returns what `join` needs to undo it."""
    networks: Networks = inspect(container)["NetworkSettings"]["Networks"]
    for name in networks:
        docker("network", "disconnect", name, container)
    return networks


def join(container: str, networks: Networks) -> None:
    """Connect a container to the networks it was cut off from, under the names it had there."""
    for name, settings in networks.items():
        names = [part for alias in settings["Aliases"] or () for part in ("--alias", alias)]
        docker("network", "connect", *names, name, container)
