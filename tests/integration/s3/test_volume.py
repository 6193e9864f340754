"""The volume: used again by the next container, by one LocalStack at a time, and full."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from botocore.exceptions import ClientError

from harness.engine import docker
from harness.stack import Stack
from harness.waiting import wait_for

from .conftest import S3
from .reading import differences, read_all

#: The volume in memory, so that it can be small and really full.
SMALL_VOLUME = """
volumes:
  s3:
    driver: local
    driver_opts: {type: tmpfs, device: tmpfs, o: "size=16m,uid=10001,gid=10001"}
"""


@pytest.fixture
def own(make_stack: Callable[..., Stack]) -> tuple[Stack, S3]:
    """LocalStack alone, and the stack it is."""
    stack = make_stack(services=["localstack"])
    return stack, S3(stack)


def test_restart_and_a_new_container_keep_everything(own: tuple[Stack, S3]) -> None:
    stack, s3 = own
    s3.client.create_bucket(Bucket="kept")
    s3.client.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    for number in range(3):
        s3.client.put_object(
            Bucket="kept", Key="k", Body=b"%d" % number * 50_000 * number, Metadata={"n": "1"}
        )
    before = read_all(s3.client)

    docker("restart", s3.container)
    s3.wait()
    assert differences(before, read_all(s3.client)) == []

    stack.compose("down", "--timeout", "5")  # make down: the container goes, the volume stays
    stack.compose("up", "--detach", "--wait", "localstack")
    assert stack.containers("localstack") != [s3.container]
    assert differences(before, read_all(S3(stack).client)) == []


def test_a_second_localstack_on_the_volume_is_refused(own: tuple[Stack, S3]) -> None:
    _, s3 = own
    volume, image = (
        docker("inspect", "--format", wanted, s3.container).strip()
        for wanted in ("{{range .Mounts}}{{.Name}}{{end}}", "{{.Config.Image}}")
    )
    second = docker("run", "--detach", "--volume", f"{volume}:/data", image).strip()
    try:
        wait_for(lambda: "S3 does not start." in logs(second), "the second one to be refused", seconds=120)
        assert "/data is in use by another LocalStack. Stop that one, or set S3_DURABLE_DIR" in logs(second)
    finally:
        docker("rm", "--force", "--volumes", second)
    s3.client.create_bucket(Bucket="the-first-goes-on")


def logs(container: str) -> str:
    """Its log, of both streams."""
    done = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


@pytest.fixture
def cramped(make_stack: Callable[..., Stack], tmp_path: Path) -> Iterator[S3]:
    """LocalStack over a volume of 16 MiB."""
    (tmp_path / "small.yaml").write_text(SMALL_VOLUME)
    stack = make_stack(services=["localstack"], files=[str(tmp_path / "small.yaml")])
    s3 = S3(stack)
    # A volume in memory is lost when nothing mounts it, so a second container keeps it mounted during the kill.
    mount = docker("inspect", "--format", "{{range .Mounts}}{{.Name}}{{end}}", s3.container).strip()
    image = docker("inspect", "--format", "{{.Config.Image}}", s3.container).strip()
    holder = docker(
        "run", "--detach", "--volume", f"{mount}:/held", "--entrypoint", "sleep", image, "infinity"
    )
    try:
        yield s3
    finally:
        docker("rm", "--force", "--volumes", holder.strip())


@pytest.mark.parametrize("size", [30_000, 400_000])
def test_a_full_disk_is_an_answer_and_loses_nothing(cramped: S3, size: int) -> None:
    c = cramped.client
    c.create_bucket(Bucket="kept")
    kept: dict[str, bytes] = {}
    error = None
    for number in range(20_000_000 // size):
        key, body = f"k{number}", bytes([number % 256]) * size
        try:
            c.put_object(Bucket="kept", Key=key, Body=body)
        except ClientError as refused:
            error = refused.response
            break
        kept[key] = body
    assert error is not None
    assert len(kept) > 5
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert error["Error"]["Code"] == "InternalError"
    assert "could not be written to the disk" in error["Error"]["Message"]
    assert "Is there space left in /data?" in error["Error"]["Message"]

    def all_there() -> None:
        for key, body in kept.items():
            assert c.get_object(Bucket="kept", Key=key)["Body"].read() == body, key

    all_there()
    cramped.kill()
    docker("start", cramped.container)
    # The hooks want to write their samples and may not be able to: what counts is that S3 serves.
    wait_for(
        lambda: (
            httpx.get(f"{cramped.url}/_localstack/health", timeout=2).json()["services"]["s3"] == "running"
        ),
        "S3 to run on a full disk",
        seconds=120,
    )
    all_there()
    names = [f"k{number}" for number in range(len(kept) // 2)]
    for name in names:
        make_room(cramped, name)
        del kept[name]
    all_there()
    wait_for(lambda: put(cramped, "after", b"again" * 100), "room after deletes", seconds=30)
    kept["after"] = b"again" * 100
    cramped.kill()
    cramped.start()
    all_there()


def make_room(s3: S3, key: str) -> None:
    """Delete the object; a disk that is full to the last byte may need a moment to take even that."""

    def deleted() -> bool:
        try:
            s3.client.delete_object(Bucket="kept", Key=key)
        except ClientError:
            return False
        return True

    wait_for(deleted, f"{key} to be deleted", seconds=30)


def put(s3: S3, key: str, body: bytes) -> bool:
    """Whether the object could be put."""
    try:
        s3.client.put_object(Bucket="kept", Key=key, Body=body)
    except ClientError:
        return False
    return True
