"""make up in a clone of its own: warm, after one edit, and cold where that is allowed; beside LocalStack and SAM."""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from bench.core.containers import PREFIX, RUN, container
from bench.core.result import Calibration, Result
from bench.measures.loads import until_healthy
from bench.measures.submit import Unavailable, sam
from harness.clone import Clone
from harness.stack import found_on_this_machine

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
COLUMN = "seconds"
COLD, WARM = "make up, cold", "make up, warm (after make down)"
FUNCTION, WORKER = "make up, the function edited", "make up, a step edited"
PEER = "LocalStack and SAM, warm"


def measure() -> Result:
    result = Result(
        "up",
        "make up",
        "from the command to its end, every service healthy. Cold: no image and no builder cache, base image and downloads "
        "included. The peer: LocalStack's container until its buckets are there and then `sam local start-lambda` until a "
        "function that does nothing answers; it has no record, no worker and no workflow",
        "s",
        base=WARM,
    )
    calibration = Calibration()
    with tempfile.TemporaryDirectory() as folder:
        clone = Clone(Path(folder) / "clone")
        clone.fill()
        # Images of its own: an edit here must not end up in another stack.
        clone.settings |= {"STACK_IMAGES": RUN}
        try:
            if os.environ.get("BENCH_COLD") == "1":
                subprocess.run(
                    ["docker", "builder", "prune", "--all", "--force"], check=True, capture_output=True
                )
                subprocess.run(
                    ["docker", "image", "rm", "--force", f"{PREFIX}/python:3.13-slim"], check=False
                )
                result.row(COLD).add(COLUMN, up(clone))
            else:
                result.row(
                    COLD
                ).missing = "BENCH_COLD=1 allows it: it empties Docker's builder cache, which is everybody's"
                up(clone)
            for number in range(ROUNDS):
                done(clone.make("down"))
                result.row(WARM).add(COLUMN, up(clone))
                for name, file in (
                    (FUNCTION, "images/lambda/jobs.py"),
                    (WORKER, "images/worker/steps/store_results.py"),
                ):
                    with (clone.folder / file).open("a") as code:
                        code.write(f"\n# edit {number}\n")
                    result.row(name).add(COLUMN, up(clone))
                calibration.again()
        finally:
            clone.make("reset")
            images = subprocess.run(
                ["docker", "images", "--quiet", f"{RUN}/*"], capture_output=True, text=True, check=False
            ).stdout.split()
            subprocess.run(["docker", "image", "rm", "--force", *images], capture_output=True, check=False)
    try:
        for _ in range(ROUNDS):
            result.row(PEER).add(COLUMN, peer())
            calibration.again()
    except Unavailable as why:
        result.row(PEER).missing = str(why)
    result.noise = calibration.noise
    for name, most in ((COLD, 180), (WARM, 10), (FUNCTION, 15), (WORKER, 15)):
        row = result.row(name)
        if not row.missing:
            result.aim(f"{name}: at most {most} s: {row.median(COLUMN):.1f} s", row.median(COLUMN) <= most)
    return result


def up(clone: Clone) -> float:
    begun = time.perf_counter()
    done(clone.make("up"))
    return time.perf_counter() - begun


def done(ran: subprocess.CompletedProcess[str]) -> None:
    if ran.returncode != 0:
        raise RuntimeError(ran.stdout[-3000:])


def peer() -> float:
    begun = time.perf_counter()
    image = f"{PREFIX}/localstack-{found_on_this_machine()['LOCALSTACK_TARGET']}"
    options = ("--init", "--tmpfs", "/tmp", "--env", "PROVIDER_OVERRIDE_S3=default", "--env", "LS_LOG=warn")  # noqa: S108
    with container(image, *options) as localstack:
        until_healthy(localstack)
        with sam():
            return time.perf_counter() - begun
