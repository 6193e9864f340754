"""Our LocalStack image in a container, with two clients: boto3, as programs use it, and plain HTTP."""

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config

from bench.core.containers import RUN, Container, docker

#: The part of a signature that LocalStack looks at.
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
}
READY_SECONDS = 60


class S3:
    """A running LocalStack. Plain requests go over one kept-alive connection, which adds the least overhead."""

    def __init__(self, name: str) -> None:
        self.container = Container(name)
        self.wait()

    def wait(self) -> float:
        """Wait until the hooks have run; returns how many seconds that took."""
        begun = time.monotonic()
        self.port = self.container.port(4566)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        while not self._completed():
            if time.monotonic() - begun > READY_SECONDS:
                raise RuntimeError(
                    f"{self.container.name} is not ready after {READY_SECONDS} s: {self.container.logs()[-1000:]}"
                )
            time.sleep(0.02)
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - LocalStack's secret of the default account
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
        )
        return time.monotonic() - begun

    def _completed(self) -> bool:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            line.request("GET", "/_localstack/init/ready")
            return bool(json.loads(line.getresponse().read())["completed"])
        return False

    def bare(self, method: str, path: str, body: bytes | None = None) -> bytes:
        return ask(self.connection, method, path, body)

    def restart(self) -> float:
        """kill -9 and start again; returns the seconds until it is ready."""
        docker("kill", self.container.name)
        begun = time.monotonic()
        docker("start", self.container.name)
        self.wait()
        return time.monotonic() - begun

    def fill(self, bucket: str, body: bytes, count: int, connections: int = 4) -> None:
        """Put `count` objects."""

        def some(first: int) -> None:
            line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
            for number in range(first, count, connections):
                ask(line, "PUT", f"/{bucket}/{number % 100:02d}/{number:07d}", body)

        with ThreadPoolExecutor(connections) as pool:
            list(pool.map(some, range(connections)))
        self.connection.close()  # it was idle in the meantime; http.client opens it again by itself


def ask(line: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> bytes:
    line.request(method, path, body, SIGNED)
    answer = line.getresponse()
    said = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{method} {path}: {answer.status} {said[:300]!r}")
    return said


@contextmanager
def s3(image: str, provider: str) -> Iterator[S3]:
    """A LocalStack with its own volume, in which there is a bucket named bench."""
    name = f"{RUN}-s3-{provider}"
    options = (
        *("--detach", "--init", "--name", name, "--read-only"),
        *("--tmpfs", "/tmp", "--tmpfs", "/var/lib/localstack"),  # noqa: S108 - in the container
        *("--volume", f"{name}:/data", "--publish", "127.0.0.1:0:4566"),
        *("--env", f"PROVIDER_OVERRIDE_S3={provider}", "--env", "LS_LOG=warn"),
    )
    try:
        docker("run", *options, image)
        made = S3(name)
        made.client.create_bucket(Bucket="bench")
        yield made
    finally:
        Container(name).remove()
        with contextlib.suppress(RuntimeError):
            docker("volume", "rm", "--force", name)
