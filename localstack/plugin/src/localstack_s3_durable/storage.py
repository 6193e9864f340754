"""LocalStack's interface to the bytes of objects, over `Blobs`.

Every write makes a new blob, and a blob never changes. So a reader needs no lock: it holds the file it began with.
Nothing is removed here; the journal does that, once no row names the blob.
"""

import base64
import hashlib
import logging
import time
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO, UnsupportedOperation
from typing import IO, Any, Literal

from localstack.aws.api import CommonServiceException
from localstack.services.s3.models import S3Multipart, S3Object, S3Part
from localstack.services.s3.storage.core import (
    LimitedStream,
    S3ObjectStore,
    S3StoredMultipart,
    S3StoredObject,
)
from localstack.services.s3.utils import ObjectRange, get_s3_checksum

from .blobs import Blobs, Draft, Source

LOG = logging.getLogger(__name__)
CHUNK = 256 * 1024
#: The checksum of objects up to so many bytes is compared before the first byte is answered; that of larger ones while they
#: are read.
CHECKED_FIRST = 8 * 1024 * 1024

type Current = Callable[[str, str, str | None], Any]


def damaged(s3_object: Any) -> CommonServiceException:
    """The error that a reader gets instead of damaged bytes."""
    name = getattr(s3_object, "key", None) or f"part {s3_object.part_number}"
    LOG.error("The bytes of %r (blob %s) are not what was written to the disk.", name, s3_object.blob)
    return CommonServiceException(
        "InternalError",
        "The object's bytes on the disk are damaged: they are not what was written. Put it again, or restore it from a "
        "copy.",
        status_code=500,
    )


