"""S3's errors, sorted into transient and permanent ones."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from durable_lambda.worker.storage import Storage
from durable_lambda.worker.trouble import Permanent, Transient

URL = {"endpoint_url": "http://localstack:4566"}
BUSY: Any = {"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    made = Storage(2)
    yield made
    made.close()


async def met(storage: Storage, error: Exception) -> Exception:
    """The fault that a step gets for an error of boto3."""

    def call(_: object) -> None:
        raise error

    with pytest.raises(Exception) as caught:  # noqa: PT011 - the test checks which one
        await storage._call("not_there", call, "s3://b/k")
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        # These are OSErrors as well, because they also inherit from the requests library's exceptions.
        botocore.exceptions.ConnectTimeoutError(**URL),
        botocore.exceptions.ReadTimeoutError(**URL),
        botocore.exceptions.ProxyConnectionError(proxy_url="http://proxy"),
        botocore.exceptions.SSLError(error=OSError("broken"), **URL),
        # These are not OSErrors.
        botocore.exceptions.EndpointConnectionError(**URL),
        botocore.exceptions.ConnectionClosedError(**URL),
        botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        botocore.exceptions.ResponseStreamingError(error="cut"),
        S3UploadFailedError("cut"),
        ConnectionResetError("cut"),
        TimeoutError("slow"),
        ClientError(BUSY, "PutObject"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_may_pass_is_tried_again(storage: Storage, error: Exception) -> None:
    seen = await met(storage, error)
    assert isinstance(seen, Transient)
    assert seen.code == "storage_unavailable"
    assert seen.most is None


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        ("NoSuchKey", 404, "not_there"),
        ("404", 404, "not_there"),
        ("AccessDenied", 403, "storage_refused"),
        ("InvalidRequest", 400, "storage_refused"),
        ("InvalidBucketName", 400, "storage_refused"),
    ],
)
async def test_what_will_not_pass_ends_the_job(storage: Storage, code: str, status: int, told: str) -> None:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    seen = await met(storage, ClientError(answer, "GetObject"))  # type: ignore[arg-type]
    assert isinstance(seen, Permanent)
    assert seen.code == told


async def test_what_the_client_itself_refuses_ends_the_job(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(Permanent) as caught:
        await storage.fetch("documents\\work", "x", tmp_path / "x")
    assert caught.value.code == "storage_refused"


async def test_a_fault_of_this_machine_s_disk_is_none_of_s3_s(storage: Storage) -> None:
    full = OSError(28, "No space left on device")
    assert await met(storage, full) is full


async def test_an_s3_that_takes_connections_and_says_nothing_is_tried_again(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Uses the real client: a listener with a full queue makes the connection time out."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        address = silent.getsockname()
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{address[1]}")
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        real = Storage(1)
        with pytest.raises(Transient, match="storage_unavailable"):
            await real.fetch("b", "k", tmp_path / "x")
        for filler in fillers:
            filler.close()
        real.close()
