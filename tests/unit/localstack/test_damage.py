"""Damage on the disk loses as little as possible, is reported by name, and is never returned in an answer."""

import logging
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from localstack.aws.api import CommonServiceException
from localstack.services.s3.models import s3_stores
from localstack_s3_durable import ledger
from localstack_s3_durable.blobs import SMALL
from localstack_s3_durable.codec import dumps
from localstack_s3_durable.errors import Damaged
from localstack_s3_durable.ledger import Ledger
from process import Process

Start = Callable[..., Process]


def rewrite(process: Process, statement: str, *values: object) -> None:
    """Change the ledger from outside, without updating its checksums."""
    process.die()
    database = sqlite3.connect(process.directory / "ledger.sqlite")
    with database:
        assert database.execute(statement, values).rowcount > 0
    database.close()


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


def ask(process: Process, operation: str, **request: Any) -> Any:
    """Ask for the operation as LocalStack does, its own code left out."""
    answered = process.provider._readable(operation, lambda _context, asked: asked)
    context: Any = None
    return answered(context, request)


def refused(process: Process, operation: str, **request: Any) -> str:
    with pytest.raises(CommonServiceException) as error:
        ask(process, operation, **request)
    assert (error.value.code, error.value.status_code) == ("InternalError", 500)
    return str(error.value.message)


