"""What is on the disk at which moment, and what is found again after a crash."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from localstack.services.s3.models import S3Object, s3_stores
from localstack_s3_durable import blobs, ledger
from localstack_s3_durable.blobs import SMALL, Blobs
from localstack_s3_durable.errors import Damaged, DirectoryUnusable, FormatUnknown
from localstack_s3_durable.journal import Request
from localstack_s3_durable.ledger import Ledger
from process import Process

Start = Callable[..., Process]
LARGE = b"L" * (SMALL + 1)


def test_objects_and_versions_are_found_again(start: Start) -> None:
    process = start()
    plain, versions = process.bucket("plain"), process.bucket("versions", versions=True)
    process.put(plain, "small", b"s", user_metadata={"a": "1"})
    process.put(plain, "large", LARGE)
    process.put(plain, "empty", b"")
    for number in range(3):
        process.put(versions, "k", b"%d" % number, version=f"v{number}")
    process = start()
    assert process.read("plain", "small") == b"s"
    assert process.read("plain", "large") == LARGE
    assert process.read("plain", "empty") == b""
    assert process.store.buckets["plain"].objects.get("small").user_metadata == {"a": "1"}
    assert [process.read("versions", "k", f"v{n}") for n in range(3)] == [b"0", b"1", b"2"]
    current = process.store.buckets["versions"].objects.get("k")
    assert (current.version_id, current.is_current) == ("v2", True)
    assert not process.store.buckets["versions"].objects.get("k", "v1").is_current


def test_small_bytes_come_back_from_the_ledger(start: Start) -> None:
    process = start()
    bucket = process.bucket()
    before_its_file = process.put(bucket, "k", b"acknowledged")
    half_written = process.put(bucket, "half", b"acknowledged too")
    assert process.read("b", "k") == b"acknowledged"
    assert process.blobs() == set()
    process.die()
    process.provider._storage_backend._blobs.path(half_written.blob).write_bytes(b"ackn")
    process = start()
    assert process.read("b", "k") == b"acknowledged"
    assert process.read("b", "half") == b"acknowledged too"
    process.provider._helper.close()
    assert process.blobs() == {before_its_file.blob, half_written.blob}
    assert list(process.ledger.bodies()) == []
    assert start().read("b", "k") == b"acknowledged"


def test_a_row_brings_the_bytes_of_whoever_wrote_them(start: Start) -> None:
    """One request's commit may write the row of another's object, which is not acknowledged yet."""
    process = start()
    bucket = process.bucket()
    first, second = threading.Event(), threading.Event()

    def slow() -> None:
        def work() -> None:
            s3_object = S3Object(key="k", owner=bucket.owner)
            with process.provider._storage_backend.open("b", s3_object, mode="w") as stored:
                stored.write(BytesIO(b"small"))
                bucket.objects.set("k", s3_object)
            first.set()
            second.wait(10)

        process.journal.run(work)

    thread = threading.Thread(target=slow)
    thread.start()
    assert first.wait(10)
    process.journal.run(lambda: None, lambda: [("object", "b", "k", "null")])  # tags, say
    copied = process.directory.parent / "after a power failure"
    shutil.copytree(process.directory, copied)
    second.set()
    thread.join()
    process.die()
    process.directory = copied
    s3_stores.reset()
    again = Process(copied)
    assert again.read("b", "k") == b"small"
    again.die()


def test_files_that_cannot_be_written_are_tried_again_and_their_bytes_kept(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(blobs, "RETRY_SECONDS", 0.0)
    failed, write = threading.Event(), Blobs.write
    full = True

    def limited(self: Blobs, some: Any) -> None:
        if full and some:
            failed.set()
            raise OSError(28, "No space left on device")
        write(self, some)

    process = start()
    bucket = process.bucket()
    monkeypatch.setattr(Blobs, "write", limited)
    held = process.put(bucket, "k", b"acknowledged")
    assert failed.wait(10)
    later = process.put(bucket, "later", b"also")
    assert process.read("b", "k") == b"acknowledged"
    assert {blob for _, blob, _ in process.ledger.bodies()} == {held.blob, later.blob}
    full = False
    process.provider._helper.close()
    assert process.blobs() == {held.blob, later.blob}
    assert list(process.ledger.bodies()) == []


def test_an_object_copied_onto_itself_keeps_bytes_of_its_own(start: Start) -> None:
    """Between being looked up and being copied, the object may be replaced and its file removed."""
    import copy

    process = start()
    bucket = process.bucket()
    source = process.put(bucket, "k", LARGE)
    process.put(bucket, "k", b"replaced")
    process.provider._helper.close()
    onto = copy.copy(source)

    def work() -> None:
        with process.provider._storage_backend.copy("b", source, "b", onto):
            bucket.objects.set("k", onto)

    process.journal.run(work)
    assert process.read("b", "k") == b"replaced"
    assert start().read("b", "k") == b"replaced"


def test_one_request_without_a_row_does_not_take_others_along(start: Start) -> None:
    process = start()
    process.bucket("good")
    process.bucket("bad").cors_rules = b"no text"
    requests = [Request({("bucket", name)}) for name in ("bad", "good")]
    process.journal._write(requests)
    assert isinstance(requests[0].error, TypeError)
    assert requests[1].error is None
    assert all(request.done for request in requests)


def test_bodies_leave_the_ledger_once_their_files_are_synced(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "SETTLE_SECONDS", 0.0)
    synced: list[set[str]] = []
    settle = Blobs.settle

    def recorded(self: Blobs, names: Any) -> None:
        synced.append(set(names))
        settle(self, names)

    monkeypatch.setattr(Blobs, "settle", recorded)
    process = start()
    held = process.put(process.bucket(), "k", b"x")
    process.provider._helper.close()
    assert {held.blob} in synced
    assert list(process.ledger.bodies()) == []


def test_large_bytes_and_their_name_are_synced_before_the_row(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start()
    bucket = process.bucket()
    done: list[str] = []
    fdatasync, apply = os.fdatasync, Ledger.apply

    def sync(descriptor: int) -> None:
        done.append(f"bytes {os.fstat(descriptor).st_size}")
        fdatasync(descriptor)

    def sync_directory(path: Path) -> None:
        done.append(f"directory {path.name}")

    def commit(self: Ledger, changes: Any, bodies: Any) -> Any:
        done.append("row")
        return apply(self, changes, bodies)

    monkeypatch.setattr(os, "fdatasync", sync)
    monkeypatch.setattr(blobs, "sync_directory", sync_directory)
    monkeypatch.setattr(Ledger, "apply", commit)
    held = process.put(bucket, "k", LARGE)
    assert done == [f"bytes {len(LARGE)}", f"directory {held.blob[:2]}", "row"]


def test_the_ledger_syncs_each_commit(start: Start) -> None:
    assert start().ledger._database.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert start(sync=False).ledger._database.execute("PRAGMA synchronous").fetchone() == (0,)


def test_replaced_and_deleted_objects_leave_no_files(start: Start) -> None:
    process = start()
    bucket = process.bucket()
    for number in range(5):
        process.put(bucket, "k", b"%d" % number)
    process.put(bucket, "gone", LARGE)
    process.journal.run(lambda: bucket.objects.pop("gone"))
    process.provider._helper.close()
    assert process.blobs() == {bucket.objects.get("k").blob}


def test_leftovers_of_a_crash_are_swept_at_start(start: Start) -> None:
    process = start()
    bucket = process.bucket()
    kept = process.put(bucket, "k", LARGE).blob
    draft = process.provider._storage_backend._blobs.create()
    draft.write(LARGE + b"half an upl")
    assert process.blobs() == {kept, draft.blob}
    assert start().blobs() == {kept}


def test_a_write_that_fails_leaves_the_object_before_and_no_file(start: Start) -> None:
    class Broken:
        def __init__(self) -> None:
            self.left = 3

        def read(self, size: int) -> bytes:
            self.left -= 1
            if not self.left:
                raise ConnectionError("the client went away")
            return b"x" * size

    process = start()
    bucket = process.bucket()
    kept = process.put(bucket, "k", b"before").blob
    storage = process.provider._storage_backend
    other = process.provider._memory.current("b", "k", None)

    def write() -> None:
        import copy

        with storage.open("b", copy.copy(other), mode="w") as stored:
            stored.write(Broken())

    with pytest.raises(ConnectionError):
        process.journal.run(write)
    process.provider._helper.close()
    assert process.read("b", "k") == b"before"
    assert process.blobs() == {kept}


def test_a_commit_that_fails_is_made_up_for_by_the_next(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start()
    bucket = process.bucket()
    apply = Ledger.apply

    def full(*_: Any) -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Ledger, "apply", full)
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        process.put(bucket, "first", LARGE)
    monkeypatch.setattr(Ledger, "apply", apply)
    process.put(bucket, "second", b"2")
    process = start()
    assert process.read("b", "first") == LARGE
    assert process.read("b", "second") == b"2"


def test_what_is_owed_is_not_acknowledged_by_a_request_that_finds_it_done(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delete that failed is sent again: it finds nothing to delete, but the first one is not on the disk yet."""
    process = start()
    bucket = process.bucket()
    process.put(bucket, "k", b"1")
    apply = Ledger.apply

    def full(*_: Any) -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Ledger, "apply", full)
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="disk is full"):
            process.journal.run(lambda: bucket.objects.pop("k"))
    monkeypatch.setattr(Ledger, "apply", apply)
    process.journal.run(lambda: bucket.objects.pop("k"))
    assert start().read("b", "k") is None


