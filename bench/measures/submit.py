"""From a client's request to its 202, compared with tools that only start a function: RIE alone, and SAM with warm
containers.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench.core.containers import RUN, Container, container, docker
from bench.core.machine import ROOT
from bench.core.result import OURS, Result, Row
from bench.core.stacks import stack
from harness.application import image_of

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
#: Requests per round and contender.
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "400"))
WARM_UP = 50
CLIENTS = 16
#: SAM is so slow that fewer are enough.
FEWER = 5
RIE_ALONE = "RIE alone, a function that does nothing"
SAM = "sam local, warm containers"
P50, P99 = "p50", "p99"
PICTURES = [P50]
Ask = Callable[[], None]
INVOKE = "/2015-03-31/functions/{}/invocations"
EVENT = b'{"n": 1}'
RIE = (
    "/usr/local/bin/aws-lambda-rie", "--log-level", "error",
    "/usr/bin/env", "python", "-m", "awslambdaric", "echo.handler",
)  # fmt: skip
ECHO = ROOT / "bench" / "gateway" / "echo.py"
SAM_TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  echo:
    Type: AWS::Serverless::Function
    Properties: {{PackageType: Image, ImageUri: {image}, Timeout: 30, MemorySize: 512, Architectures: [{machine}]}}
"""


