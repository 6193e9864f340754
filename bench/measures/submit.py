"""From a client's request to its 202, beside what only starts a function: RIE alone, and SAM with warm containers."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.core.containers import PREFIX, RUN, Container, container, docker
from bench.core.result import ROOT, Calibration, Result, Row
from bench.core.stacks import stack

REQUESTS = int(os.environ.get("BENCH_REQUESTS", "1000"))
WARM_UP = 50
CLIENTS = 16
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
        "a request on a kept connection, until the whole answer is there; for this stack that is gateway, function and "
        "the promise on disk. No worker runs, so that only this is measured. The peers run a function that does nothing",
        "ms",
        base="RIE alone, a function that does nothing",
    )
    with ExitStack() as life:
        doors = {result.base: life.enter_context(rie())}
        ours = life.enter_context(stack(LAMBDA_CONCURRENCY="2", LAMBDA_BURST_SECONDS="20"))
        ours.stop("worker")
        api = int(ours.settings["API_PORT"])
        doors["this stack, one client"] = submitting(api)
        try:
            doors["sam local, warm containers"] = life.enter_context(sam())
        except Unavailable as why:
            result.rows.append(Row("sam local, warm containers", missing=str(why)))
        times: dict[str, list[float]] = {name: [] for name in doors}
        calibration = Calibration()
        for number in range(WARM_UP + REQUESTS):
            for name, ask in doors.items():
                # SAM is slow enough that fewer requests say as much.
                if name.startswith("sam") and number % 5:
                    continue
                begun = time.perf_counter()
                ask()
                if number >= WARM_UP:
                    times[name].append((time.perf_counter() - begun) * 1000)
            if number % 100 == 0:
                calibration.again()
        for name, taken in times.items():
            percentiles(result.row(name), taken)
        taken, refused = many(api)
        percentiles(result.row(f"this stack, {CLIENTS} clients"), taken)
        calibration.again()
    result.noise = calibration.noise
    more = result.row("this stack, one client").median("p50") - result.row(result.base).median("p50")
    result.aim(f"at most 10 ms over RIE alone at p50: {more:.1f} ms", more <= 10)
    result.aim(f"no error with {CLIENTS} clients: {refused} of {len(taken) + refused}", refused == 0)
    return result


def percentiles(row: Row, taken: list[float]) -> None:
    taken.sort()
    row.add("p50", taken[len(taken) // 2])
    row.add("p99", taken[int(len(taken) * 0.99)])


def submitting(port: int) -> Callable[[], None]:
    """One client that submits a new job each time."""
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


def many(port: int) -> tuple[list[float], int]:
    """All clients at once: every request's time, and how many were refused."""

    def client(_: int) -> tuple[list[float], int]:
        ask, taken, refused = submitting(port), [], 0
        for _ in range(max(1, REQUESTS // CLIENTS)):
            begun = time.perf_counter()
            try:
                ask()
            except (RuntimeError, OSError, http.client.HTTPException):
                refused += 1
            else:
                taken.append((time.perf_counter() - begun) * 1000)
        return taken, refused

    with ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(client, range(CLIENTS)))
    return [ms for taken, _ in found for ms in taken], sum(refused for _, refused in found)


def invoking(port: int, function: str) -> Callable[[], None]:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask() -> None:
        line.request("POST", INVOKE.format(function), EVENT, {"Content-Type": "application/json"})
        answer = line.getresponse()
        said = answer.read()
        if answer.status != 200 or b'"n"' not in said:
            raise RuntimeError(f"the function answered {answer.status} {said[:200]!r}")

    return ask


def answers(ask: Callable[[], None], seconds: float, alive: Callable[[], bool]) -> None:
    """Wait until it answers at all."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (OSError, http.client.HTTPException, RuntimeError) as error:
            if time.monotonic() > deadline or not alive():
                raise Unavailable(f"it did not answer: {error}") from error
            time.sleep(0.2)


class Unavailable(RuntimeError):
    """A peer cannot run here; the text says why."""


@contextmanager
def rie() -> Iterator[Callable[[], None]]:
    options = ("--init", "--publish", "127.0.0.1:0:8080", "--volume", f"{ECHO}:/var/task/echo.py:ro")
    with container(f"{PREFIX}/lambda-image", *options, command=RIE) as running:
        port = running.port(8080)
        answers(lambda: invoking(port, "function")(), 30, lambda: running.state()["Running"])
        yield invoking(port, "function")


@contextmanager
def sam() -> Iterator[Callable[[], None]]:
    """`sam local start-lambda` with warm containers, on an image of the same runtime."""
    tool = ROOT / ".venv-deploy" / "bin" / "sam"
    if not tool.exists():
        raise Unavailable("the deployment tools are not installed (bin/venv deploy)")
    image, port = f"{RUN}-sam", free_port()
    machine = "arm64" if os.uname().machine == "aarch64" else "x86_64"
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "Dockerfile")
        made.write_text(
            f'FROM {PREFIX}/lambda-image\nCOPY echo.py /var/task/\nENTRYPOINT ["python", "-m", "awslambdaric"]\n'
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
            yield invoking(port, "echo")
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
            left = docker("images", "--quiet", image).split()
            if left:
                docker("image", "rm", "--force", *left)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


if __name__ == "__main__":
    sys.stdout.write(measure().text() + "\n")
