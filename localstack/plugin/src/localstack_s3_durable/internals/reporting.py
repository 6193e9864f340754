"""LocalStack's collections, extended to report what changes in them, with a few of their defects fixed.

LocalStack makes its buckets itself and goes on holding the ones it made. So what reports is not put in their place:
they become it, in the moment they are put into a store.
"""

import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from localstack.services.s3.models import KeyStore, S3Bucket, S3Multipart, VersionedKeyStore

NULL = "null"  # the version id of an object in a bucket without versions

Touch = Callable[..., None]


class Places:
    """A number for each object put into a bucket; it orders the versions of a key."""

    def __init__(self) -> None:
        self.next = itertools.count(1).__next__

    def after(self, last: int) -> None:
        """Continue after this number."""
        self.next = itertools.count(last + 1).__next__


places = Places()


class Keys(KeyStore):
    """The objects of a bucket without versions; reports which change."""

    def __init__(self, bucket: str, touch: Touch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._bucket = bucket
        self._touch = touch
        self._lock = threading.Lock()
        self._successor: VersionedKeys | None = None

    def set(self, object_key: str, s3_object: Any) -> None:
        """Put the object; if versioning was switched on meanwhile, into the collection that replaced this one."""
        with self._lock:
            if self._successor is None:
                s3_object.place = places.next()
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
        """Apply to the successor what was put and removed since it was made, and use it from now on."""
        with self._lock:
            for key in successor._store.keys() - self._store.keys():
                del successor._store[key]
            for key, held in self._store.items():
                if successor._store[key].get(NULL) is not held:
                    held.version_id = NULL
                    successor._store[key][NULL] = held
            self._successor = successor


#: `marker`: the key and version with which the page before the one that this thread lists ended.
_page = threading.local()


@contextmanager
def listing_after(key: str | None, version: str | None) -> Iterator[None]:
    """List the versions behind this one.

    LocalStack sorts the versions of a key by date and then looks for the place to go on at by id. The two differ for
    what was put in parts (its date is that of the upload's beginning) and for `null`: entries come twice, or for ever.
    """
    _page.marker = (key, version) if key and version else None
    try:
        yield
    finally:
        _page.marker = None


class VersionedKeys(VersionedKeyStore):
    """The objects of a bucket with versions; says which change.

    As in S3, and unlike in LocalStack, a version that is put again (only `null` can be) becomes the current one.
    """

    def __init__(self, bucket: str, touch: Touch, store: dict[str, dict[str, Any]] | None = None) -> None:
        self._store = defaultdict(dict, store or {})
        self._bucket = bucket
        self._touch = touch

    def set(self, object_key: str, s3_object: Any) -> None:
        """Put the version as the newest one."""
        version = s3_object.version_id
        if version in (versions := self._store.get(object_key, {})):
            self._store[object_key] = {name: other for name, other in versions.items() if name != version}
        s3_object.place = places.next()
        super().set(object_key, s3_object)
        self._touch("object", self._bucket, object_key, version)

    def pop(self, object_key: str, version_id: Any = None, default: Any = None) -> Any:
        """Remove the version."""
        found = super().pop(object_key, version_id, default)
        if found is not None:
            self._touch("object", self._bucket, object_key, version_id)
        return found

    def values(self, with_versions: bool = False) -> list[Any]:
        """All current objects, or all versions: of those, what comes after the page before (see `listing_after`)."""
        found: list[Any] = super().values(with_versions)
        marker = getattr(_page, "marker", None)
        if not with_versions or marker is None:
            return found
        key, version = marker
        of_key = sorted(
            (held for held in found if held.key == key), key=lambda held: -held.last_modified.timestamp()
        )
        if version not in (ids := [held.version_id for held in of_key]):
            return found  # removed meanwhile: LocalStack compares ids
        listed = set(ids[: ids.index(version)])
        return [held for held in found if held.key != key or held.version_id not in listed]


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

    def __init__(self, live: dict[str, Any], touch: Touch) -> None:
        super().__init__()
        self._live = live
        self._touch = touch

    def __setitem__(self, name: str, bucket: Any) -> None:
        touch = self._touch
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
        self._live[name] = bucket
        touch("bucket", name)

    def pop(self, name: str, *default: Any) -> Any:
        """Remove the bucket, and with it the uploads under way in it."""
        bucket = super().pop(name, *default)
        if self._live.pop(name, None) is not None:
            for upload in bucket.multiparts:
                self._touch("upload", name, upload)
            self._touch("bucket", name)
        return bucket
