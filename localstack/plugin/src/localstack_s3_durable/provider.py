"""LocalStack's S3, whose answers wait until what they acknowledge is on the disk."""

import logging
import sqlite3
import time
from typing import Any

from localstack.aws.api import CommonServiceException, RequestContext
from localstack.aws.api.core import ServiceRequestHandler
from localstack.aws.skeleton import DispatchTable, create_dispatch_table
from localstack.services.s3.models import S3Store
from localstack.services.s3.provider import S3Provider

from .blobs import Blobs, Helper
from .internals import NULL, Memory
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


class DurableS3Provider(S3Provider):
    """S3Provider over a directory. Raises DurableError if the directory cannot be used."""

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        begun = time.monotonic()
        self._root = settings.directory
        self._ledger = Ledger(settings.directory, settings.sync)
        try:
            blobs = Blobs(settings.directory / "blobs", settings.sync)
            self._memory = Memory()
            self._journal = Journal(self._ledger, self._memory)
            super().__init__(
                Storage(blobs, str(settings.directory / "blobs"), self._memory.current, self._journal.created)
            )
            named, count = self._memory.load(self._ledger)
            swept = blobs.sweep(named)
            self._restore(blobs, named)
        except BaseException:
            self._ledger.close()
            raise
        self._journal.helper = self._helper = Helper(blobs, self._journal.settled)
        self._memory.listener = self._journal.touch
        LOG.info(
            "S3 is kept in %s: %d buckets, %d objects; %d leftover files removed; %.1f s",
            settings.directory,
            len(self._memory.live),
            count,
            swept,
            time.monotonic() - begun,
        )

    def _restore(self, blobs: Blobs, named: set[str]) -> None:
        """Make small files again: a power failure may have taken them."""
        small = {blob: data for blob, data in self._ledger.bodies() if blob in named}
        for blob, data in small.items():
            blobs.restore(blob, data)
        blobs.settle(small)
        self._ledger.settled()

    def get_store(self, account_id: str, region_name: str) -> S3Store:  # type: ignore[override]
        """LocalStack's store, made to report what changes in it."""
        return self._memory.store(account_id, region_name)

    def dispatch_table(self) -> DispatchTable:
        """The operations, those that change something behind a commit."""
        return {
            operation: handler if operation.startswith(READS) else self._durable(operation, handler)
            for operation, handler in create_dispatch_table(self).items()
        }

    def _durable(self, operation: str, handler: ServiceRequestHandler) -> ServiceRequestHandler:
        reported = operation in REPORTED

        def handle(context: RequestContext, request: Any) -> Any:
            touched = () if reported else self._named(request)
            try:
                return self._journal.run(lambda: handler(context, request), touched)
            except (sqlite3.Error, OSError) as error:
                LOG.error("%s is not on the disk: %s", operation, error)
                raise CommonServiceException(
                    "InternalError",
                    f"{operation} could not be written to the disk: {error}. Is there space left in "
                    f"{self._root}? Then try again.",
                    status_code=500,
                ) from error

        return handle

    def _named(self, request: dict[str, Any]) -> list[tuple[object, ...]]:
        """What the request is about: a part, an object or a bucket."""
        bucket = request.get("Bucket")
        if bucket is None:
            return []
        if "PartNumber" in request:
            return [("part", bucket, request.get("UploadId"), request["PartNumber"])]
        if "Key" in request:
            version = request.get("VersionId")
            if version is None and (held := self._memory.current(bucket, request["Key"], None)):
                version = held.version_id
            return [("object", bucket, request["Key"], version or NULL)]
        return [("bucket", bucket)]

    def on_after_state_reset(self) -> None:
        """Forget everything on the disk as well."""
        super().on_after_state_reset()  # type: ignore[no-untyped-call]
        self._memory.live.clear()
        self._helper.give(self._ledger.forget(), {})

    def on_before_stop(self) -> None:
        """Let go of the directory."""
        super().on_before_stop()  # type: ignore[no-untyped-call]
        self._helper.close()
        self._ledger.close()
