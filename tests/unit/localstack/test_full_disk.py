"""A disk that is really full: `/small` is a tmpfs of 16 MiB (bin/unit mounts it)."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from localstack.services.s3.models import s3_stores
from localstack_s3_durable import blobs
from localstack_s3_durable.directory import Reserve
from process import Process

SMALL_DISK = Path("/small")
pytestmark = pytest.mark.skipif(not SMALL_DISK.is_mount(), reason="make test mounts a small disk")


@pytest.fixture
def directory() -> Iterator[Path]:
    folder = SMALL_DISK / "s3"
    yield folder
    shutil.rmtree(folder)
    s3_stores.reset()


def fill(process: Process, bucket: Any, size: int) -> int:
    """Put objects until the disk takes no more; how many there are."""
    count = 0
    try:
        while True:
            process.put(bucket, f"k{count}", b"%d" % (count % 10) * size)
            count += 1
            if count % 20 == 0:
                threading.Event().wait(0.005)
    except (sqlite3.OperationalError, OSError):
        return count


@pytest.mark.parametrize("settle", [0.0, 0.02, 0.1, 1.0])
@pytest.mark.parametrize("size", [3_000, 30_000, 400_000])
def test_what_is_deleted_makes_room_however_full_the_disk_is(
    directory: Path, monkeypatch: pytest.MonkeyPatch, settle: float, size: int
) -> None:
    """How much of the log and of the small bytes is on its way when the disk is full depends on the helper's pace."""
    monkeypatch.setattr(blobs, "SETTLE_SECONDS", settle)
    process = Process(directory)
    bucket = process.bucket()
    count = fill(process, bucket, size)
    assert count > 5
    process.die()
    s3_stores.reset()
    process = Process(directory)
    bucket = process.store.buckets["b"]
    for number in range(count // 2):
        process.journal.run(lambda key=f"k{number}": bucket.objects.pop(key))
    process.put(bucket, "after", b"again" * 100)
    process.die()
    s3_stores.reset()
    process = Process(directory)
    assert process.read("b", "k0") is None
    assert process.read("b", "after") == b"again" * 100
    for number in range(count // 2, count):
        assert process.read("b", f"k{number}") == b"%d" % (number % 10) * size
    process.die()


def test_the_reserve_takes_what_room_there_is(directory: Path) -> None:
    directory.mkdir()
    filler = directory / "filler"
    room = os.statvfs(directory)
    filler.write_bytes(bytes(room.f_bavail * room.f_frsize - Reserve.SIZE // 2))
    reserve = Reserve(directory / "reserve")
    assert not reserve.whole
    assert 0 < (directory / "reserve").stat().st_size <= Reserve.SIZE // 2
    filler.unlink()
    reserve.renew()
    assert reserve.whole
    reserve.spend()
    assert (directory / "reserve").stat().st_size == 0
