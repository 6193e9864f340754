"""S3 that remembers against plain LocalStack: the same image twice, once without the plugin, in one run.

    python bench/s3.py [--image durable-lambda/localstack] [--rounds 15] [--objects 100000]

Both containers run at once and are asked in turn, a block of requests each, so that whatever else the machine does
hits both alike. Each figure is the median over all requests; the ratio of the medians is what counts.
Two clients: boto3, as programs use it, and bare HTTP over a kept connection, which adds least of its own.
"""

import argparse
import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator

import boto3
from botocore.config import Config

SMALL = 4 * 1024
LARGE = 50 * 1024 * 1024
#: How much slower the durable one may be.
LIMITS = {"put 4 KiB": 1.3, "get 4 KiB": 1.3, "put 50 MiB": 1.1, "get 50 MiB": 1.1}


def docker(*words: str) -> str:
    """Run docker and return what it prints."""
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout.strip()


class S3:
    """One container of the image, with a volume of its own."""

    def __init__(self, image: str, name: str, durable: bool) -> None:
        self.name = f"bench-s3-{name}-{uuid.uuid4().hex[:6]}"
        provider = "durable" if durable else "default"
        docker(
            *("run", "--detach", "--init", "--name", self.name, "--read-only"),
            *("--tmpfs", "/tmp", "--tmpfs", "/var/lib/localstack"),  # noqa: S108 - in the container
            *("--volume", f"{self.name}:/data", "--publish", "127.0.0.1:0:4566"),
            *("--env", f"PROVIDER_OVERRIDE_S3={provider}", "--env", "LS_LOG=warn", image),
        )
        try:
            self.wait()
        except BaseException:
            self.remove()
            raise

    def wait(self) -> float:
        """Wait until the hooks have run. Returns the seconds since the container started."""
        begun = time.monotonic()
        self.port = int(docker("port", self.name, "4566").splitlines()[0].rpartition(":")[2])
        while time.monotonic() - begun < 60:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                answer = self.bare("GET", "/_localstack/init/ready")
                if json.loads(answer)["completed"]:
                    break
            time.sleep(0.02)
        else:
            sys.exit(f"{self.name} is not ready after 60 s. See: docker logs {self.name}")
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        self.client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - what LocalStack takes for its default account
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
        )
        return time.monotonic() - begun

    def bare(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request(method, path, body)
        return connection.getresponse().read()

    def kept(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """One request on the kept connection, signed as little as LocalStack lets us."""
        headers = {
            "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, "
            "SignedHeaders=host, Signature=0"
        }
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        data = response.read()
        if response.status != 200:
            sys.exit(f"{method} {path}: {response.status} {data[:300]!r}")
        return data

    def remove(self) -> None:
        """Remove the container and its volume."""
        subprocess.run(["docker", "rm", "--force", "--volumes", self.name], capture_output=True, check=False)
        subprocess.run(["docker", "volume", "rm", self.name], capture_output=True, check=False)


@contextlib.contextmanager
def both(image: str) -> Iterator[dict[str, S3]]:
    """The plain one and the durable one."""
    started: dict[str, S3] = {}
    try:
        for name in ("plain", "durable"):
            started[name] = S3(image, name, durable=name == "durable")
            started[name].client.create_bucket(Bucket="bench")
        yield started
    finally:
        for s3 in started.values():
            s3.remove()


def clock(work: Callable[[], object]) -> float:
    """Seconds the work takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def compare(
    s3s: dict[str, S3], name: str, rounds: int, block: int, work: Callable[[S3, int], object]
) -> float:
    """Time the work on both in turn, print the medians, and return their ratio."""
    taken: dict[str, list[float]] = {who: [] for who in s3s}
    for s3 in s3s.values():
        for number in range(min(block, 20)):
            work(s3, number)
    syncs: list[float] = []
    for turn in range(rounds):
        if name.startswith("put 4 KiB") and turn % 5 == 0:
            syncs.append(sync_alone(s3s["durable"]))
        order = list(s3s)
        for who in order if turn % 2 else reversed(order):
            for number in range(block):
                taken[who].append(clock(lambda: work(s3s[who], turn * block + number)))  # noqa: B023
    medians = {who: statistics.median(times) * 1000 for who, times in taken.items()}
    ratio = medians["durable"] / medians["plain"]
    limit = LIMITS.get(name.partition(",")[0])
    verdict = "" if limit is None else f"   limit {limit:.1f}: {'ok' if ratio <= limit else 'TOO SLOW'}"
    if name.startswith("put 4 KiB"):
        sync = statistics.median([*syncs, sync_alone(s3s["durable"])])
        verdict += (
            f"   of it one sync {sync:.2f} ms: {(medians['durable'] - sync) / medians['plain']:.2f} without"
        )
    print(
        f"{name:<34} plain {medians['plain']:8.2f} ms   durable {medians['durable']:8.2f} ms   "
        f"ratio {ratio:5.2f}{verdict}",
        flush=True,
    )
    return ratio


#: As the ledger's log takes a small put: some pages over what is there already, and a sync.
SYNC = """
import os, statistics, time
path = "/data/sync-alone"
descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
os.write(descriptor, bytes(16384 * 200)); os.fsync(descriptor)
taken = []
for number in range(400):
    begun = time.perf_counter()
    os.pwrite(descriptor, os.urandom(16384), 16384 * (number % 200))
    os.fdatasync(descriptor)
    taken.append(time.perf_counter() - begun)
os.unlink(path)
print(statistics.median(taken) * 1000)
"""


def sync_alone(s3: S3) -> float:
    """What the disk takes for the one sync of a put, in ms: the least a put that is on the disk adds."""
    return float(docker("exec", s3.name, "python", "-c", SYNC))


def fill(s3: S3, bucket: str, count: int) -> None:
    """Put that many objects of one kilobyte, over 4 connections."""
    from concurrent.futures import ThreadPoolExecutor

    body = os.urandom(1024)
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, "
        "SignedHeaders=host, Signature=0"
    }

    def some(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", s3.port, timeout=120)
        for number in range(first, count, 4):
            connection.request("PUT", f"/{bucket}/{number % 100:02d}/{number:07d}", body, headers)
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise RuntimeError(f"PUT: {response.status}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(some, range(4)))


def main() -> int:
    """Run everything. Returns 1 if a limit is not met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", default="durable-lambda/localstack")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--objects", type=int, default=100_000, help="for the large bucket; 0 leaves it out")
    options = parser.parse_args()
    small, large = os.urandom(SMALL), os.urandom(LARGE)
    late = False
    with both(options.image) as s3s:
        works: list[tuple[str, int, int, Callable[[S3, int], object]]] = [
            (
                "put 4 KiB, bare HTTP",
                options.rounds,
                100,
                lambda s3, n: s3.kept("PUT", f"/bench/bare/{n}", small),
            ),
            ("get 4 KiB, bare HTTP", options.rounds, 100, lambda s3, n: s3.kept("GET", f"/bench/bare/{n}")),
            (
                "put 4 KiB, boto3",
                options.rounds,
                50,
                lambda s3, n: s3.client.put_object(Bucket="bench", Key=f"boto/{n}", Body=small),
            ),
            (
                "get 4 KiB, boto3",
                options.rounds,
                50,
                lambda s3, n: s3.client.get_object(Bucket="bench", Key=f"boto/{n}")["Body"].read(),
            ),
            (
                "put 50 MiB, boto3",
                options.rounds,
                1,
                lambda s3, n: s3.client.put_object(Bucket="bench", Key=f"large/{n % 2}", Body=large),
            ),
            (
                "get 50 MiB, boto3",
                options.rounds,
                1,
                lambda s3, n: s3.client.get_object(Bucket="bench", Key="large/0")["Body"].read(),
            ),
        ]
        for name, rounds, block, work in works:
            ratio = compare(s3s, name, rounds, block, work)
            late |= ratio > LIMITS[name.partition(",")[0]]
        if options.objects:
            late |= grow(s3s["durable"], small, options.objects)
    return 1 if late else 0


def grow(s3: S3, small: bytes, count: int) -> bool:
    """Puts into an empty and into a full bucket, and the start with it. Returns whether it is too slow."""
    s3.client.create_bucket(Bucket="full")
    few: list[float] = []
    many: list[float] = []
    took = clock(lambda: fill(s3, "full", count))
    print(f"{count} objects put in {took:.0f} s, 4 connections: {count / took:.0f}/s", flush=True)
    s3.connection.close()  # idle for as long as the filling took; opens again by itself
    for turn in range(10):
        for bucket, times in (("bench", few), ("full", many)):
            for number in range(50):
                path = f"/{bucket}/new/{turn}-{number}"
                times.append(clock(lambda: s3.kept("PUT", path, small)))  # noqa: B023
    ratio = statistics.median(many) / statistics.median(few)
    print(
        f"put 4 KiB beside {count} objects: {statistics.median(many) * 1000:.2f} ms, {ratio:.2f} x that beside few"
    )
    docker("kill", s3.name)
    begun = time.monotonic()
    docker("start", s3.name)
    s3.wait()
    start = time.monotonic() - begun
    said = [line for line in docker("logs", s3.name).splitlines() if "S3 is kept" in line]
    print(
        f"start after kill -9 with {count} objects: {start:.1f} s   limit 5: {'ok' if start <= 5 else 'TOO SLOW'}"
    )
    print("\n".join(said[-1:]))
    return start > 5


if __name__ == "__main__":
    sys.exit(main())
