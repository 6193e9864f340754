"""LocalStack's S3 in memory, as rows of the ledger."""

import threading
from collections.abc import Iterable
from typing import Any

from localstack.services.s3.constants import DEFAULT_BUCKET_ENCRYPTION
from localstack.services.s3.models import S3Bucket, S3DeleteMarker, S3Object, S3Store, s3_stores
from localstack.services.s3.utils import get_unique_key_id

from ..codec import dumps
from ..ledger import BUCKET, OBJECT, PART, REGION, UPLOAD, Change
from .reporting import NULL, Buckets, Touch, VersionedKeys
from .shapes import trim

MARKER = "$deleted"  # the whole state of a delete marker
#: Operations that need not read the object they name.
REPLACING = (
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateMultipartUpload",
    "DeleteObject",
    "PostObject",
    "PutObject",
    "UploadPart",
    "UploadPartCopy",
)


class Memory:
    """LocalStack's S3, as rows of the ledger. `loading` fills it from them."""

    def __init__(self) -> None:
        #: Every bucket by its name, which is unique over all accounts.
        self.live: dict[str, Any] = {}
        #: Called with changes, once everything is loaded.
        self.listener: Touch | None = None
        #: What has a row in the ledger that cannot be read: buckets, and (bucket, key) -> version -> place.
        self.unreadable_buckets: set[str] = set()
        self.unreadable: dict[tuple[str, str], dict[str, int]] = {}
        self.regions: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def touch(self, *thing: object) -> None:
        """Report that this has changed."""
        if self.listener is not None:
            self.listener(*thing)

    def store(self, account: str, region: str) -> S3Store:
        """LocalStack's store, with collections that report changes."""
        store = s3_stores[account][region]
        if type(store.buckets) is not Buckets:
            with self._lock:
                if type(store.buckets) is not Buckets:
                    store.buckets = Buckets(self.live, self.touch)
        return store

    def current(self, bucket: str, key: str, version: str | None) -> Any:
        """The object that is there now, if it has bytes."""
        if (found := self.live.get(bucket)) is None:
            return None
        held = found.held(key, version)
        return held if isinstance(held, S3Object) else None

    def versions(self, bucket: str, key: str) -> list[str]:
        """The ids of all versions of the key, as rows name them."""
        if (found := self.live.get(bucket)) is None:
            return []
        objects = found.objects
        return list(objects._store.get(key, ())) if isinstance(objects, VersionedKeys) else [NULL]

    def unreadable_thing(
        self, operation: str, bucket: str | None, key: str | None, version: str | None
    ) -> str | None:
        """The name of what the request is about, if a row of it cannot be read."""
        if bucket in self.unreadable_buckets:
            return f"s3://{bucket}"
        if not self.unreadable or bucket is None:
            return None
        if operation == "DeleteBucket":
            return next((f"s3://{bucket}/{name}" for of, name in self.unreadable if of == bucket), None)
        lost = self.unreadable.get((bucket, key or ""), {})
        if not lost or operation in REPLACING:
            return None
        # Whether the version that is asked for is unreadable, or else the newest one.
        held = self.live[bucket].held(key, None) if version is None else None
        if version in lost or (version is None and (held is None or held.place < max(lost.values()))):
            return f"s3://{bucket}/{key}"
        return None

    def removed_unreadable(
        self, bucket: str | None, objects: Iterable[tuple[str, str | None]]
    ) -> list[tuple[object, ...]]:
        """The unreadable ones among what is to be deleted. LocalStack does not know them, so it reports nothing."""
        if (found := self.live.get(bucket or "")) is None or not self.unreadable:
            return []
        plain = NULL if found.versioning_status is None else None
        return [
            ("object", bucket, key, version or plain)
            for key, version in objects
            if (version or plain) in self.unreadable.get((found.name, key), {})
        ]

    # From memory to rows

    def changes(self, touched: Iterable[tuple[Any, ...]]) -> list[Change]:
        """The current rows of these things."""
        changes = [getattr(self, f"_{kind}")(*names) for kind, *names in touched]
        for account, region in {
            (bucket.bucket_account_id, bucket.bucket_region)
            for bucket in {self.live.get(names[1]) for names in touched}
            if bucket is not None
        }:
            if (key := s3_stores[account][region].aws_managed_kms_key_id) and self.regions.get(
                (account, region)
            ) != key:
                self.regions[account, region] = key
                changes.append(Change(REGION, (account, region), (dumps({"aws_managed_kms_key_id": key}),)))
        return changes

    def _bucket(self, name: str) -> Change:
        if (bucket := self.live.get(name)) is None:
            return Change(BUCKET, (name,), None)
        state = {
            field: value
            for field, value in vars(bucket).items()
            if field not in ("_objects", "_touch", "_defaults", "multiparts", "name")
        }
        # LocalStack asks whether this is the default object itself, not whether it is equal to it.
        if state["encryption_rule"] is DEFAULT_BUCKET_ENCRYPTION:
            del state["encryption_rule"]
        state["$tags"] = self._tags(bucket, bucket.bucket_arn)
        return Change(BUCKET, (name,), (dumps(state),))

    def _object(self, bucket_name: str, key: str, version: str) -> Change:
        row = (bucket_name, key, version)
        if row[:2] in self.unreadable:  # what is written now replaces what could not be read
            self.unreadable[row[:2]].pop(version, None)
            if not self.unreadable[row[:2]]:
                del self.unreadable[row[:2]]
        if (bucket := self.live.get(bucket_name)) is None:
            return Change(OBJECT, row, None)
        if (held := bucket.held(key, version)) is None:
            return Change(OBJECT, row, None)
        place, modified = held.place, held.last_modified.isoformat()
        if isinstance(held, S3DeleteMarker):
            return Change(OBJECT, row, (place, None, modified, MARKER))
        state = trim(held, bucket)
        if tags := self._tags(bucket, get_unique_key_id(bucket_name, key, version)):
            state["$tags"] = tags
        return Change(OBJECT, row, (place, held.blob, modified, dumps(state)))

    def _upload(self, bucket_name: str, name: str) -> Change:
        bucket = self.live.get(bucket_name)
        upload = bucket.multiparts.get(name) if bucket else None
        if upload is None:
            return Change(UPLOAD, (bucket_name, name), None)
        state = {
            field: value for field, value in vars(upload).items() if field not in ("id", "parts", "object")
        }
        state["object"] = {
            "key": upload.object.key,
            "last_modified": upload.object.last_modified,
            **trim(upload.object, bucket),
        }
        return Change(UPLOAD, (bucket_name, name), (dumps(state),))

    def _part(self, bucket_name: str, upload_name: str, number: int) -> Change:
        bucket = self.live.get(bucket_name)
        upload = bucket.multiparts.get(upload_name) if bucket else None
        part = upload.parts.get(str(number)) if upload else None
        row = (bucket_name, upload_name, number)
        if part is None:
            return Change(PART, row, None)
        state = {field: value for field, value in vars(part).items() if field != "blob"}
        return Change(PART, row, (part.blob, dumps(state)))

    @staticmethod
    def _tags(bucket: S3Bucket, resource: str) -> dict[str, str]:
        tags: dict[str, str] = s3_stores[bucket.bucket_account_id][bucket.bucket_region].tags.get_tags(
            resource
        )
        return tags
