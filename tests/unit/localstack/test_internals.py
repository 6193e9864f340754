"""LocalStack's objects report changes, and their attributes are stored as text."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack.services.s3.constants import DEFAULT_BUCKET_ENCRYPTION
from localstack.services.s3.models import S3DeleteMarker, S3Multipart, S3Object, S3Part
from localstack_s3_durable.codec import dumps, loads, loads_first
from localstack_s3_durable.errors import UnsupportedVersion
from localstack_s3_durable.internals import version
from localstack_s3_durable.internals.reporting import Keys, VersionedKeys, listing_after
from localstack_s3_durable.internals.version import check_version
from localstack_s3_durable.provider import READS, REPORTED
from process import Process

Start = Callable[..., Process]
#: Keys as clients choose them; those that look like our own marks are more frequent than by chance.
keys = st.text() | st.sampled_from(["$date", "$$date", "$", "$tags", "$deleted", "\0"])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from(["soon", "2026-01-01T00:00:00", "$date", '{"$date":"soon"}'])
    | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=2))])),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
)


@given(st.dictionaries(keys, values))
def test_attributes_come_back_as_they_were(state: dict[str, Any]) -> None:
    text = dumps(state)
    assert loads(text) == state
    text.encode("ascii")


def test_half_a_surrogate_pair_comes_back() -> None:
    state = {"user_metadata": {"k": "\ud800", "é": "\0"}}
    assert loads(dumps(state)) == state


def test_rows_of_the_first_format_are_read_as_they_were_meant() -> None:
    """It wrote a client's `$date` as it is, and could not read its own row again."""
    text = json.dumps(
        {
            "expires": {"$date": "2026-01-02T03:04:05.678901+00:00"},
            "user_metadata": {"$date": "2026-01-01T00:00:00", "$$x": "y"},
            "lifecycle_rules": [
                {"Expiration": {"Date": {"$date": "2026-01-01T00:00:00+00:00"}}, "$date": "soon"}
            ],
            "object": {"user_metadata": {"$date": "soon"}, "expires": {"$date": "2026-01-01T00:00:00"}},
            "$tags": {"$date": "soon"},
        }
    )
    assert loads_first(text) == {
        "expires": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "user_metadata": {"$date": "2026-01-01T00:00:00", "$$x": "y"},
        "lifecycle_rules": [{"Expiration": {"Date": datetime(2026, 1, 1, tzinfo=UTC)}, "$date": "soon"}],
        "object": {"user_metadata": {"$date": "soon"}, "expires": datetime(2026, 1, 1)},
        "$tags": {"$date": "soon"},
    }


@pytest.mark.parametrize(
    "text", ["[]", "null", '"x"', '{"a":', '{"a":{"$date":5}}', '{"a":{"$date":"soon"}}']
)
def test_text_that_was_not_written_here_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        loads(text)


def test_what_has_no_text_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="b'x' of type bytes cannot be kept"):
        dumps({"field": b"x"})


def test_other_versions_of_localstack_are_refused() -> None:
    check_version("4.14.0")
    with pytest.raises(
        UnsupportedVersion, match=r"written for LocalStack 4\.14\.0, and this is 4\.15\.0\. Install"
    ):
        check_version("4.15.0")


def touched() -> tuple[list[tuple[object, ...]], Callable[..., None]]:
    found: list[tuple[object, ...]] = []
    return found, lambda *thing: found.append(thing)


def test_a_null_version_put_again_is_the_current_one() -> None:
    _, touch = touched()
    keys = VersionedKeys("b", touch)
    for name in ("null", "v1", "null"):
        keys.set("k", S3Object("k", version_id=name))
    assert keys.get("k").version_id == "null"
    assert keys.get("k").is_current
    assert not keys.get("k", "v1").is_current
    keys.pop("k", "null")
    assert keys.get("k").version_id == "v1"
    assert keys.get("k").is_current


def test_a_page_of_versions_begins_behind_the_one_before() -> None:
    _, touch = touched()
    keys = VersionedKeys("b", touch)
    for name in ("null", "v1", "parts"):
        keys.set("k", S3Object("k", version_id=name))
    keys.set("l", S3Object("l", version_id="null"))
    first = keys.get("k", "null").last_modified
    for name, seconds in {"null": 3, "v1": 2, "parts": 1}.items():  # newest first: null, v1, parts
        keys.get("k", name).last_modified = first + timedelta(seconds=seconds)

    def after(key: str | None, name: str | None) -> set[tuple[str, str]]:
        with listing_after(key, name):
            return {(held.key, held.version_id) for held in keys.values(with_versions=True)}

    assert len(after(None, None)) == 4
    assert after("k", "null") == {("k", "null"), ("k", "v1"), ("k", "parts"), ("l", "null")}
    assert after("k", "parts") == {("k", "parts"), ("l", "null")}
    assert len(after("k", "removed meanwhile")) == 4
    assert len(keys.values(with_versions=True)) == 4


def test_another_localstack_is_refused_in_its_log() -> None:
    """As LocalStack asks for the provider; nothing else of it may have been touched by then."""
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import localstack.constants as constants; constants.VERSION = '4.15.0'\n"
            "import logging; logging.basicConfig()\n"
            "from localstack_s3_durable.plugin import s3; s3.factory().load()",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    assert (
        "S3 does not start. localstack-s3-durable is written for LocalStack 4.14.0, and this is 4.15.0. Install"
        in said.stderr
    )


