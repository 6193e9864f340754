"""Who runs the five empty steps, and how: our server and the official one with Resonate's SDK, DBOS on either store."""

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
#: As compose.yaml has it.
SERVER = (
    "--init",
    "--env",
    "RESONATE_LEVEL=error",
    "--env",
    "RESONATE_TASKS__RETRY_TIMEOUT=5000",
    "--volume",
    "/data",
)
#: Where the official server itself listens, behind the door in its image: it is measured as its makers ship it.
OFFICIAL_PORT = 8002
#: Jobs that a load runs before its first batch.
WARM_UP = 3
Batches = list[dict[str, float]]


@dataclass
class Contender:
    """`run(jobs, concurrency, batches, steps)` does that on a fresh store; a dictionary of figures a batch."""

    name: str
    run: Callable[[int, int, int, int], Batches]
    missing: str = ""


def contenders(result: Result) -> list[Contender]:
    """Those that can run here; the others get a row that says why they cannot."""
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
    return "its image is not at hand (make up RESONATE_SERVER=official RESONATE_IMAGE=…, then this again)"


def on_server(image: str, *load: int, port: int = 8001) -> Batches:
    with resonate(image) as server:
        return run(image_of("worker"), "resonate.py", f"http://127.0.0.1:{port}", load, server)


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
    """Run a load in a container, in the network of what it speaks to; what it prints a batch, and that one's CPU."""
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
    """Build the peers' image; why that cannot be, or nothing."""
    return _tried(
        ["docker", "compose", "--env-file", ".env", "--file", "bench/peers/compose.yaml", "build", "--quiet"],
        "the peers' image could not be built",
    )


def build_postgres() -> str:
    """Build PostgreSQL's image where there is none, as RESONATE_STORE=postgres has it; why that cannot be, or nothing."""
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
