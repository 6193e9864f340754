"""LocalStack's S3. An answer is sent once the change that it acknowledges is on the disk."""

import logging
import sqlite3
import time
from collections.abc import Callable
from typing import Any, NoReturn

from localstack.aws.api import CommonServiceException, RequestContext
from localstack.aws.api.core import ServiceRequestHandler
from localstack.aws.skeleton import DispatchTable, create_dispatch_table
from localstack.services.s3.models import S3Store
from localstack.services.s3.provider import S3Provider

from .blobs import Blobs, Helper
from .errors import Damaged, DirectoryUnusable
from .internals import NULL, Loading, Memory, listing_after, report_error
from .journal import Journal
from .ledger import Ledger
from .settings import Settings
from .storage import Storage

LOG = logging.getLogger(__name__)

#: Operations that change nothing.
READS = ("Get", "Head", "List", "Select")
#: Operations whose changes the bucket's own collections report. The others change what their request names.
REPORTED = {
    "AbortMultipartUpload",
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateBucket",
    "CreateMultipartUpload",
    "DeleteBucket",
    "DeleteObject",
    "DeleteObjects",
    "PostObject",
    "PutObject",
}


type Thing = tuple[object, ...]


def nothing() -> list[Thing]:
    """What a request names that changes nothing, or whose changes are reported."""
    return []


class DurableS3Provider(S3Provider):
    """S3Provider over a directory. Raises DurableError if the directory cannot be used."""

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        begun = time.monotonic()
        self._root = settings.directory
        self._ledger = Ledger(settings.directory, settings.sync, settings.way_back)
        try:
            blobs = Blobs(settings.directory / "blobs", settings.sync)
            self._memory = Memory()
            self._journal = Journal(self._ledger, self._memory)
            super().__init__(
                Storage(blobs, str(settings.directory / "blobs"), self._memory.current, self._journal.created)
            )
            loading = Loading(self._memory, self._ledger)
            loading.run()
            bodies = [body for body in self._ledger.bodies() if body[1] in loading.blobs]
            # A row that cannot be read may have named any blob.
            swept = 0 if loading.left_out else blobs.sweep(loading.blobs)
            # These may have no file, or half of one. They are read from memory until the helper thread has written them.
            blobs.young.update((blob, data) for _, blob, data in bodies)
        except OSError as error:
            self._ledger.close()
            raise DirectoryUnusable(
                f"{error.filename or settings.directory} cannot be written: {error.strerror}. Make room on the "
                "volume, or let this user write to it, and start again."
            ) from error
        except BaseException:
            self._ledger.close()
            raise
        self._journal.helper = self._helper = Helper(blobs, self._journal.settled)
        self._helper.give((), {blob: row for row, blob, _ in bodies})
        self._memory.listener = self._journal.touch
        self._ledger.told = self._tell
        LOG.info(
            "S3 is kept in %s: %d buckets, %d objects; %d leftover files removed; %.1f s",
            settings.directory,
            len(self._memory.live),
            loading.objects,
            swept,
            time.monotonic() - begun,
        )

    def get_store(self, account_id: str, region_name: str) -> S3Store:  # type: ignore[override]
        """LocalStack's store, with collections that report what changes in them."""
        return self._memory.store(account_id, region_name)

    def dispatch_table(self) -> DispatchTable:
        """The operations; those that change something are followed by a commit."""
        table = {
            operation: self._readable(
                operation, handler if operation.startswith(READS) else self._durable(operation, handler)
            )
            for operation, handler in create_dispatch_table(self).items()
        }
        table["ListObjectVersions"] = self._in_pages(table["ListObjectVersions"])
        return table

    def _readable(self, operation: str, handler: ServiceRequestHandler) -> ServiceRequestHandler:
        """The operation; it is refused if the record that it is about cannot be read."""

        def handle(context: RequestContext, request: Any) -> Any:
            if self._ledger.damage is not None:
                self._refuse()
            bucket, key = request.get("Bucket"), request.get("Key")
            if name := self._memory.unreadable_thing(operation, bucket, key, request.get("VersionId")):
                raise CommonServiceException(
                    "InternalError",
                    f"{name} cannot be read: its record is damaged. The log says what was found. An object can be "
                    f"put again or deleted. {self._ledger.way_back}",
                    status_code=500,
                )
            return handler(context, request)

        return handle

    @staticmethod
    def _tell(damage: Damaged) -> None:
        LOG.critical("%s", damage)
        report_error(damage)

    def _refuse(self) -> NoReturn:
        raise CommonServiceException(
            "InternalError",
            "What S3 keeps on its disk is damaged, and nothing is answered from it any more. What was written before "
            f"may be lost. S3's log says what was found. {self._ledger.way_back}",
            status_code=500,
        ) from None

    @staticmethod
    def _in_pages(handler: ServiceRequestHandler) -> ServiceRequestHandler:
        def handle(context: RequestContext, request: Any) -> Any:
            with listing_after(request.get("KeyMarker"), request.get("VersionIdMarker")):
                return handler(context, request)

        return handle

    def _durable(self, operation: str, handler: ServiceRequestHandler) -> ServiceRequestHandler:
        reported = operation in REPORTED

        def handle(context: RequestContext, request: Any) -> Any:
            named = self._removed(request) if reported else self._named(request)
            try:
                return self._journal.run(lambda: handler(context, request), named)
            except Damaged:
                self._refuse()
            except ConnectionError:  # of the client, not of the disk
                raise
            except (sqlite3.Error, OSError) as error:
                LOG.error("%s is not on the disk: %s", operation, error)
                raise CommonServiceException(
                    "InternalError",
                    f"{operation} could not be written to the disk: {error}. Is there space left in "
                    f"{self._root}? Then try again.",
                    status_code=500,
                ) from error

        return handle

    def _removed(self, request: dict[str, Any]) -> Callable[[], list[Thing]]:
        """What the request deletes of which LocalStack does not know (see `Memory.unreadable`)."""
        if not self._memory.unreadable:
            return nothing
        entries = (request.get("Delete") or {}).get("Objects") or [request]
        objects = [(entry.get("Key", ""), entry.get("VersionId")) for entry in entries]
        return lambda: self._memory.removed_unreadable(request.get("Bucket"), objects)

    def _named(self, request: dict[str, Any]) -> Callable[[], list[Thing]]:
        """What the request is about: a part, an object or a bucket. Call it after the operation."""
        bucket = request.get("Bucket")
        if bucket is None:
            return nothing
        if "PartNumber" in request:
            return lambda: [("part", bucket, request.get("UploadId"), request["PartNumber"])]
        if "Key" not in request:
            return lambda: [("bucket", bucket)]
        key, version = request["Key"], request.get("VersionId")
        before = self._memory.current(bucket, key, version)

        def objects() -> list[Thing]:
            # Whichever version was the current one when LocalStack looked.
            if before is not None and self._memory.current(bucket, key, version) is before:
                return [("object", bucket, key, before.version_id or NULL)]
            return [("object", bucket, key, name) for name in self._memory.versions(bucket, key)]

        return objects

    def on_after_state_reset(self) -> None:
        """Delete everything on the disk as well."""
        super().on_after_state_reset()  # type: ignore[no-untyped-call]
        self._memory.live.clear()
        self._helper.give(self._ledger.forget(), {})

    def on_before_stop(self) -> None:
        """Release the directory."""
        super().on_before_stop()  # type: ignore[no-untyped-call]
        self._helper.close()
        self._ledger.close()