def test_every_change_of_a_key_is_reported() -> None:
    found, touch = touched()
    keys = Keys("b", touch)
    keys.set("k", S3Object("k"))
    keys.pop("k")
    keys.pop("never there")
    versioned = VersionedKeys("b", touch)
    versioned.set("k", S3DeleteMarker("k", "m"))
    versioned.pop("k", "m")
    assert found == [("object", "b", "k", "null")] * 2 + [("object", "b", "k", "m")] * 2


def test_a_put_that_overlaps_switching_versions_on_is_not_lost() -> None:
    _, touch = touched()
    old = Keys("b", touch)
    old.set("early", S3Object("early"))
    copied = VersionedKeys("b", touch, {"early": {"null": old.get("early")}})
    old.set("meanwhile", S3Object("meanwhile"))
    old.set("early", newer := S3Object("early"))
    old.set("gone", S3Object("gone"))
    copied._store["gone"]["null"] = old.get("gone")
    old.pop("gone")
    old.hand_over(copied)
    old.set("late", S3Object("late"))
    assert set(copied._store) == {"early", "meanwhile", "late"}
    assert copied.get("late").version_id == "null"
    assert copied.get("early") is newer
    assert newer.version_id == "null"


def test_a_bucket_s_default_encryption_stays_the_default_itself(start: Start) -> None:
    process = start()
    process.bucket("default")
    own = process.bucket("own")
    own.encryption_rule = dict(DEFAULT_BUCKET_ENCRYPTION)
    process.journal.run(lambda: None, lambda: [("bucket", "own")])
    none = process.bucket("none")
    none.encryption_rule = None
    process.journal.run(lambda: None, lambda: [("bucket", "none")])
    buckets = start().store.buckets
    assert buckets["default"].encryption_rule is DEFAULT_BUCKET_ENCRYPTION
    assert buckets["own"].encryption_rule is not DEFAULT_BUCKET_ENCRYPTION
    assert buckets["own"].encryption_rule == DEFAULT_BUCKET_ENCRYPTION
    assert buckets["none"].encryption_rule is None


def test_every_attribute_of_every_model_comes_back(start: Start) -> None:
    """Filled with something other than its default each: an attribute forgotten here is one lost in a restart."""
    process = start()
    bucket = process.bucket()
    when = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    dates = {"last_modified", "expires", "lock_until", "initiated", "creation_date"}
    fixed = {"key", "version_id", "is_current", "blob", "place", "parts", "object", "id", "etag", "size"}

    def fill(thing: Any) -> None:
        for field in set(vars(thing)) - fixed:
            setattr(thing, field, when if field in dates else {"some": field})

    held = process.put(bucket, "k", b"x")
    fill(held)
    held.parts = {"1": {"_position": 0, "Size": 1}}
    upload = S3Multipart("u")
    fill(upload)
    fill(upload.object)
    part = S3Part(3, size=1, etag="e")
    fill(part)
    part.part_number = 3

    def begin() -> None:
        bucket.multiparts[upload.id] = upload
        with process.provider._storage_backend.get_multipart("b", upload).open(part, "w") as stored:
            stored.s3_object.checksum_algorithm = None
            stored.write(None)
        upload.parts["3"] = part

    process.journal.run(begin, lambda: [("object", "b", "k", "null"), ("part", "b", upload.id, 3)])
    expected = [dict(vars(thing)) for thing in (held, upload, upload.object, part)]
    again = start().store.buckets["b"]
    found = again.multiparts[upload.id]
    for before, after in zip(
        expected, (again.objects.get("k"), found, found.object, found.parts["3"]), strict=True
    ):
        left = {
            name: value for name, value in vars(after).items() if name not in ("parts", "object", "place")
        }
        assert left == {
            name: value for name, value in before.items() if name not in ("parts", "object", "place")
        }
    assert again.objects.get("k").parts == {"1": {"_position": 0, "Size": 1}}


def test_a_bucket_s_every_attribute_comes_back(start: Start) -> None:
    process = start()
    bucket = process.bucket()
    fixed = {
        "name",
        "bucket_account_id",
        "bucket_region",
        "versioning_status",
        "multiparts",
        "owner",
        "bucket_arn",
    }
    for field in set(vars(bucket)) - fixed:
        if not field.startswith("_"):
            setattr(bucket, field, {"some": field})
    process.journal.run(lambda: None, lambda: [("bucket", "b")])
    before = {
        name: value
        for name, value in vars(bucket).items()
        if not name.startswith("_") and name != "multiparts"
    }
    after = vars(start().store.buckets["b"])
    assert {name: after[name] for name in before} == before


def test_every_operation_of_s3_is_a_read_or_names_what_it_changes(start: Start) -> None:
    """This list is for 4.14.0: each new operation of LocalStack must be classified."""
    process = start()
    table = process.provider.dispatch_table()
    assert set(table) >= REPORTED
    writes = {name for name in table if not name.startswith(READS)} - REPORTED
    implemented = {name for name in writes if has_own(process.provider, name)}
    by_part = {"UploadPart", "UploadPartCopy"}
    by_object = {
        "DeleteObjectTagging",
        "PutObjectAcl",
        "PutObjectLegalHold",
        "PutObjectRetention",
        "PutObjectTagging",
        "RestoreObject",
    }
    by_bucket = {
        name
        for name in implemented
        if "Bucket" in name
        or name in ("PutObjectLockConfiguration", "PutPublicAccessBlock", "DeletePublicAccessBlock")
    }
    assert implemented == by_part | by_object | by_bucket


def has_own(provider: Any, operation: str) -> bool:
    """Whether LocalStack implements the operation."""
    import re

    from localstack.services.s3.provider import S3Provider

    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", operation).lower()
    return name in vars(S3Provider)


def test_the_module_knows_one_version() -> None:
    assert version.WRITTEN_FOR == version.VERSION