# Records

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
odd = text | st.sampled_from(["$date", "soon", "$tags", "$deleted", "$$", '{"$date":"soon"}', "\0", "null"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    st.dictionaries(odd, odd, max_size=3),
    st.dictionaries(odd, odd, max_size=3),
    odd.filter(bool),
    st.recursive(odd, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(odd, inner, max_size=2)),
)
def test_whatever_a_client_chooses_is_there_after_a_restart(
    start: Start, metadata: dict[str, str], tags: dict[str, str], key: str, value: Any
) -> None:
    process = start()
    name = f"b{len(process.store.buckets)}"
    bucket = process.bucket(name)
    fields = (
        "policy",
        "cors_rules",
        "lifecycle_rules",
        "website_configuration",
        "notification_configuration",
    )
    fields += (
        "logging",
        "replication",
        "analytics_configurations",
        "inventory_configurations",
        "owner",
        "acl",
    )
    for field in fields:
        setattr(bucket, field, {"of a client": value, **metadata} if field != "policy" else value)
    process.store.tags.update_tags(bucket.bucket_arn, tags)
    process.journal.run(lambda: None, lambda: [("bucket", name)])
    held = process.put(bucket, key, b"bytes", user_metadata=metadata, system_metadata=metadata)
    held.website_redirect_location = value
    process.store.tags.update_tags(f"{name}/{key}", tags)
    process.journal.run(lambda: None, lambda: [("object", name, key, "null")])
    expected, attributes = dict(vars(held)), {field: getattr(bucket, field) for field in fields}
    process = start()
    found = process.store.buckets[name]
    assert {field: getattr(found, field) for field in fields} == attributes
    assert process.store.tags.get_tags(found.bucket_arn) == tags
    assert vars(found.objects.get(key)) == expected
    assert process.read(name, key) == b"bytes"


def test_a_ledger_of_the_first_format_is_taken_over(start: Start, tmp_path: Path) -> None:
    """With the record in it that it could not read itself."""
    process = start()
    bucket = process.bucket()
    process.put(bucket, "k", b"x", user_metadata={"a": "1"})
    process.put(bucket, "plain", b"y")
    process.die()
    database = sqlite3.connect(process.directory / "ledger.sqlite")
    (state,) = database.execute("SELECT state FROM objects WHERE key = 'k'").fetchone()
    with database:
        broken = state.replace('{"a":"1"}', '{"$date":"soon"}')
        assert broken != state
        database.execute("UPDATE objects SET state = ? WHERE key = 'k'", (broken,))
        (of_bucket,) = database.execute("SELECT state FROM buckets").fetchone()
        database.execute("UPDATE buckets SET state = ?", (of_bucket.replace('"$$tags"', '"$tags"'),))
        for table in ("buckets", "objects", "uploads", "parts", "regions"):
            database.execute(f"ALTER TABLE {table} DROP COLUMN sum")
        database.execute("UPDATE about SET value = '1'")
    database.close()
    process = start()
    assert process.read("b", "k") == b"x"
    assert process.store.buckets["b"].objects.get("k").user_metadata == {"$date": "soon"}
    process.put(process.store.buckets["b"], "new", b"z", user_metadata={"$date": "later"})
    process = start()
    assert process.store.buckets["b"].objects.get("k").user_metadata == {"$date": "soon"}
    assert process.store.buckets["b"].objects.get("new").user_metadata == {"$date": "later"}
    assert process.read("b", "plain") == b"y"


def test_a_record_that_cannot_be_read_costs_that_record(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    process = start()
    bucket = process.bucket()
    blobs = {key: process.put(bucket, key, b"L" * (SMALL + 1)).blob for key in ("bad", "good")}
    rewrite(process, "UPDATE objects SET state = replace(state, 'size', 'sise') WHERE key = 'bad'")
    with caplog.at_level(logging.ERROR):
        process = start()
    assert (
        "s3://b/bad (version null) cannot be read and is left out: it is not what was written" in caplog.text
    )
    assert process.read("b", "good") == b"L" * (SMALL + 1)
    assert process.blobs() == set(blobs.values())  # its bytes are kept
    assert "s3://b/bad cannot be read" in refused(process, "GetObject", Bucket="b", Key="bad")
    assert "s3://b/bad" in refused(process, "DeleteBucket", Bucket="b")
    ask(process, "GetObject", Bucket="b", Key="good")
    ask(process, "PutObject", Bucket="b", Key="bad")
    process.put(process.store.buckets["b"], "bad", b"anew")
    ask(process, "GetObject", Bucket="b", Key="bad")
    assert start().read("b", "bad") == b"anew"


def test_a_record_that_cannot_be_read_can_be_deleted(start: Start) -> None:
    process = start()
    process.put(process.bucket(), "bad", b"x")
    rewrite(process, "UPDATE objects SET modified = 'never' WHERE key = 'bad'")
    process = start()
    refused(process, "HeadObject", Bucket="b", Key="bad")
    named = process.provider._removed({"Bucket": "b", "Key": "bad"})
    process.journal.run(lambda: None, named)
    ask(process, "HeadObject", Bucket="b", Key="bad")
    ask(process, "DeleteBucket", Bucket="b")
    assert process.ledger._database.execute("SELECT count(*) FROM objects").fetchone() == (0,)


def test_only_versions_that_are_lost_are_refused(start: Start) -> None:
    process = start()
    bucket = process.bucket(versions=True)
    for version in ("v1", "v2", "v3"):
        process.put(bucket, "k", version.encode(), version=version)
    rewrite(process, "UPDATE objects SET state = '[]' WHERE version = 'v3'")
    process = start()
    refused(process, "GetObject", Bucket="b", Key="k")  # not v2 in its place
    refused(process, "GetObject", Bucket="b", Key="k", VersionId="v3")
    ask(process, "GetObject", Bucket="b", Key="k", VersionId="v2")
    process.put(process.store.buckets["b"], "k", b"v4", version="v4")
    ask(process, "GetObject", Bucket="b", Key="k")
    assert process.read("b", "k") == b"v4"


def test_a_bucket_that_cannot_be_read_hides_no_other_error(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    process = start()
    lost, other = process.bucket("lost"), process.bucket("other")
    kept = process.put(lost, "k", b"L" * (SMALL + 1)).blob
    process.put(other, "k", b"there")
    rewrite(process, "UPDATE buckets SET state = '{' WHERE name = 'lost'")
    with caplog.at_level(logging.ERROR):
        process = start()
    assert "bucket lost cannot be read and is left out: it is not what was written" in caplog.text
    assert (
        "s3://lost/k (version null) cannot be read and is left out: there is no readable bucket"
        in caplog.text
    )
    assert process.read("other", "k") == b"there"
    for operation in ("HeadBucket", "CreateBucket", "ListObjectsV2", "PutObject"):
        assert "s3://lost cannot be read" in refused(process, operation, Bucket="lost", Key="k")
    assert kept in process.blobs()


def test_text_that_is_none_any_more_costs_its_record(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    process = start()
    bucket = process.bucket()
    process.put(bucket, "bad", b"x", user_metadata={"a": "secret"})
    process.put(bucket, "good", b"y")
    rewrite(process, "UPDATE objects SET state = CAST(x'ff' || state AS TEXT) WHERE key = 'bad'")
    with caplog.at_level(logging.ERROR):
        process = start()
    assert "s3://b/bad" in caplog.text
    assert "secret" not in caplog.text
    assert process.read("b", "good") == b"y"


def test_each_kind_of_record_is_left_out_alone(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    process = start()
    process.put(process.bucket(), "k", b"x")
    process.die()
    Ledger(process.directory).close()
    database = sqlite3.connect(process.directory / "ledger.sqlite")
    with database:
        database.execute("INSERT INTO regions VALUES ('a', 'r', '{}', 1)")
        database.execute("INSERT INTO uploads VALUES ('b', 'u', '{}', 1)")
        database.execute("INSERT INTO parts VALUES ('b', 'u', 1, NULL, '{}', NULL)")
        database.execute("INSERT INTO parts VALUES ('nowhere', 'u', 1, NULL, '{}', NULL)")
    database.close()
    with caplog.at_level(logging.ERROR):
        process = start()
    for name in (
        "the settings of account a in r",
        "upload u to bucket b",
        "part 1 of upload u to bucket nowhere",
    ):
        assert f"{name} cannot be read and is left out" in caplog.text
    assert process.read("b", "k") == b"x"


# The file itself


def left_by_kill_9(process: Process) -> Path:
    """A copy of the directory as a killed process leaves it."""
    copied = process.directory.parent / "left"
    shutil.copytree(process.directory, copied)
    return copied


def test_one_bit_in_the_log_is_noticed_and_nothing_touched(start: Start) -> None:
    process = start()
    bucket = process.bucket()
    for number in range(20):
        process.put(bucket, f"k{number}", b"x" * 2000)
    directory = left_by_kill_9(process)
    process.die()
    log = directory / "ledger.sqlite-wal"
    for offset in (40, 3000, log.stat().st_size // 2, log.stat().st_size - 10):
        flip(log, offset)
        before = {path.name: path.read_bytes() for path in directory.glob("ledger*")}
        with pytest.raises(Damaged, match=r"ledger\.sqlite is damaged: ledger\.sqlite-wal .*Restore"):
            Ledger(directory)
        assert {path.name: path.read_bytes() for path in directory.glob("ledger*")} == before
        flip(log, offset)
    s3_stores.reset()
    again = Process(directory)
    assert all(again.read("b", f"k{number}") == b"x" * 2000 for number in range(20))
    again.die()


def test_damage_met_at_work_ends_all_answers(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    process = start()
    bucket = process.bucket()
    process.put(bucket, "k", b"x")
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    error.sqlite_errorname = "SQLITE_CORRUPT"

    def broken(*_: Any) -> Any:
        raise error

    process.ledger._apply = broken
    handler = process.provider._durable("PutObject", lambda *_: process.put(bucket, "new", b"y"))
    context: Any = None
    with caplog.at_level(logging.CRITICAL), pytest.raises(CommonServiceException) as refusal:
        handler(context, {"Bucket": "b", "Key": "new"})
    assert "is damaged, and nothing is answered from it any more" in str(refusal.value.message)
    assert "Restore the directory from a copy" in str(refusal.value.message)
    for operation in ("GetObject", "PutObject", "ListBuckets"):
        assert "is damaged" in refused(process, operation, Bucket="b", Key="k")
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
    assert len(said) == 1
    assert "ledger.sqlite is damaged: SQLite met damage (SQLITE_CORRUPT)" in said[0]
    with pytest.raises(Damaged):
        process.ledger.settled(0)


def test_damage_that_nobody_asked_for_is_told_too(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """The background helper finds it, outside any request."""
    process = start()
    with caplog.at_level(logging.CRITICAL), pytest.raises(Damaged), process.ledger._watched():
        process.ledger._database.execute("SELECT CAST(x'ff' AS TEXT)").fetchone()
    assert "is damaged" in caplog.text
    refused(process, "ListBuckets")


# Bytes


@pytest.mark.parametrize("size", [1, SMALL, SMALL + 1, 3_000_000])
def test_a_flipped_bit_in_an_object_is_never_answered(
    start: Start, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    process = start()
    held = process.put(process.bucket(), "k", b"s" * size)
    process.provider._helper.close()  # its file is written
    process = start()
    assert process.read("b", "k") == b"s" * size
    flip(process.directory / "blobs" / held.blob[:2] / held.blob, size // 2)
    with pytest.raises(CommonServiceException, match="bytes on the disk are damaged"):
        process.read("b", "k")
    assert "The bytes of 'k'" in caplog.text
    (process.directory / "blobs" / held.blob[:2] / held.blob).unlink()
    with pytest.raises(CommonServiceException, match="bytes on the disk are damaged"):
        process.read("b", "k")


def test_a_large_object_breaks_off_before_its_end(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    from localstack_s3_durable import storage

    monkeypatch.setattr(storage, "CHECKED_FIRST", 1_000_000)
    process = start()
    held = process.put(process.bucket(), "k", b"s" * 3_000_000)
    flip(process.directory / "blobs" / held.blob[:2] / held.blob, 5)
    with process.provider._storage_backend.open("b", held) as stored:
        got: list[bytes] = []
        with pytest.raises(CommonServiceException, match="bytes on the disk are damaged"):
            got.extend(stored)
        assert sum(map(len, got)) < 3_000_000


def test_bytes_of_the_ledger_are_summed_up_too(start: Start) -> None:
    process = start()
    process.put(process.bucket(), "k", b"acknowledged")
    rewrite(process, "UPDATE bodies SET bytes = x'00'")
    process = start()
    with pytest.raises(CommonServiceException, match="bytes on the disk are damaged"):
        process.read("b", "k")


def test_rows_carry_a_sum_of_their_own(start: Start) -> None:
    process = start()
    bucket = process.bucket()
    process.put(bucket, "k\0\ud7ff", b"x")
    rows = list(process.ledger.rows(ledger.OBJECT))
    assert [(row.sound, row.values[1]) for row in rows] == [(True, "k\0\ud7ff")]
    assert dumps({"a": "b"}) == '{"a":"b"}'
