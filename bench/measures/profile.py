"""Where the time goes: the hot paths of gateway, function, server and worker, sampled while they are busy."""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from bench.core.containers import PREFIX, RUN, Container, container, docker
from bench.core.machine import ROOT
from bench.core.result import Result
from bench.core.stacks import stack
from bench.measures.loads import build_peers, resonate
from bench.measures.submit import many, submitting
from harness.application import image_of
from harness.waiting import wait_for

SECONDS = 8
SHARE = "share of its samples"
PICTURES: list[str] = []
#: Innermost frames of waiting threads that py-spy counts as busy.
WAITING = re.compile(
    r"^(_worker \(concurrent/futures|Thread\.join \(threading|Condition\.wait \(threading|EpollSelector\.select )"
)
#: How many functions of a process are listed.
TOP = 10
SAMPLER = ROOT / "bench" / "load" / "sample.py"
LOAD = ROOT / "bench" / "load" / "resonate.py"
#: The parts of a process, by the file of the innermost frame: the first pattern that matches counts. What matches none
#: is the rest.
PARTS = {
    "socket calls": r"^_SelectorSocketTransport\b",
    "SQLite, sync": r"embedded_server/(store|state/)",
    "the server's own code": r"embedded_server/",
    "the SDK": r"resonate/",
    "the gateway's own code": r"gateway/|shared/",
    "the environment's own code": r"sandbox/",
    "the function's own code": r"\((lambda_function|callers|jobs|states)\.py|contract/|durable_lambda/",
    "Powertools, pydantic": r"aws_lambda_powertools|pydantic",
    "HTTP": r"aiohttp|http/|httptools|urllib|yarl|multidict|awslambdaric",
    "event loop": r"asyncio|selectors|uvloop",
    "JSON": r"json/|msgspec",
    "logging": r"logging/",
}


def measure() -> Result:
    if why := build_peers():
        raise RuntimeError(why)
    result = Result(
        "profile",
        "Where the time goes",
        f"samples of a running Python process, 200 per second for {SECONDS} s while it is busy. py-spy runs "
        "outside the container; inside, the environment would have to watch one more process. A sample counts for "
        "the part that contains its innermost frame. Server and worker: workflows of five empty steps, 64 in "
        "progress. Gateway, environment and function: 16 clients submit jobs",
        "%",
    )
    result.look()
    with resonate(f"{PREFIX}/server-embedded") as server, working(server) as worker:
        take(result, "server", server, "embedded_server")
        take(result, "worker", worker, "load.py")
    result.look()
    with stack(LAMBDA_CONCURRENCY="1", LAMBDA_BURST_SECONDS="20") as running:
        running.stop("worker")
        with busy(partial(many, partial(submitting, int(running.settings["API_PORT"])), 400)):
            for service, word in (("gateway", "gateway"), ("lambda", "sandbox"), ("lambda", "bootstrap.py")):
                (found,) = running.containers(service)
                take(
                    result,
                    {"sandbox": "environment", "bootstrap.py": "function"}.get(word, word),
                    Container(found),
                    word,
                )
    result.look()
    return result


@contextmanager
def working(server: Container) -> Iterator[Container]:
    """A worker with enough work for longer than it is watched."""
    options = (
        *("--init", "--network", f"container:{server.name}", "--entrypoint", "python"),
        *("--volume", f"{LOAD}:/load.py:ro"),
    )
    load = ("/load.py", "http://127.0.0.1:8001", "1000", "64", "1000", "5")
    with container(image_of("worker"), *options, command=load) as worker:
        yield worker


@contextmanager
def busy(work: Callable[[], object]) -> Iterator[None]:
    """Repeats the work until the block ends."""
    over = threading.Event()

    def again() -> None:
        while not over.is_set():
            work()

    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)


def take(result: Result, name: str, process: Container, word: str) -> None:
    """Sample one process: its parts become rows, its most expensive functions a note."""
    stacks = sample(process, word)
    total = sum(stacks.values())
    parts, functions = Counter[str](), Counter[str]()
    for frames, count in stacks.items():
        inner = frames.rpartition(";")[2]
        part = next((part for part, files in PARTS.items() if re.search(files, inner)), "the rest")
        parts[part] += count
        functions[re.sub(r":\d+\)$", ")", inner)] += count
    for part, count in parts.most_common():
        if count * 100 >= total:
            result.row(f"{name}: {part}").add(SHARE, count * 100 / total)
    top = ", ".join(
        f"{function} {count * 100 / total:.0f} %" for function, count in functions.most_common(TOP)
    )
    result.notes.append(f"{name}, {total} samples: {top}")


def sample(process: Container, word: str) -> Counter[str]:
    """The folded stacks with how often each was seen, without waiting threads."""
    name, number = f"{RUN}-sampler", pid(process, word)
    try:
        said = docker(
            "run", "--rm", "--interactive", "--name", name, "--user", "0", "--cap-add", "SYS_PTRACE",
            "--pid", "host", "--network", "none", "--volume", f"{SAMPLER}:/sample.py:ro",
            f"{PREFIX}/bench-peers", "python", "/sample.py", str(SECONDS), str(number),
        )  # fmt: skip
    except BaseException:
        Container(name).remove()
        raise
    seen = Counter[str]()
    for line in said.splitlines():
        frames, _, count = line.rpartition(" ")
        if frames and count.isdigit() and not WAITING.match(frames.rpartition(";")[2]):
            seen[frames] += int(count)
    if not seen:
        raise RuntimeError(f"no sample of {word} in {process.name}")
    return seen


def pid(process: Container, word: str) -> int:
    """The process id, on this machine, of the container's Python process with that word in its command line."""

    def found() -> list[int]:
        listed = (line.split() for line in docker("top", process.name, "-eo", "pid,args").splitlines()[1:])
        return [int(n) for n, command, *words in listed if "python" in command and word in " ".join(words)]

    return max(wait_for(found, f"{word} to run in {process.name}", 20))
