"""One LocalStack for each module, killed and started again as often as a test likes."""

import time
from collections.abc import Callable
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from harness.engine import docker
from harness.stack import Stack
from harness.waiting import wait_for


class S3:
    """The S3 service of one copy of the stack."""

    def __init__(self, stack: Stack) -> None:
        self.url = stack.s3_url
        (self.container,) = stack.containers("localstack")
        self.client = self.new_client()

    def new_client(self, account: str = "test") -> Any:
        """A client that never tries again: what one call did must be known."""
        factory: Any = boto3.client
        return factory(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=account,
            aws_secret_access_key="test",
            config=Config(
                retries={"total_max_attempts": 1},
                connect_timeout=2,
                read_timeout=30,
                max_pool_connections=32,
                s3={"addressing_style": "path"},
            ),
        )

    def kill(self) -> None:
        """kill -9, at once."""
        docker("kill", "--signal", "KILL", self.container)

    def start(self) -> float:
        """Start again and wait until the hooks have run. Returns the seconds it took."""
        begun = time.monotonic()
        docker("start", self.container)
        self.wait()
        return time.monotonic() - begun

    def wait(self) -> None:
        """Wait until the hooks have run, as the health check does."""
        wait_for(
            lambda: httpx.get(f"{self.url}/_localstack/init/ready", timeout=2).json()["completed"],
            "LocalStack to be ready",
            seconds=120,
        )


@pytest.fixture(scope="module")
def s3(make_module_stack: Callable[..., Stack]) -> S3:
    """LocalStack alone."""
    return S3(make_module_stack(services=["localstack"]))
