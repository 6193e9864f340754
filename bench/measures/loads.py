"""Who runs the five empty steps, and how: our server and the official one with Resonate's SDK, DBOS on either store."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.core.containers import PREFIX, Container, container, docker, present
from bench.core.result import ROOT

LOADS = ROOT / "bench" / "load"
OURS = "this stack (embedded server)"
OFFICIAL = "official server, SQLite"
DBOS_SQLITE = "DBOS, SQLite in WAL mode"
DBOS_POSTGRES = "DBOS, PostgreSQL"
#: As compose.yaml has it.
SERVER = (
    "--init",
    "--env",
    "RESONATE_LEVEL=error",
    "--env",
    "RESONATE_TASKS__RETRY_TIMEOUT=1000",
    "--volume",
    "/data",
)
Batches = list[dict[str, float]]


@dataclass
class Contender:
    """`run(jobs, concurrency, batches, steps)` does that on a fresh store; a dictionary of figures a batch."""

    name: str
    run: Callable[[int, int, int, int], Batches]
    missing: str = ""


def contenders() -> list[Contender]:
    """All of them; one that cannot run here says why."""
    official = f"{PREFIX}/server-official"
    return [
        Contender(OURS, lambda *load: on_server(f"{PREFIX}/server-embedded", *load)),
        Contender(
            OFFICIAL,
            lambda *load: on_server(official, *load),
            "" if present(official) else "its image is not at hand (RESONATE_SERVER=official make up)",
        ),
        Contender(DBOS_SQLITE, on_dbos_sqlite),
        Contender(DBOS_POSTGRES, on_dbos_postgres),
    ]


def on_server(image: str, *load: int) -> Batches:
    with resonate(image) as server:
        return run(f"{PREFIX}/worker", "resonate.py", "http://127.0.0.1:8001", load, server)


@contextmanager
def resonate(image: str, *options: str) -> Iterator[Container]:
    """A Resonate server on a fresh store (or the one that options name), healthy."""
    with container(image, *SERVER, *options) as server:
        until_healthy(server)
        yield server


def on_dbos_sqlite(*load: int) -> Batches:
    return run(f"{PREFIX}/bench-peers", "dbos_load.py", "sqlite:////data/dbos.db", load, None)


def on_dbos_postgres(*load: int) -> Batches:
    with ExitStack() as life:
        database = life.enter_context(postgres())
        url = "postgresql://resonate:bench@127.0.0.1:5432/dbos"
        return run(f"{PREFIX}/bench-peers", "dbos_load.py", url, load, database)


@contextmanager
def postgres() -> Iterator[Container]:
    """PostgreSQL as RESONATE_STORE=postgres runs it."""
    image = next(
        name for name in (f"{PREFIX}/postgres-{kind}" for kind in ("official", "packages")) if present(name)
    )
    options = (
        "--env",
        "POSTGRES_USER=resonate",
        "--env",
        "POSTGRES_PASSWORD=bench",
        "--env",
        "POSTGRES_DB=dbos",
    )
    with container(image, "--init", "--shm-size", "128m", "--volume", "/data", *options) as database:
        until_healthy(database)
        yield database


def until_healthy(running: Container, seconds: float = 60) -> None:
    """By the image's own health check."""
    from harness.waiting import wait_for

    wait_for(
        lambda: running.state().get("Health", {}).get("Status") == "healthy",
        f"{running.name} to be healthy",
        seconds,
    )


def run(image: str, script: str, url: str, load: tuple[int, ...], beside: Container | None) -> Batches:
    """Run a load in a container, in the network of what it speaks to; what it prints a batch."""
    network = f"container:{beside.name}" if beside else "none"
    said = docker(
        "run", "--rm", "--interactive", "--init", "--network", network, "--volume", "/data",
        "--entrypoint", "python", image, "-", url, *map(str, load),
        stdin=Path(LOADS, script).read_text(encoding="utf-8"),
    )  # fmt: skip
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    if len(lines) != 1 + load[2]:
        raise RuntimeError(f"{script} on {image} ended early: {said[-500:]}")
    return lines[1:]


def build_peers() -> None:
    """The peers' image, and PostgreSQL's where it is not there."""
    subprocess.run(
        ["docker", "compose", "--env-file", str(ROOT / ".env"), "--file", "bench/peers/compose.yaml", "build", "--quiet"],
        cwd=ROOT, check=True,
    )  # fmt: skip
    if not any(present(f"{PREFIX}/postgres-{kind}") for kind in ("official", "packages")):
        for verb in ("bin/setup", "bin/build"):
            subprocess.run([verb], cwd=ROOT, check=True, env=_environment(), stdout=subprocess.DEVNULL)


def _environment() -> dict[str, str]:
    import os

    return os.environ | {"RESONATE_STORE": "postgres"}
