"""make up in a clone of its own: warm, after one edit, and cold if BENCH_COLD asks for it; compared with LocalStack and
SAM.
"""

import os
import re
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

from bench.core.containers import PREFIX, RUN, container
from bench.core.result import Result, rounds
from bench.measures.loads import until_healthy
from bench.measures.submit import invoking, sam
from harness.clone import Clone
from harness.machine import found_on_this_machine

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = "seconds"
PICTURES = [SECONDS]
COLD, WARM = "make up, cold", "make up, warm (after make down)"
FUNCTION, STEP = "make up, the function edited", "make up, a step edited"
PEER = "LocalStack and SAM, warm"
EDITED = {FUNCTION: "apps/documents/api/jobs.py", STEP: "apps/documents/steps/store_results.py"}
AIMS = {COLD: 180, WARM: 10, FUNCTION: 15, STEP: 15}
#: The longest a cold start may take before it counts as failed.
MOST = 1200


def measure() -> Result:
    result = Result(
        "up",
        "make up",
        "from the start of the command to its end, when every service is healthy. Cold: the base image and every "
        "layer are built and every download is made again. The peer: starting LocalStack's container until its "
        "buckets exist, then `sam local start-lambda` until a function that does nothing responds, with its "
        "images already built; it has no durable record, no worker and no workflow",
        "s",
        base=WARM,
    )
    with tempfile.TemporaryDirectory() as folder:
        clone = Clone(Path(folder) / "clone")
        clone.fill()
        # The clone has its own images, so that an edit here does not end up in another stack.
        clone.settings |= {"STACK_IMAGES": RUN}
        try:
            begin(result, clone)
            turns = {WARM: partial(warm, result, clone)}
            turns |= {name: partial(edited, result, clone, name) for name in EDITED}
            rounds(result, ROUNDS, turns, ours="make up")
        finally:
            clone.make("reset")
            remove_images()
    rounds(result, ROUNDS, {PEER: lambda: result.row(PEER).add(SECONDS, peer())})
    for name, most in AIMS.items():
        row = result.row(name)
        if not row.missing:
            result.aim(f"{name}: at most {most} s: {row.median(SECONDS):.1f} s", row.median(SECONDS) <= most)
    return result


def begin(result: Result, clone: Clone) -> None:
    """The first start: cold if BENCH_COLD asks for it, otherwise with the builder's cache."""
    if os.environ.get("BENCH_COLD") != "1":
        result.row(
            COLD
        ).missing = "it downloads everything again, which takes minutes; set BENCH_COLD=1 to measure it"
        up(clone)
        return
    chill(clone)
    begun = time.perf_counter()
    started = clone.begin("make", "up")
    try:
        if started.wait(MOST) != 0:
            raise RuntimeError(up_said(clone))
    finally:
        if started.poll() is None:
            started.kill()
    result.row(COLD).add(SECONDS, time.perf_counter() - begun)


def chill(clone: Clone) -> None:
    """Make the clone's builds miss the builder's cache, which is shared and stays as it is.

    The cache folders for downloads get other names, and each build stage begins with a new instruction.
    """
    for file in [*clone.folder.glob("images/*/*Dockerfile"), *clone.folder.glob("*/Dockerfile")]:
        text = re.sub(r"\bid=(pip|uv)\b", rf"id=\1-{RUN}", file.read_text(encoding="utf-8"))
        text = re.sub(r"^(FROM .+)$", rf"\1\nENV BENCH={RUN}", text, flags=re.MULTILINE)
        file.write_text(text, encoding="utf-8")
    setup = clone.folder / "bin" / "setup"
    # If the base image is built on this machine, it is built again under another name.
    own = re.sub(r"\bdurable-lambda/(python:)", rf"{RUN}/\1", setup.read_text(encoding="utf-8"))
    setup.write_text(own, encoding="utf-8")


def warm(result: Result, clone: Clone) -> None:
    done(clone.make("down"))
    result.row(WARM).add(SECONDS, up(clone))


def edited(result: Result, clone: Clone, name: str) -> None:
    with (clone.folder / EDITED[name]).open("a") as code:
        code.write(f"\n# edited at {time.time()}\n")
    result.row(name).add(SECONDS, up(clone))


def up(clone: Clone) -> float:
    begun = time.perf_counter()
    done(clone.make("up"))
    return time.perf_counter() - begun


def up_said(clone: Clone) -> str:
    """The output of running it once more, which is quicker if it failed early."""
    return clone.make("up").stdout[-3000:]


def done(ran: subprocess.CompletedProcess[str]) -> None:
    if ran.returncode != 0:
        raise RuntimeError(ran.stdout[-3000:])


def remove_images() -> None:
    found = subprocess.run(
        ["docker", "images", "--quiet", f"{RUN}/*"], capture_output=True, text=True, check=False
    ).stdout.split()
    if found:
        subprocess.run(["docker", "image", "rm", "--force", *found], capture_output=True, check=False)


def peer() -> float:
    image = f"{PREFIX}/localstack-{found_on_this_machine()['LOCALSTACK_TARGET']}"
    options = ("--init", "--tmpfs", "/tmp", "--env", "PROVIDER_OVERRIDE_S3=default", "--env", "LS_LOG=warn")  # noqa: S108
    begun = time.perf_counter()
    with container(image, *options) as localstack:
        until_healthy(localstack)
        with sam() as port:
            invoking(port, "echo")()
            return time.perf_counter() - begun
