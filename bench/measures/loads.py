"""The contenders that run the five empty steps: our server and the official one with Resonate's SDK, and DBOS on SQLite
and on PostgreSQL.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.core.containers import PREFIX, RUN, Container, container, docker, present
from bench.core.machine import ROOT
from bench.core.result import OURS as STACK
from bench.core.result import Result
from harness.application import image_of

LOADS = ROOT / "bench" / "load"
OURS = f"{STACK} (embedded server)"
OFFICIAL = "official server, SQLite"
DBOS_SQLITE = "DBOS, SQLite in WAL mode"
DBOS_POSTGRES = "DBOS, PostgreSQL"
#: The same value as in compose.yaml.
SERVER = (
    "--init",
    "--env",
    "RESONATE_LEVEL=error",
    "--env",
    "RESONATE_TASKS__RETRY_TIMEOUT=5000",
    "--volume",
    "/data",
)
#: The port of the official server itself, behind the proxy in its image, so that it is measured as its makers ship it.
OFFICIAL_PORT = 8002
#: How many jobs a load runs before its first batch, to warm up.
WARM_UP = 3
Batches = list[dict[str, float]]


@dataclass
class Contender:
    """`run(jobs, concurrency, batches, steps)` runs that load on a fresh store and returns a dictionary of figures for
    each batch.
    """

    name: str
    run: Callable[[int, int, int, int], Batches]
    missing: str = ""


def contenders(result: Result) -> list[Contender]:
    """The contenders that can run here; each of the others gets a row that says why it cannot."""
    official = f"{PREFIX}/server-official"
    peers = build_peers()
    found = [
        Contender(OURS, lambda *load: on_server(f"{PREFIX}/server-embedded", *load)),
        Contender(OFFICIAL, lambda *load: on_server(official, *load, port=OFFICIAL_PORT), no_official()),
        Contender(DBOS_SQLITE, on_dbos_sqlite, peers),
        Contender(DBOS_POSTGRES, on_dbos_postgres, peers or build_postgres()),
    ]
    for contender in found:
        result.row(contender.name).missing = contender.missing
    return [contender for contender in found if not contender.missing]


def no_official() -> str:
    """Why the official server cannot run here; empty if it can."""
    if present(f"{PREFIX}/server-official"):
        return ""
    return (
        "its image is not here (run make up RESONATE_SERVER=official RESONATE_IMAGE=…, then run this again)"
    )


def on_server(image: str, *load: int, port: int = 8001) -> Batches:
    with resonate(image) as server:
        return run(image_of("worker"), "resonate.py", f"http://127.0.0.1:{port}", load, server)


@contextmanager
def resonate(image: str, *options: str) -> Iterator[Container]:
    """A healthy Resonate server on a fresh store, or on the one that the options name."""
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
    """Wait until the image's own health check passes."""
    from harness.waiting import wait_for

    wait_for(
        lambda: running.state().get("Health", {}).get("Status") == "healthy",
        f"{running.name} to be healthy",
        seconds,
    )


def run(image: str, script: str, url: str, load: tuple[int, ...], beside: Container | None) -> Batches:
    """Run a load in a container, in the network of the server that it uses; returns what it prints for each batch, with
    that server's CPU.
    """
    network = f"container:{beside.name}" if beside else "none"
    used = beside.cpu() if beside else 0.0
    name = f"{RUN}-load"
    try:
        said = docker(
            "run", "--rm", "--name", name, "--interactive", "--init", "--network", network, "--volume", "/data",
            "--entrypoint", "python", image, "-", url, *map(str, load),
            stdin=Path(LOADS, script).read_text(encoding="utf-8"),
        )  # fmt: skip
    except BaseException:
        Container(name).remove()
        raise
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    jobs, _, batches, _ = load
    if len(lines) != 1 + batches:
        raise RuntimeError(f"{script} on {image} ended early: {said[-500:]}")
    if beside:
        used = (beside.cpu() - used) * 1000 / (jobs * batches + WARM_UP)
        lines = [line | {"server_cpu_ms": used} for line in lines]
    return lines[1:]


def build_peers() -> str:
    """Build the peers' image; returns why that failed, or an empty string."""
    return _tried(
        ["docker", "compose", "--env-file", ".env", "--file", "bench/peers/compose.yaml", "build", "--quiet"],
        "the peers' image could not be built",
    )


def build_postgres() -> str:
    """Build the PostgreSQL image of RESONATE_STORE=postgres if it is missing; returns why that failed, or an empty
    string.
    """
    kinds = ("official", "packages")
    if any(present(f"{PREFIX}/postgres-{kind}") for kind in kinds):
        return ""
    why = ""
    for kind in kinds:
        why = _tried(
            ["docker", "compose", "build", "--quiet", "postgres"],
            "PostgreSQL's image could not be built",
            POSTGRES_TARGET=kind,
        )
        if not why:
            break
    return why


def _tried(command: list[str], what: str, **settings: str) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"STACK_IMAGES": PREFIX} | settings,
    )
    return "" if done.returncode == 0 else f"{what}: {done.stderr.strip()[-200:]}"
