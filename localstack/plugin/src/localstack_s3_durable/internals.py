"""All that reaches into LocalStack's own objects. Written for LocalStack 4.14.0, and refuses any other.

LocalStack holds S3 in memory: `s3_stores[account][region].buckets[name]` is an `S3Bucket`, whose `objects` is a
`KeyStore` (or a `VersionedKeyStore`) of `S3Object`s and whose `multiparts` are the uploads under way. LocalStack
goes on working on exactly these. They are made to report what changes in them by being, from the moment they are
put into a store, of subclasses defined here; nothing of LocalStack's is replaced.
"""

import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from localstack.constants import VERSION

from .codec import dumps, loads
from .errors import UnsupportedVersion
from .ledger import BUCKET, OBJECT, PART, REGION, UPLOAD, Change, Ledger

WRITTEN_FOR = "4.14.0"


def check_version(version: str) -> None:
    """Raise UnsupportedVersion unless LocalStack is the version this module knows the inside of."""
    if version != WRITTEN_FOR:
        raise UnsupportedVersion(
            f"localstack-s3-durable is written for LocalStack {WRITTEN_FOR}, and this is {version}. Install that "
            "LocalStack or the plugin's release for this one; without PROVIDER_OVERRIDE_S3 S3 works and forgets."
        )


check_version(VERSION)  # before the imports below, which another version may not have

# ruff: noqa: E402
from localstack.aws.api.s3 import BucketCannedACL
from localstack.services.s3.constants import DEFAULT_BUCKET_ENCRYPTION
from localstack.services.s3.models import (
    KeyStore,
    S3Bucket,
    S3DeleteMarker,
    S3Multipart,
    S3Object,
    S3Part,
    S3Store,
    VersionedKeyStore,
    s3_stores,
)
from localstack.services.s3.utils import get_canned_acl, get_unique_key_id

NULL = "null"  # the version id of an object in a bucket without versions
MARKER = "$deleted"  # the whole state of a delete marker

Touch = Callable[..., None]
#: Counts each object put into a bucket: orders the versions of a key.
places = itertools.count(1)


