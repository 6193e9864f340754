"""LocalStack's S3 in memory, as rows of the ledger and back."""

import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from localstack.services.s3.constants import DEFAULT_BUCKET_ENCRYPTION
from localstack.services.s3.models import (
    S3Bucket,
    S3DeleteMarker,
    S3Multipart,
    S3Object,
    S3Part,
    S3Store,
    s3_stores,
)
from localstack.services.s3.utils import get_unique_key_id

from ..codec import dumps, loads
from ..ledger import BUCKET, OBJECT, PART, REGION, UPLOAD, Change, Ledger
from .reporting import NULL, Buckets, Keys, Touch, VersionedKeys, places
from .shapes import defaults, empty, fresh, order, trim

MARKER = "$deleted"  # the whole state of a delete marker


class Memory:
    """LocalStack's S3, as rows of the ledger and back."""

    def __init__(self) -> None:
        #: Every bucket by its name, which is unique over all accounts.
        self.live: dict[str, Any] = {}
        #: Who is told of changes, once everything is loaded.
        self.listener: Touch | None = None
        self._lock = threading.Lock()
        self._regions: dict[tuple[str, str], str] = {}

    def touch(self, *thing: object) -> None:
        """Pass on that this has changed."""
        if self.listener is not None:
            self.listener(*thing)

    def store(self, account: str, region: str) -> S3Store:
        """LocalStack's store, made to report."""
        store = s3_stores[account][region]
        if type(store.buckets) is not Buckets:
            with self._lock:
                if type(store.buckets) is not Buckets:
                    store.buckets = Buckets(self.live, self.touch)
        return store

    def current(self, bucket: str, key: str, version: str | None) -> Any:
        """The object that is there now, if it is one with bytes."""
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

    # From memory to rows

    def changes(self, touched: Iterable[tuple[Any, ...]]) -> list[Change]:
        """How these things stand now."""
        changes = [getattr(self, f"_{kind}")(*names) for kind, *names in touched]
        for account, region in {
            (bucket.bucket_account_id, bucket.bucket_region)
            for bucket in {self.live.get(names[1]) for names in touched}
            if bucket is not None
        }:
            if (key := s3_stores[account][region].aws_managed_kms_key_id) and self._regions.get(
                (account, region)
            ) != key:
                self._regions[account, region] = key
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
        # LocalStack asks of this one whether it is the default itself, not whether it equals it.
        if state["encryption_rule"] is DEFAULT_BUCKET_ENCRYPTION:
            del state["encryption_rule"]
        state["$tags"] = self._tags(bucket, bucket.bucket_arn)
        return Change(BUCKET, (name,), (dumps(state),))

    def _object(self, bucket_name: str, key: str, version: str) -> Change:
        row = (bucket_name, key, version)
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

    # From rows to memory

    def load(self, ledger: Ledger) -> tuple[set[str], int]:
        """Fill LocalStack's stores. Returns the blobs that are named, and how many objects there are."""
        for account, region, text in ledger.rows(REGION):
            key = loads(text)["aws_managed_kms_key_id"]
            s3_stores[account][region].aws_managed_kms_key_id = self._regions[account, region] = key
        for name, text in ledger.rows(BUCKET):
            self._load_bucket(name, loads(text))
        blobs, count = self._load_objects(ledger)
        for bucket_name, name, text in ledger.rows(UPLOAD):
            self._load_upload(self.live[bucket_name], name, loads(text))
        for bucket_name, name, number, blob, text in ledger.rows(PART):
            part = fresh(S3Part, {"blob": blob, **loads(text)})
            self.live[bucket_name].multiparts[name].parts[str(number)] = part
            blobs.add(blob)
        return blobs, count

    def _load_bucket(self, name: str, state: dict[str, Any]) -> None:
        tags = state.pop("$tags")
        state.setdefault("encryption_rule", DEFAULT_BUCKET_ENCRYPTION)
        objects = (
            Keys(name, self.touch) if state["versioning_status"] is None else VersionedKeys(name, self.touch)
        )
        bucket = fresh(S3Bucket, {"name": name, **state, "objects": objects, "multiparts": {}})
        store = self.store(bucket.bucket_account_id, bucket.bucket_region)
        store.buckets[name] = bucket
        store.global_bucket_map[name] = bucket.bucket_account_id
        if tags:
            store.tags.update_tags(bucket.bucket_arn, tags)

    def _load_objects(self, ledger: Ledger) -> tuple[set[str], int]:
        blobs: set[str] = set()
        several: list[tuple[dict[str, Any], str]] = []
        count = last = 0
        name = ""
        for bucket_name, key, version, place, blob, modified, text in ledger.rows(OBJECT):
            if bucket_name != name:
                name, bucket = bucket_name, self.live[bucket_name]
                template = defaults(bucket)
                held: dict[str, Any] = bucket.objects._store
                tags = s3_stores[bucket.bucket_account_id][bucket.bucket_region].tags
            count += 1
            last = max(last, place)
            state = {
                "key": key,
                "place": place,
                "last_modified": datetime.fromisoformat(modified),
                "is_current": True,
            }
            if text == MARKER:
                made = fresh(S3DeleteMarker, state)
            else:
                made = fresh(S3Object, {**template, **empty(), **loads(text), **state, "blob": blob})
                if given := made.__dict__.pop("$tags", None):
                    tags.update_tags(get_unique_key_id(name, key, version), given)
                if blob is not None:
                    blobs.add(blob)
            if bucket.versioning_status is None:
                made.version_id = None
                held[key] = made
            else:
                made.version_id = version
                held[key][version] = made
                if len(held[key]) == 2:
                    several.append((held, key))
        for held, key in several:
            held[key] = order(held[key])
        places.after(last)
        return blobs, count

    def _load_upload(self, bucket: Any, name: str, state: dict[str, Any]) -> None:
        own = {"is_current": True, "version_id": None, **defaults(bucket), **empty(), **state["object"]}
        state["object"] = fresh(S3Object, own)
        bucket.multiparts[name] = fresh(S3Multipart, {**state, "id": name, "parts": {}})