def test_a_full_disk_takes_deletes(start: Start) -> None:
    process = start()
    bucket = process.bucket()
    process.put(bucket, "gone", b"x" * 20_000)
    database = process.ledger._database
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")  # the database is full
    refused = 0
    for number in range(20):
        try:
            process.put(bucket, f"{number}", b"y" * 20_000)
        except sqlite3.OperationalError:
            refused += 1
    assert refused > 10
    process.journal.run(lambda: bucket.objects.pop("gone"))
    assert start().read("b", "gone") is None


def test_concurrent_requests_share_commits_and_all_are_kept(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start()
    bucket = process.bucket()
    commits = 0
    apply = Ledger.apply

    def counted(self: Ledger, changes: Any, bodies: Any) -> Any:
        nonlocal commits
        commits += 1
        threading.Event().wait(0.005)  # a slow disk
        return apply(self, changes, bodies)

    monkeypatch.setattr(Ledger, "apply", counted)

    def some(name: int) -> None:
        for number in range(20):
            process.put(bucket, f"{name}-{number}", b"%d" % number)

    threads = [threading.Thread(target=some, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert commits < 80  # of 160 puts
    process = start()
    assert all(process.read("b", f"{name}-{n}") == b"%d" % n for name in range(8) for n in range(20))


def test_a_reader_reads_on_while_the_object_is_replaced(start: Start) -> None:
    process = start()
    bucket = process.bucket()
    held = process.put(bucket, "k", b"old" * 100_000)
    storage = process.provider._storage_backend
    with storage.open("b", held) as reading:
        begun = reading.read(10)
        process.put(bucket, "k", b"new")
        process.provider._helper.close()
        assert begun + reading.read() == b"old" * 100_000
    with storage.open("b", held) as late:  # looked up before, opened after
        assert late.read() == b"new"
        assert late.last_modified != held.internal_last_modified


def test_a_second_process_is_refused(start: Start) -> None:
    process = start()
    with pytest.raises(DirectoryUnusable, match=r"in use by another LocalStack.*S3_DURABLE_DIR"):
        Ledger(process.directory)


def test_an_unwritable_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DirectoryUnusable, match=r"file/s3 cannot be written .* Mount a volume"):
        Ledger(tmp_path / "file" / "s3")


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "FORMAT", "0")
    Ledger(tmp_path).close()
    monkeypatch.undo()
    with pytest.raises(FormatUnknown, match=r"holds format 0; this plugin reads formats 1 and 2"):
        Ledger(tmp_path)


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(Damaged, match="not a database"):
        Ledger(tmp_path)
    (tmp_path / "ledger.sqlite").unlink()
    Ledger(tmp_path).close()  # the refusal let go of the directory


def test_a_damaged_ledger_is_refused(start: Start) -> None:
    process = start()
    bucket = process.bucket()
    for number in range(200):
        process.put(bucket, f"k{number}", b"x" * 200)
    process.die()
    Ledger(process.directory).close()  # leaves no log behind
    path = process.directory / "ledger.sqlite"
    data = bytearray(path.read_bytes())
    page = data.index(b"bk100null") // 4096 * 4096
    data[page : page + 512] = b"\xff" * 512
    path.write_bytes(data)
    with pytest.raises(Damaged, match=r"ledger\.sqlite is damaged: .*Restore the directory from a copy"):
        start()
    data[:100] = b"\0" * 100
    path.write_bytes(data)
    with pytest.raises(Damaged, match=r"ledger\.sqlite is damaged: it is not a database"):
        start()
