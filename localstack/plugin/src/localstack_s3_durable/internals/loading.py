"""Rows of the ledger as LocalStack's S3 in memory.

A row that cannot be read costs that record: it is left out and named in the log, its row and its bytes stay where
they are, and what asks for it is refused. All the others are there.
"""

import logging
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from localstack.services.s3.constants import DEFAULT_BUCKET_ENCRYPTION
from localstack.services.s3.models import (
    S3Bucket,
    S3DeleteMarker,
    S3Multipart,
    S3Object,
    S3Part,
    s3_stores,
)
from localstack.services.s3.utils import get_unique_key_id

from ..codec import loads, loads_first
from ..ledger import BUCKET, OBJECT, PART, REGION, UPLOAD, Kind, Ledger, Row
from .memory import MARKER, Memory
from .reporting import Keys, VersionedKeys, places
from .shapes import defaults, empty, fresh, order

LOG = logging.getLogger(__name__)


class Unreadable(Exception):
    """A row is damaged, or cannot be used because another row that it needs is damaged; says why."""


class Loading:
    """Fills `memory`, and LocalStack's stores, from the ledger."""

    def __init__(self, memory: Memory, ledger: Ledger) -> None:
        self._memory = memory
        self._ledger = ledger
        #: The blobs that rows name, including rows that cannot be read otherwise.
        self.blobs: set[str] = set()
        self.objects = 0
        #: How many rows cannot be read.
        self.left_out = 0
        self._several: list[tuple[dict[str, Any], str]] = []
        self._last = 0
        #: bucket -> the bucket, what most of its objects have in common, its account's tags
        self._bucket: tuple[str, Any, dict[str, Any], Any] = ("", None, {}, None)

    def run(self) -> None:
        """Load everything. Raises sqlite3.Error where the file itself cannot be read."""
        self._each(REGION, self._load_region, "the settings of account {0} in {1}")
        self._each(BUCKET, self._load_bucket, "bucket {0}")
        self._each(OBJECT, self._load_object, "s3://{0}/{1} (version {2})")
        self._each(UPLOAD, self._load_upload, "upload {1} to bucket {0}")
        self._each(PART, self._load_part, "part {2} of upload {1} to bucket {0}")
        for held, key in self._several:
            held[key] = order(held[key])
        places.after(self._last)

    def _each(self, kind: Kind, load: Callable[[Row, dict[str, Any]], None], name: str) -> None:
        for row in self._ledger.rows(kind):
            if "blob" in kind.rest and (blob := row.values[len(kind.key) + kind.rest.index("blob")]):
                self.blobs.add(blob)
            try:
                load(row, attributes(row))
            except Exception as error:  # damaged text may raise anything
                self.left_out += 1
                self._leave_out(kind, row.values)
                why = (
                    error if isinstance(error, Unreadable) else f"it holds no record ({type(error).__name__})"
                )
                LOG.error(
                    "%s cannot be read and is left out: %s. Its row stays in the ledger. %s",
                    name.format(
                        *(str(part).encode("ascii", "backslashreplace").decode() for part in row.values)
                    ),
                    why,
                    self._ledger.way_back,
                )

    def _leave_out(self, kind: Kind, values: tuple[Any, ...]) -> None:
        if kind is BUCKET:
            self._memory.unreadable_buckets.add(values[0])
        elif kind is OBJECT:
            if values[0] not in self._memory.live:
                self._memory.unreadable_buckets.add(values[0])
            place = values[3] if isinstance(values[3], int) else sys.maxsize
            self._memory.unreadable.setdefault((values[0], values[1]), {})[values[2]] = place

    def _of(self, bucket: str) -> Any:
        if (found := self._memory.live.get(bucket)) is None:
            raise Unreadable(f"there is no readable bucket {bucket}")
        return found

    def _load_region(self, row: Row, state: dict[str, Any]) -> None:
        account, region = row.values[:2]
        key = state["aws_managed_kms_key_id"]
        s3_stores[account][region].aws_managed_kms_key_id = self._memory.regions[account, region] = key

    def _load_bucket(self, row: Row, state: dict[str, Any]) -> None:
        name = row.values[0]
        tags = state.pop("$tags")
        state.setdefault("encryption_rule", DEFAULT_BUCKET_ENCRYPTION)
        touch = self._memory.touch
        objects = Keys(name, touch) if state["versioning_status"] is None else VersionedKeys(name, touch)
        bucket = fresh(S3Bucket, {"name": name, **state, "objects": objects, "multiparts": {}})
        store = self._memory.store(bucket.bucket_account_id, bucket.bucket_region)
        store.buckets[name] = bucket
        store.global_bucket_map[name] = bucket.bucket_account_id
        if tags:
            store.tags.update_tags(bucket.bucket_arn, tags)

    def _load_object(self, row: Row, attributes: dict[str, Any]) -> None:
        name, key, version, place, blob, modified, text = row.values
        if self._bucket[0] != name:
            found = self._of(name)
            tags = s3_stores[found.bucket_account_id][found.bucket_region].tags
            self._bucket = (name, found, defaults(found), tags)
        _, bucket, template, tags = self._bucket
        state = {
            "key": key,
            "place": place,
            "last_modified": datetime.fromisoformat(modified),
            "is_current": True,
        }
        if text == MARKER:
            made = fresh(S3DeleteMarker, state)
        else:
            made = fresh(S3Object, {**template, **empty(), **attributes, **state, "blob": blob})
            if given := made.__dict__.pop("$tags", None):
                tags.update_tags(get_unique_key_id(name, key, version), given)
        held: dict[str, Any] = bucket.objects._store
        if bucket.versioning_status is None:
            made.version_id = None
            held[key] = made
        else:
            made.version_id = version
            held[key][version] = made
            if len(held[key]) == 2:
                self._several.append((held, key))
        self.objects += 1
        self._last = max(self._last, place)

    def _load_upload(self, row: Row, state: dict[str, Any]) -> None:
        bucket, name = self._of(row.values[0]), row.values[1]
        own = {"is_current": True, "version_id": None, **defaults(bucket), **empty(), **state["object"]}
        state["object"] = fresh(S3Object, own)
        bucket.multiparts[name] = fresh(S3Multipart, {**state, "id": name, "parts": {}})

    def _load_part(self, row: Row, state: dict[str, Any]) -> None:
        name, upload, number, blob, _ = row.values
        if (found := self._of(name).multiparts.get(upload)) is None:
            raise Unreadable(f"there is no readable upload {upload}")
        found.parts[str(number)] = fresh(S3Part, {"blob": blob, **state})


def attributes(row: Row) -> dict[str, Any]:
    """The attributes in the row's last column. Raises Unreadable, ValueError or TypeError."""
    if row.sound is False:
        raise Unreadable("it is not what was written (its checksum differs)")
    text = row.values[-1]
    if text == MARKER:
        return {}
    return loads_first(text) if row.sound is None else loads(text)