def measure() -> Result:
    result = Result(
        "submit",
        "Submit a job until 202",
        "time of a request on a kept-alive connection, until the whole response has arrived; in this stack that "
        "is the gateway, the function and the promise on disk. No worker runs, so that nothing else is measured. "
        "The peers run a function that does nothing and records nothing. RIE crashes on a second request while "
        "one runs, so it has no row with more clients",
        "ms",
        base=RIE_ALONE,
    )
    one, more = f"{OURS}, one client", f"{OURS}, {CLIENTS} clients"
    with ExitStack() as life:
        doors = {RIE_ALONE: life.enter_context(rie())}
        ours = life.enter_context(stack(LAMBDA_CONCURRENCY="2", LAMBDA_BURST_SECONDS="20"))
        ours.stop("worker")
        client = partial(submitting, int(ours.settings["API_PORT"]))
        doors[one] = client()
        crowds = {more: client}
        try:
            port = life.enter_context(sam())
            doors[f"{SAM}, one client"] = invoking(port, "echo")
            crowds[f"{SAM}, {CLIENTS} clients"] = partial(invoking, port, "echo")
        except Unavailable as why:
            result.row(SAM).give_up(str(why))
        refused = dict.fromkeys(crowds, 0)
        in_turn(doors, WARM_UP)
        result.look()
        for _ in range(ROUNDS):
            for name, taken in in_turn(doors, REQUESTS).items():
                percentiles(result.row(name), taken)
            result.look()
            for name, make in crowds.items():
                taken, lost = many(make, REQUESTS // (1 if name == more else FEWER))
                refused[name] += lost
                percentiles(result.row(name), taken)
                result.look()
    extra = result.row(one).median(P50) - result.row(RIE_ALONE).median(P50)
    result.aim(f"at most 10 ms over RIE alone at p50: {extra:.1f} ms", extra <= 10)
    total = ROUNDS * (REQUESTS // CLIENTS) * CLIENTS
    result.aim(f"no error with {CLIENTS} clients: {refused[more]} of {total}", refused[more] == 0)
    return result


def in_turn(doors: dict[str, Ask], requests: int) -> dict[str, list[float]]:
    """Milliseconds of each request. The doors are called in turn, so that all of them run under the same conditions."""
    times: dict[str, list[float]] = {name: [] for name in doors}
    for number in range(requests):
        for name, ask in doors.items():
            if not name.startswith(SAM) or number % FEWER == 0:
                begun = time.perf_counter()
                ask()
                times[name].append((time.perf_counter() - begun) * 1000)
    return times


def percentiles(row: Row, taken: list[float]) -> None:
    """One round's."""
    if taken:
        row.add(P50, percentile(taken, 0.5))
        row.add(P99, percentile(taken, 0.99))


def percentile(taken: list[float], share: float) -> float:
    return sorted(taken)[int(len(taken) * share)]


def submitting(port: int) -> Ask:
    """A client that submits a new job with each call."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=40)

    def ask() -> None:
        body = {
            "jobId": f"job-{uuid.uuid4().hex}",
            "documentUrl": "s3://documents/contract.pdf",
            "requesterId": "bench",
            "type": "contract",
        }
        line.request("POST", "/process-document", json.dumps(body), {"Content-Type": "application/json"})
        answer = line.getresponse()
        said = answer.read()
        if answer.status != 202:
            raise RuntimeError(f"the HTTP API answered {answer.status} {said[:200]!r}")

    return ask


def many(make: Callable[[], Ask], requests: int) -> tuple[list[float], int]:
    """All clients at once: the time of every request, and how many requests were refused."""

    def client(_: int) -> tuple[list[float], int]:
        ask, taken, refused = make(), [], 0
        for _ in range(max(1, requests // CLIENTS)):
            begun = time.perf_counter()
            try:
                ask()
            except (RuntimeError, OSError, http.client.HTTPException):
                refused += 1
                ask = make()
            else:
                taken.append((time.perf_counter() - begun) * 1000)
        return taken, refused

    with ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(client, range(CLIENTS)))
    return [ms for taken, _ in found for ms in taken], sum(refused for _, refused in found)


def invoking(port: int, function: str) -> Ask:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask() -> None:
        line.request("POST", INVOKE.format(function), EVENT, {"Content-Type": "application/json"})
        answer = line.getresponse()
        said = answer.read()
        if answer.status != 200 or b'"n"' not in said:
            raise RuntimeError(f"the function answered {answer.status} {said[:200]!r}")

    return ask


def answers(ask: Ask, seconds: float, alive: Callable[[], bool]) -> None:
    """Wait until it answers for the first time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (OSError, http.client.HTTPException, RuntimeError) as error:
            if time.monotonic() > deadline or not alive():
                raise Unavailable(f"it did not answer: {error}") from error
            time.sleep(0.2)


class Unavailable(RuntimeError):
    """A peer cannot run here; the message says why."""


@contextmanager
def rie() -> Iterator[Ask]:
    options = ("--init", "--publish", "127.0.0.1:0:8080", "--volume", f"{ECHO}:/var/task/echo.py:ro")
    with container(image_of("lambda"), *options, command=RIE) as running:
        port = running.port(8080)
        answers(lambda: invoking(port, "function")(), 30, lambda: running.state()["Running"])
        yield invoking(port, "function")


@contextmanager
def sam() -> Iterator[int]:
    """Start `sam local start-lambda` with warm containers, on an image of the same runtime; yields its port."""
    tool = ROOT / ".venv-deploy" / "bin" / "sam"
    if not tool.exists():
        raise Unavailable("the deployment tools are not installed (bin/venv deploy)")
    image, port = f"{RUN}-sam", free_port()
    machine = "arm64" if os.uname().machine == "aarch64" else "x86_64"
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "Dockerfile")
        made.write_text(
            # SAM copies its emulator into the image, which needs root.
            f"FROM {image_of('lambda')}\nUSER root\nCOPY echo.py /var/task/\n"
            'ENTRYPOINT ["python", "-m", "awslambdaric"]\n'
            'CMD ["echo.handler"]\n'
        )
        Path(folder, "echo.py").write_bytes(ECHO.read_bytes())
        Path(folder, "template.yaml").write_text(
            SAM_TEMPLATE.format(image=f"{image}:latest", machine=machine)
        )
        docker("build", "--quiet", "--tag", f"{image}:latest", folder)
        log = Path(folder, "log")
        with log.open("wb") as out:
            running = subprocess.Popen(
                [tool, "local", "start-lambda", "--skip-pull-image", "--warm-containers", "EAGER", "--port", str(port)],
                cwd=folder, stdout=out, stderr=out, start_new_session=True,
                env=os.environ | {"SAM_CLI_TELEMETRY": "0"},
            )  # fmt: skip
        try:
            try:
                answers(lambda: invoking(port, "echo")(), 90, lambda: running.poll() is None)
            except Unavailable as why:
                raise Unavailable(
                    f"{why}; {' '.join(log.read_text(errors='replace').split())[-300:]}"
                ) from why
            yield port
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGINT)
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
            for name in docker(
                "ps", "--all", "--quiet", "--filter", f"ancestor={image}:rapid-{machine}"
            ).split():
                Container(name).remove()
            # Removed by name: by id it fails if SAM left parts of a failed build that use the image.
            left = docker("images", "--format", "{{.Repository}}:{{.Tag}}", image).split()
            if left:
                docker("image", "rm", "--force", *left)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])