class StoredObject(S3StoredObject):
    """The bytes of one object or part, open."""

    def __init__(
        self, s3_object: Any, mode: Literal["r", "w"], source: Source | None, store: "Storage"
    ) -> None:
        super().__init__(s3_object=s3_object, mode=mode)
        self._source = source  # None: no bytes
        self._store = store
        self._position = 0
        self._etag: str | None = None
        self._checksum: str | None = None
        #: The CRC-32 of what was written; None: it was written before there were checksums.
        self._wanted: int | None = getattr(s3_object, "blob_sum", None)
        self._summed = self._sum = (
            0  # so many bytes, read one after the other from the first on, and their CRC-32
        )
        if source is not None and source.size <= CHECKED_FIRST:
            while self.read(CHUNK):
                pass
            self._position = 0

    def read(self, s: int | None = -1) -> bytes:
        """At most `s` bytes from the position on, all that are left if `s` is negative."""
        if self._source is None:
            return b""
        if s is None or s < 0:
            s = max(0, self._source.size - self._position)
        data = self._source.read(s, self._position)
        if self._position == self._summed:
            self._check(data, self._source.size)
        self._position += len(data)
        return data

    def _check(self, data: bytes, size: int) -> None:
        """Add these bytes to the checksum. Raises CommonServiceException if that of the whole object is wrong."""
        self._summed += len(data)
        self._sum = zlib.crc32(data, self._sum)
        if self._summed == size and self._wanted not in (None, self._sum):
            raise damaged(self.s3_object)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As `io.IOBase.seek`."""
        size = 0 if self._source is None else self._source.size
        self._position = max(0, (0, self._position, size)[whence] + offset)
        return self._position

    def write(self, s: IO[bytes] | S3StoredObject | None) -> int:
        """Write the stream as the object's bytes, and return how many there were once they are on the disk."""
        if self._mode != "w":
            raise UnsupportedOperation("the S3 object is not open for writing")
        source: Any = BytesIO() if s is None else s
        algorithm = self.s3_object.checksum_algorithm
        checksum = get_s3_checksum(algorithm) if algorithm else None
        md5 = hashlib.md5(usedforsecurity=False)
        draft: Draft | None = None
        try:
            while data := source.read(CHUNK):
                if draft is None:
                    draft = self._store.draft()
                draft.write(data)
                md5.update(data)
                if checksum is not None:
                    checksum.update(data)
            if draft is not None:
                self._store.settle(draft)
        except BaseException:
            if draft is not None:
                draft.discard()
            raise
        size = draft.size if draft else 0
        self._take(draft)
        self._etag = self.s3_object.etag = md5.hexdigest()
        self._checksum = base64.b64encode(checksum.digest()).decode() if checksum is not None else None
        self.s3_object.size = size
        return size

    def append(self, part: S3StoredObject) -> int:
        """Append the part's bytes. Returns how many it had."""
        joined = self._store.draft()
        try:
            for source in (self, part):
                source.seek(0)
                while data := source.read(CHUNK):
                    joined.write(data)
            self._store.settle(joined)
        except BaseException:
            joined.discard()
            raise
        added = joined.size - (self.s3_object.size or 0)
        self.s3_object.size = joined.size
        self._take(joined)
        return added

    def assemble(self, parts: list[S3Part]) -> None:
        """Append the bytes of the parts, one after the other. The caller sets the object's ETag and checksum."""
        draft = self._store.draft()
        try:
            for part in parts:
                with self._store.open_part(part) as stored:
                    while data := stored.read(CHUNK):
                        draft.write(data)
            self._store.settle(draft)
        except BaseException:
            draft.discard()
            raise
        self.s3_object.size = draft.size
        self._take(draft)

    def _take(self, draft: Draft | None) -> None:
        self._release()
        self._source = draft.source() if draft else None
        self._position = 0
        held: Any = self.s3_object
        self._wanted = None
        held.blob, held.blob_sum = (draft.blob, draft.sum) if draft else (None, None)
        if isinstance(held, S3Object):
            held.internal_last_modified = time.time_ns()

    @property
    def last_modified(self) -> int:
        """When the bytes were written, in nanoseconds since 1970: shows whether the object still has these bytes."""
        modified: int = self.s3_object.internal_last_modified
        return modified

    @property
    def checksum(self) -> str | None:
        """The checksum of the bytes in the object's algorithm, base64; None if it has none."""
        if self._checksum is None and (algorithm := self.s3_object.checksum_algorithm):
            self._checksum = base64.b64encode(self._digest(get_s3_checksum(algorithm))).decode()
        return self._checksum

    @property
    def etag(self) -> str:
        """The MD5 of the bytes, in hexadecimal digits."""
        if self._etag is None:
            self._etag = self._digest(hashlib.md5(usedforsecurity=False)).hex()
        return self._etag

    def _digest(self, summary: Any) -> bytes:
        position, self._position = self._position, 0
        while data := self.read(CHUNK):
            summary.update(data)
        self._position = position
        digest: bytes = summary.digest()
        return digest

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(CHUNK):
            yield data

    def close(self) -> None:
        """Close the file."""
        self.closed = True
        self._release()

    def _release(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None

    def __del__(self) -> None:
        # LocalStack closes what it serves, except when the request breaks off before that.
        self._release()


class StoredMultipart(S3StoredMultipart):
    """The parts of an upload. Each part names its own blob, so nothing else is kept here."""

    _s3_store: "Storage"

    def open(self, s3_part: S3Part, mode: Literal["r", "w"] = "r") -> StoredObject:
        """Open the part."""
        return self._s3_store.open_part(s3_part, mode)

    def remove_part(self, s3_part: S3Part) -> None:
        """Nothing to do: see the module."""

    def complete_multipart(self, parts: list[Any]) -> None:
        """Make the parts one object."""
        with self._s3_store.open(self.bucket, self.s3_multipart.object, mode="w") as stored:
            stored.assemble(parts)

    def close(self) -> None:
        """Nothing is held open."""

    def copy_from_object(
        self, s3_part: S3Part, src_bucket: str, src_s3_object: S3Object, range_data: ObjectRange | None
    ) -> None:
        """Copy the bytes of an object, or a range of them, into the part."""
        with (
            self._s3_store.open(src_bucket, src_s3_object) as source,
            self.open(s3_part, mode="w") as stored,
        ):
            stored.write(LimitedStream(source, range_data=range_data) if range_data else source)
            if s3_part.checksum_algorithm:
                s3_part.checksum_value = stored.checksum


class Storage(S3ObjectStore):
    """The bytes of all objects."""

    def __init__(
        self,
        blobs: Blobs,
        root_directory: str,
        current: Current,
        created: Callable[[str, bytes | None], None],
    ) -> None:
        self.root_directory = root_directory
        self._blobs = blobs
        self._current = current
        self._created = created

    def draft(self) -> Draft:
        """A new blob, noted with the request it is made for."""
        draft = self._blobs.create()
        self._created(draft.blob, None)
        return draft

    def settle(self, draft: Draft) -> None:
        """Return once the draft's bytes are on the disk, or noted to go there with the request's commit."""
        if (data := draft.settle()) is not None:
            self._created(draft.blob, data)

    def open(self, bucket: str, s3_object: Any, mode: Literal["r", "w"] = "r") -> StoredObject:
        """Open the object's bytes. Raises CommonServiceException if they are gone, or not those that were written."""
        if mode == "w" or s3_object.blob is None:
            return StoredObject(s3_object, mode, None, self)
        try:
            return StoredObject(s3_object, mode, self._blobs.open(s3_object.blob), self)
        except FileNotFoundError:
            # It was replaced after the caller looked it up. What has the name now is as good an answer.
            found = self._current(bucket, s3_object.key, s3_object.version_id)
            if found is None or found.blob == s3_object.blob:
                raise damaged(s3_object) from None
            return self.open(bucket, found)

    def open_part(self, part: Any, mode: Literal["r", "w"] = "r") -> StoredObject:
        """Open a part's bytes."""
        reading = mode == "r" and part.blob is not None
        return StoredObject(part, mode, self._blobs.open(part.blob) if reading else None, self)

    def remove(self, bucket: str, s3_object: S3Object | list[S3Object]) -> None:
        """Nothing to do: see the module."""

    def copy(self, src_bucket: str, src_object: Any, dest_bucket: str, dest_object: Any) -> StoredObject:
        """Copy the bytes, also of an object onto itself: the one it is copied from may be replaced at any time."""
        stored = self.open(dest_bucket, dest_object, mode="w")
        with self.open(src_bucket, src_object) as source:
            stored.write(source)
        return stored

    def get_multipart(self, bucket: str, upload_id: S3Multipart) -> StoredMultipart:
        """The parts of the upload."""
        return StoredMultipart(self, bucket, upload_id)

    def remove_multipart(self, bucket: str, s3_multipart: S3Multipart) -> None:
        """Nothing to do: see the module."""