class Keys(KeyStore):
    """The objects of a bucket without versions; says which change."""

    def __init__(self, bucket: str, touch: Touch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._bucket = bucket
        self._touch = touch
        self._lock = threading.Lock()
        self._successor: VersionedKeys | None = None

    def set(self, object_key: str, s3_object: Any) -> None:
        """Put the object; if versioning was switched on meanwhile, into what took this one's place."""
        with self._lock:
            if self._successor is None:
                s3_object.place = next(places)
                super().set(object_key, s3_object)
                self._touch("object", self._bucket, object_key, NULL)
                return
        s3_object.version_id = NULL
        self._successor.set(object_key, s3_object)

    def pop(self, object_key: str, default: Any = None) -> Any:
        """Remove the object."""
        with self._lock:
            if self._successor is None:
                found = super().pop(object_key, default)
                if found is not default:
                    self._touch("object", self._bucket, object_key, NULL)
                return found
        return self._successor.pop(object_key, NULL, default)

    def hand_over(self, successor: "VersionedKeys") -> None:
        """Bring the successor up to date with what came and went since it was made, and leave the rest to it."""
        with self._lock:
            for key in successor._store.keys() - self._store.keys():
                del successor._store[key]
            for key in self._store.keys() - successor._store.keys():
                self._store[key].version_id = NULL
                successor._store[key][NULL] = self._store[key]
            self._successor = successor


class VersionedKeys(VersionedKeyStore):
    """The objects of a bucket with versions; says which change.

    As in S3, and unlike in LocalStack, a version that is put again (only `null` can be) becomes the current one.
    """

    def __init__(self, bucket: str, touch: Touch, store: dict[str, dict[str, Any]] | None = None) -> None:
        self._store = defaultdict(dict, store or {})
        self._bucket = bucket
        self._touch = touch

    def set(self, object_key: str, s3_object: Any) -> None:
        """Put the version on top of the others."""
        version = s3_object.version_id
        if version in (versions := self._store.get(object_key, {})):
            self._store[object_key] = {name: other for name, other in versions.items() if name != version}
        s3_object.place = next(places)
        super().set(object_key, s3_object)
        self._touch("object", self._bucket, object_key, version)

    def pop(self, object_key: str, version_id: Any = None, default: Any = None) -> Any:
        """Remove the version."""
        found = super().pop(object_key, version_id, default)
        if found is not None:
            self._touch("object", self._bucket, object_key, version_id)
        return found


class Uploads(dict[str, S3Multipart]):
    """The multipart uploads of a bucket; says which begin and end."""

    def __init__(self, bucket: str, touch: Touch, uploads: Iterable[tuple[str, S3Multipart]] = ()) -> None:
        super().__init__(uploads)
        self._bucket = bucket
        self._touch = touch

    def __setitem__(self, name: str, upload: S3Multipart) -> None:
        super().__setitem__(name, upload)
        self._touch("upload", self._bucket, name)

    def pop(self, name: str, default: Any = None) -> Any:
        """Remove the upload."""
        found = super().pop(name, default)
        self._touch("upload", self._bucket, name)
        return found


class DurableBucket(S3Bucket):
    """A bucket whose objects report. Never constructed: `Buckets` turns LocalStack's own into one."""

    _objects: Any  # Keys or VersionedKeys
    _touch: Touch

    def held(self, key: str, version: Any) -> Any:
        """The object or delete marker; the current one if no version is named."""
        objects = self._objects
        return objects.get(key, version) if isinstance(objects, VersionedKeys) else objects.get(key)

    @property
    def objects(self) -> Any:
        """As in S3Bucket."""
        return self._objects

    @objects.setter
    def objects(self, new: Any) -> None:
        # LocalStack assigns here once, when versioning is switched on.
        successor = VersionedKeys(self.name, self._touch, new._store)
        self._objects.hand_over(successor)
        self._objects = successor


class Buckets(dict[str, S3Bucket]):
    """The buckets of one account; says which come and go, and makes each report."""

    def __init__(self, account: str, memory: "Memory") -> None:
        super().__init__()
        self._account = account
        self._memory = memory

    def __setitem__(self, name: str, bucket: Any) -> None:
        touch = self._memory.touch
        store = bucket.__dict__.pop("objects")._store
        bucket._touch = touch
        if bucket.versioning_status is None:
            bucket._objects = Keys(name, touch)
            bucket._objects._store = store
        else:
            bucket._objects = VersionedKeys(name, touch, store)
        bucket.multiparts = Uploads(name, touch, bucket.multiparts.items())
        bucket.__class__ = DurableBucket
        super().__setitem__(name, bucket)
        self._memory.live[name] = bucket
        touch("bucket", name)

    def pop(self, name: str, *default: Any) -> Any:
        """Remove the bucket, and with it the uploads under way in it."""
        bucket = super().pop(name, *default)
        if self._memory.live.pop(name, None) is not None:
            for upload in bucket.multiparts:
                self._memory.touch("upload", name, upload)
            self._memory.touch("bucket", name)
        return bucket


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
                    store.buckets = Buckets(account, self)
        return store

    def current(self, bucket: str, key: str, version: str | None) -> Any:
        """The object that is there now, if it is one with bytes."""
        if (found := self.live.get(bucket)) is None:
            return None
        held = found.held(key, version)
        return held if isinstance(held, S3Object) else None

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
        global places
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
        places = itertools.count(last + 1)
        return blobs, count

    def _load_upload(self, bucket: Any, name: str, state: dict[str, Any]) -> None:
        own = {"is_current": True, "version_id": None, **defaults(bucket), **empty(), **state["object"]}
        state["object"] = fresh(S3Object, own)
        bucket.multiparts[name] = fresh(S3Multipart, {**state, "id": name, "parts": {}})


def fresh(kind: type, state: dict[str, Any]) -> Any:
    """An instance that has just these attributes; its constructor, which would make up an id and a date, not asked."""
    made: Any = object.__new__(kind)
    made.__dict__.update(state)
    return made


def empty() -> dict[str, Any]:
    """Those attributes every object needs one of its own of."""
    return {"user_metadata": {}, "system_metadata": {}, "parts": {}}


def order(versions: dict[str, Any]) -> dict[str, Any]:
    """The versions of a key, oldest first; the newest is the current one."""
    ordered = dict(sorted(versions.items(), key=lambda item: item[1].place))
    *older, newest = ordered.values()
    for version in older:
        version.is_current = False
    newest.is_current = True
    return ordered


def defaults(bucket: Any) -> dict[str, Any]:
    """What most objects of the bucket have in common; shared by them in memory, left out of their rows."""
    plain = vars(
        S3Object(key="", owner=bucket.owner, acl=get_canned_acl(BucketCannedACL.private, owner=bucket.owner))
    )
    own = ("key", "version_id", "is_current", "last_modified", *empty())
    return {field: value for field, value in plain.items() if field not in own}


def trim(s3_object: Any, bucket: Any) -> dict[str, Any]:
    """The object's attributes, without those that have a column and those that are as in most objects."""
    if (template := vars(bucket).get("_defaults")) is None:
        template = bucket._defaults = defaults(bucket)
    columns = ("key", "version_id", "is_current", "last_modified", "place", "blob")
    return {
        field: value
        for field, value in vars(s3_object).items()
        if field not in columns and value != template.get(field, {})
    }
